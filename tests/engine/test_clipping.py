"""detectron2's own optimiser with our default clipping."""

import pytest
import torch
from detectron2.config import get_cfg as get_detectron2_cfg
from detectron2.solver import build, build_optimizer
from torch import nn

from fcos_d2.config import get_cfg


def two_weights():
    """Gradients (3, 0) and (0, -4): together of norm 5."""
    model = nn.ParameterList([torch.zeros(2), torch.zeros(2)])
    model[0].grad, model[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, -4.0])
    return model


def solver(clip_type, value):
    cfg = get_cfg()
    cfg.SOLVER.BASE_LR, cfg.SOLVER.MOMENTUM, cfg.SOLVER.WEIGHT_DECAY = 1.0, 0.0, 0.0
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE, cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = clip_type, value
    return cfg


@pytest.mark.parametrize(
    ("clip_type", "expected"),
    [
        ("full_model", [[-1.5, 0.0], [0.0, 2.0]]),  # times 2.5 / 5
        ("norm", [[-2.5, 0.0], [0.0, 2.5]]),  # each weight by itself
        ("value", [[-2.5, 0.0], [0.0, 2.5]]),
    ],
)
def test_a_step_of_detectron2s_optimiser(clip_type, expected):
    model = two_weights()
    build_optimizer(solver(clip_type, 2.5), model).step()
    for weight, value in zip(model, expected, strict=True):
        torch.testing.assert_close(weight.data, torch.tensor(value))


def test_a_class_of_optimisers():
    """How other trainers call it, such as those of detectron2's projects."""
    model = two_weights()
    optimizer = build.maybe_add_gradient_clipping(solver("full_model", 2.5), torch.optim.SGD)
    optimizer(model.parameters(), lr=1.0).step()
    torch.testing.assert_close(model[1].data, torch.tensor([0.0, 2.0]))


def test_small_gradients_and_unknown_types_are_as_before():
    model = two_weights()
    build_optimizer(solver("full_model", 35.0), model).step()
    torch.testing.assert_close(model[0].data, torch.tensor([-3.0, 0.0]))
    with pytest.raises(ValueError, match="'l1' is not a valid GradientClipType"):
        build_optimizer(solver("l1", 2.5), model)
    build_optimizer(get_detectron2_cfg(), two_weights()).step()  # a config without FCOS
