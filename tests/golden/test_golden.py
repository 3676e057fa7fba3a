"""Every number against the recorded ones, in float64, and the tool that compares.

The comparisons are in check_golden.py. Here it is run on all of the data, and it is shown that it
finds what is wrong. `reference/` beside this file has two models and the units; more of them are
in ../shared/golden where that is present.
"""

import json
import zlib
from pathlib import Path

import check_golden
import golden_compare
import golden_configs
import golden_rules
import numpy as np
import pytest
import torch
from golden_units import Units, check_units, reference_is_defective

REFERENCE = Path(__file__).with_name("reference")
SHARED = Path(__file__).resolve().parents[3] / "shared" / "golden"
NAME = "RT_MS_R_50_4x_syncbn"
OTHERS = ("README", "inputs", "settings_all", "spec")  # files that belong to no configuration
# What the line of a configuration says about each kind of file.
CHECKED = {
    "keys.json": "keys",
    "json": "losses",
    "npz": "detections",
    "grads.json": "gradients",
    "buffers_after_train.json": "statistics",
}


def folders() -> list:
    """The folders of data; one that is absent is skipped."""
    needs = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/golden")
    return [pytest.param(REFERENCE, id="ours"), pytest.param(SHARED, id="shared", marks=needs)]


def configurations() -> list:
    """Each configuration with its folder; those of ../shared/golden that are not ours, too."""
    ours = check_golden.names_in(REFERENCE)
    found = [pytest.param(REFERENCE, name, id=name) for name in ours]
    if not SHARED.is_dir():
        absent = pytest.mark.skip(reason="needs ../shared/golden")
        return [*found, pytest.param(SHARED, "", id="shared", marks=absent)]
    others = [name for name in check_golden.names_in(SHARED) if name not in ours]
    return found + [pytest.param(SHARED, name, id=name) for name in others]


def copy(source: Path, target: Path, pattern: str) -> None:
    for path in source.glob(pattern):
        (target / path.name).write_bytes(path.read_bytes())


# --- how the data is made ---------------------------------------------------------------------


def test_fill_rule():
    samples = golden_rules.read_json(REFERENCE / "inputs.json")["fill"]
    assert len(samples) == 8
    for key, sample in samples.items():
        value = golden_rules.fill_value(key, tuple(sample["shape"]), sample["stem_factor"])
        assert value.ravel()[:3].tolist() == pytest.approx(sample["first3"], rel=1e-12)
        assert value.sum() == pytest.approx(sample["sum"], rel=1e-9)


@pytest.mark.parametrize("folder", folders())
def test_stem_factor_follows_from_the_config(folder):
    for path in folder.glob("*.json"):
        info = golden_rules.read_json(path)
        if "stem_factor" in info:
            cfg = golden_configs.config_of(path.stem, info)
            assert golden_rules.stem_factor_of(cfg) == info["stem_factor"]
    # The 32x8d files divide their pixels.
    cfg = golden_configs.config_of("MS_X_101_32x8d_2x", {})
    assert golden_rules.stem_factor_of(cfg) == 1.0


@pytest.mark.parametrize("folder", folders())
def test_inputs_are_those_of_the_reference(folder):
    """Drawn by the rule; those of ../shared/golden are stored."""
    assert (folder / "inputs.npz").exists() == (folder == SHARED)
    info = golden_rules.read_json(REFERENCE / "inputs.json")
    for inputs in golden_rules.input_batch(folder):
        expected, truth = info["images"][inputs["file_name"]], info["gt"][inputs["file_name"]]
        assert zlib.crc32(inputs["image"].numpy().tobytes()) == expected["crc32"]
        assert (inputs["height"], inputs["width"]) == (expected["orig_h"], expected["orig_w"])
        assert inputs["instances"].gt_boxes.tensor.tolist() == truth["boxes"]
        assert inputs["instances"].gt_classes.tolist() == truth["classes"]


# --- units ------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["default", "radius_1"])
def test_first_box_centred_on_the_left_border_is_learned(option):
    units = Units.read(REFERENCE)
    options = {} if option == "default" else {"center_sampling_radius": 1.0}
    assert reference_is_defective("center_x0_first", options)
    ground_truth = units.ground_truth("center_x0_first")
    centers = ground_truth[0].gt_boxes.get_centers()
    assert centers[0, 0] == 0
    labels = units.targets(ground_truth, options)["labels"][0]
    assert {3, 4} <= set(labels.tolist()), "both boxes are learned"
    defective = units.arrays[f"center_x0_first.{option}.labels"][0]
    assert set(defective.tolist()) == {units.info["num_classes"]}, "the reference learns none"
    results = units.info["results"]
    wrong, right = (
        results[f"center_x0_{nth}.{option}"]["losses"]["loss_fcos_cls"]
        for nth in ("first", "second")
    )
    assert wrong != pytest.approx(right, rel=1e-2)


def test_misses_of_units_are_told(tmp_path):
    copy(REFERENCE, tmp_path, "units.*")
    info = golden_rules.read_json(tmp_path / "units.json")
    info["results"]["random.loc_iou"]["losses"]["loss_fcos_loc"] *= 1 + 3e-6
    info["results"]["mixed3.norm_moving"]["second_call"]["loss_fcos_cls"] *= 1 + 3e-6
    info["results"]["empty_first.norm_all"]["grad_norm_logits_reg_ctr"][0] *= 1 + 3e-5
    info["results"]["all_empty.default"]["num_pos"][4] += 1
    info["results"]["mixed3.radius_2"] = info["results"]["mixed3.radius_1"]
    (tmp_path / "units.json").write_text(json.dumps(info))
    arrays = golden_rules.read_arrays(tmp_path / "units.npz")
    arrays["random.radius_1.reg_pos"][3, 1] += 3e-5
    arrays["mixed3.default.labels"][2, 7] += 1
    arrays["center_x0_second.default.gtind_pos"][0] += 1  # of both orders of the boxes
    arrays["inf.nms_off.1.levels"][2] += 1
    arrays["inf.pre50.0.post_boxes"][2, 2] += 3e-3
    arrays["inf.pre50.0.post_areas"] = np.ones(3)
    np.savez(tmp_path / "units.npz", **arrays)
    report = check_units(tmp_path)
    assert {miss.split(": ")[0] for miss in report.misses} == {
        "random.loc_iou loss_fcos_loc",
        "mixed3.norm_moving second loss_fcos_cls",
        "empty_first.norm_all gradients",
        "all_empty.default positives per level",
        "mixed3.radius_2",
        "random.radius_1 reg_pos",
        "mixed3.default labels",
        "center_x0_first.default gtind_pos",
        "center_x0_second.default gtind_pos",
        "inf.nms_off.1 levels",
        "inf.pre50.0.post boxes",
        "never compared",
    }


# --- whole models -----------------------------------------------------------------------------


@pytest.mark.parametrize(("folder", "name"), configurations())
def test_every_configuration(folder, name, capsys):
    """Keys of all, numbers of those that have any, and every file of it is looked at."""
    assert check_golden.main([str(folder), name]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found, checked, *_ = line.split(": ")
    assert found == name
    for path in folder.glob(f"{name}.*"):
        assert CHECKED[path.name.partition(".")[2]] in checked, path.name


@pytest.mark.parametrize("folder", folders())
def test_every_file_belongs_to_a_configuration(folder):
    stems = {path.name.partition(".")[0] for path in folder.iterdir()}
    assert stems - set(OTHERS) == set(check_golden.names_in(folder))


def test_what_is_ours_is_a_copy(shared_dir):
    for path in REFERENCE.iterdir():
        if path.name != "README.md":
            assert path.read_bytes() == (shared_dir / "golden" / path.name).read_bytes(), path.name


def test_a_folder_is_checked_as_a_whole(tmp_path, capsys):
    copy(REFERENCE, tmp_path, "*.keys.json")
    assert check_golden.main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["RT_MS_R_50_4x_syncbn", "R_50_1x"]


@pytest.fixture
def small_folder(tmp_path) -> Path:
    """A copy of what belongs to one configuration; the inputs follow from their rule."""
    copy(REFERENCE, tmp_path, f"{NAME}.*")
    return tmp_path


def test_a_miss_is_told(small_folder, capsys):
    """Each changed value is found; the exit code is 1."""

    def change(kind: str, edit) -> None:
        path = small_folder / f"{NAME}.{kind}.json".replace("..", ".")
        values = golden_rules.read_json(path)
        edit(values)
        path.write_text(json.dumps(values))

    def edit_info(info: dict) -> None:
        info["losses"]["loss_fcos_cls"] *= 1 + 3e-6
        info["eval"]["B"]["candidates_per_level"][1] += 1
        info["num_pos_per_level"][2] += 1
        info["head_stats"][1]["reg"][3] *= 1 + 3e-5
        info["settings"]["fcos"]["NMS_TH"] = 0.61

    def edit_gradients(gradients: dict) -> None:
        gradients["backbone.bottom_up.res5.2.conv3.weight"] *= 1 + 3e-5
        gradients["backbone.fpn_output3.bias"] = None

    change("keys", lambda keys: keys[3].__setitem__(1, [7]))
    change("", edit_info)
    change("grads", edit_gradients)
    statistic = "backbone.bottom_up.res3.0.conv1.norm.running_mean"
    change("buffers_after_train", lambda x: x.update({statistic: x[statistic] * (1 + 3e-5)}))
    arrays = golden_rules.read_arrays(small_folder / f"{NAME}.npz")
    arrays["eval_reg_1"][0, 0, 0, 0] += 3e-5 * np.abs(arrays["eval_reg_1"]).max()
    arrays["train_ctr_2_meanstd"][1] *= 1 + 3e-5
    arrays["det_A_boxes"][5, 2] += 3e-3
    arrays["nms_B_scores"][7] += 3e-6
    arrays["raw_B_classes"][0] += 1
    arrays["raw_A_locations"][4, 0] += 8
    arrays["target_gtind_pos_0"][2] += 1
    arrays["eval_mask_0"] = np.ones(3)
    np.savez(small_folder / f"{NAME}.npz", **arrays)

    assert check_golden.main([str(small_folder)]) == 1
    line = capsys.readouterr().out
    misses = line.split("MISS ")[1].strip().split("; ")
    assert {miss.split(": ")[0] for miss in misses} == {
        "key",
        "MODEL.FCOS.NMS_TH",
        "mean, std, min or max of reg 1",
        "candidates B",
        "positives per level",
        "loss_fcos_cls",
        "gradient of backbone.bottom_up.res5.2.conv3.weight",
        "gradient of backbone.fpn_output3.bias",
        statistic,
        "eval_reg_1",
        "train_ctr_2_meanstd",
        "det_A boxes",
        "nms_B scores",
        "raw_B classes",
        "raw_A locations",
        "target_gtind_pos_0",
        "never compared",
    }


def test_arrays_alone_are_checked_too(tmp_path, capsys):
    """Without json the config follows from the name."""
    copy(REFERENCE, tmp_path, f"{NAME}.npz")
    assert check_golden.main([str(tmp_path)]) == 0
    line = capsys.readouterr().out
    assert line.startswith(f"{NAME}: head outputs, detections, targets: worst")


@pytest.mark.parametrize(
    ("actual", "expected", "misses", "worst"),
    [
        ([1.0, 0.0], [1.0, 0.0], 0, 0.0),
        ([1.0, 2.0], [1.0, 2.5], 1, 0.2),
        ([0.1, 0.0], [0.0, 0.0], 1, np.inf),
        ([1.0, np.nan], [1.0, 2.0], 1, np.nan),
        ([1.0, 2.0], [1.0, np.nan], 1, np.nan),
        ([1.0], [1.0, 1.0], 1, 0.0),
        ([], [], 0, 0.0),
    ],
)
def test_comparison_of_numbers(actual, expected, misses, worst):
    report = golden_compare.Report("name")
    report.compare("x", actual, expected, tolerance=0.1)
    assert len(report.misses) == misses
    assert report.worst == pytest.approx(worst, nan_ok=True)
    assert ("MISS x: " in str(report)) == bool(misses)


def test_a_model_that_gives_nan_is_a_miss(tmp_path, monkeypatch, capsys):
    copy(REFERENCE, tmp_path, f"{NAME}.npz")
    fill_model = golden_rules.fill_model

    def fill_with_a_nan(model: torch.nn.Module, stem_factor: float) -> None:
        fill_model(model, stem_factor)
        with torch.no_grad():
            model.proposal_generator.fcos_head.ctrness.bias[0] = torch.nan

    monkeypatch.setattr(golden_rules, "fill_model", fill_with_a_nan)
    assert check_golden.main([str(tmp_path)]) == 1
    assert "eval_ctr_0: nan, expected" in capsys.readouterr().out


# --- names and folders ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "opts"),
    [
        ("NORM_none", ["MODEL.FCOS.NORM", "none"]),
        ("USE_SCALE_off", ["MODEL.FCOS.USE_SCALE", False]),
        ("USE_DEFORMABLE_on", ["MODEL.FCOS.USE_DEFORMABLE", True]),
        ("THRESH_WITH_CTR", ["MODEL.FCOS.THRESH_WITH_CTR", True]),
        ("PRE_NMS_TOPK_30", ["MODEL.FCOS.PRE_NMS_TOPK_TEST", 30]),
        ("INFERENCE_TH_0.3", ["MODEL.FCOS.INFERENCE_TH_TEST", 0.3]),
        ("NORMALIZER_moving_fg", ["MODEL.FCOS.LOSS_NORMALIZER_CLS", "moving_fg"]),
        ("POS_RADIUS_1", ["MODEL.FCOS.POS_RADIUS", 1.0]),
        (
            "BOX_QUALITY_iou_LOC_linear_iou",
            ["MODEL.FCOS.BOX_QUALITY", "iou", "MODEL.FCOS.LOC_LOSS_TYPE", "linear_iou"],
        ),
    ],
)
def test_options_in_names(text, opts):
    assert golden_configs.options_of(text) == opts


def test_options_follow_one_another_in_names():
    fcos = golden_configs.config_of("MS_V_57_3x__NORM_BN__TOP_LEVELS_1__NUM_CLASSES_3", {})
    fcos = fcos.MODEL.FCOS
    assert (fcos.NORM, fcos.NUM_CLASSES, fcos.TOP_LEVELS) == ("BN", 3, 1)
    assert fcos.IN_FEATURES == ["p3", "p4", "p5", "p6"]
    assert fcos.FPN_STRIDES == [8, 16, 32, 64]
    assert fcos.SIZES_OF_INTEREST == [64, 128, 256]


def test_every_published_file_has_a_name_that_leads_to_it():
    for yaml in golden_configs.CONFIGS:
        folder, _, base = yaml.removesuffix(".yaml").rpartition("/")
        name = f"RT_{base}" if folder == "FCOS_RT" else base
        assert golden_configs.yaml_of(name) == yaml


def test_what_the_json_says_goes_before_the_name():
    info = {"yaml": "R_50_1x_iou.yaml", "opts": ["MODEL.FCOS.NMS_TH", 0.5]}
    fcos = golden_configs.config_of("R_50_1x__NMS_TH_0.4", info).MODEL.FCOS
    assert (fcos.BOX_QUALITY, fcos.NMS_TH) == ("iou", 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["."], "holds no golden data"),
        ([".", "R_51_1x"], "R_51_1x: no config is known for 'R_51_1x.yaml'"),
        ([".", "R_50_1x"], "R_50_1x: . holds nothing for it"),
        ([".", "R_50_1x__NORMS_x"], "no key of MODEL.FCOS at 'NORMS_x'"),
        ([".", "R_50_1x__USE_SCALE_no"], "'no' cannot take the place of True"),
        ([".", "R_50_1x__NUM_CLASSES_few"], "'few' cannot take the place of 80"),
        ([".", "R_50_1x__FPN_STRIDES_8"], "'8' cannot take the place of [8, 16"),
    ],
)
def test_wrong_folders_and_names_are_told(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert check_golden.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_damaged_files_are_told_and_the_others_checked(tmp_path, capsys):
    copy(REFERENCE, tmp_path, "*.keys.json")
    (tmp_path / "MS_R_50_2x.keys.json").write_text("[[")
    (tmp_path / "R_50_1x_iou.npz").write_bytes(b"PK nothing")
    assert check_golden.main([str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "RT_MS_R_50_4x_syncbn: 371 keys: equal: ok",
        "R_50_1x: 324 keys: equal: ok",
    ]
    errors = captured.err.splitlines()
    assert len(errors) == 2
    assert "MS_R_50_2x.keys.json: no json file" in errors[0]
    assert "R_50_1x_iou.npz: no npz file" in errors[1]
