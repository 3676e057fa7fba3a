"""Which location learns which box."""

import math

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fcos_d2.modeling import SizeRangeAssigner
from fcos_d2.modeling.geometry import LocationGrid, level_sizes, location_grids
from fcos_d2.modeling.matching import Truth

FIVE_LEVELS = {"strides": [8, 16, 32, 64, 128], "bounds": [64, 128, 256, 512]}
FIVE_SMALL_RANGES = {"strides": [8, 16, 32, 64, 128], "bounds": [16, 32, 64, 128]}
THREE_LEVELS = {"strides": [8, 16, 32], "bounds": [64, 128]}


def grids_of(height: int, width: int, strides: list[int]) -> list[LocationGrid]:
    return location_grids(level_sizes((height, width), strides), strides, (height, width))


def assign_locations(
    boxes: Tensor, grids: list[LocationGrid], counts: list[int] | None = None, **options: object
) -> Tensor:
    """Of one image, or of several with so many boxes each."""
    classes = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    truth = Truth(boxes, classes, counts or [len(boxes)])
    return SizeRangeAssigner(**options).assign(truth, grids).matched_idxs


def assign_one_level(boxes: list, radius: float | None = 1.5, size=(4, 4)) -> Tensor:
    """One level of stride 8 that learns every size."""
    boxes, grids = torch.tensor(boxes).reshape(-1, 4), [LocationGrid.of_level(*size, 8)]
    return assign_locations(boxes, grids, size_bounds=[], center_sampling_radius=radius)


# --- worked out on paper ----------------------------------------------------------------------


def test_one_box_on_one_level():
    # Locations lie at 4, 12, 20, 28 in x and y; box and window are cut to the open (8, 24), so
    # columns and rows 1 and 2 are positive: cells 1*4+1, 1*4+2, 2*4+1, 2*4+2.
    matched_idxs = assign_one_level([[8.0, 8.0, 24.0, 24.0]])
    assert matched_idxs.tolist() == [-1, -1, -1, -1, -1, 0, 0, -1, -1, 0, 0, -1, -1, -1, -1, -1]


def test_window_around_the_centre():
    # Box (0, 0)-(32, 32), centre 16. Radius 1.5 strides: the open (4, 28) leaves 12 and 20.
    # Radius 1.6: (3.2, 28.8) takes 4 and 28 as well. Radius 0.5: (12, 20) is open, nothing left.
    box = [[0.0, 0.0, 32.0, 32.0]]
    assert (assign_one_level(box, radius=1.5) >= 0).sum() == 4
    assert (assign_one_level(box, radius=1.6) >= 0).sum() == 16
    assert (assign_one_level(box, radius=0.5) >= 0).sum() == 0
    assert (assign_one_level(box, radius=None) >= 0).sum() == 16


def test_window_is_cut_to_the_box():
    # Centre (16, 6), window (4, 28) x (-6, 18), box 0 < y < 12: of rows 4 and 12 only 4 is inside.
    matched_idxs = assign_one_level([[0.0, 0.0, 32.0, 12.0]]).reshape(4, 4)
    assert (matched_idxs >= 0).nonzero().tolist() == [[0, 1], [0, 2]]


def test_size_ranges():
    expected = [(0, 64), (64, 128), (128, math.inf)]
    assert SizeRangeAssigner(size_bounds=[64, 128]).size_ranges == expected
    assert SizeRangeAssigner(size_bounds=[]).size_ranges == [(0, math.inf)]


@pytest.mark.parametrize("bounds", [[128, 64], [-1, 64]])
def test_size_bounds_must_rise(bounds):
    with pytest.raises(ValueError, match="rise"):
        SizeRangeAssigner(size_bounds=bounds)


# --- edges ------------------------------------------------------------------------------------


def test_a_location_on_the_border_of_a_box_is_outside():
    # Locations 4 and 20 lie on the sides, so that only (12, 12) is inside.
    matched_idxs = assign_one_level([[4.0, 4.0, 20.0, 20.0]], radius=None)
    assert (matched_idxs >= 0).nonzero().flatten().tolist() == [5]


@pytest.mark.parametrize(
    ("bound", "inclusive", "positive"),
    [
        (15.9, True, [False, True]),
        (16.0, True, [True, True]),
        (16.1, True, [True, False]),
        (15.9, False, [False, True]),
        (16.0, False, [False, False]),
        (16.1, False, [True, False]),
    ],
)
def test_a_distance_on_a_size_bound_belongs_to_both_levels_or_to_none(bound, inclusive, positive):
    # Location 12 of stride 8 has l = 12+4 = 16 and r = 12; location 8 of stride 16 has l = 12 and
    # r = 24-8 = 16: the longest distance is 16 px on both levels.
    matched_idxs = assign_locations(
        torch.tensor([[-4.0, -4.0, 24.0, 24.0]]),
        grids=grids_of(32, 32, [8, 16]),
        size_bounds=[bound],
        center_sampling_radius=None,
        inclusive_size_ranges=inclusive,
    )
    assert [matched_idxs[5].item() == 0, matched_idxs[16].item() == 0] == positive


@pytest.mark.parametrize("side", [16.0, 800.0])
def test_of_nested_boxes_that_differ_by_one_square_pixel_the_smaller_wins(side):
    small = [8.0, 8.0, 8.0 + side, 8.0 + side]
    large = [8.0, 8.0, 8.0 + side, 8.0 + side + 1 / side]  # side * (1 / side) = 1 px^2 more
    # Location (12, 12), cell 1*4+1, lies in both.
    assert assign_one_level([small, large], radius=None)[5] == 0
    assert assign_one_level([large, small], radius=None)[5] == 1


def test_of_equal_areas_the_first_wins():
    # 16*16 = 32*8 = 8*32; all three contain location (12, 12).
    box, wide, tall = [8.0, 8.0, 24.0, 24.0], [0.0, 8.0, 32.0, 16.0], [8.0, 0.0, 16.0, 32.0]
    for boxes in ([box, wide, tall], [wide, tall, box], [tall, box, wide]):
        assert assign_one_level(boxes, radius=None)[5] == 0
    assert set(assign_one_level([box, box, box]).tolist()) == {-1, 0}


def test_a_box_without_area_is_learned_nowhere():
    flat, point = [8.0, 12.0, 24.0, 12.0], [12.0, 12.0, 12.0, 12.0]
    for radius in (1.5, None):
        assert assign_one_level([flat, point], radius).max() == -1
        with_box = assign_one_level([flat, [8.0, 8.0, 24.0, 24.0], point], radius)
        assert set(with_box.tolist()) == {-1, 1}


def test_boxes_partly_and_wholly_outside():
    # (-8, -8)-(16, 16): centre 4, window (-8, 16), so locations 4 and 12. The others: no location.
    partly, left = [-8.0, -8.0, 16.0, 16.0], [-50.0, 0.0, -10.0, 32.0]
    below, far = [0.0, 40.0, 32.0, 90.0], [1e7, 1e7, 2e7, 2e7]
    matched_idxs = assign_one_level([left, partly, below, far])
    assert (matched_idxs >= 0).nonzero().flatten().tolist() == [0, 1, 4, 5]
    assert set(matched_idxs.tolist()) == {-1, 1}


def test_a_box_centred_on_the_left_border():
    # Centre (0, 16), window (-12, 12) x (4, 28): column 4, rows 12 and 20.
    matched_idxs = assign_one_level([[-16.0, 0.0, 16.0, 32.0]])
    assert (matched_idxs >= 0).nonzero().flatten().tolist() == [4, 8]


def test_a_box_around_everything():
    matched_idxs = assign_one_level([[-1e6, -1e6, 1e6, 1e6]], radius=None)
    assert matched_idxs.tolist() == [0] * 16


def test_a_box_between_the_locations():
    assert assign_one_level([[5.0, 5.0, 11.0, 11.0]]).max() == -1


def test_no_boxes():
    matched_idxs = assign_one_level([], size=(3, 5))
    assert matched_idxs.dtype == torch.int64
    assert matched_idxs.tolist() == [-1] * 15


# --- properties -------------------------------------------------------------------------------


def random_boxes(num: int, height: int, width: int, step: float, seed: int) -> Tensor:
    """Tiny to huge boxes, some outside, some without area, some twice; on a grid of `step` px.

    The grid makes ties and locations on borders frequent, and all arithmetic on them exact.
    """
    generator = torch.Generator().manual_seed(seed)
    centers = torch.rand(num, 2, generator=generator) * torch.tensor([width, height]) * 1.2 - 20
    sides = torch.exp(torch.rand(num, 2, generator=generator) * math.log(2000)) * 0.5
    boxes = torch.cat((centers - sides / 2, centers + sides / 2), dim=1)
    boxes = (boxes / step).round() * step
    boxes[1] = boxes[0]
    return boxes


def assign(boxes: Tensor, height: int, width: int, levels: dict, radius: float | None) -> Tensor:
    grids = grids_of(height, width, levels["strides"])
    options = {"size_bounds": levels["bounds"], "center_sampling_radius": radius}
    return assign_locations(boxes, grids, **options)


@pytest.mark.parametrize("radius", [1.5, None])
def test_order_of_the_boxes_does_not_matter(radius):
    boxes = random_boxes(60, 200, 300, step=0.25, seed=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    boxes = boxes[torch.tensor([(areas[:i] != area).all() for i, area in enumerate(areas)])]
    order = torch.randperm(len(boxes))
    expected = assign(boxes, 200, 300, FIVE_SMALL_RANGES, radius)
    shuffled = assign(boxes[order], 200, 300, FIVE_SMALL_RANGES, radius)
    back = torch.cat((order, torch.tensor([-1])))
    assert back[shuffled].tolist() == expected.tolist()
    assert len(expected.unique()) > 10


@pytest.mark.parametrize("radius", [1.5, None])
def test_padding_does_not_matter(radius):
    boxes = random_boxes(60, 200, 300, step=0.25, seed=2)
    strides = FIVE_LEVELS["strides"]
    sizes, padded_sizes = (level_sizes(x, strides) for x in ((200, 300), (416, 512)))
    matched_idxs = assign(boxes, 200, 300, FIVE_LEVELS, radius)
    padded = assign(boxes, 416, 512, FIVE_LEVELS, radius)
    levels = matched_idxs.split([h * w for h, w in sizes])
    padded_levels = padded.split([h * w for h, w in padded_sizes])
    for level, padded_level, size, padded_size in zip(
        levels, padded_levels, sizes, padded_sizes, strict=True
    ):
        same_region = padded_level.reshape(padded_size)[: size[0], : size[1]]
        assert level.reshape(size).tolist() == same_region.tolist()


def test_boxes_that_no_location_learns_change_nothing():
    boxes = random_boxes(40, 200, 300, step=0.25, seed=3)
    useless = torch.tensor(
        [[0.0, 0.0, 0.0, 50.0], [5.0, 5.0, 11.0, 11.0], [-9.0, -9.0, -1.0, -1.0]]
    )
    expected = assign(boxes, 200, 300, FIVE_LEVELS, 1.5)
    assert assign(torch.cat((boxes, useless)), 200, 300, FIVE_LEVELS, 1.5).tolist() == (
        expected.tolist()
    )


# --- the slow, obvious way ----------------------------------------------------------------------


def assign_slowly(
    boxes: list[list[float]],
    grids: list[LocationGrid],
    strides: list[int],
    bounds: list[float],
    radius: float | None,
) -> list[int]:
    """Every location looks at every box."""
    matched_idxs = []
    for level, (grid, stride) in enumerate(zip(grids, strides, strict=True)):
        height, width, (step_x, step_y), offset, _ = grid
        lowest = bounds[level - 1] if level > 0 else 0
        highest = bounds[level] if level < len(bounds) else math.inf
        for row in range(height):
            for column in range(width):
                x, y = column * step_x + offset, row * step_y + offset
                best, best_area = -1, math.inf
                for i, (x1, y1, x2, y2) in enumerate(boxes):
                    inside = x1 < x < x2 and y1 < y < y2
                    if radius is not None:
                        near_x = abs(x - (x1 + x2) / 2) < radius * stride
                        inside = inside and near_x and abs(y - (y1 + y2) / 2) < radius * stride
                    in_range = lowest <= max(x - x1, y - y1, x2 - x, y2 - y) <= highest
                    area = (x2 - x1) * (y2 - y1)
                    if inside and in_range and area < best_area:
                        best, best_area = i, area
                matched_idxs.append(best)
    return matched_idxs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [1, 1.5, 2.5, None])
@pytest.mark.parametrize("levels", [FIVE_LEVELS, FIVE_SMALL_RANGES, THREE_LEVELS])
def test_against_the_slow_way(levels, radius, dtype):
    for seed, step in enumerate((0.25, 1, 4)):
        height, width = 131 + 8 * seed, 170 - 31 * seed
        boxes = random_boxes(40, height, width, step, seed)
        grids = grids_of(height, width, levels["strides"])
        expected = assign_slowly(boxes.tolist(), grids, *levels.values(), radius)
        actual = assign(boxes.to(dtype), height, width, levels, radius)
        assert actual.tolist() == expected
        assert len(set(expected)) > 5


@pytest.mark.parametrize("radius", [1.5, None])
def test_locations_on_the_corners_against_the_slow_way(radius):
    boxes = random_boxes(40, 160, 224, step=0.25, seed=6)
    strides, bounds = FIVE_SMALL_RANGES.values()
    sizes = level_sizes((160, 224), strides)
    grids = location_grids(sizes, strides, padded_size=(160, 224), rule="corner")
    # 160 px in ceil(160 / 64) = 3 cells, 224 px in 4: steps of 53 and 56 px, not of 64.
    assert grids[3] == LocationGrid(height=3, width=4, step=(56, 53), offset=0, stride=64)
    expected = assign_slowly(boxes.tolist(), grids, strides, bounds, radius)
    options = {"size_bounds": bounds, "center_sampling_radius": radius}
    assert assign_locations(boxes, grids, **options).tolist() == expected
    assert len(set(expected)) > 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("radius", [1.5, None])
def test_on_a_gpu(radius):
    boxes = random_boxes(60, 200, 300, step=0.25, seed=5)
    expected = assign(boxes, 200, 300, FIVE_SMALL_RANGES, radius)
    actual = assign(boxes.cuda(), 200, 300, FIVE_SMALL_RANGES, radius)
    assert actual.device.type == "cuda"
    assert actual.tolist() == expected.tolist()


# --- cost ---------------------------------------------------------------------------------------


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, (tuple, list)) else (result,):
            # A view such as `expand` makes no memory; a materialised one would.
            if isinstance(x, Tensor):
                self.numel = max(self.numel, x.untyped_storage().nbytes() // x.element_size())
        return result


@pytest.mark.parametrize("radius", [1.5, None])
def test_no_matrix_of_locations_and_boxes_is_made(radius):
    num_boxes, height, width = 2000, 800, 1333
    boxes = random_boxes(num_boxes, height, width, step=0.25, seed=0)
    with LargestTensor() as largest:
        matched_idxs = assign(boxes, height, width, FIVE_LEVELS, radius)
    assert len(matched_idxs) > 22000
    assert 0 < largest.numel < 0.05 * len(matched_idxs) * num_boxes


@pytest.mark.parametrize("bounds", [[64, 64], [0, 64], [128, 64]])
def test_bounds_must_be_positive_and_rise(bounds):
    with pytest.raises(ValueError, match="must be positive and rise"):
        SizeRangeAssigner(size_bounds=bounds)


def test_several_images_at_once():
    """Image after image; boxes of equal size in two images do not compete."""
    grids = [LocationGrid.of_level(4, 4, 8)]
    boxes = torch.tensor([[0.0, 0, 32, 32], [0, 0, 32, 32], [8, 8, 24, 24]])
    options = {"size_bounds": [], "center_sampling_radius": None}
    together = assign_locations(boxes, grids, counts=[1, 0, 2], **options)
    first = assign_locations(boxes[:1], grids, **options)
    third = assign_locations(boxes[1:], grids, **options)
    empty = torch.full((16,), -1)
    assert together.equal(torch.cat((first, empty, torch.where(third < 0, -1, third + 1))))


@pytest.mark.parametrize("radius", [0, -1.5, math.nan])
def test_a_window_must_have_a_side(radius):
    with pytest.raises(ValueError, match="center_sampling_radius must be positive, or None.*got"):
        SizeRangeAssigner(center_sampling_radius=radius)


def test_bounds_cannot_be_changed_afterwards():
    bounds = [64.0, 128.0]
    assigner = SizeRangeAssigner(size_bounds=bounds)
    bounds[0] = 500.0
    assert assigner.size_bounds == (64, 128) and assigner.num_levels == 3
