"""The graph against the detector that it is made of, before any format."""

import pytest
import torch
from random_detector import pictures, tiny_detector
from torch import nn

from fcos_d2.export import towers
from fcos_d2.export.detector import ExportableDetector, normalized
from fcos_d2.export.suppression import kept_by_suppression, suppression_operator
from fcos_d2.export.verify import FULL_PRECISION, canvas_of, compare
from fcos_d2.modeling.selection import Detections, suppress
from fcos_d2.modeling.winograd import WinogradConv2d

SIZES = [(64, 96), (40, 50), (17, 90), (64, 64)]


def run_of(detector: ExportableDetector):
    @torch.no_grad()
    def run(images, image_sizes):
        outputs = detector(torch.from_numpy(images), torch.from_numpy(image_sizes))
        return [x.numpy() for x in outputs]

    return run


OPTIONS = {
    "default": {},
    "no suppression": {"nms_thresh": 0.0},
    "other overlap": {"nms_thresh": 0.2},
    "threshold with quality": {"thresh_with_quality": True, "score_thresh": 0.2},
    "clipped first": {"clip_before_nms": True},
    "corners": {"location_rule": "corner"},
    "few candidates": {"topk_candidates": 7},
    "few detections": {"max_detections": 5},
    "class probability alone": {"quality": "none"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_finds_what_the_detector_finds(options) -> None:
    model = tiny_detector(**options)
    images = pictures(*SIZES)
    worst = compare(
        model, run_of(ExportableDetector(model)), [images, images[:1]], None, FULL_PRECISION
    )

    assert worst.detections >= 10 and worst.within(FULL_PRECISION)


def test_values_can_be_given_with_each_call() -> None:
    inputs = [torch.from_numpy(x) for x in canvas_of(pictures(*SIZES), 16, None)]
    detector = ExportableDetector(tiny_detector())
    mean, std = torch.tensor([90.0, 80.0, 70.0]), torch.tensor([60.0, 70.0, 80.0])
    found = detector(*inputs, mean, std, torch.tensor(0.3), torch.tensor(0.4))

    other = tiny_detector(score_thresh=0.3, nms_thresh=0.4)
    other.pixel_mean.copy_(mean.view(3, 1, 1))
    other.pixel_std.copy_(std.view(3, 1, 1))
    for one, wanted in zip(found, ExportableDetector(other)(*inputs), strict=True):
        torch.testing.assert_close(one, wanted)
    assert not torch.equal(found[1], detector(*inputs)[1])


def test_normalized_by_hand() -> None:
    # One image of 1 x 2 px in a canvas of 2 x 2.
    canvas = torch.tensor([[[[10, 20, 30], [40, 50, 60]], [[7, 7, 7], [7, 7, 7]]]])
    mean, std = torch.tensor([10.0, 10.0, 10.0]), torch.tensor([1.0, 2.0, 5.0])
    found = normalized(canvas.byte(), torch.tensor([[1, 2]]), mean, std)

    assert found.tolist() == [[[[0, 30], [0, 0]], [[5, 20], [0, 0]], [[4, 10], [0, 0]]]]


@torch.no_grad()
def test_raw_heads_hold_every_location() -> None:
    model = tiny_detector()
    inputs = [torch.from_numpy(x) for x in canvas_of(pictures((64, 96)), 16, None)]
    boxes, scores = ExportableDetector(model, raw_heads=True)(*inputs)
    num = 8 * 12 + 4 * 6
    assert boxes.shape == (1, num, 4) and scores.shape == (1, num, 3)

    found_boxes, found_scores, found_classes = ExportableDetector(model)(*inputs)
    best = scores.flatten().argmax()
    assert scores.flatten()[best] == found_scores[0, 0] and best % 3 == found_classes[0, 0]
    limits = torch.tensor([96.0, 64.0, 96.0, 64.0])
    clipped = torch.minimum(boxes[0, best // 3].clamp(min=0), limits)
    torch.testing.assert_close(clipped, found_boxes[0, 0])


@pytest.mark.parametrize("operator", [kept_by_suppression, suppression_operator])
def test_suppression_is_that_of_each_image(operator) -> None:
    generator = torch.Generator().manual_seed(2)
    corners = torch.rand(3, 60, 2, generator=generator) * 50 - 10
    boxes = torch.cat((corners, corners + 5 + 20 * torch.rand(3, 60, 2, generator=generator)), -1)
    scores = torch.rand(3, 60, generator=generator)
    scores[1, 30:] = 0  # no candidates
    classes = torch.randint(4, (3, 60), generator=generator)
    kept = operator(boxes, scores, classes, torch.tensor(0.3), 4)

    for image in range(3):
        real = (scores[image] > 0).nonzero()[:, 0]
        fields = (x[image, real] for x in (boxes, scores, classes))
        wanted = suppress(Detections(*fields, real), 0.3, 0).location_idxs
        assert kept[image].nonzero()[:, 0].tolist() == sorted(wanted.tolist())
    assert 0 < kept.sum() < 150


def test_nothing_to_suppress() -> None:
    boxes, classes = torch.rand(2, 5, 4), torch.zeros(2, 5, dtype=torch.int64)
    assert not kept_by_suppression(boxes, torch.zeros(2, 5), classes, 0.5, 3).any()


def test_endless_detections_are_refused() -> None:
    model = tiny_detector(max_detections=0)
    with pytest.raises(ValueError, match="POST_NMS_TOPK_TEST must be at least 1"):
        ExportableDetector(model)


def test_suppression_of_few_boxes_can_be_exported() -> None:
    """torch.export takes it that torchvision's keeps two boxes or more."""

    class Suppression(torch.nn.Module):
        def forward(self, boxes, scores, classes):
            return kept_by_suppression(boxes, scores, classes, 0.5, num_classes=2)

    boxes = torch.tensor([[[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.1], [9.0, 9.0, 12.0, 12.0]]])
    classes = torch.zeros(1, 3, dtype=torch.int64)
    example = boxes, torch.rand(1, 3), classes
    run = torch.export.export(Suppression(), example, strict=False).module()
    for scores, kept in [
        ([0, 0, 0], [0, 0, 0]),
        ([0, 0.5, 0], [0, 1, 0]),
        ([0.3, 0.5, 0.1], [0, 1, 1]),
    ]:
        assert run(boxes, torch.tensor([scores]).float(), classes).tolist() == [
            [bool(x) for x in kept]
        ]


def test_towers_by_winograd(monkeypatch) -> None:
    monkeypatch.setattr(towers, "MIN_CHANNELS", 32)
    images = pictures(*SIZES)
    model = tiny_detector()
    detector = ExportableDetector(model, num_winograd=1)
    for tower in (detector.head.cls_tower, detector.head.bbox_tower):
        kinds = [
            [type(layer) for layer in level if isinstance(layer, nn.Module)] for level in tower
        ]
        assert WinogradConv2d in kinds[0] and WinogradConv2d not in kinds[1]
    worst = compare(model, run_of(detector), [images, images[:1]], None, FULL_PRECISION)
    assert worst.detections >= 10 and worst.within(FULL_PRECISION)
    monkeypatch.setattr(towers, "MIN_CHANNELS", 33)
    with pytest.raises(ValueError, match="33 or more channels .* none: use the model without"):
        ExportableDetector(model, num_winograd=1)
