"""ATSS on paper, and against the algorithm written out."""

import statistics

import pytest
import torch
from torch import Tensor

from fcos_d2.modeling import ATSSAssigner
from fcos_d2.modeling.assignment_atss import nearest_locations
from fcos_d2.modeling.geometry import LocationGrid, level_locations
from fcos_d2.modeling.matching import Truth


def grids_of(height, width, strides):
    return [LocationGrid.of_level(-(-height // s), -(-width // s), s) for s in strides]


def assign_atss(boxes: Tensor, grids: list[LocationGrid], **options: object) -> Tensor:
    truth = Truth(boxes, torch.zeros(len(boxes), dtype=torch.int64), [len(boxes)])
    return ATSSAssigner(**options).assign(truth, grids).matched_idxs


def iou(a, b) -> float:
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


def slowly(boxes: Tensor, grids, strides, topk: int, scale: float) -> list[int]:
    """Algorithm 1, one box and one anchor at a time."""
    locations = [level_locations(grid, like=boxes).tolist() for grid in grids]
    matched, best = [], []
    for level in locations:
        matched += [-1] * len(level)
        best += [0.0] * len(level)
    for index, box in enumerate(boxes.tolist()):
        center = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        candidates, first = [], 0
        for level, stride in zip(locations, strides, strict=True):
            by_distance = sorted(
                range(len(level)),
                key=lambda i: (level[i][0] - center[0]) ** 2 + (level[i][1] - center[1]) ** 2,
            )
            for i in by_distance[:topk]:
                x, y = level[i]
                half = scale * stride / 2
                overlap = iou((x - half, y - half, x + half, y + half), box)
                inside = box[0] < x < box[2] and box[1] < y < box[3]
                candidates.append((first + i, overlap, inside))
            first += len(level)
        overlaps = [overlap for _, overlap, _ in candidates]
        threshold = min(statistics.mean(overlaps) + statistics.stdev(overlaps), max(overlaps))
        for location, overlap, inside in candidates:
            if inside and overlap >= threshold and overlap > best[location]:
                matched[location], best[location] = index, overlap
    return matched


def random_boxes(num: int, height: int, width: int) -> Tensor:
    corners = torch.rand(num, 2, dtype=torch.float64) * torch.tensor([width, height]) * 0.8
    sizes = torch.rand(num, 2, dtype=torch.float64) ** 2 * torch.tensor([width, height]) * 0.6 + 2
    limit = torch.tensor([width, height])
    return torch.cat((corners, torch.minimum(corners + sizes, limit)), dim=1)


def test_on_paper():
    """A grid of 3 x 1 cells at x = 4, 12, 20; anchors of one stride.

    A box 0..9: IoUs with the anchors 0..8, 8..16 and 16..24 are 64 / 72 = 0.889, 8 / 128 = 0.0667
    and 0: mean 0.317, deviation 0.496, threshold 0.813. A box 0..16: 64 / 128 = 1/2 twice, and 0.
    Mean 1/3, deviation sqrt(((1/6)^2 + (1/6)^2 + (1/3)^2) / 2) = 0.289: 0.622 is more than any,
    so that the threshold is 1/2.
    """
    grids = [LocationGrid.of_level(1, 3, 8)]
    wide, narrow = ([[0.0, 0.0, right, 8.0]] for right in (16.0, 9.0))
    assert assign_atss(torch.tensor(wide), grids, topk=9, anchor_scale=1.0).tolist() == [0, 0, -1]
    assert assign_atss(torch.tensor(narrow), grids, topk=9, anchor_scale=1.0).tolist() == [
        0,
        -1,
        -1,
    ]


@pytest.mark.parametrize("size", [(64, 96), (200, 150), (33, 500)])
@pytest.mark.parametrize(("num", "topk", "scale"), [(1, 9, 8.0), (12, 9, 8.0), (60, 4, 4.0)])
def test_against_the_slow_way(size, num, topk, scale):
    torch.manual_seed(num)
    strides = [8, 16, 32]
    grids, boxes = grids_of(*size, strides), random_boxes(num, *size)
    actual = assign_atss(boxes, grids, topk=topk, anchor_scale=scale)
    assert actual.tolist() == slowly(boxes, grids, strides, topk, scale)
    assert num == 1 or (actual >= 0).any()


@pytest.mark.parametrize("topk", [1, 9, 25])
def test_the_window_holds_the_nearest_locations(topk):
    """Against all distances, for centres everywhere, the corners included; topk beyond the grid."""
    grid = LocationGrid.of_level(7, 12, 8)
    torch.manual_seed(0)
    corners = torch.tensor([[0.0, 0.0], [96.0, 0.0], [0.0, 56.0], [96.0, 56.0]])
    inner = torch.rand(200, 2) * torch.tensor([96.0, 56.0])
    centers = torch.cat((corners, inner)).double()
    boxes = torch.cat((centers - 1, centers + 1), dim=1)
    idxs, positions = nearest_locations(boxes, grid, topk)
    locations = level_locations(grid, like=boxes)
    assert positions.equal(locations[idxs])
    distances = (locations[None] - centers[:, None]).square().sum(dim=-1)
    torch.testing.assert_close(
        distances.gather(1, idxs), distances.sort(dim=1).values[:, :topk], rtol=0, atol=1e-9
    )


def test_no_boxes():
    grids = grids_of(32, 32, [8])
    assert (assign_atss(torch.zeros(0, 4), grids) == -1).all()


def test_one_candidate():
    """Its own IoU is the threshold."""
    grids = [LocationGrid.of_level(1, 1, 8)]
    assert assign_atss(torch.tensor([[0.0, 0.0, 8.0, 8.0]]), grids).tolist() == [0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_ious_are_not_lost_to_rounding(dtype):
    """On one level, all nine anchors lie within a large box, and their IoUs are their mean."""
    grids = [LocationGrid.of_level(40, 40, 8)]
    for seed in range(50):
        torch.manual_seed(seed)
        half, center = torch.rand(2, dtype=dtype) * 50 + 55, 160 + torch.rand(2, dtype=dtype)
        box = torch.cat((center - half, center + half))[None]
        assert (assign_atss(box, grids) == 0).sum() == 9


def test_boxes_between_or_outside_of_the_locations():
    """None of them has a location inside; the one at the border has one, (4, 4)."""
    grids = grids_of(32, 32, [8])
    boxes = torch.tensor([[5.0, 5.0, 11.0, 11.0], [-60.0, -60.0, -10.0, -10.0]])
    assert (assign_atss(boxes, grids, anchor_scale=1.0) == -1).all()
    border = torch.tensor([[-4.0, -4.0, 8.0, 8.0]])
    assert (assign_atss(border, grids, anchor_scale=1.0) == 0).nonzero().tolist() == [[0]]


def test_a_location_on_a_side_is_not_inside():
    grids = grids_of(32, 32, [8])
    box = torch.tensor([[4.0, 4.0, 20.0, 20.0]])
    matched = assign_atss(box, grids, anchor_scale=2.0).reshape(4, 4)
    assert (matched == 0).nonzero().tolist() == [[1, 1]]


def test_boxes_inside_all_anchors_of_two_levels():
    """9 IoUs of 32^2 / 64^2 = 1/4 and 9 of 1/16: mean 0.15625, deviation 0.0965, together > 1/4."""
    grids, box = grids_of(64, 64, [8, 16]), torch.tensor([[12.0, 12.0, 44.0, 44.0]])
    matched = assign_atss(box, grids)
    assert (matched[:64] == 0).sum() == 9 and (matched[64:] == -1).all()


def test_of_equal_boxes_the_first_takes_all():
    grids, boxes = grids_of(64, 64, [8, 16]), torch.tensor([[10.0, 12.0, 50.0, 40.0]])
    alone = assign_atss(boxes, grids)
    assert (alone == 0).any()
    assert assign_atss(boxes.repeat(500, 1), grids).equal(alone)


@pytest.mark.parametrize("options", [{"topk": 0}, {"anchor_scale": 0.0}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match="topk must be at least 1 and anchor_scale positive, got"):
        ATSSAssigner(**options)
