"""Optimisers, layer decay and schedules against closed forms."""

import math

import pytest
import torch
from torch import nn

from fcos_d2.config import get_cfg
from fcos_d2.engine.optimizer import (
    build_lr_scheduler,
    build_optimizer,
    clip_each_parameter,
    flat_cosine,
    layer_lr_factors,
    parameter_groups,
)
from fcos_d2.modeling import DLA, TimmBackbone, VoVNet


class Detector(nn.Module):
    """A body of a stem, two blocks of one stage and one of another; a head."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Module()
        body = self.backbone.bottom_up = nn.Module()
        body.conv1 = nn.Conv2d(1, 2, 1)
        body.stages_0 = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1, bias=False))
        body.stages_1 = nn.Module()
        body.stages_1.blocks = nn.Sequential(nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)))
        self.head = nn.Conv2d(2, 1, 1)


def learning_rates(cfg, optimizer):
    """Of each of the iterations."""
    scheduler = build_lr_scheduler(cfg, optimizer)
    rates = []
    for _ in range(cfg.SOLVER.MAX_ITER):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def solver(**settings):
    cfg = get_cfg()
    settings = {"BASE_LR": 0.1, "MAX_ITER": 20, "WARMUP_ITERS": 4, "STEPS": (10, 15)} | settings
    cfg.SOLVER.merge_from_list([x for item in settings.items() for x in item])
    return cfg


@pytest.mark.parametrize(
    ("settings", "after_warmup"),
    [
        # a tenth after 10 iterations, a hundredth after 15
        ({}, lambda i: 0.1 * 0.1 ** ((i >= 10) + (i >= 15))),
        (
            {"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR_END": 0.02},
            lambda i: 0.02 + 0.08 * (1 + math.cos(math.pi * i / 20)) / 2,
        ),
        (
            {"LR_SCHEDULER_NAME": "WarmupFlatCosineLR", "FLAT_SHARE": 0.6, "BASE_LR_END": 0.02},
            # 12 flat iterations, then 8 of half a cosine
            lambda i: 0.02 + 0.08 * (1 + math.cos(math.pi * max(i - 12, 0) / 8)) / 2,
        ),
    ],
    ids=["multi_step", "cosine", "flat_cosine"],
)
def test_schedules(settings, after_warmup):
    cfg = solver(**settings)
    rates = learning_rates(cfg, build_optimizer(cfg, Detector()))
    assert rates[4:] == pytest.approx([after_warmup(i) for i in range(4, 20)])
    # From a thousandth of the first rate, in a straight line to that of the fifth iteration.
    first, last = 0.1 * 0.001, after_warmup(4)
    assert rates[:4] == pytest.approx([first + (last - first) * i / 4 for i in range(4)])


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_first_step(name):
    """Of one weight 1 with gradient 2, learning rate 0.1, weight decay 0.5."""
    cfg = solver(OPTIMIZER=name, WEIGHT_DECAY=0.5)
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = build_optimizer(cfg, model)
    model.weight.grad = torch.full((1, 1), 2.0)
    optimizer.step()
    # SGD: 1 - 0.1 (2 + 0.5 x 1). Adam's first step has length 0.1; AdamW also decays by 0.1 x 0.5.
    expected = {"SGD": 0.75, "Adam": 0.9, "AdamW": 0.85}[name]
    assert model.weight.item() == pytest.approx(expected)


@pytest.mark.parametrize("route", ["yaml", "lazy"])
@pytest.mark.parametrize(("kind", "expected"), [("value", [0.5, -0.5]), ("norm", [0.3, -0.4])])
def test_clipping_of_each_gradient(route, kind, expected):
    """(3, -4) to entries of at most 0.5, or to the norm 0.5; the second weight is not touched."""
    model = nn.ParameterList([torch.zeros(2), torch.zeros(2)])
    clip = {"ENABLED": True, "CLIP_TYPE": kind, "CLIP_VALUE": 0.5}
    if route == "yaml":
        cfg = solver(BASE_LR=1.0, MOMENTUM=0.0, WEIGHT_DECAY=0.0)
        cfg.SOLVER.CLIP_GRADIENTS.update(clip)
        optimizer = build_optimizer(cfg, model)
    else:
        optimizer = clip_each_parameter(torch.optim.SGD(model.parameters(), lr=1.0), kind, 0.5)
    model[0].grad, model[1].grad = torch.tensor([3.0, -4.0]), torch.tensor([0.1, 0.0])
    optimizer.step()
    assert (-model[0]).tolist() == pytest.approx(expected)
    assert (-model[1]).tolist() == pytest.approx([0.1, 0.0])


def test_layer_decay():
    """Stem, two blocks, one block: 0.5 to the power of 4, 3, 2, 1; the head is not slowed."""
    model = Detector()
    body = "backbone.bottom_up."
    expected = {
        f"{body}conv1.weight": 1 / 16,
        f"{body}conv1.bias": 1 / 16,
        f"{body}stages_0.0.weight": 1 / 8,
        f"{body}stages_0.0.bias": 1 / 8,
        f"{body}stages_0.1.weight": 1 / 4,
        f"{body}stages_1.blocks.0.0.weight": 1 / 2,
        f"{body}stages_1.blocks.0.0.bias": 1 / 2,
        f"{body}stages_1.blocks.0.1.weight": 1 / 2,
        f"{body}stages_1.blocks.0.1.bias": 1 / 2,
    }
    assert layer_lr_factors(model, 0.5) == expected
    groups = parameter_groups(model, base_lr=0.8, layer_decay=0.5, weight_decay_norm=0.0)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert {name: rates[id(p)] for name, p in model.named_parameters()} == pytest.approx(
        {name: 0.8 * factor for name, factor in expected.items()}
        | {"head.weight": 0.8, "head.bias": 0.8}
    )


def test_a_learning_rate_of_the_body():
    """On top of the layer decay; what is frozen is in no group."""
    model = Detector()
    body = "backbone.bottom_up."
    model.backbone.bottom_up.conv1.requires_grad_(False)
    cfg = solver(BASE_LR=0.8, BACKBONE_LR_FACTOR=0.1, LAYER_DECAY=0.5)
    rates = {id(p): g["lr"] for g in build_optimizer(cfg, model).param_groups for p in g["params"]}
    found = {name: rates[id(p)] for name, p in model.named_parameters() if id(p) in rates}
    expected = {
        name: 0.08 * factor
        for name, factor in layer_lr_factors(model, 0.5).items()
        if not name.startswith(f"{body}conv1")
    }
    assert len(expected) == 7
    assert found == pytest.approx(expected | {"head.weight": 0.8, "head.bias": 0.8})
    # Without a decay, all of the body alike.
    groups = parameter_groups(model, base_lr=0.8, backbone_lr_factor=0.1)
    assert sorted({g["lr"] for g in groups}) == pytest.approx([0.08, 0.8])
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="`backbone_lr_factor` must be above 0.* FREEZE_AT"):
            parameter_groups(model, base_lr=0.8, backbone_lr_factor=wrong)


def test_layer_decay_of_a_timm_model():
    """ConvNeXt-Atto has 2 + 2 + 6 + 2 blocks and three downsamplings of two layers, and a stem."""
    timm = pytest.importorskip("timm")
    model = nn.Module()
    model.bottom_up = timm.create_model("convnext_atto", features_only=True)
    factors = layer_lr_factors(model, 0.9)
    assert len(set(factors.values())) == 12 + 6 + 1
    assert min(factors.values()) == factors["bottom_up.stem_0.weight"] == pytest.approx(0.9**19)
    assert factors["bottom_up.stages_3.blocks.1.conv_dw.weight"] == pytest.approx(0.9)


def layers_of(body: nn.Module) -> dict[str, set[str]]:
    """Parts of the body by the exponent of their factor; 1 is the last layer."""
    model = nn.Module()
    model.bottom_up = body
    layers = {}
    for name, factor in layer_lr_factors(model, 0.5).items():
        exponent = round(-math.log2(factor))
        layers.setdefault(exponent, set()).add(name.removeprefix("bottom_up."))
    return layers


def test_layers_of_a_vovnet():
    """A stem, and an aggregation of several convolutions in each of the stages but the last two."""
    layers = layers_of(VoVNet(conv_body="V-39-eSE", out_features=["stage5"]))
    parts = [{".".join(x.split(".")[:2]) for x in layers[i]} for i in range(7, 1, -1)]
    assert {x.split("/")[0] for x in parts[0]} == {"stem.stem_1", "stem.stem_2", "stem.stem_3"}
    aggregations = ("2.OSA2_1", "3.OSA3_1", "4.OSA4_1", "4.OSA4_2", "5.OSA5_1", "5.OSA5_2")
    assert parts[1:] == [{f"stage{x}"} for x in aggregations[:-1]]
    assert all(x.startswith("stage5.OSA5_2.") for x in layers[1]) and max(layers) == 7


def test_layers_of_a_dla():
    """The first layer, and six levels; no tree is in two layers."""
    layers = layers_of(DLA(out_features=["level5"]))
    parts = [{x.split(".")[0] for x in layers[i]} for i in range(7, 0, -1)]
    assert parts == [{"base_layer"}, *({f"level{i}"} for i in range(6))] and max(layers) == 7


@pytest.mark.parametrize(
    ("name", "depth", "last"),
    [
        # Stem and 16 inverted residuals; without the classifier's convolution.
        ("efficientnet_b0", 17, "model.blocks.6.0."),
        # Stem, and 1 + 1 + 4 + 7 blocks, whose names have no numbers of their own.
        ("regnety_002", 14, "model.s4.b7."),
        ("resnet18", 9, "model.layer4.1."),
    ],
)
def test_layers_of_timm_are_its_blocks(name, depth, last):
    pytest.importorskip("timm")
    layers = layers_of(TimmBackbone(name=name, out_features=["res5"]))
    assert sorted(layers) == [*range(1, depth + 1)]
    assert all(x.startswith(last) for x in layers[1])
    assert all("stem" in x or x.startswith(("model.conv", "model.bn")) for x in layers[depth])


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="OPTIMIZER must be one of .*'Adam', .*got 'Lion'"):
        build_optimizer(solver(OPTIMIZER="Lion"), Detector())
    with pytest.raises(ValueError, match="`layer_decay` .*in \\(0, 1\\], got 1.5"):
        build_optimizer(solver(LAYER_DECAY=1.5), Detector())
    with pytest.raises(ValueError, match="needs a backbone with a body"):
        layer_lr_factors(nn.Linear(1, 1), 0.5)
    with pytest.raises(ValueError, match='must be "value", "norm" or "", got \'l1\''):
        clip_each_parameter(None, "l1", 1.0)
    with pytest.raises(ValueError, match="`flat_share` .*in \\(0, 1\\), got 1"):
        flat_cosine(1)
