import pytest
import torch
from bright_spots import detections
from detectron2.data import transforms as T

from fcos_d2.data.augmentation import ResizeShortestEdge, TorchResizeShortestEdge
from fcos_d2.evaluation.tta import FlipsAndScales, vote


@pytest.mark.parametrize("kind", [ResizeShortestEdge, TorchResizeShortestEdge])
def test_sizes_are_those_of_the_plain_evaluation_scaled(kind):
    plain = kind(200, 400, "choice")
    variants = FlipsAndScales().variants([plain])
    sizes = [(type(v), v.short_edge_length, v.max_size) for (v,) in variants]
    assert sizes == [(kind, [160], 320), (kind, [200], 400), (kind, [250], 500)]
    variants = FlipsAndScales((100, 300), max_size=700).variants([plain])
    assert [(v.short_edge_length, v.max_size) for (v,) in variants] == [([100], 700), ([300], 700)]


def test_other_augmentations_stay():
    first, resize, last = T.NoOpTransform(), ResizeShortestEdge(200, 400), T.NoOpTransform()
    variants = FlipsAndScales((100,)).variants([first, resize, last])
    assert variants[0][0] is first and variants[0][2] is last
    assert variants[0][1].short_edge_length == [100]
    assert resize.short_edge_length == (200, 200)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"must be positive, got \[0, 300\]"):
        FlipsAndScales((0, 300))
    with pytest.raises(ValueError, match="must be one; there are 0"):
        FlipsAndScales().variants([])
    with pytest.raises(ValueError, match="does not resize: name the sizes"):
        FlipsAndScales().variants([ResizeShortestEdge(0, 400, "choice")])


def test_vote_by_hand():
    """Two of three views see the first object, one sees the second.

    IoU of [0, 0, 10, 10] and [0, 0, 10, 8]: 0.8. Box: lower edge (0.9 * 10 + 0.3 * 8) / 1.2 = 9.5.
    Score: (0.9 + 0.3 + 0) / 3 = 0.4. The second, of another class: 0.6 / 3 = 0.2.
    """
    merged = vote(
        [
            detections([0, 0, 10, 10, 0.9, 0]),
            detections([0, 0, 10, 8, 0.3, 0], [0, 0, 10, 10, 0.6, 1]),
            detections(),
        ],
        0.6,
    )
    torch.testing.assert_close(merged.boxes, torch.tensor([[0, 0, 10, 9.5], [0, 0, 10, 10]]))
    torch.testing.assert_close(merged.scores, torch.tensor([0.4, 0.2]))
    assert merged.classes.tolist() == [0, 1]


def test_two_boxes_of_one_view_count_once():
    """[0, 0, 10, 7] and [0, 3, 10, 10] (IoU 0.4) both overlap [0, 0, 10, 10] by 0.7.

    Box: (0.8 * [0, 10] + 0.4 * [0, 7] + 0.4 * [3, 10]) / 1.6 = [0.75, 9.25]; score (0.8 + 0.4) / 2.
    """
    merged = vote(
        [
            detections([0, 0, 10, 10, 0.8, 0]),
            detections([0, 0, 10, 7, 0.4, 0], [0, 3, 10, 10, 0.4, 0]),
        ],
        0.6,
    )
    torch.testing.assert_close(merged.boxes, torch.tensor([[0, 0.75, 10, 9.25]]))
    torch.testing.assert_close(merged.scores, torch.tensor([0.6]))


def test_views_that_agree_change_nothing():
    once = detections([0, 0, 10, 10, 0.9, 0], [20, 0, 30, 10, 0.7, 1], [0, 0, 10, 9, 0.5, 1])
    merged = vote([once, once, once], 0.6)
    for field in ("boxes", "scores", "classes"):
        torch.testing.assert_close(getattr(merged, field), getattr(once, field))


def test_edges():
    once = detections([0, 0, 10, 10, 0.9, 0])
    assert vote([once], 0.6) is once
    assert len(vote([detections(), detections()], 0.6).boxes) == 0
    assert len(vote([once, once], 0).boxes) == 2  # suppression is switched off
