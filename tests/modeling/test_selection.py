"""From head outputs of one image to its boxes."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from fcos_d2.modeling import selection
from fcos_d2.modeling.geometry import LocationGrid, level_locations
from fcos_d2.modeling.selection import (
    Detections,
    Selection,
    best_candidates,
    best_of_groups,
    suppress,
)

DEFAULTS = {
    "score_thresh": 0.05,
    "thresh_with_quality": False,
    "topk_candidates": 1000,
    "nms_thresh": 0.6,
    "max_detections": 100,
}


def select_detections(*levels, image_size=(10**4, 10**4), as_proposals=False, **options):
    chosen = Selection(**options)
    return selection.select_detections(*levels, chosen, image_size, as_proposals)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def select(locations, cls_logits, ltrb, quality_logits, **changes) -> Detections:
    """All arguments as lists of levels of nested lists."""
    levels = [[torch.tensor(x) for x in field] for field in (cls_logits, ltrb, quality_logits)]
    locations = [torch.tensor(x).reshape(-1, 2) for x in locations]
    return select_detections(locations, *levels, **{**DEFAULTS, **changes})


def certain(*probabilities: float) -> list[float]:
    """Logits of these probabilities; 0 and 1 as -100 and 100."""
    return [-100.0 if p == 0 else 100.0 if p == 1 else logit(p) for p in probabilities]


# --- worked out on paper ----------------------------------------------------------------------


def test_one_location_with_two_classes():
    # Location (20, 30), distances 4, 6, 8, 10: box (16, 24)-(28, 40). Classes 0.64 and 0.01 and
    # 0.25, of which the second is below 0.05; quality 0.25: scores sqrt(0.64 * 0.25) = 0.4 and
    # sqrt(0.25 * 0.25) = 0.25. The two boxes are the same, but of different classes: both stay.
    actual = select(
        locations=[[[20.0, 30.0]]],
        cls_logits=[[certain(0.25, 0.01, 0.64)]],
        ltrb=[[[4.0, 6.0, 8.0, 10.0]]],
        quality_logits=[certain(0.25)],
    )
    assert actual.boxes.tolist() == [[16, 24, 28, 40]] * 2
    assert actual.scores.tolist() == pytest.approx([0.4, 0.25], rel=1e-6)
    assert actual.classes.tolist() == [2, 0]
    assert actual.location_idxs.tolist() == [0, 0]


def test_scores_without_quality_logits():
    # As above: the class probabilities themselves.
    actual = select(
        locations=[[[20.0, 30.0]]],
        cls_logits=[[certain(0.25, 0.01, 0.64)]],
        ltrb=[[[4.0, 6.0, 8.0, 10.0]]],
        quality_logits=[],
    )
    assert actual.scores.tolist() == pytest.approx([0.64, 0.25], rel=1e-6)
    assert actual.classes.tolist() == [2, 0]
    with pytest.raises(ValueError, match="thresh_with_quality needs quality logits"):
        select([[[4.0, 4.0]]], [[[0.0]]], [[[1.0] * 4]], [], thresh_with_quality=True)


def test_clipping_comes_before_suppression_if_asked_for():
    # From (0, 0): boxes (-60, 0)-(20, 20) and (0, 0)-(20, 20), IoU 400 / 1600 = 0.25, so both stay.
    # In an image of 30 px both are (0, 0)-(20, 20), and the weaker goes.
    arguments = {
        "locations": [[[0.0, 0.0], [0.0, 0.0]]],
        "cls_logits": [[certain(0.9), certain(0.8)]],
        "ltrb": [[[60.0, 0.0, 20.0, 20.0], [0.0, 0.0, 20.0, 20.0]]],
        "quality_logits": [certain(0.5, 0.5)],
    }
    assert select(**arguments).boxes.tolist() == [[-60, 0, 20, 20], [0, 0, 20, 20]]
    assert select(**arguments, image_size=(30, 30), clip_before_nms=True).boxes.tolist() == [
        [0, 0, 20, 20]
    ]


def test_the_threshold_is_on_the_class_unless_told_otherwise():
    # Class 0.1, quality 0.2: the product 0.02 is below 0.05, the class probability is not.
    arguments = ([[[20.0, 30.0]]], [[certain(0.1)]], [[[4.0, 6.0, 8.0, 10.0]]], [certain(0.2)])
    assert select(*arguments).scores.tolist() == pytest.approx([math.sqrt(0.02)])
    assert len(select(*arguments, thresh_with_quality=True).scores) == 0
    assert len(select(*arguments, thresh_with_quality=True, score_thresh=0.019).scores) == 1


def three_overlapping_boxes(classes: list[int]) -> Detections:
    # Boxes 10 high and 10 wide, each 2 further right: IoU of neighbours 8*10 / 120 = 0.667, of the
    # outer two 6*10 / 140 = 0.429.
    boxes = torch.tensor([[0.0, 0, 10, 10], [2.0, 0, 12, 10], [4.0, 0, 14, 10]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    return Detections(boxes, scores, torch.tensor(classes), torch.arange(3))


@pytest.mark.parametrize(
    ("classes", "nms_thresh", "kept"),
    [
        ([1, 1, 1], 0.6, [0, 2]),
        ([1, 1, 1], 0.7, [0, 1, 2]),
        ([1, 1, 1], 0.4, [0]),
        ([1, 2, 1], 0.6, [0, 1, 2]),
        ([1, 2, 2], 0.6, [0, 1]),
        ([1, 1, 1], 0.0, [0, 1, 2]),
        ([1, 1, 1], -1.0, [0, 1, 2]),
    ],
)
def test_suppression(classes, nms_thresh, kept):
    actual = suppress(three_overlapping_boxes(classes), nms_thresh, max_detections=100)
    assert actual.location_idxs.tolist() == kept


@pytest.mark.parametrize(("max_detections", "num"), [(1, 1), (2, 2), (5, 3), (0, 3), (-1, 3)])
@pytest.mark.parametrize("nms_thresh", [0.7, 0])
def test_cap(max_detections, num, nms_thresh):
    actual = suppress(three_overlapping_boxes([1, 1, 1]), nms_thresh, max_detections)
    assert actual.scores.tolist() == pytest.approx([0.9, 0.8, 0.7][:num])


# --- edges ------------------------------------------------------------------------------------


def one_level(num_locations: int, num_classes: int, dtype=torch.float32) -> tuple[Tensor, ...]:
    """Locations, class logits, distances (px) and quality logits of one level, at random."""
    locations = torch.rand(num_locations, 2, dtype=dtype) * 300
    cls_logits = torch.randn(num_locations, num_classes, dtype=dtype) * 2 - 2
    ltrb = torch.rand(num_locations, 4, dtype=dtype) * 60
    return locations, cls_logits, ltrb, torch.randn(num_locations, dtype=dtype)


@pytest.mark.parametrize("topk", [1, 5, 7, 8, 20])
def test_exactly_k_candidates_are_kept_when_scores_tie(topk):
    # 4 locations with 2 classes: 8 equal scores.
    locations, _, ltrb, _ = one_level(4, 2)
    candidates = best_candidates(
        [locations], [torch.zeros(4, 2)], [ltrb], [torch.zeros(4)], Selection(topk_candidates=topk)
    )
    assert len(candidates.scores) == min(topk, 8)
    pairs = set(zip(candidates.location_idxs.tolist(), candidates.classes.tolist(), strict=True))
    assert len(pairs) == min(topk, 8)


def test_best_of_groups_on_paper():
    # Group 0 holds 5, 7, 6 (at 1, 3, 4), group 2 holds 9, 1 (at 0, 2); group 1 is empty.
    groups, values = torch.tensor([2, 0, 2, 0, 0]), torch.tensor([9.0, 5, 1, 7, 6])
    order, best = best_of_groups(values, groups, 3, topk=2)
    assert (order.tolist(), best.tolist()) == ([3, 4, 0, 2], [7, 6, 9, 1])


def test_exactly_as_many_detections_are_kept_when_scores_tie():
    boxes = torch.arange(10.0)[:, None] * 20 + torch.tensor([0.0, 0, 10, 10])
    zeros = torch.zeros(10, dtype=torch.int64)
    tied = Detections(boxes, torch.full((10,), 0.5), zeros, torch.arange(10))
    for nms_thresh in (0.6, 0):
        assert len(suppress(tied, nms_thresh, max_detections=4).scores) == 4


def test_a_probability_on_the_threshold_is_no_candidate():
    # sigmoid(0) = 0.5 exactly.
    arguments = ([[[20.0, 30.0]]], [[[0.0]]], [[[4.0, 6.0, 8.0, 10.0]]], [[0.0]])
    assert len(select(*arguments, score_thresh=0.5).scores) == 0
    assert len(select(*arguments, score_thresh=0.4999).scores) == 1
    # The product is 0.25.
    with_quality = {"thresh_with_quality": True}
    assert len(select(*arguments, score_thresh=0.25, **with_quality).scores) == 0
    assert len(select(*arguments, score_thresh=0.2499, **with_quality).scores) == 1


def test_thresholds_zero_and_one():
    locations, cls_logits, ltrb, quality_logits = one_level(20, 3)
    levels = [[x] for x in (locations, cls_logits, ltrb, quality_logits)]
    off = {"nms_thresh": 0, "max_detections": 0}
    assert len(select_detections(*levels, **{**DEFAULTS, **off, "score_thresh": 0}).scores) == 60
    none = select_detections(*levels, **{**DEFAULTS, **off, "score_thresh": 1})
    assert [tuple(field.shape) for field in none] == [(0, 4), (0,), (0,), (0,)]


def test_no_candidates_on_some_or_all_levels():
    locations, cls_logits, ltrb, quality_logits = one_level(20, 3)
    nothing = torch.full_like(cls_logits, -50)
    expected = select_detections([locations], [cls_logits], [ltrb], [quality_logits], **DEFAULTS)
    actual = select_detections(
        [locations] * 3,
        [nothing, cls_logits, nothing],
        [ltrb] * 3,
        [quality_logits] * 3,
        **DEFAULTS,
    )
    assert actual.boxes.tolist() == expected.boxes.tolist()
    assert actual.location_idxs.tolist() == (expected.location_idxs + 20).tolist()
    empty = select_detections([locations], [nothing], [ltrb], [quality_logits], **DEFAULTS)
    assert [tuple(field.shape) for field in empty] == [(0, 4), (0,), (0,), (0,)]
    assert (empty.classes.dtype, empty.location_idxs.dtype) == (torch.int64, torch.int64)


def test_a_level_without_locations():
    locations, cls_logits, ltrb, quality_logits = one_level(20, 3)
    expected = select_detections([locations], [cls_logits], [ltrb], [quality_logits], **DEFAULTS)
    actual = select_detections(
        [locations[:0], locations],
        [cls_logits[:0], cls_logits],
        [ltrb[:0], ltrb],
        [quality_logits[:0], quality_logits],
        **DEFAULTS,
    )
    assert actual.boxes.tolist() == expected.boxes.tolist()


def test_boxes_are_not_clipped_and_may_have_no_area():
    actual = select(
        locations=[[[4.0, 4.0], [40.0, 40.0]]],
        cls_logits=[[certain(0.9), certain(0.8)]],
        ltrb=[[[1000.0, 50.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]]],
        quality_logits=[certain(0.5, 0.5)],
    )
    assert actual.boxes.tolist() == [[-996, -46, 7, 6], [40, 40, 40, 40]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_keep_the_dtype_of_the_inputs(dtype):
    levels = [[x] for x in one_level(20, 3, dtype)]
    actual = select_detections(*levels, **DEFAULTS)
    assert (actual.boxes.dtype, actual.scores.dtype) == (dtype, dtype)


def test_many_classes_stay_apart_in_float32():
    # The shift that keeps 80 classes apart is 80 times the image: too coarse for float32.
    boxes = torch.tensor([[100.0, 100.0, 110.0, 110.0], [100.0, 100.0, 110.0, 105.99]])
    boxes = boxes.repeat(80, 1) + 5000
    classes = torch.arange(80).repeat_interleave(2)
    scores = torch.linspace(0.9, 0.5, 160)
    # IoU 0.599: just below the threshold, so that nothing goes.
    kept = suppress(Detections(boxes, scores, classes, torch.arange(160)), 0.6, 0)
    assert kept.location_idxs.tolist() == list(range(160))


# --- properties -------------------------------------------------------------------------------


def random_levels(seed: int) -> list[list[Tensor]]:
    """Locations, class logits, distances and quality logits of three levels, float64."""
    torch.manual_seed(seed)
    levels = [one_level(num, 4, torch.float64) for num in (40, 20, 6)]
    return [list(field) for field in zip(*levels, strict=True)]


def test_order_of_locations_does_not_matter():
    levels = random_levels(1)
    expected = select_detections(*levels, **DEFAULTS)
    orders = [torch.randperm(len(x)) for x in levels[0]]
    shuffled = [[x[order] for x, order in zip(field, orders, strict=True)] for field in levels]
    actual = select_detections(*shuffled, **DEFAULTS)
    for name in ("boxes", "scores", "classes"):
        torch.testing.assert_close(getattr(actual, name), getattr(expected, name))


def test_detections_are_sorted_and_name_their_location():
    levels = random_levels(2)
    for nms_thresh in (0.6, 0):
        actual = select_detections(*levels, **{**DEFAULTS, "nms_thresh": nms_thresh})
        assert (actual.scores.diff() <= 0).all()
        locations, ltrb = torch.cat(levels[0]), torch.cat(levels[2])
        upper_left = locations[actual.location_idxs] - ltrb[actual.location_idxs, :2]
        torch.testing.assert_close(actual.boxes[:, :2], upper_left)
        quality = torch.cat(levels[3])[actual.location_idxs].sigmoid()
        class_scores = torch.cat(levels[1])[actual.location_idxs, actual.classes].sigmoid()
        torch.testing.assert_close(actual.scores, (class_scores * quality).sqrt())


def test_a_worse_class_never_suppresses_a_better_one():
    levels = random_levels(3)
    everything = select_detections(*levels, **{**DEFAULTS, "max_detections": 0})
    for class_idx in range(4):
        alone = list(levels)
        alone[1] = [torch.full_like(x, -50) for x in levels[1]]
        for x, original in zip(alone[1], levels[1], strict=True):
            x[:, class_idx] = original[:, class_idx]
        expected = select_detections(*alone, **{**DEFAULTS, "max_detections": 0})
        same_class = everything.classes == class_idx
        torch.testing.assert_close(everything.boxes[same_class], expected.boxes)


# --- the slow, obvious way --------------------------------------------------------------------


def box_iou(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(width, 0) * max(height, 0)
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b)]
    return intersection / (sum(areas) - intersection)


def select_slowly(
    levels: list[list[Tensor]],
    score_thresh: float,
    thresh_with_quality: bool,
    topk_candidates: int,
    nms_thresh: float,
    max_detections: int,
) -> list[tuple]:
    """(score, box, class, location index), one candidate after the other."""
    candidates, first_idx = [], 0
    for level in zip(*levels, strict=True):
        on_level = []
        rows = zip(*(x.tolist() for x in level), strict=True)
        for i, ((x, y), logits, (left, top, right, bottom), quality_logit) in enumerate(rows):
            quality = 1 / (1 + math.exp(-quality_logit))
            for class_idx, class_logit in enumerate(logits):
                probability = 1 / (1 + math.exp(-class_logit))
                product = probability * quality
                if (product if thresh_with_quality else probability) > score_thresh:
                    box = [x - left, y - top, x + right, y + bottom]
                    on_level.append((math.sqrt(product), box, class_idx, first_idx + i))
        candidates += sorted(on_level, key=lambda x: -x[0])[:topk_candidates]
        first_idx += len(level[0])
    kept = []
    for candidate in sorted(candidates, key=lambda x: -x[0]):
        rivals = [x for x in kept if x[2] == candidate[2]]
        if nms_thresh <= 0 or all(box_iou(x[1], candidate[1]) <= nms_thresh for x in rivals):
            kept.append(candidate)
    return kept[:max_detections] if max_detections > 0 else kept


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"thresh_with_quality": True},
        {"score_thresh": 0.3},
        {"topk_candidates": 9},
        {"nms_thresh": 0.2},
        {"nms_thresh": 0.0},
        {"max_detections": 7},
        {"max_detections": 0, "topk_candidates": 30, "thresh_with_quality": True},
    ],
)
def test_against_the_slow_way(changes):
    for seed in range(3):
        levels = random_levels(seed)
        arguments = {**DEFAULTS, **changes}
        expected = select_slowly(levels, **arguments)
        actual = select_detections(*levels, **arguments)
        assert len(expected) >= 7
        assert actual.location_idxs.tolist() == [x[3] for x in expected]
        assert actual.classes.tolist() == [x[2] for x in expected]
        assert actual.scores.tolist() == pytest.approx([x[0] for x in expected])
        torch.testing.assert_close(
            actual.boxes, torch.tensor([x[1] for x in expected], dtype=torch.float64)
        )


def test_many_candidates_against_the_slow_way():
    # torchvision takes another route from 1000 boxes on.
    grid = LocationGrid.of_level(20, 20, 8)
    locations = level_locations(grid, like=torch.zeros((), dtype=torch.float64))
    cls_logits = torch.randn(400, 4, dtype=torch.float64)
    ltrb = torch.rand(400, 4, dtype=torch.float64) * 20
    levels = [[locations], [cls_logits], [ltrb], [torch.randn(400, dtype=torch.float64)]]
    arguments = {**DEFAULTS, "topk_candidates": 2000, "max_detections": 0}
    expected = select_slowly(levels, **arguments)
    actual = select_detections(*levels, **arguments)
    assert actual.location_idxs.tolist() == [x[3] for x in expected]
    assert actual.classes.tolist() == [x[2] for x in expected]


def test_boxes_far_left_of_the_image_do_not_suppress_another_class():
    # Disjoint boxes of two classes; with coordinates below 0 a shift by class could let them meet.
    boxes = torch.tensor([[200.0, 200, 800, 800], [-600.0, -600, 100, 100]])
    detections = Detections(boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]), torch.arange(2))
    assert len(suppress(detections, 0.6, 100).scores) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_thresh": 1.5}, r"score_thresh must be in \[0, 1\], got 1.5"),
        ({"score_thresh": -0.1}, r"score_thresh must be in \[0, 1\], got -0.1"),
        ({"topk_candidates": 0}, "topk_candidates must be at least 1, got 0"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Selection(**options)


def test_a_selection_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Selection().score_thresh = 0.5
