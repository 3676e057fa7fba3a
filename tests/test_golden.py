"""Every number against the reference data in shared/golden, in float64.

Three parts: how the data is made; parts of the method on synthetic head outputs ("units"); whole
models. The tolerances are those of section 4 of golden/spec.md.
"""

import json
import zlib
from pathlib import Path

import check_golden
import golden
import golden_rules
import numpy as np
import pytest
import torch
from detectron2.modeling.postprocessing import detector_postprocess

BATCHES = (
    "mixed3",
    "all_empty",
    "random",
    "center_x0_first",
    "center_x0_second",
    "empty_first",
    "no_positive",
)
RADIUS_OPTIONS = {"default": 1.5, "center_sample_off": None, "radius_1": 1.0}
LOSS_OPTIONS = {
    "default": {},
    "center_sample_off": {"center_sampling": False},
    "radius_1": {"center_sampling_radius": 1.0},
    "loc_iou": {"loc_loss_type": "iou"},
    "loc_linear_iou": {"loc_loss_type": "linear_iou"},
    "quality_iou": {"box_quality": "iou"},
    "quality_iou_loc_iou": {"box_quality": "iou", "loc_loss_type": "iou"},
    "norm_all": {"loss_normalizer": "all"},
    "norm_moving": {"loss_normalizer": "moving_fg"},
    "weight_cls_2": {"loss_weight_cls": 2.0},
    "focal_a5_g15": {"focal_alpha": 0.5, "focal_gamma": 1.5},
}
INFERENCE_OPTIONS = {
    "default": {},
    "thresh_with_ctr": {"thresh_with_quality": True},
    "post20": {"max_detections_test": 20},
    "pre50": {"topk_candidates_test": 50},
    "nms_off": {"nms_thresh": 0.0},
    "nms_03": {"nms_thresh": 0.3},
    "thr_099": {"score_thresh_test": 0.99},
}
# Input and output height and width of the two images of the inference cases.
INFERENCE_SIZES = (((250, 320), (375, 480)), ((200, 300), (100, 150)))


@pytest.fixture(scope="module")
def golden_dir(shared_dir) -> Path:
    return shared_dir / "golden"


# --- how the data is made ---------------------------------------------------------------------


def test_fill_rule(golden_dir):
    samples = golden_rules.read_json(golden_dir / "inputs.json")["fill"]
    assert len(samples) == 8
    for key, sample in samples.items():
        value = golden_rules.fill_value(key, tuple(sample["shape"]), sample["stem_factor"])
        assert value.ravel()[:3].tolist() == pytest.approx(sample["first3"], rel=1e-12)
        assert value.sum() == pytest.approx(sample["sum"], rel=1e-9)


def test_inputs_are_those_of_the_reference(golden_dir):
    info = golden_rules.read_json(golden_dir / "inputs.json")
    for inputs in golden_rules.input_batch(golden_dir):
        expected, truth = info["images"][inputs["file_name"]], info["gt"][inputs["file_name"]]
        assert zlib.crc32(inputs["image"].numpy().tobytes()) == expected["crc32"]
        assert (inputs["height"], inputs["width"]) == (expected["orig_h"], expected["orig_w"])
        assert inputs["instances"].gt_boxes.tensor.tolist() == truth["boxes"]
        assert inputs["instances"].gt_classes.tolist() == truth["classes"]


# --- units ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def units(golden_dir) -> golden.Units:
    arrays = dict(np.load(golden_dir / "units.npz"))
    return golden.Units(golden_rules.read_json(golden_dir / "units.json"), arrays)


def test_every_unit_result_is_checked(units):
    results = {f"{batch}.{option}" for batch in BATCHES for option in LOSS_OPTIONS}
    assert results == set(units.info["results"])
    targets = {
        f"{batch}.{option}.{field}"
        for batch in BATCHES
        for option in RADIUS_OPTIONS
        for field in ("labels", "reg_pos", "gtind_pos")
    }
    detections = {
        f"inf.{option}.{image}.{prefix}{field}"
        for option in INFERENCE_OPTIONS
        for image in range(len(INFERENCE_SIZES))
        for prefix in ("", "post_")
        for field in ("boxes", "scores", "classes")
    }
    levels = {f"inf.{option}.{i}.levels" for option in INFERENCE_OPTIONS for i in range(2)}
    assert targets | detections | levels == set(units.arrays)
    assert set(INFERENCE_OPTIONS) == set(units.info["inference"])


def test_unit_predictions_are_those_of_the_reference(units):
    outputs = units.head_outputs(num_images=3)
    expected = units.info["pred_checksum"]
    for name, levels in zip(("logits", "reg", "ctr"), outputs[:3], strict=True):
        assert levels[0].sum().item() == pytest.approx(expected[f"{name}_l0_n3_sum"], rel=1e-9)


def unit_targets(units: golden.Units, gt_instances: list, radius: float | None) -> dict:
    """Targets of all levels: labels (N, R); reg_pos and gtind_pos level after level."""
    levels = units.targets(gt_instances, radius)
    labels = torch.cat([x["labels"] for x in levels], dim=1)
    positives = {key: torch.cat([x[key] for x in levels]) for key in ("reg_pos", "gtind_pos")}
    return {"labels": labels, **positives}


def reference_is_defective(batch: str, option: str) -> bool:
    """Spec, section 9, item 1: a first box centred on x = 0 empties the image.

    It happens with centre sampling only. `center_x0_second` lists the boxes the other way round.
    """
    return batch == "center_x0_first" and option != "center_sample_off"


@pytest.mark.parametrize("option", RADIUS_OPTIONS)
@pytest.mark.parametrize("batch", BATCHES)
def test_assignment(units, batch, option):
    actual = unit_targets(units, units.ground_truth(batch), RADIUS_OPTIONS[option])
    case = f"{batch}.{option}"
    if reference_is_defective(batch, option):
        case = f"center_x0_second.{option}"
        swapped = torch.tensor([1, 0])
        first_image = actual["gtind_pos"] < 2
        actual["gtind_pos"][first_image] = swapped[actual["gtind_pos"][first_image]]
    expected = {key: units.arrays[f"{case}.{key}"] for key in actual}
    golden.assert_targets(actual, expected)


@pytest.mark.parametrize("option", ["default", "radius_1"])
def test_first_box_centred_on_the_left_border_is_learned(units, option):
    ground_truth = units.ground_truth("center_x0_first")
    centers = ground_truth[0].gt_boxes.get_centers()
    assert centers[0, 0] == 0
    labels = unit_targets(units, ground_truth, RADIUS_OPTIONS[option])["labels"][0]
    assert {3, 4} <= set(labels.tolist()), "both boxes are learned"
    defective = units.arrays[f"center_x0_first.{option}.labels"][0]
    assert set(defective.tolist()) == {units.info["num_classes"]}, "the reference learns none"


@pytest.mark.parametrize("option", LOSS_OPTIONS)
@pytest.mark.parametrize("batch", BATCHES)
def test_losses(units, batch, option):
    ground_truth = units.ground_truth(batch)
    outputs = units.head_outputs(len(ground_truth))
    for x in (*outputs.cls_logits, *outputs.ltrb_in_strides, *outputs.quality_logits):
        x.requires_grad_()
    generator = units.generator(outputs, **LOSS_OPTIONS[option]).train()
    images = units.images([(units.info["H"], units.info["W"])] * len(ground_truth))
    features = dict.fromkeys(generator.in_features)

    recorded = units.info["results"][f"{batch}.{option}"]
    expected = recorded
    if reference_is_defective(batch, option):
        expected = units.info["results"][f"center_x0_second.{option}"]
        assert recorded["losses"] != pytest.approx(expected["losses"], rel=1e-2)

    _, losses = generator(images, features, ground_truth)
    sum(losses.values()).backward()
    assert golden.to_floats(losses) == pytest.approx(expected["losses"], rel=1e-6, abs=0)
    grad_norms = [torch.cat([x.grad.flatten() for x in field]).norm() for field in outputs[:3]]
    expected_norms = expected["grad_norm_logits_reg_ctr"]
    assert torch.stack(grad_norms).tolist() == pytest.approx(expected_norms, rel=1e-5, abs=0)

    targets = units.targets(ground_truth, generator.center_sampling_radius)
    assert [len(level["reg_pos"]) for level in targets] == expected["num_pos"]
    if option == "norm_moving":
        _, losses = generator(images, features, ground_truth)
        assert golden.to_floats(losses) == pytest.approx(expected["second_call"], rel=1e-6, abs=0)


@pytest.mark.parametrize("option", INFERENCE_OPTIONS)
def test_inference(units, option):
    generator = units.generator(
        units.head_outputs(len(INFERENCE_SIZES)), **INFERENCE_OPTIONS[option]
    ).eval()
    images = units.images([size for size, _ in INFERENCE_SIZES])
    detections, losses = generator(images, dict.fromkeys(generator.in_features))
    assert losses == {}
    # Without suppression the reference does not sort by score.
    ordered = option != "nms_off"
    for i, (actual, (_, output_size)) in enumerate(zip(detections, INFERENCE_SIZES, strict=True)):
        case = f"inf.{option}.{i}"
        golden.assert_detections(actual, golden.detection_arrays(units.arrays, f"{case}."), ordered)
        levels = actual.box_features[:, 0].tolist()
        expected_levels = units.arrays[f"{case}.levels"].tolist()
        if not ordered:
            levels, expected_levels = sorted(levels), sorted(expected_levels)
        assert levels == expected_levels
        final = detector_postprocess(actual, *output_size)
        golden.assert_detections(
            final, golden.detection_arrays(units.arrays, f"{case}.post_"), ordered
        )


# --- whole models -----------------------------------------------------------------------------


def test_every_configuration(golden_dir, capsys):
    """Keys of all, numbers of those that have any, and every file of the folder is looked at."""
    assert check_golden.main([str(golden_dir)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(check_golden.names_in(golden_dir))
    checked = {line.split(": ")[0]: line.split(": ")[1] for line in lines}
    for path in golden_dir.iterdir():
        name, _, kind = path.name.partition(".")
        if name not in ("inputs", "units", "settings_all", "spec"):
            what = {
                "keys.json": "keys",
                "json": "losses",
                "npz": "detections",
                "grads.json": "gradients",
                "buffers_after_train.json": "statistics",
            }[kind]
            assert what in checked[name], path.name


@pytest.fixture
def small_folder(golden_dir, tmp_path) -> Path:
    """A copy of what belongs to one configuration."""
    for path in golden_dir.glob("RT_MS_DLA_34_4x_syncbn_shared_towers.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "inputs.npz").write_bytes((golden_dir / "inputs.npz").read_bytes())
    return tmp_path


def test_a_miss_is_told(small_folder, capsys):
    """Each changed value is found; the exit code is 1."""
    name = "RT_MS_DLA_34_4x_syncbn_shared_towers"
    keys = golden_rules.read_json(small_folder / f"{name}.keys.json")
    keys[3][1] = [7]
    (small_folder / f"{name}.keys.json").write_text(json.dumps(keys))
    info = golden_rules.read_json(small_folder / f"{name}.json")
    info["losses"]["loss_fcos_cls"] *= 1 + 3e-6
    info["eval"]["B"]["candidates_per_level"][1] += 1
    (small_folder / f"{name}.json").write_text(json.dumps(info))
    grads = golden_rules.read_json(small_folder / f"{name}.grads.json")
    grads["backbone.bottom_up.level5.root.conv.weight"] *= 1 + 3e-5
    (small_folder / f"{name}.grads.json").write_text(json.dumps(grads))
    arrays = dict(np.load(small_folder / f"{name}.npz"))
    arrays["eval_reg_1"][0, 0, 0, 0] += 3e-5 * np.abs(arrays["eval_reg_1"]).max()
    arrays["det_A_boxes"][5, 2] += 3e-3
    arrays["raw_B_classes"][0] += 1
    arrays["target_gtind_pos_0"][2] += 1
    np.savez(small_folder / f"{name}.npz", **arrays)

    assert check_golden.main([str(small_folder)]) == 1
    line = capsys.readouterr().out
    for what in (
        "key: ",
        "loss_fcos_cls: ",
        "candidates B: ",
        "gradient of backbone.bottom_up.level5.root.conv.weight: ",
        "eval_reg_1: ",
        "det_A boxes: ",
        "raw_B classes: ",
        "target_gtind_pos_0: ",
    ):
        assert line.count(what) == 1, what
    assert line.count("expected") == 8


@pytest.mark.parametrize(
    ("text", "opts"),
    [
        ("NORM_none", ["MODEL.FCOS.NORM", "none"]),
        ("USE_SCALE_off", ["MODEL.FCOS.USE_SCALE", False]),
        ("THRESH_WITH_CTR", ["MODEL.FCOS.THRESH_WITH_CTR", True]),
        ("PRE_NMS_TOPK_30", ["MODEL.FCOS.PRE_NMS_TOPK_TEST", 30]),
        ("NORMALIZER_moving_fg", ["MODEL.FCOS.LOSS_NORMALIZER_CLS", "moving_fg"]),
        ("POS_RADIUS_1", ["MODEL.FCOS.POS_RADIUS", 1.0]),
        (
            "BOX_QUALITY_iou_LOC_linear_iou",
            ["MODEL.FCOS.BOX_QUALITY", "iou", "MODEL.FCOS.LOC_LOSS_TYPE", "linear_iou"],
        ),
    ],
)
def test_options_in_names(text, opts):
    assert golden_rules.options_of(text) == opts


def test_wrong_folders_and_names_are_told(tmp_path, capsys):
    for arguments, message in (
        (["nowhere"], "nowhere: no such folder"),
        ([str(tmp_path)], "holds no golden data"),
        ([str(tmp_path), "R_51_1x"], "R_51_1x: no config is known for 'R_51_1x.yaml'"),
        ([str(tmp_path), "R_50_1x__NORMS_x"], "no key of MODEL.FCOS at 'NORMS_x'"),
    ):
        assert check_golden.main(arguments) == 2
        assert message in capsys.readouterr().err
