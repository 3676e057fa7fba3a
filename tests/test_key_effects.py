"""Keys without effect: the list is held against what training and evaluation really read."""

from argparse import Namespace
from functools import partial

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.config import get_cfg as get_detectron2_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.engine import default_setup
from detectron2.modeling import build_model
from detectron2.utils import logger as detectron2_logger
from read_keys import keys_read
from tiny_run import make_tiny_coco
from torch import nn

from fcos_d2 import key_effects, model_zoo
from fcos_d2.config import get_cfg
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.engine import Trainer
from fcos_d2.engine.optimizer import build_lr_scheduler
from fcos_d2.engine.run_of import run_of
from fcos_d2.key_effects import (
    NO_TOOL_OF_OURS_READS,
    READ_BY_THE_LOADER,
    SECTIONS_OF_BACKBONES,
    TEST_KEYS,
    UNREAD,
    added_keys,
    is_in,
    keys_left_to_our_tools,
    keys_without_effect,
    leaves,
    our_tool,
    say_at_model,
)

YAML_NAMES = [name for name in model_zoo.list_configs() if not name.startswith("lazy/")]
INHERITED = set(leaves(get_detectron2_cfg()))
# Read from a copy of the config in another form (`default_setup`), or when a yaml file is merged.
READ_ELSEWHERE = {"SEED", "CUDNN_BENCHMARK", "VERSION"}
# Files of proposals are refused.
PROPOSAL_FILES = {key for key in INHERITED if "PROPOSAL_FILES" in key or "PRECOMPUTED" in key}
TINY = {
    "MODEL.DEVICE": "cpu",
    "MODEL.WEIGHTS": "",
    "MODEL.FPN.OUT_CHANNELS": 64,
    "MODEL.FCOS.NUM_CLASSES": 1,
    "MODEL.FCOS.TOP_LEVELS": 0,
    "MODEL.FCOS.IN_FEATURES": ["p3", "p4", "p5"],
    "MODEL.FCOS.FPN_STRIDES": [8, 16, 32],
    "MODEL.FCOS.SIZES_OF_INTEREST": [64, 128],
    "MODEL.FCOS.NUM_CLS_CONVS": 1,
    "MODEL.FCOS.NUM_BOX_CONVS": 1,
    "MODEL.RESNETS.DEPTH": 18,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "INPUT.MIN_SIZE_TRAIN": (64,),
    "INPUT.MIN_SIZE_TEST": 64,
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.IMS_PER_BATCH": 1,
    "SOLVER.MAX_ITER": 1,
    "TEST.EVAL_PERIOD": 0,
}
# Everything switched on that makes our tools look at more keys.
ON = {
    "INPUT.CROP.ENABLED": True,
    "TEST.AUG.ENABLED": True,
    "TEST.AUG.MIN_SIZES": (64,),
    "MODEL.FCOS.NORM": "BN",
    "TEST.PRECISE_BN.ENABLED": True,
    "TEST.PRECISE_BN.NUM_ITER": 1,
    "DATALOADER.SAMPLER_TRAIN": "RepeatFactorTrainingSampler",
    "DATALOADER.REPEAT_THRESHOLD": 0.1,
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    json_file, images = make_tiny_coco(tmp_path_factory.mktemp("keys"), num_images=2)
    register_coco_instances("key_effects_data", {}, json_file, images)
    MetadataCatalog.get("key_effects_data").class_image_count = [{"id": 1, "image_count": 2}]
    yield "key_effects_data"
    DatasetCatalog.remove("key_effects_data")
    MetadataCatalog.remove("key_effects_data")


@pytest.fixture
def warnings(caplog, monkeypatch):
    """What fcos_d2 said, as if nothing had been said before."""
    monkeypatch.setattr(detectron2_logger, "_LOG_COUNTER", detectron2_logger.Counter())
    return lambda: [x.getMessage() for x in caplog.records if x.name == "fcos_d2.key_effects"]


def config(name, **changes):
    return model_zoo.get_config(name, [str(x) for item in changes.items() for x in item])


def train_and_evaluate(cfg: CfgNode) -> None:
    default_setup(cfg, Namespace(config_file="", eval_only=False))
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()


def keys_read_in_runs(name, dataset, output_dir, *runs):
    read = set()
    for changes in runs:
        data = {"DATASETS.TRAIN": (dataset,), "DATASETS.TEST": (dataset,)}
        cfg = config(name, **TINY | data | {"OUTPUT_DIR": str(output_dir)} | changes)
        read |= keys_read(cfg, train_and_evaluate)
    return read


def test_keys_that_a_detector_without_second_stage_does_not_read(dataset, tmp_path):
    clipping = {"ENABLED": True, "CLIP_TYPE": "norm"}
    plain = {f"SOLVER.CLIP_GRADIENTS.{key}": value for key, value in clipping.items()}
    read = keys_read_in_runs("FCOS/R50-1x", dataset, tmp_path, ON | plain)
    for name in ("WarmupCosineLR", "WarmupStepWithFixedGammaLR"):
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
        cfg = config("FCOS/R50-1x", **{"SOLVER.LR_SCHEDULER_NAME": name})
        read |= keys_read(cfg, partial(build_lr_scheduler, optimizer=optimizer))
    unread = INHERITED - read - READ_ELSEWHERE - PROPOSAL_FILES
    listed = UNREAD["FCOS"] + NO_TOOL_OF_OURS_READS
    assert unread == {key for key in INHERITED if is_in(key, listed)} - {READ_BY_THE_LOADER}
    assert UNREAD["OneStageDetector"] == UNREAD["FCOS"]


# Parts of a model that read keys of their own, by the config that has them.
VARIANTS = [
    ("FCOS/R50-1x", {"MODEL.FCOS.ASSIGNER": "atss"}),
    ("FCOS/R50-1x", {"MODEL.FCOS.ASSIGNER": "task_aligned", "MODEL.FCOS.CLS_LOSS": "varifocal"}),
    ("FCOS/R50-BiFPN-1x", {}),
    ("FCOS/V39-MS-3x", {}),
    ("FCOS/MobileNetV2-1x", {}),
    ("FCOS-RT/DLA34", {}),
    (
        "FCOS-RT/R50",
        {"MODEL.BACKBONE.NAME": "build_fcos_timm_fpn_backbone", "MODEL.BACKBONE.FREEZE_AT": 0},
    ),
    ("TwoStage/FasterRCNN-R50-FCOS-1x", {}),
]
SQUARES = {"RESIZE_RULE_TRAIN": "large_scale_jitter", "RESIZE_RULE_TEST": "letterbox"}
AUGMENTED = {"AFFINE.PROB": 0.5, "CROP_WITH_BOXES.PROB": 0.5, "MIX.MOSAIC_PROB": 0.5}
TRAINED = {
    "SOLVER.AMP.ENABLED": True,
    "SOLVER.AMP.PRECISION": "bf16",
    "SOLVER.EMA.ENABLED": True,
    "TEST.SLICE.SIZE": 40,
}


def test_every_key_of_ours_is_read(dataset, tmp_path):
    """By what is built, trained and evaluated; a name in a message is no reader."""
    read = keys_read_in_runs("FCOS/R50-1x", dataset, tmp_path, ON, TRAINED)
    for rules in (SQUARES, AUGMENTED):
        cfg = config("FCOS/R50-1x", **{f"INPUT.{key}": value for key, value in rules.items()})
        read |= keys_read(cfg, lambda cfg: FCOSDatasetMapper(cfg, is_train=True))
    read |= keys_read(config("FCOS/R50-1x", **{"DATASETS.OWN.FOLDER": "mine"}), run_of)
    for name, changes in VARIANTS:
        with torch.device("meta"):
            read |= keys_read(config(name, **{"MODEL.DEVICE": "meta"} | changes), build_model)
    assert set(leaves(get_cfg())) - INHERITED - read == set()


@pytest.mark.slow
def test_keys_that_two_stages_do_not_read(dataset, tmp_path):
    small = {"MODEL.ROI_BOX_HEAD.FC_DIM": 16, "MODEL.ROI_HEADS.NUM_CLASSES": 1}
    read = keys_read_in_runs("TwoStage/FasterRCNN-R50-FCOS-1x", dataset, tmp_path, small)
    # Other second stages, which are only built.
    for changes in (
        {
            "MODEL.ROI_HEADS.NAME": "CascadeROIHeads",
            "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True,
        },
        {"MODEL.KEYPOINT_ON": True, "MODEL.MASK_ON": True},
        {"MODEL.ROI_BOX_HEAD.USE_FED_LOSS": True, "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE": True},
    ):
        cfg = config("TwoStage/MaskRCNN-R50-FCOS-1x", **TINY | small | changes)
        cfg.DATASETS.TRAIN = (dataset,)
        cfg.MODEL.DEVICE = "meta"
        with torch.device("meta"):
            read |= keys_read(cfg, build_model)
    parts = {key for key in INHERITED if key.startswith(("MODEL", "GLOBAL", "VIS"))}
    listed = {key for key in INHERITED if is_in(key, UNREAD["GeneralizedRCNN"])}
    assert {"TEST.DETECTIONS_PER_IMAGE", "VIS_PERIOD"} <= read
    # The loader reads these two; the second is refused.
    assert parts - read - {READ_BY_THE_LOADER, "MODEL.LOAD_PROPOSALS"} <= listed
    assert not listed & read
    assert INHERITED - read >= set(NO_TOOL_OF_OURS_READS)


@pytest.mark.parametrize(
    "name",
    ["resnet_fpn", "resnet_bifpn", "dla_fpn", "vovnet_pafpn", "mobilenetv2_fpn", "timm_fpn"],
)
def test_sections_that_a_backbone_does_not_read(name):
    features = {"dla": "level", "vovnet": "stage"}.get(name.split("_")[0], "res")
    changes = {"MODEL.BACKBONE.NAME": f"build_fcos_{name}_backbone", "MODEL.BACKBONE.FREEZE_AT": 0}
    cfg = config("FCOS/R50-1x", **changes | {"MODEL.DEVICE": "meta"})
    cfg.MODEL.FPN.IN_FEATURES = [f"{features}{i}" for i in (3, 4, 5)]
    with torch.device("meta"):
        read = keys_read(cfg, build_model)
    unread = {
        section
        for section in SECTIONS_OF_BACKBONES
        if not any(is_in(key, [section]) for key in read - {"MODEL.RESNETS.DEFORM_INTERVAL"})
    }
    assert unread == {s for s, part in SECTIONS_OF_BACKBONES.items() if part not in name.split("_")}


@pytest.mark.parametrize("name", YAML_NAMES)
def test_our_own_configs_set_nothing_without_effect(name):
    with our_tool():
        assert keys_without_effect(model_zoo.get_config(name)) == []


@pytest.mark.parametrize(
    ("key", "value", "cure"),
    [
        ("TEST.DETECTIONS_PER_IMAGE", 300, "MODEL.FCOS.POST_NMS_TOPK_TEST"),
        ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.3, "MODEL.FCOS.INFERENCE_TH_TEST"),
        ("MODEL.RETINANET.SCORE_THRESH_TEST", 0.3, "MODEL.FCOS.INFERENCE_TH_TEST"),
        ("MODEL.ROI_HEADS.NMS_THRESH_TEST", 0.3, "MODEL.FCOS.NMS_TH"),
        ("MODEL.ROI_HEADS.NUM_CLASSES", 3, "MODEL.FCOS.NUM_CLASSES"),
        ("MODEL.RPN.PRE_NMS_TOPK_TEST", 3, "MODEL.FCOS.PRE_NMS_TOPK_TEST"),
        ("SOLVER.REFERENCE_WORLD_SIZE", 8, "--auto-scale of fcos train"),
        ("MODEL.DLA.NORM", "BN", None),
        ("MODEL.ROI_MASK_HEAD.CONV_DIM", 3, None),
    ],
)
def test_a_key_without_effect_is_said_once(key, value, cure, warnings):
    cfg = config("Recipes/R18-Scratch", **{key: value, "MODEL.DEVICE": "meta"})
    with our_tool():
        say_at_model(cfg)
        say_at_model(cfg)
    cure = f" (set {cure})" if cure else ""
    assert warnings() == [
        f"nothing reads these keys for this detector, so they have no effect: {key} {value!r}{cure}"
    ]


def test_building_a_model_says_it(warnings):
    Trainer.build_model(config("Recipes/R18-Scratch", **TINY | {"TEST.DETECTIONS_PER_IMAGE": 9}))
    assert len(warnings()) == 1 and "TEST.DETECTIONS_PER_IMAGE 9" in warnings()[0]


def test_keys_that_have_an_effect_are_not_named(warnings):
    two_stages = {"TEST.DETECTIONS_PER_IMAGE": 300, "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.3}
    cfg = config("TwoStage/FasterRCNN-R50-FCOS-1x", **two_stages | {"MODEL.DEVICE": "meta"})
    with our_tool():
        say_at_model(cfg)
    # detectron2's own trainer scales the batch by it.
    say_at_model(config("FCOS/R50-1x", **{"SOLVER.REFERENCE_WORLD_SIZE": 8}))
    assert warnings() == []


def test_keys_about_test_images_are_those_that_only_our_evaluation_reads(dataset):
    """Ours outside of MODEL that the loader of test images and the views read."""
    cfg = config("FCOS/R50-1x", **{"TEST.SLICE.SIZE": 640, "INPUT.RESIZE_RULE_TEST": "letterbox"})
    read = keys_read(cfg, lambda cfg: Trainer.build_test_loader(cfg, dataset))
    assert {key for key in read & added_keys() if not is_in(key, TEST_KEYS)} <= {
        "INPUT.SQUARE_SIZE",
        "INPUT.PAD_VALUE",
        "INPUT.MIN_VISIBLE",
        "INPUT.USE_CROWD_BOXES",
        "INPUT.HFLIP_TRAIN",
        "DATALOADER.MAX_UNREADABLE_SHARE",
        "DATASETS.OWN.FOLDER",  # whether there are any of one's own
        "DATASETS.OWN.TRAIN_DATA",
    }


def test_foreign_parts_are_passed_over():
    """Backbones and meta-architectures of a plugin may read what they like."""
    cfg = config("FCOS/R50-1x", **{"MODEL.RPN.NMS_THRESH": 0.1, "MODEL.DLA.NORM": "BN"})
    cfg.MODEL.META_ARCHITECTURE = "MyDetector"
    assert [key for key, _ in keys_without_effect(cfg)] == ["MODEL.DLA.NORM"]
    cfg.MODEL.BACKBONE.NAME = "build_my_backbone"
    assert keys_without_effect(cfg) == []
    assert keys_left_to_our_tools(cfg, training=True) == []


def test_a_config_that_was_saved_says_nothing_new(tmp_path):
    """yaml has lists where defaults are tuples, also of tuples."""
    cfg = model_zoo.get_config("Recipes/R18-Scratch")
    (tmp_path / "config.yaml").write_text(cfg.dump())
    saved = model_zoo.get_config(str(tmp_path / "config.yaml"))
    with key_effects.our_tool():
        assert key_effects.keys_without_effect(saved) == key_effects.keys_without_effect(cfg) == []
