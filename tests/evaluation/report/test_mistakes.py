"""What a detector gets wrong at a threshold, on two images that can be checked by eye."""

import pytest

from fcos_d2.evaluation.matches import match
from fcos_d2.evaluation.report.mistakes import find_mistakes
from fcos_d2.evaluation.results import DetectionSet

CAT, DOG = 3, 5


def truth(*boxes):
    """Objects (image, class, box)."""
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 200, "height": 200} for i in (1, 2)],
        "categories": [{"id": CAT, "name": "cat"}, {"id": DOG, "name": "dog"}],
        "annotations": [
            {
                "id": n,
                "image_id": image,
                "category_id": label,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            for n, (image, label, box) in enumerate(boxes, start=1)
        ],
    }


def mistakes(objects, detections, threshold=0.5):
    rows = [
        {"image_id": i, "category_id": k, "bbox": box, "score": s} for i, k, box, s in detections
    ]
    data = DetectionSet(truth=truth(*objects), detections=rows)
    return find_mistakes(data, match(data), threshold)


A, B, FAR = [0, 0, 40, 40], [60, 60, 80, 80], [150, 0, 20, 20]


def test_a_perfect_detector_makes_none():
    found = mistakes([(1, CAT, A), (2, DOG, B)], [(1, CAT, A, 0.9), (2, DOG, B, 0.8)])
    assert not found.false and not found.missed and not found.confused


def test_each_mistake_is_of_one_kind():
    objects = [(1, CAT, A), (1, DOG, B), (2, CAT, B)]
    detections = [(1, DOG, A, 0.9), (1, DOG, FAR, 0.8), (2, CAT, B, 0.7)]
    found = mistakes(objects, detections)
    assert [m.title for m in found.confused] == ["dog 0.90 is a cat"]
    assert [(m.title, m.note) for m in found.false] == [("dog 0.80", "nothing is labelled there")]
    assert [(m.title, m.note, m.label) for m in found.missed] == [
        ("dog, 80 x 80 px", "no box of its class lies on it", "dog")
    ]
    assert found.missed[0].labelled == (60, 60, 140, 140) and found.missed[0].found is None


def test_what_the_threshold_has_cost_is_said():
    found = mistakes([(1, CAT, A)], [(1, CAT, A, 0.3)])
    assert [m.note for m in found.missed] == ["found with a score of 0.30"]
    assert not found.false


@pytest.mark.parametrize(
    ("box", "note"),
    [
        (A, "a second box on an object that is found, cat"),
        ([20, 0, 40, 40], "IoU 0.33 with the nearest label, cat"),  # 800 of 2400 px
        ([39, 39, 40, 40], "nothing is labelled there"),
    ],
)
def test_a_false_detection_says_what_lies_under_it(box, note):
    found = mistakes([(1, CAT, A)], [(1, CAT, A, 0.9), (1, CAT, box, 0.8)])
    assert [m.note for m in found.false] == [note]


def test_the_worst_come_first():
    objects = [(1, CAT, A), (2, CAT, B)]
    detections = [(1, DOG, FAR, 0.6), (2, DOG, FAR, 0.8)]
    found = mistakes(objects, detections)
    assert [m.title for m in found.false] == ["dog 0.80", "dog 0.60"]
    assert [m.image for m in found.missed] == [1, 0]  # the larger one
