import itertools
from collections import Counter

import cv2
import numpy as np
import pytest

from fcos_deploy.vision import draw, labels
from fcos_deploy.vision.draw import class_color, contact_sheet, draw_detections

NAMES = ["circle", "ring"]


def blank(height: int, width: int, value: int = 0) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def detections(*boxes: tuple, class_ids: list | None = None) -> dict:
    ids = [0] * len(boxes) if class_ids is None else class_ids
    return {"boxes": np.array(boxes, float).reshape(-1, 4), "class_ids": np.array(ids, int)}


def test_box_covers_its_outermost_pixels() -> None:
    # Half-open in continuous pixels: x from 20 to 80 is pixels 20..79, y is 60..99.
    image = draw_detections(
        blank(120, 120), **detections((20, 60, 80, 100)), scores=None, class_names=NAMES
    )
    ys, xs = np.nonzero((image == class_color(0)).all(axis=2)[60:])

    assert (xs.min(), xs.max(), ys.max() + 60) == (20, 79, 99)
    assert (image[80, 50] == 0).all()


def test_input_is_not_changed_and_nothing_to_draw_is_fine() -> None:
    image = blank(50, 60, 7)
    drawn = draw_detections(
        image, **detections((5, 5, 30, 30)), scores=np.array([0.5]), class_names=NAMES
    )

    assert (image == 7).all() and (drawn != 7).any()
    nothing = draw_detections(image, **detections(), scores=np.zeros(0), class_names=NAMES)
    assert np.array_equal(nothing, image) and nothing is not image


def test_surer_boxes_are_drawn_last() -> None:
    both = detections((20, 60, 80, 100), (20, 60, 80, 100), class_ids=[0, 1])
    for scores, winner in [([0.9, 0.3], 0), ([0.3, 0.9], 1)]:
        image = draw_detections(blank(120, 120), **both, scores=np.array(scores), class_names=NAMES)
        assert tuple(image[99, 50]) == class_color(winner)


def test_without_scores_small_boxes_are_drawn_last() -> None:
    both = detections((20, 70, 80, 100), (20, 60, 80, 100), class_ids=[0, 1])
    image = draw_detections(blank(120, 120), **both, scores=None, class_names=NAMES)

    assert tuple(image[99, 50]) == class_color(0)


@pytest.mark.parametrize(("height", "width"), [(200, 200), (720, 1280), (4000, 3000)])
@pytest.mark.parametrize("position", list(itertools.product((-0.05, 0.4, 0.95), repeat=2)))
def test_labels_stay_inside(height: int, width: int, position: tuple[float, float]) -> None:
    x, y = position[0] * width, position[1] * height
    image = blank(height, width)
    boxes = detections((x, y, x + width / 10, y + height / 10))
    drawn = draw_detections(image, **boxes, scores=np.ones(1), class_names=NAMES)

    # The whole plate is there: text is 9 px high at least, and a plate much wider than high.
    filled = (drawn != 0).any(axis=2)
    text = cv2.getTextSize("circle 100%", labels.FONT, labels.font_scale(height, width), 1)[0]
    assert filled.sum(axis=1).max() >= text[0]
    assert filled.any(axis=1).sum() >= text[1] >= 8


def test_extreme_images_and_boxes() -> None:
    boxes = detections((-1e9, -5, 1e9, 3), (0, 0, 0, 0))
    for height, width in [(1, 1), (1, 2000), (2000, 1)]:
        image = draw_detections(blank(height, width), **boxes, scores=np.ones(2), class_names=NAMES)
        assert image.shape == (height, width, 3)


@pytest.mark.parametrize("ascii_only", [False, True])
def test_other_scripts_are_not_question_marks(
    ascii_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "PUT_TEXT_IS_ASCII", ascii_only or labels.PUT_TEXT_IS_ASCII)
    images = [
        draw_detections(
            blank(100, 300), **detections((20, 40, 90, 90)), scores=None, class_names=[name]
        )
        for name in ("Füße", "кошка", "????")
    ]

    assert not np.array_equal(images[0], images[2])
    assert not np.array_equal(images[1], images[2])


def test_an_object_keeps_number_and_color_of_its_track() -> None:
    boxes = [detections((20, 40, 90, 90)), detections((100, 30, 180, 90))]
    frames = [
        draw_detections(
            blank(100, 300),
            **{**b, "class_ids": np.array([c])},
            scores=None,
            class_names=["ab", "ab"],
            track_ids=np.array([track]),
        )
        for b, c, track in [(boxes[0], 0, 7), (boxes[1], 1, 7), (boxes[0], 0, 8)]
    ]
    colors = [frame.reshape(-1, 3)[frame.reshape(-1, 3).any(axis=1)] for frame in frames]
    most = [Counter(map(tuple, color.tolist())).most_common(1)[0][0] for color in colors]
    assert most == [class_color(7), class_color(7), class_color(8)]
    assert draw._texts(np.array([1]), np.array([0.5]), ["a", "b"], np.array([12])) == ["b #12 50%"]


def test_colors_are_stable_and_apart() -> None:
    colors = [class_color(i) for i in range(80)]

    assert len(set(colors)) == 80
    # Hue 0.58 lies 0.48 into the fourth sixth of the wheel, from cyan to blue: full blue
    # 0.95 * 255 = 242, red 242 * (1 - 0.85) = 36, green 242 * (1 - 0.85 * 0.48) = 143.
    assert class_color(0) == (242, 143, 36)
    for one, other in itertools.combinations(colors[:6], 2):
        assert np.abs(np.subtract(one, other)).sum() > 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((4, 4, 3))}, r"uint8 \(H, W, 3\), got float64 \(4, 4, 3\)"),
        ({"image": np.zeros((4, 4), np.uint8)}, r"got uint8 \(4, 4\)"),
        ({"boxes": np.zeros((2, 4))}, r"boxes must be \(1, 4\).* got \(2, 4\)"),
        ({"scores": np.zeros(3)}, r"scores must be \(1,\).* got \(3,\)"),
        ({"track_ids": np.zeros(3, int)}, "need 1 track_ids, as there are classes, got 3"),
        ({"class_ids": np.array([2])}, "class 2 has no name: there are 2"),
    ],
)
def test_wrong_arguments_are_named(change: dict, message: str) -> None:
    arguments = dict(image=blank(4, 4), **detections((0, 0, 2, 2)), scores=None)
    with pytest.raises(ValueError, match=message):
        draw_detections(**{**arguments, **change}, class_names=NAMES)


def test_contact_sheet_is_a_grid_of_equal_cells() -> None:
    red, small = blank(30, 40), blank(15, 20)
    red[:, :, 2] = small[:, :, 2] = 200
    sheet = contact_sheet([red, small, red], columns=2)

    # Two cells of 40 and 30 px with a gap of 2 px on each side: 88 x 68; the fourth is blank.
    assert sheet.shape == (68, 88, 3)
    assert (sheet[2:32, 2:42] == red).all()
    assert (sheet[2:32, 46:86] == red).all()  # enlarged
    assert (sheet[34:, 44:] == 255).all()


def test_contact_sheet_with_titles() -> None:
    images = [blank(50, 80, 9), blank(80, 50, 9)]
    sheet = contact_sheet(images, 2, ["truth", "a title that is longer than its cell"], (60, 80))
    bar = sheet.shape[0] - 60 - 4

    assert sheet.shape[1] == 2 * 84 and bar > 10
    assert (sheet[2 : 2 + bar, :84] < 128).any() and (sheet[2 : 2 + bar, 84:] < 128).any()
    assert (sheet[2 : 2 + bar, 82:86] == 255).all()  # no title runs into the gap
    # 80 x 50 fitted into 60 x 80: 60 high and round(37.5) = 38 wide, in the middle.
    assert (sheet[-10, 84 + 2 + 21 : 84 + 2 + 21 + 38] == 9).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 2), "got 0 images, columns=2"),
        (([blank(2, 2)], 0), "got 1 images, columns=0"),
        (([blank(2, 2)], 1, ["a", "b"]), "got 2 for 1"),
    ],
)
def test_contact_sheet_needs_images(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contact_sheet(*arguments)
