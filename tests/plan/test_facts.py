"""Facts of training sets small enough to measure by hand."""

import numpy as np
import pytest

from fcos_d2.plan import facts_of

IMAGES = [
    {"id": 7, "file_name": "a.png", "height": 100, "width": 200},
    {"id": 3, "file_name": "b.png", "height": 400, "width": 200},
    {"id": 5, "file_name": "c.png", "height": 100, "width": 100},
]


def annotation(image_id, box, category_id=1, iscrowd=0):
    return {"image_id": image_id, "bbox": box, "category_id": category_id, "iscrowd": iscrowd}


def coco(annotations):
    names = [{"id": 1, "name": "left shoe"}, {"id": 4, "name": "hat"}]
    return {"images": IMAGES, "annotations": annotations, "categories": names}


def test_by_hand():
    facts = facts_of(
        coco(
            [
                annotation(7, [10, 20, 40, 10]),  # of a short side of 100: 0.4 x 0.1, root 0.2
                annotation(7, [0, 0, 1, 1], 4),  # 0.01
                annotation(7, [0, 0, 100, 100], iscrowd=1),  # does not count
                annotation(3, [0, 0, 200, 400], 4),  # of 200: 1 x 2, root 1.414
                annotation(3, [0, 0, 50, 50], 4),  # 0.25
            ]
        )
    )
    assert (facts.num_images, facts.num_boxes, facts.native) == (3, 4, 100)
    assert facts.class_names == ("left shoe", "hat")
    np.testing.assert_allclose(facts.sides, [0.2, 0.01, 2**0.5, 0.25])
    np.testing.assert_allclose(facts.boxes[0], [0.1, 0.2, 0.5, 0.3])
    assert facts.side(0.5) == pytest.approx(0.225)  # between 0.2 and 0.25
    np.testing.assert_array_equal(facts.per_image, [2, 2, 0])
    assert (facts.most_objects, facts.most_of_a_class, facts.crowded_share) == (2, 2, 0)
    # 2, 2 and 1; a twentieth from the ends: 1.1 and 2.
    np.testing.assert_allclose(facts.aspects, [2, 2, 1])
    assert facts.aspect == 2 and facts.aspect_spread == pytest.approx(2 / 1.1)
    assert facts.with_a_side == ["left shoe"] and facts.with_a_colour == []


def test_crowded_images_are_counted():
    facts = facts_of(coco([annotation(5, [0, 0, 5, 5])] * 31 + [annotation(7, [0, 0, 5, 5])] * 30))
    assert facts.crowded_share == pytest.approx(1 / 3) and facts.most_objects == 31


@pytest.mark.parametrize(
    ("annotations", "what"),
    [([], "box of any class"), ([annotation(7, [0, 0, 9, 9], iscrowd=1)], "box of any class")],
)
def test_nothing_to_learn(annotations, what):
    with pytest.raises(ValueError, match=f"no {what} in the training data"):
        facts_of(coco(annotations))
