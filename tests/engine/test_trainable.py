"""What learns: everything random, and only what reaches a loss."""

import logging

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.structures import Boxes, Instances
from torch import nn

from fcos_d2 import model_zoo
from fcos_d2.engine.trainable import choose_what_learns, unused_parameters

SMALL = (
    *("MODEL.DEVICE", "cpu", "MODEL.FPN.OUT_CHANNELS", "32"),
    *("MODEL.FCOS.NUM_CLS_CONVS", "1", "MODEL.FCOS.NUM_BOX_CONVS", "1"),
)
TIMM = (
    *("MODEL.BACKBONE.NAME", "build_fcos_timm_fpn_backbone", "MODEL.BACKBONE.FREEZE_AT", "0"),
    *("MODEL.TIMM.NORM", "FrozenBN", "MODEL.TIMM.NAME"),
)
TWO_LEVELS = (
    *("MODEL.TIMM.OUT_FEATURES", "['res3','res4']", "MODEL.FPN.IN_FEATURES", "['res3','res4']"),
    *("MODEL.FCOS.IN_FEATURES", "['p3','p4']", "MODEL.FCOS.FPN_STRIDES", "[8,16]"),
    *("MODEL.FCOS.SIZES_OF_INTEREST", "[64]", "MODEL.FCOS.TOP_LEVELS", "0"),
)


def build(name: str, *opts: str) -> nn.Module:
    torch.manual_seed(0)
    return model_zoo.get_model(name, [*SMALL, *opts]).train()


def without_gradient(model: nn.Module) -> list[str]:
    """Parameters that should learn but get no gradient in a step."""
    instances = Instances((64, 96))
    instances.gt_boxes = Boxes([[8, 8, 56, 40]])
    instances.gt_classes = torch.tensor([0])
    images = torch.randint(0, 256, (2, 3, 64, 96)).unbind()
    sum(model([{"image": x, "instances": instances} for x in images]).values()).backward()
    return [name for name, x in model.named_parameters() if x.requires_grad and x.grad is None]


@pytest.mark.parametrize(
    ("name", "opts", "num_unused"),
    [
        # The neck's P6 and P7, of a weight and a bias each, that no head reads.
        ("FCOS-RT/R50", ("MODEL.FCOS.TOP_LEVELS", "2", "MODEL.RESNETS.DEPTH", "50"), 4),
        ("FCOS-RT/R50", (*TIMM, "hrnet_w18_small", *TWO_LEVELS), None),
        ("FCOS-RT/R50", (*TIMM, "efficientnet_b0", *TWO_LEVELS), None),
        ("FCOS-RT/DLA34", (), 0),
        ("Recipes/R18-Scratch", (), 0),
    ],
    ids=["top levels", "hrnet", "efficientnet", "DLA", "ResNet"],
)
def test_every_parameter_that_learns_gets_a_gradient(name, opts, num_unused, caplog):
    model = build(name, *opts)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    found = unused_parameters(model)
    assert (len(found) == num_unused) if num_unused is not None else len(found) > 0
    choose_what_learns(model, from_scratch=False)
    assert ("tensors of the backbone have no way to a loss" in caplog.text) == bool(found)
    torch.testing.assert_close(model.state_dict(), state, rtol=0, atol=0)
    assert all(module.training for module in model.modules())
    assert without_gradient(model) == []


def test_outputs_of_the_neck_that_a_config_leaves_out_are_no_warning(caplog):
    """Plans do so; the line is in the log."""
    two = ("MODEL.FCOS.IN_FEATURES", "['p3','p4']", "MODEL.FCOS.FPN_STRIDES", "[8,16]")
    model = build("FCOS-RT/R50", *two, "MODEL.FCOS.SIZES_OF_INTEREST", "[64]")
    caplog.clear()
    with caplog.at_level("INFO", "fcos_d2"):
        choose_what_learns(model, from_scratch=False)
    assert "The first is backbone.fpn_output5.weight" in caplog.text
    assert [x.levelname for x in caplog.records] == ["INFO"]
    assert without_gradient(model) == []


@pytest.mark.parametrize("route", ["yaml", "lazy"])
@pytest.mark.parametrize(
    ("name", "tensors", "norms"), [("FCOS-RT/R50", 11, 11), ("FCOS/R50-1x", 11, 53)]
)
def test_nothing_random_stays_frozen(name, tensors, norms, route, caplog):
    """Stem and res2 of a ResNet-50 are 11 convolutions; FrozenBN has 53 norms."""
    if route == "yaml":
        model = build(name)
    else:
        model = model_zoo.get_model(f"lazy/{name}", ["train.device=cpu"]).train()
    frozen = [x for x in model.modules() if isinstance(x, FrozenBatchNorm2d)]
    assert (sum(not x.requires_grad for x in model.parameters()), len(frozen)) == (tensors, norms)
    keys = [*model.state_dict()]
    choose_what_learns(model, from_scratch=True)
    assert f"{tensors} tensors and {norms} norms would stay frozen" in caplog.text
    assert all(x.requires_grad for x in model.parameters())
    assert not any(isinstance(x, FrozenBatchNorm2d) for x in model.modules())
    assert [x for x in model.state_dict() if "num_batches" not in x] == [
        x for x in keys if "num_batches" not in x
    ]
    if route == "yaml" and name == "FCOS-RT/R50":
        # Where others are synchronised over processes, these are, too.
        kinds = {type(x) for x in model.backbone.modules() if hasattr(x, "running_mean")}
        assert kinds == {nn.SyncBatchNorm}


def test_what_is_frozen_stays_so_with_weights():
    model = build("FCOS/R50-1x")
    choose_what_learns(model, from_scratch=False)
    assert sum(not x.requires_grad for x in model.parameters()) == 11
    assert sum(isinstance(x, FrozenBatchNorm2d) for x in model.modules()) == 53


def test_layers_without_effect_stay_frozen(caplog):
    """DLA's two projections that nothing uses: of a convolution, and a norm of two tensors each."""
    caplog.set_level(logging.WARNING)
    model = build("FCOS-RT/DLA34")
    choose_what_learns(model, from_scratch=True)
    frozen = [name for name, x in model.named_parameters() if not x.requires_grad]
    assert len(frozen) == 6 and all(".project." in name for name in frozen)
    assert without_gradient(build("FCOS-RT/DLA34")) == []
