import pytest
import torch

from fcos_d2.engine.cadence import Every
from fcos_d2.engine.learning_curve import LearningCurve


def curve_with(*points):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    curve = LearningCurve(optimizer, Every(2), "bbox/AP")
    curve.load_state_dict({"points": points})
    return curve


def test_a_curve_that_levels_off():
    points = [(100 * i, 1 - i / 10, 50 - 20 / i) for i in range(1, 11)]
    words = curve_with(*points).in_words()
    assert words.startswith("bbox/AP +") and words.endswith("if the curve goes on as it did")


@pytest.mark.parametrize("values", [[10, 20, 30], [0, 0, 0, 0.1, 20, 30, 35]])
def test_too_few_evaluations(values):
    points = [(i, 0.5, value) for i, value in enumerate(values, 1)]
    expected = "cannot be told from fewer than 4 evaluations on the way up"
    assert curve_with(*points).in_words() == expected


def test_the_rate_explains_most_of_it():
    """Four evaluations that rise as the rate falls."""
    points = [(i, 1 - i / 4, 40 + 5 * i) for i in range(1, 5)]
    expected = "cannot be told: most of the rise so far came with the fall of the learning rate"
    assert curve_with(*points).in_words() == expected
