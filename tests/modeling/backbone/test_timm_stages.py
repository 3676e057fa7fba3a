"""Frozen stages of timm's models, which are divided each in its own way."""

import copy

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import build_backbone

from fcos_d2.config import get_cfg
from fcos_d2.engine.ema import WeightAverage
from fcos_d2.modeling import TimmBackbone

pytest.importorskip("timm")
FEATURES = ["res3", "res4", "res5"]


def body(name: str, freeze_at: int, **options) -> TimmBackbone:
    return TimmBackbone(name=name, out_features=FEATURES, freeze_at=freeze_at, **options)


@pytest.mark.parametrize(
    ("name", "freeze_at", "frozen", "first_that_learns"),
    [
        ("tf_efficientnet_lite0", 1, {"conv_stem", "bn1", "blocks.0"}, "blocks.1"),
        ("tf_efficientnet_lite0", 3, {"conv_stem", "bn1", *map("blocks.{}".format, range(3))}, ""),
        ("resnet18", 1, {"conv1", "bn1"}, "layer1"),
        ("resnet18", 2, {"conv1", "bn1", "layer1"}, "layer2"),
        # Its stem has stride 4, so there is no res1.
        ("convnext_atto", 1, {"stem_0", "stem_1"}, "stages_0"),
        ("convnext_atto", 2, {"stem_0", "stem_1", "stages_0"}, "stages_1"),
        ("regnety_002", 3, {"stem", "s1", "s2"}, "s3"),
        ("mobilenetv3_small_050", 2, {"conv_stem", "bn1", "blocks.0"}, "blocks.1"),
        ("mobilenetv3_small_050", 9, {"conv_stem", "bn1", *map("blocks.{}".format, range(6))}, ""),
    ],
)
def test_what_is_frozen(name, freeze_at, frozen, first_that_learns):
    """Exactly the parts named here, and their norms."""
    free = dict(body(name, 0).model.named_parameters())
    model = body(name, freeze_at).model
    learns = {key for key, value in model.named_parameters() if value.requires_grad}
    stays = tuple(f"{part}." for part in frozen)
    assert learns == {key for key in free if not key.startswith(stays)}
    for key, norm in model.named_modules():
        if "batchnorm" in type(norm).__name__.lower():
            assert isinstance(norm, FrozenBatchNorm2d) == f"{key}.".startswith(stays)
    if first_that_learns:
        assert next(key for key in free if key in learns).startswith(first_that_learns)


def test_frozen_stages_make_no_graph_and_do_not_change():
    model = body("tf_efficientnet_lite0", 3).train()
    average = WeightAverage(model)
    before = copy.deepcopy(model.state_dict())
    has_graph = {}
    for name in ("blocks.2", "blocks.3"):
        part = model.model.get_submodule(name)
        part.register_forward_hook(
            lambda module, args, result, name=name: has_graph.update({name: result.requires_grad})
        )
    optimizer = torch.optim.SGD([x for x in model.parameters() if x.requires_grad], 0.1)
    features = model(torch.randn(2, 3, 64, 64))
    sum(x.square().mean() for x in features.values()).backward()
    assert has_graph == {"blocks.2": False, "blocks.3": True}
    assert not features["res3"].requires_grad and features["res4"].requires_grad
    optimizer.step()
    average.after_step()
    stays = tuple(f"model.{part}." for part in ("conv_stem", "bn1", "blocks.0", "blocks.1"))
    for of in (model, average.model):
        changed = {k for k, v in of.state_dict().items() if not torch.equal(v, before[k])}
        assert changed and not any(key.startswith((*stays, "model.blocks.2.")) for key in changed)
    assert any("running_mean" in key for key in changed), "the other norms go on"


def test_norms_that_are_frozen_or_synchronised_anyway():
    frozen = body("resnet18", 2, norm="FrozenBN")
    assert not any(isinstance(x, torch.nn.BatchNorm2d) for x in frozen.modules())
    synchronised = body("resnet18", 2, norm="SyncBN").model
    assert isinstance(synchronised.layer1[0].bn1, FrozenBatchNorm2d)
    assert isinstance(synchronised.layer2[0].bn1, torch.nn.SyncBatchNorm)


def test_stages_that_a_model_does_not_have():
    def vit(freeze_at):
        return TimmBackbone(name="vit_tiny_patch16_224", out_features=["res4"], freeze_at=freeze_at)

    with pytest.raises(ValueError, match=r"no features of stride 8 .* one of \[4\], got 3"):
        vit(3)
    assert not any(x.requires_grad for x in vit(4).parameters())


def test_from_a_config():
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_fcos_timm_fpn_backbone"
    cfg.MODEL.TIMM.NAME = "resnet18"
    cfg.MODEL.FPN.IN_FEATURES = FEATURES
    assert cfg.MODEL.BACKBONE.FREEZE_AT == 2, "detectron2's default"
    model = build_backbone(cfg).bottom_up.model
    assert not any(x.requires_grad for x in model.layer1.parameters())
    assert all(x.requires_grad for x in model.layer2.parameters())
