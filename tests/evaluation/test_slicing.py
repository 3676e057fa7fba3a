import numpy as np
import pytest
import torch

from fcos_d2.evaluation.slicing import Region, Slicing, is_cut, without_fragments


def test_tiles_by_hand():
    """160 px in tiles of 100 that share 20: strides <= 80, so one step, of 60; 100 px fit."""
    assert Slicing(100, 0.2, full_image=True).regions((100, 160)) == [
        Region(0, 0, 100, 100),
        Region(60, 0, 160, 100),
        Region(0, 0, 160, 100),
    ]
    # 181 - 100 = 81 px are two steps of at most 80: to 40 and to 81.
    assert Slicing(100, 0.2, full_image=False).regions((181, 30)) == [
        Region(0, 0, 30, 100),
        Region(0, 40, 30, 140),
        Region(0, 81, 30, 181),
    ]


def test_an_image_that_fits_is_looked_at_once():
    assert Slicing(100).regions((100, 40)) == [Region(0, 0, 40, 100)]


@pytest.mark.parametrize("overlap", [0, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("image_size", [(37, 200), (64, 64), (65, 129), (301, 97)])
def test_tiles_cover_every_pixel_and_overlap_enough(overlap, image_size):
    seen = np.zeros(image_size, int)
    tiles = Slicing(64, overlap, full_image=False).regions(image_size)
    for x0, y0, x1, y1 in tiles:
        assert 0 <= x0 < x1 <= image_size[1] and 0 <= y0 < y1 <= image_size[0]
        assert (y1 - y0, x1 - x0) == tuple(min(64, side) for side in image_size)
        seen[y0:y1, x0:x1] += 1
    assert seen.min() >= 1
    # An object of the size of the overlap is whole somewhere, wherever it lies.
    side = int(64 * overlap)
    for x in range(image_size[1] - side + 1):
        assert any(t.x0 <= x and x + side <= t.x1 for t in tiles)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": -5}, "whole number of px, got -5"),
        ({"size": 0.5}, "whole number of px, got 0.5"),
        ({"size": 64, "overlap": 1.0}, r"in \[0, 0.9\], got 1.0"),
        ({"size": 64, "overlap": -0.1}, r"in \[0, 0.9\], got -0.1"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Slicing(**settings)


def test_cut_boxes_end_at_a_border_inside_the_image():
    boxes = torch.tensor(
        [
            [0.0, 0, 20, 20],  # the border of the image
            [30, 30, 60, 60],  # the middle
            [80, 30, 100, 60],  # the right border of the tile
            [80, 30, 99.5, 60],  # within 1 % of 100 px of it
            [80, 30, 98.5, 60],  # not so near
            [30, 90, 60, 100],  # the lower border of tile and image
        ]
    )
    tile = Region(0, 0, 100, 100)
    assert is_cut(boxes, tile, (100, 160)).tolist() == [False, False, True, True, False, False]
    assert is_cut(boxes[:0], tile, (100, 160)).tolist() == []
    assert not is_cut(boxes, tile, (100, 100)).any()
    shifted = is_cut(boxes + 200, Region(200, 200, 300, 300), (400, 400))
    assert shifted.tolist() == [True, False, True, True, False, True]


def keep(*others, box=(80.0, 0, 100, 20), cut=True):
    """Whether `box`, of score 0.8 and class 0, stays beside (x0, y0, x1, y1, score, class)."""
    rows = torch.tensor([[*box, 0.8, 0], *others])
    flags = torch.zeros(len(rows), dtype=torch.bool)
    flags[0] = cut
    kept = without_fragments(rows[:, :4], rows[:, 4], rows[:, 5].long(), flags)
    assert kept[1:].all()
    return kept[0].item()


def test_a_fragment_goes_where_the_whole_was_found():
    assert keep()
    assert not keep([80, 0, 140, 20, 0.8, 0])
    assert keep([80, 0, 140, 20, 0.8, 1])  # another class
    assert keep([80, 0, 140, 20, 0.8, 0], cut=False)  # a small object before a large one
    # The other must cover 0.7 of it: 14 of the 20 px are 0.7.
    assert not keep([86, 0, 146, 20, 0.8, 0])
    assert keep([87, 0, 147, 20, 0.8, 0])
    # ... be larger ...
    assert keep([80, 0, 100, 20, 0.9, 0])
    # ... and at least half as sure.
    assert not keep([80, 0, 140, 20, 0.41, 0])
    assert keep([80, 0, 140, 20, 0.39, 0])


def test_many_fragments():
    """Comparing in parts gives what a loop over all pairs gives."""
    boxes = torch.rand(600, 2) * 100
    boxes = torch.cat([boxes, boxes + torch.rand(600, 2) * 40 + 1], dim=1)
    scores, classes, cut = torch.rand(600), torch.randint(0, 2, (600,)), torch.rand(600) < 0.8
    kept = without_fragments(boxes, scores, classes, cut)
    assert 0 < kept.sum() < 600
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    for i in range(600):
        sides = torch.minimum(boxes[:, 2:], boxes[i, 2:]) - torch.maximum(
            boxes[:, :2], boxes[i, :2]
        )
        covered = sides.clamp(min=0).prod(dim=1) / areas[i] >= 0.7
        larger = (areas > areas[i]) & (classes == classes[i]) & (scores >= 0.5 * scores[i])
        assert kept[i] == (not cut[i] or not (covered & larger).any())
