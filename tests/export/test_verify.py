import torch

from fcos_d2.export.verify import (
    FULL_PRECISION,
    Difference,
    Tolerance,
    batches_of,
    canvas_of,
    compare_detections,
)

Found = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def found(*rows: tuple[float, float, int]) -> Found:
    """Boxes of 10 px at x, with scores and classes."""
    boxes = torch.tensor([[x, 0.0, x + 10, 10.0] for x, _, _ in rows]).reshape(-1, 4)
    return boxes, torch.tensor([s for _, s, _ in rows]), torch.tensor([c for *_, c in rows])


THREE = found((0, 0.9, 0), (20, 0.5, 1), (40, 0.3, 0))


def compared(one: Found, other: Found, cap: int = 100) -> Difference:
    return compare_detections(one, other, cap, 0.6, FULL_PRECISION)


def test_equal_in_another_order() -> None:
    order = [2, 0, 1]
    assert compared(THREE, tuple(x[order] for x in THREE)) == Difference(0, 0, 0, 3)


def test_small_differences_are_measured() -> None:
    moved = found((0.03125, 0.9, 0), (20, 0.50005, 1), (40, 0.3, 0))
    result = compared(THREE, moved)
    assert result.boxes == 0.03125 and abs(result.scores - 5e-5) < 1e-6
    assert result.within(FULL_PRECISION)


def test_large_differences_leave_both_without_a_partner() -> None:
    for other in ((0.1, 0.9, 0), (0, 0.901, 0), (0, 0.9, 1)):
        result = compared(THREE, found(other, (20, 0.5, 1), (40, 0.3, 0)))
        assert result.unmatched == 2 and not result.within(FULL_PRECISION)
    assert compared(THREE, found((0, 0.9, 0))).unmatched == 2
    assert compared(found(), THREE).unmatched == 3


def test_what_stands_at_a_threshold_needs_no_partner() -> None:
    # At the threshold itself, and at the cap, rounding decides which come.
    assert compared(found((0, 0.9, 0), (5, 0.05005, 0)), found((0, 0.9, 0))).unmatched == 0
    assert compared(found((0, 0.9, 0), (5, 0.3, 0)), found((0, 0.9, 0), (9, 0.3, 0)), 2) == (
        Difference(0, 0, 0, 1)
    )


def test_an_overlap_of_just_the_threshold_leaves_it_open() -> None:
    # Boxes of 10 px that are 2.5 px apart: 75 of 125 px are common, an IoU of 0.6.
    both = found((0, 0.9, 0), (2.5, 0.5, 0), (40, 0.3, 0))
    one = found((0, 0.9, 0), (40, 0.3, 0))
    for pair in ((both, one), (one, both)):
        result = compared(*pair)
        assert (result.unmatched, result.undecided) == (0, 1) and result.within(FULL_PRECISION)
    # What the open one would have suppressed (IoU of 9 / 11), the other model keeps.
    result = compared(both, found((0, 0.9, 0), (3.5, 0.4, 0), (40, 0.3, 0)))
    assert (result.unmatched, result.undecided) == (0, 2)
    # Another overlap, or another class, explains nothing.
    for box in ((2.6, 0.5, 0), (2.5, 0.5, 1)):
        result = compared(found((0, 0.9, 0), box), found((0, 0.9, 0)))
        assert (result.unmatched, result.undecided) == (1, 0)


def test_a_moved_box_is_never_open() -> None:
    moved = found((0, 0.9, 0), (20, 0.5, 1), (41, 0.3, 0))
    assert compared(THREE, moved).unmatched == 2


def test_a_share_may_be_allowed() -> None:
    worst = Difference(unmatched=2, detections=100)
    assert worst.within(Tolerance(1, 1, 0.02)) and not worst.within(Tolerance(1, 1, 0.01))


def test_canvas() -> None:
    images = [torch.full((3, 2, 5), 7, dtype=torch.uint8), torch.full((3, 4, 1), 9).byte()]
    canvas, sizes = canvas_of(images, 4, None)
    assert canvas.shape == (2, 4, 8, 3) and sizes.tolist() == [[2, 5], [4, 1]]
    assert canvas[0].sum() == 2 * 5 * 3 * 7 and (canvas[0, :2, :5] == 7).all()


def test_batches() -> None:
    images = [torch.zeros(3, 12, 18, dtype=torch.uint8)] * 5
    groups = batches_of(images, None, None)
    assert [len(x) for x in groups] == [1] * 5 + [4] * 2 + [1] * 5 + [4] * 2
    assert {tuple(x.shape) for x in groups[0] + groups[-1]} == {(3, 12, 18), (3, 10, 13)}
    assert [len(x) for x in batches_of(images, 3, None)] == [3, 3, 3, 3]
    (first, *_) = batches_of(images, 1, (16, 32))
    assert first[0].shape == (3, 16, 32)
