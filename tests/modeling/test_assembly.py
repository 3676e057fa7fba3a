"""Both kinds of config assemble the same model, and each key reaches the part that obeys it."""

import pytest
import torch
from detectron2.config import instantiate
from detectron2.modeling import build_model
from read_keys import keys_read
from torch import nn

from fcos_d2 import model_zoo
from fcos_d2.config import get_cfg
from fcos_d2.modeling import (
    ATSSAssigner,
    Criterion,
    FocalLoss,
    QualityFocalLoss,
    Selection,
    SizeRangeAssigner,
    TaskAlignedAssigner,
    VarifocalLoss,
)
from fcos_d2.modeling.assembly import (
    ASSIGNERS,
    CLS_LOSSES,
    assigner_from_config,
    criterion_from_config,
    selection_from_config,
)
from fcos_d2.modeling.losses import LOC_LOSS_TYPES
from fcos_d2.modeling.normalizers import LOSS_NORMALIZERS

SOFT = {"criterion.cls_loss._target_": "fcos_d2.modeling.VarifocalLoss"}
ATSS = {"assigner._target_": "fcos_d2.modeling.ATSSAssigner"}
TAL = {"assigner._target_": "fcos_d2.modeling.TaskAlignedAssigner"}
# Keys under MODEL.FCOS, and the paths under model.proposal_generator that mean the same.
ROUTES = [
    ({}, {}),
    *(({"LOC_LOSS_TYPE": x}, {"criterion.loc_loss_type": x}) for x in LOC_LOSS_TYPES),
    *(({"LOSS_NORMALIZER_CLS": x}, {"normalizer.kind": x}) for x in LOSS_NORMALIZERS),
    (
        {"LOSS_WEIGHT_CLS": 2.0, "LOSS_WEIGHT_LOC": 3.0, "LOSS_WEIGHT_CTR": 4.0},
        {"criterion.loss_weight_cls": 2.0, "criterion.loss_weight_loc": 3.0}
        | {"criterion.loss_weight_quality": 4.0},
    ),
    (
        {"LOSS_ALPHA": 0.4, "LOSS_GAMMA": 1.0},
        {"criterion.cls_loss.alpha": 0.4, "criterion.cls_loss.gamma": 1.0},
    ),
    (
        {"BOX_QUALITY": "none", "CLS_LOSS": "quality_focal", "LOSS_GAMMA": 1.5},
        {"head.quality_branch": False, "criterion.cls_loss.beta": 1.5}
        | {"criterion.cls_loss._target_": "fcos_d2.modeling.QualityFocalLoss"},
    ),
    ({"CLS_LOSS": "varifocal"}, SOFT),
    (
        {"POS_RADIUS": 2.5, "SIZES_OF_INTEREST": [32, 64, 128, 256]}
        | {"INCLUSIVE_SIZE_RANGES": False},
        {"assigner.center_sampling_radius": 2.5, "assigner.size_bounds": [32, 64, 128, 256]}
        | {"assigner.inclusive_size_ranges": False},
    ),
    ({"CENTER_SAMPLE": False}, {"assigner.center_sampling_radius": "null"}),
    (
        {"ASSIGNER": "atss", "ATSS_TOPK": 5, "ATSS_ANCHOR_SCALE": 6.0},
        ATSS | {"assigner.topk": 5, "assigner.anchor_scale": 6.0},
    ),
    (
        {"ASSIGNER": "task_aligned", "CLS_LOSS": "varifocal", "TAL_TOPK": 9, "TAL_ALPHA": 0.5}
        | {"TAL_BETA": 4.0, "BOX_BIAS_INIT": 2.0},
        TAL
        | SOFT
        | {"assigner.topk": 9, "assigner.alpha": 0.5, "assigner.beta": 4.0}
        | {"head.box_bias_init": 2.0},
    ),
    (
        {"INFERENCE_TH_TEST": 0.2, "THRESH_WITH_CTR": True, "NMS_TH": 0.5}
        | {"PRE_NMS_TOPK_TEST": 12, "POST_NMS_TOPK_TEST": 14, "CLIP_BEFORE_NMS": True},
        {"test_selection.score_thresh": 0.2, "test_selection.thresh_with_quality": True}
        | {"test_selection.nms_thresh": 0.5, "test_selection.topk_candidates": 12}
        | {"test_selection.max_detections": 14, "test_selection.clip_before_nms": True},
    ),
]


def build_both(keys: dict, arguments: dict) -> tuple[nn.Module, nn.Module]:
    """Proposal generators of FCOS/R50-1x with these options; only they are built, without data."""
    yaml = [x for key, value in keys.items() for x in (f"MODEL.FCOS.{key}", value)]
    lazy = [f"model.proposal_generator.{name}={value}" for name, value in arguments.items()]
    cfg = model_zoo.get_config("FCOS/R50-1x", [*yaml, "MODEL.DEVICE", "meta"])
    with torch.device("meta"):
        return (
            build_model(cfg).proposal_generator,
            instantiate(model_zoo.get_config("lazy/FCOS/R50-1x", lazy).model.proposal_generator),
        )


def parts_of(generator: nn.Module) -> list:
    names = ("assigner", "criterion", "train_selection", "test_selection", "location_rule")
    return [*(getattr(generator, name) for name in names), generator.loss_normalizers.kind]


@pytest.mark.parametrize(("keys", "arguments"), ROUTES, ids=lambda x: "-".join(map(str, x)))
def test_yaml_and_lazy_configs_are_equal(keys, arguments):
    from_yaml, from_lazy = build_both(keys, arguments)
    assert list(from_yaml.state_dict()) == list(from_lazy.state_dict())
    assert parts_of(from_yaml) == parts_of(from_lazy)
    has_branch = any("ctrness" in key for key in from_yaml.state_dict())
    assert has_branch == (keys.get("BOX_QUALITY") != "none")
    default, _ = build_both({}, {})
    unchanged = ({}, {"LOC_LOSS_TYPE": "giou"}, {"LOSS_NORMALIZER_CLS": "fg"})
    assert (parts_of(from_yaml) == parts_of(default)) == (keys in unchanged)


def test_mistakes_name_the_cure():
    """In both kinds of config; more of them in test_proposal_generator.py."""
    message = "soft class targets.*MODEL.FCOS.CLS_LOSS 'quality_focal' or 'varifocal'"
    with pytest.raises(ValueError, match=message):
        build_model(model_zoo.get_config("FCOS/R50-1x", ["MODEL.FCOS.ASSIGNER", "task_aligned"]))
    lazy = model_zoo.get_config(
        "lazy/FCOS/R50-1x", [f"model.proposal_generator.{x}={y}" for x, y in TAL.items()]
    )
    with pytest.raises(ValueError, match=message):
        instantiate(lazy.model.proposal_generator)


@pytest.mark.parametrize(
    "override", ["assigner.topk=3", "criterion.cls_loss.beta=1.5", "num_classes=3"]
)
def test_an_option_that_nothing_obeys_cannot_be_written(override):
    """Of another rule, of another loss, or of the head."""
    lazy = model_zoo.get_config("lazy/FCOS/R50-1x", [f"model.proposal_generator.{override}"])
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        instantiate(lazy.model.proposal_generator)


# --- from yaml alone ------------------------------------------------------------------------------

CHANGES = {
    "SIZES_OF_INTEREST": [32],
    "INCLUSIVE_SIZE_RANGES": False,
    "POS_RADIUS": 2.5,
    "ATSS_TOPK": 5,
    "ATSS_ANCHOR_SCALE": 6.0,
    "TAL_TOPK": 7,
    "TAL_ALPHA": 0.5,
    "TAL_BETA": 3.0,
    "LOSS_ALPHA": 0.4,
    "LOSS_GAMMA": 1.0,
    "BOX_QUALITY": "iou",
    "LOC_LOSS_TYPE": "diou",
    "IOU_SMOOTHING": 0.5,
    "CENTERNESS_WEIGHTED_LOC": False,
    "LOSS_WEIGHT_CLS": 3.0,
    "LOSS_WEIGHT_LOC": 2.0,
    "LOSS_WEIGHT_CTR": 0.5,
    "INFERENCE_TH_TRAIN": 0.1,
    "INFERENCE_TH_TEST": 0.2,
    "THRESH_WITH_CTR": True,
    "PRE_NMS_TOPK_TRAIN": 11,
    "PRE_NMS_TOPK_TEST": 12,
    "POST_NMS_TOPK_TRAIN": 13,
    "POST_NMS_TOPK_TEST": 14,
    "NMS_TH": 0.5,
    "CLIP_BEFORE_NMS": True,
}


def changed(**more: object):
    cfg = get_cfg()
    cfg.MODEL.FCOS.update(CHANGES | more)
    return cfg


def test_assigners():
    ranges = {"size_bounds": (32,), "inclusive_size_ranges": False}
    assert {name: assigner_from_config(changed(ASSIGNER=name)) for name in ASSIGNERS} == {
        "size_ranges": SizeRangeAssigner(**ranges, center_sampling_radius=2.5),
        "atss": ATSSAssigner(topk=5, anchor_scale=6.0),
        "task_aligned": TaskAlignedAssigner(topk=7, alpha=0.5, beta=3.0),
    }
    anywhere = assigner_from_config(changed(CENTER_SAMPLE=False))
    assert anywhere == SizeRangeAssigner(**ranges, center_sampling_radius=None)


def test_criterion():
    expected = Criterion(
        cls_loss=FocalLoss(alpha=0.4, gamma=1.0),
        box_quality="iou",
        loc_loss_type="diou",
        iou_smoothing=0.5,
        centerness_weighted_loc=False,
        loss_weight_cls=3.0,
        loss_weight_loc=2.0,
        loss_weight_quality=0.5,
    )
    assert criterion_from_config(changed()) == expected
    losses = {x: criterion_from_config(changed(CLS_LOSS=x)).cls_loss for x in CLS_LOSSES}
    assert losses == {
        "focal": FocalLoss(alpha=0.4, gamma=1.0),
        "quality_focal": QualityFocalLoss(beta=1.0),
        "varifocal": VarifocalLoss(alpha=0.75, gamma=1.0),
    }


def test_selections():
    shared = {"thresh_with_quality": True, "nms_thresh": 0.5, "clip_before_nms": True}
    train = Selection(score_thresh=0.1, topk_candidates=11, max_detections=13, **shared)
    test = Selection(score_thresh=0.2, topk_candidates=12, max_detections=14, **shared)
    assert selection_from_config(changed(), training=True) == train
    assert selection_from_config(changed(), training=False) == test


@pytest.mark.parametrize(
    ("key", "use"), [("ASSIGNER", assigner_from_config), ("CLS_LOSS", criterion_from_config)]
)
def test_unknown_names(key, use):
    with pytest.raises(ValueError, match=rf"MODEL.FCOS.{key}\) must be one of.*got 'nearest'"):
        use(changed(**{key: "nearest"}))


def test_a_rule_reads_its_own_keys_only():
    keys = {x: keys_read(changed(ASSIGNER=x), assigner_from_config) for x in ASSIGNERS}
    names = {x: {key.rpartition(".")[2] for key in read} for x, read in keys.items()}
    own = {"SIZES_OF_INTEREST", "INCLUSIVE_SIZE_RANGES", "CENTER_SAMPLE", "POS_RADIUS"}
    assert names["size_ranges"] == {"ASSIGNER", *own}
    assert names["atss"] == {"ASSIGNER", "ATSS_TOPK", "ATSS_ANCHOR_SCALE"}
    assert names["task_aligned"] == {"ASSIGNER", "TAL_TOPK", "TAL_ALPHA", "TAL_BETA"}
