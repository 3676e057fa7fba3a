import numpy as np
import pytest
from PIL import Image, ImageDraw

from fcos_deploy.vision import labels
from fcos_deploy.vision.labels import place_plates, put_labels


@pytest.mark.parametrize(
    ("box", "corner"),
    [
        ((50, 40, 90, 80), (50, 20)),  # above: 40 - 20
        ((50, 10, 90, 80), (50, 10)),  # no room above, 70 px tall: inside
        ((50, 10, 90, 60), (50, 61)),  # no room above, 50 px would be hidden: below
        ((180, 40, 220, 80), (140, 20)),  # pushed to the left: 200 - 60
        ((-9, 40, 90, 80), (0, 20)),
    ],
)
def test_plate_corner(box: tuple, corner: tuple) -> None:
    assert labels._plate_corner(list(box), size=(60, 20), image_size=(100, 200)) == corner


def test_text_of_other_scripts_is_drawn_into_a_part_of_the_picture_as_into_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(labels, "PUT_TEXT_IS_ASCII", True)
    for origin in [(30, 40), (0, 12), (150, 40), (-20, 40), (30, 3), (300, 300)]:
        canvas = np.random.default_rng(0).integers(0, 256, (60, 200, 3), np.uint8)
        whole = Image.fromarray(canvas)
        ImageDraw.Draw(whole).text(origin, "Füße jÄ", (1, 2, 3), labels._font(0.6), anchor="ls")
        labels.put_text(canvas, "Füße jÄ", origin, 0.6, (1, 2, 3))
        assert np.array_equal(canvas, np.asarray(whole)), origin


def plates(boxes: list, sizes: list, image_size: tuple[int, int]) -> np.ndarray:
    """(M, 4) xyxy, half-open, of the plates for boxes (M, 4) and sizes (M, 2)."""
    boxes, sizes = np.array(boxes, int).reshape(-1, 4), np.array(sizes, int).reshape(-1, 2)
    places = place_plates(boxes, sizes, image_size)
    assert (places >= 0).all() and (places + sizes <= image_size[::-1]).all()
    return np.hstack([places, places + sizes])


def num_overlaps(rectangles: np.ndarray) -> int:
    """Pairs that share a pixel, by a loop."""
    count = 0
    for i, one in enumerate(rectangles):
        for other in rectangles[:i]:
            width = min(one[2], other[2]) - max(one[0], other[0])
            height = min(one[3], other[3]) - max(one[1], other[1])
            count += width > 0 and height > 0
    return count


def test_the_surest_keeps_its_place_and_the_others_make_room() -> None:
    box = (50, 40, 149, 80)
    found = plates([box, box, box], [(60, 20)] * 3, (200, 300))
    # Last first: above the box on the left; above it on the right would cover 10 px of that; inside
    # at the top; inside on the right is covered, so below the box.
    assert found[::-1, :2].tolist() == [[50, 20], [50, 40], [50, 81]]


def test_wide_boxes_have_room_on_the_right() -> None:
    box = (50, 40, 199, 80)
    found = plates([box, box], [(60, 20)] * 2, (200, 300))
    assert found[::-1, :2].tolist() == [[50, 20], [140, 20]]


@pytest.mark.parametrize("seed", range(5))
def test_labels_do_not_cover_each_other(seed: int) -> None:
    """Forty plates that fill a fifth of the image, half of them around the same object."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 500, (40, 2))
    corners[:20] = 200 + rng.integers(0, 20, (20, 2))
    boxes = np.hstack([corners, corners + rng.integers(10, 140, (40, 2))])
    sizes = np.column_stack([rng.integers(60, 140, 40), np.full(40, 20)])
    assert num_overlaps(plates(boxes, sizes, (640, 640))) == 0


def test_without_room_they_stay_at_their_boxes() -> None:
    found = plates([(0, 0, 30, 30)] * 3, [(40, 20)] * 3, (40, 40))
    assert num_overlaps(found) == 1  # two fit


def test_a_plate_that_is_wider_than_the_image() -> None:
    places = place_plates(np.array([(0, 5, 9, 9)] * 2), np.array([(400, 20)] * 2), (60, 100))
    assert places.tolist() == [[0, 30], [0, 10]]


def test_nothing_to_write() -> None:
    canvas = np.zeros((20, 30, 3), np.uint8)
    put_labels(canvas, [], np.zeros((0, 4), int), [])
    assert not canvas.any()


def test_a_line_leads_to_a_label_that_left_its_box() -> None:
    canvas = np.zeros((100, 200, 3), np.uint8)
    box, plate = np.array((10, 10, 20, 20)), (100, 60, 160, 80)
    labels._lead(canvas, box, plate, (0, 0, 255))
    assert canvas[20, 20, 2] and canvas[70, 130, 2] and not canvas[15, 15].any()
    canvas[:] = 0
    labels._lead(canvas, box, (21, 10, 80, 30), (0, 0, 255))  # they touch
    assert not canvas.any()
