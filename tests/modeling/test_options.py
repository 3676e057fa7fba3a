"""Options of losses and assigners: both kinds of config give the same model, mistakes are named."""

import pytest
import torch
from detectron2.config import instantiate
from detectron2.modeling import build_model
from torch import nn

from fcos_d2 import model_zoo
from fcos_d2.modeling.criterion import CLS_LOSSES
from fcos_d2.modeling.losses import LOC_LOSS_TYPES
from fcos_d2.modeling.targets import ASSIGNERS

# Keys under MODEL.FCOS, and the arguments that mean the same.
ROUTES = [
    *(({"CLS_LOSS": x}, {"cls_loss": x}) for x in CLS_LOSSES),
    *(({"LOC_LOSS_TYPE": x}, {"loc_loss_type": x}) for x in LOC_LOSS_TYPES),
    (
        {"LOSS_WEIGHT_CLS": 2.0, "LOSS_WEIGHT_LOC": 3.0, "LOSS_WEIGHT_CTR": 4.0},
        {"loss_weight_cls": 2.0, "loss_weight_loc": 3.0, "loss_weight_quality": 4.0},
    ),
    (
        {"BOX_QUALITY": "none", "CLS_LOSS": "quality_focal"},
        {"box_quality": "none", "head.quality_branch": False, "cls_loss": "quality_focal"},
    ),
    *(
        ({"ASSIGNER": x, "CLS_LOSS": "varifocal"}, {"assigner": x, "cls_loss": "varifocal"})
        for x in ASSIGNERS
    ),
    (
        {"ASSIGNER": "atss", "ATSS_TOPK": 5, "ATSS_ANCHOR_SCALE": 6.0},
        {"assigner": "atss", "atss_topk": 5, "atss_anchor_scale": 6.0},
    ),
    (
        {"ASSIGNER": "task_aligned", "CLS_LOSS": "quality_focal", "TAL_TOPK": 9}
        | {"TAL_ALPHA": 0.5, "TAL_BETA": 4.0, "BOX_BIAS_INIT": 2.0},
        {"assigner": "task_aligned", "cls_loss": "quality_focal", "tal_topk": 9}
        | {"tal_alpha": 0.5, "tal_beta": 4.0, "head.box_bias_init": 2.0},
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


@pytest.mark.parametrize(("keys", "arguments"), ROUTES, ids=lambda x: "-".join(map(str, x)))
def test_yaml_and_lazy_configs_are_equal(keys, arguments):
    from_yaml, from_lazy = build_both(keys, arguments)
    assert list(from_yaml.state_dict()) == list(from_lazy.state_dict())
    for name in ("target_maker", "criterion", "train_selection", "test_selection"):
        assert getattr(from_yaml, name) == getattr(from_lazy, name)
    for module in (from_yaml, from_lazy):
        if "BOX_QUALITY" in keys:
            assert not [key for key in module.state_dict() if "ctrness" in key]
        assert module.loss_normalizers.kind == (
            "alignment" if keys.get("ASSIGNER") == "task_aligned" else "fg"
        )
    default, _ = build_both({}, {})
    changed = (from_yaml.criterion, from_yaml.target_maker)
    is_default = changed == (default.criterion, default.target_maker)
    assert is_default == (keys in ({"CLS_LOSS": "focal"}, {"LOC_LOSS_TYPE": "giou"}))


def test_mistakes_name_the_cure():
    """In both kinds of config; more of them in test_proposal_generator.py."""
    message = "task_aligned.*needs cls_loss 'quality_focal' or 'varifocal'.*MODEL.FCOS.CLS_LOSS"
    with pytest.raises(ValueError, match=message):
        build_model(model_zoo.get_config("FCOS/R50-1x", ["MODEL.FCOS.ASSIGNER", "task_aligned"]))
    lazy = model_zoo.get_config("lazy/FCOS/R50-1x").model.proposal_generator
    lazy.box_quality = "none"
    with pytest.raises(Exception, match="head needs quality_branch=False if box_quality"):
        instantiate(lazy)
