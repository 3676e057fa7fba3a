"""Every number against the reference data in shared/golden, in float64.

Three parts: how the data is made; parts of the method on synthetic head outputs ("units"); whole
models. The tolerances are those of section 4 of golden/spec.md.
"""

import functools
import zlib
from pathlib import Path

import golden
import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import ImageList

from fcos_d2.modeling.geometry import LocationGrid, level_locations
from fcos_d2.modeling.head import HeadOutputs
from fcos_d2.modeling.selection import select_detections

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

FCOS_YAML, RT_YAML = "FCOS/R50-1x.yaml", "FCOS-RT/R50.yaml"
FULL_MODELS = {"R_50_1x": FCOS_YAML, "RT_MS_R_50_4x_syncbn": RT_YAML}
# Variants of R_50_1x that share its network: options under MODEL.FCOS.
TRAINING_VARIANTS = {
    "R_50_1x__CENTER_SAMPLE_off": {"CENTER_SAMPLE": False},
    "R_50_1x__LOC_iou": {"LOC_LOSS_TYPE": "iou"},
    "R_50_1x__NORMALIZER_moving_fg": {"LOSS_NORMALIZER_CLS": "moving_fg"},
    "R_50_1x__BOX_QUALITY_iou_LOC_iou": {"BOX_QUALITY": "iou", "LOC_LOSS_TYPE": "iou"},
}
INFERENCE_VARIANTS = {
    "R_50_1x__THRESH_WITH_CTR": {"THRESH_WITH_CTR": True},
    "R_50_1x__PRE_NMS_TOPK_30": {"PRE_NMS_TOPK_TEST": 30},
}
VARIANTS = {**TRAINING_VARIANTS, **INFERENCE_VARIANTS}
# Configurations of which the reference gives keys: yaml and options.
TOP_LEVELS_1 = {
    "MODEL.FCOS.TOP_LEVELS": 1,
    "MODEL.FCOS.FPN_STRIDES": [8, 16, 32, 64],
    "MODEL.FCOS.IN_FEATURES": ["p3", "p4", "p5", "p6"],
    "MODEL.FCOS.SIZES_OF_INTEREST": [64, 128, 256],
}
RESNEXT_101 = {
    "MODEL.RESNETS.NUM_GROUPS": 32,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 8,
    "MODEL.RESNETS.STRIDE_IN_1X1": False,
}
KEYS = {
    "R_50_1x": (FCOS_YAML, {}),
    "R_50_1x__USE_SCALE_off": (FCOS_YAML, {"MODEL.FCOS.USE_SCALE": False}),
    "R_50_1x__NORM_none": (FCOS_YAML, {"MODEL.FCOS.NORM": "none"}),
    "R_50_1x__NORM_BN": (FCOS_YAML, {"MODEL.FCOS.NORM": "BN"}),
    "R_50_1x__TOP_LEVELS_1": (FCOS_YAML, TOP_LEVELS_1),
    "RT_MS_R_50_4x_syncbn": (RT_YAML, {}),
    "RT_MS_R_50_4x_syncbn_bn_head": (RT_YAML, {"MODEL.FCOS.NORM": "SyncBN"}),
    "MS_R_50_2x_iou": ("FCOS/R50-MS-2x.yaml", {"MODEL.FCOS.BOX_QUALITY": "iou"}),
    "MS_R_101_2x": ("FCOS/R101-MS-2x.yaml", {}),
    "MS_X_101_32x8d_2x": ("FCOS/R101-MS-2x.yaml", RESNEXT_101),
}


@pytest.fixture(scope="module")
def golden_dir(shared_dir) -> Path:
    return shared_dir / "golden"


# --- how the data is made ---------------------------------------------------------------------


def test_fill_rule(golden_dir):
    samples = golden.read_json(golden_dir / "inputs.json")["fill"]
    assert len(samples) == 8
    for key, sample in samples.items():
        value = golden.fill_value(key, tuple(sample["shape"]), sample["stem_factor"])
        assert value.ravel()[:3].tolist() == pytest.approx(sample["first3"], rel=1e-12)
        assert value.sum() == pytest.approx(sample["sum"], rel=1e-9)


def test_inputs_are_those_of_the_reference(golden_dir):
    info = golden.read_json(golden_dir / "inputs.json")
    for inputs in golden.input_batch(golden_dir):
        expected, truth = info["images"][inputs["file_name"]], info["gt"][inputs["file_name"]]
        assert zlib.crc32(inputs["image"].numpy().tobytes()) == expected["crc32"]
        assert (inputs["height"], inputs["width"]) == (expected["orig_h"], expected["orig_w"])
        assert inputs["instances"].gt_boxes.tensor.tolist() == truth["boxes"]
        assert inputs["instances"].gt_classes.tolist() == truth["classes"]


# --- units ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def units(golden_dir) -> golden.Units:
    arrays = dict(np.load(golden_dir / "units.npz"))
    return golden.Units(golden.read_json(golden_dir / "units.json"), arrays)


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


@pytest.mark.parametrize("name", KEYS)
def test_keys(golden_dir, name):
    yaml, options = KEYS[name]
    cfg = golden.load_cfg(yaml, [x for option in options.items() for x in option])
    # Without memory behind the tensors a model is built in no time.
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        state = build_model(cfg).state_dict()
    actual = [[key, list(x.shape), str(x.dtype).removeprefix("torch.")] for key, x in state.items()]
    assert actual == golden.read_json(golden_dir / f"{name}.keys.json")


def test_every_result_of_the_resnet_models_is_checked(golden_dir):
    files = {path.name for path in golden_dir.glob("*R_50_*")}
    expected = {f"{name}.keys.json" for name in KEYS if "R_50_" in name}
    for name in (*FULL_MODELS, *VARIANTS):
        expected |= {f"{name}.{kind}" for kind in ("json", "npz", "grads.json")}
    expected.add("RT_MS_R_50_4x_syncbn.buffers_after_train.json")
    assert files == expected


@pytest.fixture(scope="module")
def full_run(golden_dir):
    """Gives the `FullRun` of a name of FULL_MODELS or of the model behind a variant, made once."""
    run = functools.cache(lambda name: golden.run_full_model(golden_dir, name, FULL_MODELS[name]))
    return lambda name: run(name if name in FULL_MODELS else "R_50_1x")


@pytest.mark.parametrize("name", FULL_MODELS)
def test_head_outputs(golden_dir, full_run, name):
    expected = np.load(golden_dir / f"{name}.npz")
    for field, levels in zip(("logits", "reg", "ctr"), full_run(name).outputs[:3], strict=True):
        for level, actual in enumerate(levels):
            reference = torch.from_numpy(expected[f"eval_{field}_{level}"]).double()
            scale = reference.abs().max().item()
            torch.testing.assert_close(actual, reference, rtol=1e-5, atol=1e-6 * scale)


@pytest.mark.parametrize("name", FULL_MODELS)
def test_final_detections(golden_dir, full_run, name):
    expected = np.load(golden_dir / f"{name}.npz")
    for image, actual in zip("AB", full_run(name).detections, strict=True):
        golden.assert_detections(actual, golden.detection_arrays(expected, f"det_{image}_"))


@pytest.mark.parametrize("name", FULL_MODELS)
def test_training(golden_dir, full_run, name):
    run = full_run(name)
    expected = golden.read_json(golden_dir / f"{name}.json")
    assert run.losses == pytest.approx(expected["losses"], rel=1e-6)
    golden.assert_gradient_norms(
        run.grad_norms, golden.read_json(golden_dir / f"{name}.grads.json")
    )


def test_running_statistics_after_training(golden_dir, full_run):
    name = "RT_MS_R_50_4x_syncbn"
    expected = golden.read_json(golden_dir / f"{name}.buffers_after_train.json")
    actual = full_run(name).buffer_norms
    assert expected.keys() <= actual.keys()
    assert {key: actual[key] for key in expected} == pytest.approx(expected, rel=1e-5)
    tracked = {key for key in expected if key.endswith("num_batches_tracked")}
    assert any(actual[key] == 1 for key in tracked), "some norms are live"


def input_images(golden_dir: Path) -> ImageList:
    return ImageList.from_tensors([x["image"] for x in golden.input_batch(golden_dir)], 32)


@pytest.mark.parametrize("name", [*FULL_MODELS, *VARIANTS])
def test_detections_at_every_stage(golden_dir, full_run, name):
    """After suppression, after the cut to 100, and scaled to the requested size."""
    model = golden.recorded_model(full_run(name), VARIANTS.get(name, {})).eval()
    generator = model.proposal_generator
    expected = dict(np.load(golden_dir / f"{name}.npz"))
    images = input_images(golden_dir)
    outputs = generator.fcos_head.outputs

    locations = [
        level_locations(LocationGrid.of_level(*x.shape[-2:], stride), like=x)
        for x, stride in zip(outputs.cls_logits, generator.strides, strict=True)
    ]
    uncut = {**generator.test_selection, "max_detections": 0}
    kept = generator.detect(images, locations, outputs, uncut)
    raw, _ = generator(images, dict.fromkeys(generator.in_features))
    final = [x["instances"] for x in model(golden.input_batch(golden_dir))]

    for i, image in enumerate("AB"):
        golden.assert_detections(kept[i], golden.detection_arrays(expected, f"nms_{image}_"))
        golden.assert_detections(raw[i], golden.detection_arrays(expected, f"raw_{image}_"))
        golden.assert_detections(final[i], golden.detection_arrays(expected, f"det_{image}_"))
        levels, columns, rows = raw[i].box_features.unbind(dim=1)
        assert levels.tolist() == expected[f"raw_{image}_levels"].tolist()
        stride = torch.tensor(generator.strides)[levels.long()]
        at = torch.stack((columns, rows), dim=1) * stride[:, None] + stride[:, None] // 2
        assert at.tolist() == expected[f"raw_{image}_locations"].tolist()


@pytest.mark.parametrize("name", [*FULL_MODELS, *VARIANTS])
def test_candidates_per_level(golden_dir, full_run, name):
    """How many pairs of location and class pass the threshold on each level."""
    model = golden.recorded_model(full_run(name), VARIANTS.get(name, {}))
    generator = model.eval().proposal_generator
    recorded = golden.read_json(golden_dir / f"{name}.json")["eval"]
    outputs = generator.fcos_head.outputs
    everything = {**generator.test_selection, "topk_candidates": 10**6}
    everything |= {"nms_thresh": 0, "max_detections": 0}
    for i, image in enumerate("AB"):
        counts = []
        for fields in zip(*outputs[:3], strict=True):
            cls_logits, ltrb, quality = (x[i].flatten(1).T for x in fields)
            arguments = ([torch.zeros(len(ltrb), 2)], [cls_logits], [ltrb], [quality[:, 0]])
            counts.append(len(select_detections(*arguments, **everything).scores))
        assert counts == recorded[image]["candidates_per_level"]


@pytest.mark.parametrize("name", [*FULL_MODELS, *VARIANTS])
def test_targets(golden_dir, full_run, name):
    """Labels, box targets and box indices of every level, image by image."""
    model = golden.recorded_model(full_run(name), VARIANTS.get(name, {}))
    generator = model.proposal_generator
    levels = golden.level_targets(
        [x["instances"] for x in golden.input_batch(golden_dir)],
        [tuple(x.shape[-2:]) for x in generator.fcos_head.outputs.cls_logits],
        generator.strides,
        generator.size_ranges,
        generator.center_sampling_radius,
        generator.num_classes,
    )
    arrays = np.load(golden_dir / f"{name}.npz")
    for level, actual in enumerate(levels):
        golden.assert_targets(actual, {key: arrays[f"target_{key}_{level}"] for key in actual})
    num_pos = golden.read_json(golden_dir / f"{name}.json")["num_pos_per_level"]
    assert [len(x["reg_pos"]) for x in levels] == num_pos


@pytest.fixture(scope="module")
def trainable_outputs(full_run) -> HeadOutputs:
    """Head outputs of R_50_1x in training, attached to the parameters of its head.

    The frozen norms of this backbone make its features the same in training and in inference.
    """
    run = full_run("R_50_1x")
    return run.head.train()([run.features[name] for name in run.cfg.MODEL.FCOS.IN_FEATURES])


@pytest.mark.parametrize("name", TRAINING_VARIANTS)
def test_training_of_variants(golden_dir, full_run, trainable_outputs, name):
    """Losses, and gradients in the head; those of the backbone follow, as `test_training` shows."""
    model = golden.recorded_model(full_run(name), VARIANTS[name], trainable_outputs).train()
    expected = golden.read_json(golden_dir / f"{name}.json")
    losses = model(golden.input_batch(golden_dir))
    assert golden.to_floats(losses) == pytest.approx(expected["losses"], rel=1e-6)

    parameters = dict(full_run("R_50_1x").head.named_parameters())
    gradients = torch.autograd.grad(
        sum(losses.values()), list(parameters.values()), retain_graph=True
    )
    prefix = "proposal_generator.fcos_head."
    actual = {
        prefix + key: gradient.norm().item()
        for key, gradient in zip(parameters, gradients, strict=True)
    }
    recorded = golden.read_json(golden_dir / f"{name}.grads.json")
    golden.assert_gradient_norms(
        actual, {key: value for key, value in recorded.items() if key.startswith(prefix)}
    )
    if "losses_second_call" in expected:
        losses = golden.to_floats(model(golden.input_batch(golden_dir)))
        assert losses == pytest.approx(expected["losses_second_call"], rel=1e-6)
        moving = model.proposal_generator.loss_normalizers.moving_num_pos.item()
        assert moving == pytest.approx(expected["moving_num_fg_after_two_calls"], rel=1e-6)


@pytest.mark.parametrize("name", INFERENCE_VARIANTS)
def test_options_of_inference_leave_training_alone(golden_dir, full_run, name):
    model = golden.recorded_model(full_run(name), VARIANTS[name]).train()
    expected = golden.read_json(golden_dir / f"{name}.json")
    with torch.no_grad():
        losses = model(golden.input_batch(golden_dir))
    assert golden.to_floats(losses) == pytest.approx(expected["losses"], rel=1e-6)
    # Equal losses have equal gradients, which `test_training` checks.
    assert golden.read_json(golden_dir / f"{name}.grads.json") == golden.read_json(
        golden_dir / "R_50_1x.grads.json"
    )
