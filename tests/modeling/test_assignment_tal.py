"""Task-aligned assignment on paper, and against the rule written out."""

import math

import pytest
import torch

from fcos_d2.modeling import TaskAlignedAssigner, assignment_tal
from fcos_d2.modeling.geometry import LocationGrid, level_locations, location_strides
from fcos_d2.modeling.matching import Matches, Truth


def assign_task_aligned(boxes, classes, grids, cls_logits, ltrb, **options) -> Matches:
    """Of one image, whose predictions are in px."""
    truth = Truth(boxes, classes, [len(boxes)])
    ltrb_in_strides = ltrb / location_strides(grids, like=ltrb)
    assigner = TaskAlignedAssigner(**options)
    return assigner.assign(truth, grids, cls_logits[None], ltrb_in_strides[None])


def iou(pred, target) -> float:
    """Of two boxes as distances from one location."""
    shared = [min(p, t) for p, t in zip(pred, target, strict=True)]
    areas = [(x[0] + x[2]) * (x[1] + x[3]) for x in (shared, pred, target)]
    return areas[0] / (areas[1] + areas[2] - areas[0])


def slowly(boxes, classes, locations, cls_logits, ltrb, topk, alpha, beta):
    """One box and one location at a time."""
    owners = {}  # location -> (IoU, box, score)
    for index, (box, label) in enumerate(zip(boxes.tolist(), classes.tolist(), strict=True)):
        found = []
        for i, (x, y) in enumerate(locations.tolist()):
            target = (x - box[0], y - box[1], box[2] - x, box[3] - y)
            if min(target) > 0:
                overlap = iou(ltrb[i].tolist(), target)
                probability = 1 / (1 + math.exp(-cls_logits[i, label].item()))
                found.append((probability**alpha * overlap**beta, i, overlap))
        found.sort(key=lambda x: (-x[0], x[1]))
        for score, i, overlap in found[:topk]:
            if i not in owners or overlap > owners[i][0]:
                owners[i] = (overlap, index, score)
    matched, alignment = [-1] * len(locations), [0.0] * len(locations)
    for i, (_, index, score) in owners.items():
        mine = [owner for owner in owners.values() if owner[1] == index]
        best_score = max(owner[2] for owner in mine)
        matched[i] = index
        if best_score > 0:
            alignment[i] = score / best_score * max(owner[0] for owner in mine)
    return matched, alignment


def random_case(num: int, seed: int):
    torch.manual_seed(seed)
    grids = [LocationGrid.of_level(6, 9, 8), LocationGrid.of_level(3, 5, 16)]
    locations = torch.cat([level_locations(g, like=torch.zeros(0).double()) for g in grids])
    corners = torch.rand(num, 2, dtype=torch.float64) * 50
    boxes = torch.cat((corners, corners + torch.rand(num, 2) * 40 + 3), dim=1)
    ltrb = torch.rand(len(locations), 4, dtype=torch.float64) * 20
    cls_logits = torch.randn(len(locations), 3, dtype=torch.float64)
    return boxes, torch.randint(0, 3, (num,)), grids, locations, cls_logits, ltrb


@pytest.mark.parametrize(
    ("num", "topk", "alpha", "beta"), [(1, 13, 1.0, 6.0), (10, 13, 1.0, 6.0), (40, 3, 0.5, 2.0)]
)
def test_against_the_slow_way(monkeypatch, num, topk, alpha, beta):
    monkeypatch.setattr(assignment_tal, "CHUNK", 7)  # several chunks, the last one smaller
    boxes, classes, grids, locations, cls_logits, ltrb = random_case(num, seed=num)
    actual = assign_task_aligned(
        boxes, classes, grids, cls_logits, ltrb, topk=topk, alpha=alpha, beta=beta
    )
    matched, alignment = slowly(boxes, classes, locations, cls_logits, ltrb, topk, alpha, beta)
    assert actual.matched_idxs.tolist() == matched
    assert actual.alignment.tolist() == pytest.approx(alignment, rel=1e-9)
    assert (actual.matched_idxs >= 0).any()


def on_one_row(ltrb: list, boxes: list, topk: int = 13):
    """Locations at x = 4, 12, 20; one class of probability 1/2."""
    grids, logits = [LocationGrid.of_level(1, 3, 8)], torch.zeros(3, 1)
    classes = torch.zeros(len(boxes), dtype=torch.int64)
    boxes, ltrb = torch.tensor(boxes).reshape(-1, 4), torch.tensor(ltrb)
    return assign_task_aligned(boxes, classes, grids, logits, ltrb, topk=topk)


def test_on_paper():
    """A box 0..24 x 0..8. The prediction at x = 4 is its left half, that at 12 is the box itself,
    that at 20 has no area: IoU 1/2, 1, 0. Scores 1/2 u^6, scaled so that the best is 1.
    """
    ltrb = [[4.0, 4.0, 8.0, 4.0], [12.0, 4.0, 12.0, 4.0], [0.0, 0.0, 0.0, 0.0]]
    found = on_one_row(ltrb, [[0.0, 0.0, 24.0, 8.0]])
    assert found.matched_idxs.tolist() == [0, 0, 0]
    assert found.alignment.tolist() == pytest.approx([0.5**6, 1, 0])
    # The best two only.
    assert on_one_row(ltrb, [[0.0, 0.0, 24.0, 8.0]], topk=2).matched_idxs.tolist() == [0, 0, -1]


def test_the_best_alignment_is_the_best_iou():
    """IoU 1/2 at x = 4 is the best of its box."""
    found = on_one_row(
        [[4.0, 4.0, 8.0, 4.0], [0.0] * 4, [0.0] * 4], [[0.0, 0.0, 24.0, 8.0]], topk=1
    )
    assert found.alignment.tolist() == [0.5, 0, 0]


def test_of_two_boxes_the_higher_iou_wins_and_of_equal_ones_the_first():
    ltrb = [[4.0, 4.0, 4.0, 4.0]] * 3  # 8 x 8 around each location
    boxes = [[0.0, 0.0, 24.0, 8.0], [8.0, 0.0, 24.0, 8.0]]
    assert on_one_row(ltrb, boxes).matched_idxs.tolist() == [0, 1, 1]
    assert on_one_row(ltrb, [boxes[0], boxes[0]]).matched_idxs.tolist() == [0, 0, 0]


def test_predictions_without_area():
    """Nothing overlaps: the first locations learn the box, with a weight of 0."""
    found = on_one_row([[0.0] * 4] * 3, [[0.0, 0.0, 24.0, 8.0]], topk=2)
    assert found.matched_idxs.tolist() == [0, 0, -1]
    assert found.alignment.tolist() == [0, 0, 0]


def test_no_boxes():
    found = on_one_row([[1.0] * 4] * 3, [])
    assert found.matched_idxs.tolist() == [-1, -1, -1] and found.alignment.tolist() == [0, 0, 0]


def test_boxes_without_a_location():
    """Between two locations, and outside of the image, in chunks of their own."""
    boxes = [[5.0, 0.0, 11.0, 8.0], [-60.0, -60.0, -10.0, -10.0]]
    found = on_one_row([[1.0] * 4] * 3, boxes)
    assert found.matched_idxs.tolist() == [-1, -1, -1]


def test_a_location_on_a_side_is_not_inside():
    assert on_one_row([[1.0] * 4] * 3, [[4.0, 0.0, 13.0, 8.0]]).matched_idxs.tolist() == [-1, 0, -1]


def test_a_crowd_takes_each_location_once():
    """More boxes than a chunk holds, all of them the same: the first takes the locations."""
    ltrb = [[4.0, 4.0, 8.0, 4.0], [12.0, 4.0, 12.0, 4.0], [1.0] * 4]
    boxes = [[0.0, 0.0, 24.0, 8.0]] * (2 * assignment_tal.CHUNK + 1)
    alone, crowd = on_one_row(ltrb, boxes[:1]), on_one_row(ltrb, boxes)
    assert crowd.matched_idxs.tolist() == [0, 0, 0]
    assert crowd.alignment.equal(alone.alignment)


def test_of_equal_scores_the_first_locations():
    """Both neighbours of the middle have the same prediction, mirrored: IoU 1/2 each."""
    ltrb = [[4.0, 4.0, 8.0, 4.0], [12.0, 4.0, 12.0, 4.0], [8.0, 4.0, 4.0, 4.0]]
    assert on_one_row(ltrb, [[0.0, 0.0, 24.0, 8.0]], topk=2).matched_idxs.tolist() == [0, 0, -1]


@pytest.mark.parametrize("options", [{"topk": 0}, {"alpha": -1.0}, {"beta": -0.5}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match="topk must be at least 1, alpha and beta at least 0, got"):
        TaskAlignedAssigner(**options)
