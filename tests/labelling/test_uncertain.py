import numpy as np
import pytest

from fcos_d2.detections import ImageDetections
from fcos_d2.labelling.uncertain import doubts_of, mirror, spread

HALF = np.array([0.5, 0.5])


def found(*rows: tuple[float, float, float, float, float, int]) -> ImageDetections:
    """Rows are x1, y1, x2, y2, score and class."""
    array = np.array(rows, np.float32).reshape(-1, 6)
    classes = array[:, 5].astype(np.int64)
    names = np.array(["cat", "dog"])[classes]
    return ImageDetections(array[:, :4], array[:, 4], classes, names)


SURE = (0, 0, 10, 10, 1.0, 0)


def test_without_doubt() -> None:
    doubts, why = doubts_of(found(SURE), found(SURE), HALF)
    assert (doubts.margin, doubts.classes, doubts.views, doubts.total) == (0, 0, 0, 0)
    assert why == "few doubts"
    doubts, _ = doubts_of(found(), found(), HALF)
    assert doubts.total == 0


def test_scores_near_the_threshold() -> None:
    """At it 1, half way to 1 or to half the threshold 0.5, and below that a box is none."""
    image = found((0, 0, 5, 5, 0.5, 0), (20, 0, 25, 5, 0.75, 0), (40, 0, 45, 5, 0.2, 0))
    doubts, why = doubts_of(image, image, HALF)
    assert doubts.margin == pytest.approx(0.5 * 1 + 0.5 * (1 + 0.5) / 2)
    assert why == "2 near the threshold, such as cat 50%"


def test_thresholds_of_classes() -> None:
    image = found((0, 0, 5, 5, 0.9, 0), (20, 0, 25, 5, 0.9, 1))
    sure, _ = doubts_of(image, image, np.array([0.1, 0.1]))
    torn, why = doubts_of(image, image, np.array([0.1, 0.9]))
    assert sure.margin < 0.2 < 0.5 < torn.margin
    assert "dog 90%" in why


def test_two_classes_for_one_object() -> None:
    image = found((0, 0, 10, 10, 0.8, 0), (0, 0, 10, 9, 0.6, 1), (50, 0, 60, 10, 0.7, 1))
    doubts, why = doubts_of(image, image, HALF)
    assert doubts.classes == pytest.approx(0.75)
    assert "cat or dog" in why


def test_views_that_disagree() -> None:
    """One of two is found again, with an IoU of 0.8: 1 - 2 * 0.8 / 3."""
    here, there = found(SURE, (50, 0, 60, 10, 1.0, 1)), found((0, 0, 10, 8, 1.0, 0))
    doubts, why = doubts_of(here, there, HALF)
    assert doubts.views == pytest.approx(1 - 2 * 0.8 / 3, abs=1e-6)
    assert why == "2 found, 1 in the mirror image"
    # The same place, but another class.
    other, _ = doubts_of(found(SURE), found((0, 0, 10, 10, 1.0, 1)), HALF)
    assert other.views == 1


def test_mirror() -> None:
    assert mirror(found((2, 3, 10, 20, 1, 0)), 100).boxes.tolist() == [[90, 3, 98, 20]]


def test_near_duplicates_do_not_fill_the_list() -> None:
    """Five images of one scene with the most doubts, and two others that have some."""
    features = np.array([[0, 0], [0, 0.01], [0.01, 0], [0, 0], [0.01, 0.01], [5, 0], [0, 5.0]])
    totals = [0.9, 0.89, 0.88, 0.9, 0.87, 0.4, 0.5]
    order = spread(totals, features, 7)
    assert order[:3] == [0, 6, 5]
    assert sorted(order) == [*range(7)]
    assert spread(totals, features, 3) == order[:3]


def test_spread_follows_the_doubts_where_all_are_apart() -> None:
    features = np.eye(5)
    assert spread([0.1, 0.5, 0.3, 0.9, 0.0], features, 5) == [3, 1, 2, 0, 4]


@pytest.mark.parametrize("features", [np.zeros((3, 4)), np.ones((3, 1))])
def test_images_that_all_look_alike(features: np.ndarray) -> None:
    assert spread([0.1, 0.3, 0.2], features, 2) == [1, 2]


def test_one_image_and_more_wanted_than_there_are() -> None:
    assert spread([0.2], np.ones((1, 3)), 5) == [0]
