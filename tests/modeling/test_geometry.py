"""Locations, boxes and the distances between the two."""

import ast
import sys
from pathlib import Path

import pytest
import torch

from fcos_d2 import modeling
from fcos_d2.modeling.geometry import (
    LocationGrid,
    boxes_to_ltrb,
    centerness,
    level_locations,
    location_grids,
    ltrb_to_boxes,
)

FUNCTION_FILES = (
    "geometry",
    "assignment",
    "losses",
    "selection",
    "assignment_atss",
    "assignment_tal",
    "fused_focal",
    "quality_focal",
    "transfer",
    "matching",
    "criterion",
)


def test_locations_of_a_small_level():
    # Columns 0, 1, 2 stand for x = 0*8 + 4, 1*8 + 4, 2*8 + 4; rows likewise for y.
    expected = [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]
    locations = level_locations(LocationGrid.of_level(2, 3, stride=8), like=torch.zeros(()))
    assert locations.tolist() == expected


def test_half_of_an_odd_stride_is_rounded_down():
    # 7 // 2 = 3.
    locations = level_locations(LocationGrid.of_level(1, 3, stride=7), like=torch.zeros(()))
    assert locations.tolist() == [[3, 3], [10, 3], [17, 3]]


def test_grids_of_the_two_rules():
    # 96 x 160 px: 12 x 20 cells of 8 px, and ceil(96 / 64) = 2 by ceil(160 / 64) = 3 of 64 px.
    sizes, strides = [(12, 20), (2, 3)], [8, 64]
    center = location_grids(sizes, strides, padded_size=(96, 160))
    assert center == [LocationGrid(12, 20, (8, 8), 4, 8), LocationGrid(2, 3, (64, 64), 32, 64)]
    # 160 // 3 = 53 and 96 // 2 = 48 px.
    corner = location_grids(sizes, strides, padded_size=(96, 160), rule="corner")
    assert corner == [LocationGrid(12, 20, (8, 8), 0, 8), LocationGrid(2, 3, (53, 48), 0, 64)]
    locations = level_locations(corner[1], like=torch.zeros(()))
    assert locations.tolist() == [[0, 0], [53, 0], [106, 0], [0, 48], [53, 48], [106, 48]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_locations_take_the_dtype_asked_for(dtype):
    like = torch.zeros((), dtype=dtype)
    locations = level_locations(LocationGrid.of_level(100, 168, stride=8), like)
    assert locations.dtype == dtype
    assert locations[-1].tolist() == [167 * 8 + 4, 99 * 8 + 4]


def test_a_level_without_cells_has_no_locations():
    grid = LocationGrid.of_level(0, 3, stride=8)
    assert level_locations(grid, like=torch.zeros(())).shape == (0, 2)


def test_distances_to_the_sides():
    # From (10, 20) to the box (4, 5)-(30, 60): 10-4, 20-5, 30-10, 60-20.
    ltrb = boxes_to_ltrb(torch.tensor([[10.0, 20.0]]), torch.tensor([[4.0, 5.0, 30.0, 60.0]]))
    assert ltrb.tolist() == [[6, 15, 20, 40]]


def test_box_from_distances():
    boxes = ltrb_to_boxes(torch.tensor([[10.0, 20.0]]), torch.tensor([[6.0, 15.0, 20.0, 40.0]]))
    assert boxes.tolist() == [[4, 5, 30, 60]]


def test_decoding_inverts_encoding():
    locations = torch.rand(200, 2, dtype=torch.float64) * 1000
    boxes = torch.rand(200, 4, dtype=torch.float64) * 1400 - 200
    decoded = ltrb_to_boxes(locations, boxes_to_ltrb(locations, boxes))
    torch.testing.assert_close(decoded, boxes)
    ltrb = torch.rand(200, 4, dtype=torch.float64) * 300
    torch.testing.assert_close(boxes_to_ltrb(locations, ltrb_to_boxes(locations, ltrb)), ltrb)


def test_distances_are_positive_exactly_inside_the_box():
    box = torch.tensor([4.0, 4.0, 20.0, 12.0])
    inside = [[12.0, 8.0], [4.5, 11.5]]
    outside = [[4.0, 8.0], [20.0, 8.0], [12.0, 4.0], [12.0, 12.0], [3.0, 8.0], [12.0, 13.0]]
    ltrb = boxes_to_ltrb(torch.tensor(inside + outside), box)
    assert (ltrb > 0).all(dim=1).tolist() == [True] * 2 + [False] * 6


def test_every_location_against_every_box_by_broadcasting():
    locations, boxes = torch.rand(5, 2), torch.rand(3, 4)
    ltrb = boxes_to_ltrb(locations[:, None].expand(-1, 3, -1), boxes)
    assert ltrb.shape == (5, 3, 4)
    torch.testing.assert_close(ltrb[4, 1], boxes_to_ltrb(locations[4], boxes[1]))


def test_centerness_of_a_location():
    # sqrt(min(1, 3) / max(1, 3) * min(2, 4) / max(2, 4)) = sqrt(1/3 * 1/2) = 0.408248
    actual = centerness(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    torch.testing.assert_close(actual, torch.tensor([0.4082483]))


def test_centerness_is_one_in_the_centre_and_nearly_zero_at_a_side():
    actual = centerness(torch.tensor([[5.0, 7.0, 5.0, 7.0], [1e-6, 7.0, 10.0, 7.0]]))
    assert actual[0] == 1
    assert 0 < actual[1] < 1e-3


def test_centerness_has_no_unit_and_no_handedness():
    ltrb = torch.rand(100, 4, dtype=torch.float64) + 0.01
    expected = centerness(ltrb)
    assert ((expected > 0) & (expected <= 1)).all()
    torch.testing.assert_close(centerness(ltrb * 128), expected)
    torch.testing.assert_close(centerness(ltrb[:, [2, 1, 0, 3]]), expected)
    torch.testing.assert_close(centerness(ltrb[:, [1, 0, 3, 2]]), expected)


def test_no_positives_have_no_centerness():
    assert centerness(torch.zeros(0, 4)).shape == (0,)


@pytest.mark.parametrize("name", FUNCTION_FILES)
def test_files_of_functions_import_only_what_functions_need(name):
    source = Path(modeling.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add("." * node.level + (node.module or ""))
    own = {"..choices", *(f".{other}" for other in FUNCTION_FILES)}  # choices imports nothing
    allowed = {"torch", "torchvision", "fvcore", *sys.stdlib_module_names}
    others = {x for x in imported - own if x.split(".")[0] not in allowed}
    assert {x for x in others if x.split(".")[:2] != ["detectron2", "layers"]} == set()
