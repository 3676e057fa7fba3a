import math

import numpy as np
import torch
from stand_ins import headless_generator

from fcos_d2.visualization.assignment import (
    LEVEL_COLORS,
    assignment_sheet,
    draw_assignment,
    legend,
    positive_locations,
)

# 24 px wide: p3 learns it at (12, 12) and (20, 12) ..., where no side is farther than 16 px.
BOXES = torch.tensor([[4.0, 4.0, 28.0, 28.0], [40.0, 40.0, 41.0, 41.0]])


def test_positive_locations_on_paper():
    """Sides of the first box are 16 px or less away at x, y in {12, 20}; at stride 16 the location
    (8, 8) has l = 4 and r = 20, and (24, 24) likewise; the tiny box contains no location.
    """
    (p3, learned3), (p4, learned4) = positive_locations(BOXES, (64, 64), headless_generator())
    assert p3.tolist() == [[12, 12], [20, 12], [12, 20], [20, 20]]
    assert p4.tolist() == [[8, 8], [24, 8], [8, 24], [24, 24]]
    assert learned3.tolist() == learned4.tolist() == [0] * 4


def test_dots_lie_on_the_locations_in_the_colour_of_the_level():
    image = np.full((64, 64, 3), 128, np.uint8)
    picture, counts = draw_assignment(
        image, BOXES, torch.tensor([0, 1]), ["a", "b"], headless_generator(), zoom=4
    )
    assert picture.shape == (256, 256, 3) and counts == [4, 4]
    assert tuple(picture[4 * 20, 4 * 12]) == LEVEL_COLORS[0]
    assert tuple(picture[4 * 24, 4 * 24]) == LEVEL_COLORS[1]
    assert tuple(picture[4 * 50, 4 * 20]) == (128, 128, 128)
    # The box that nothing learns is crossed out.
    assert tuple(picture[162, 162]) == (0, 0, 0)


def test_legend_and_sheet():
    strip = legend(headless_generator(), 400)
    assert strip.shape == (52, 400, 3)
    assert tuple(strip[13, 16]) == LEVEL_COLORS[0] and tuple(strip[39, 16]) == LEVEL_COLORS[1]
    sheet = assignment_sheet(
        [np.zeros((40, 300, 3), np.uint8)] * 3, list("abc"), headless_generator(), 2
    )
    assert sheet.shape[1] >= 600 and sheet.shape[0] > 80 + 52
    assert math.isfinite(headless_generator().assigner.size_ranges[0][1])


def test_an_assigner_that_needs_predictions_shows_boxes_alone():
    image = np.zeros((64, 64, 3), np.uint8)
    aligned = headless_generator(assigner="task_aligned", cls_loss="quality_focal")
    picture, counts = draw_assignment(image, BOXES, torch.tensor([0, 1]), ["a", "b"], aligned)
    assert counts == [] and picture[4:28, 4:28].any() and not picture[12:20, 12:20].any()
    assert legend(aligned, 400).shape == (26, 400, 3)
