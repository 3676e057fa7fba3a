"""Pictures of mistakes: what is drawn where, how large, and the command that shows it again."""

import base64
import shlex

import cv2
import numpy as np
import pytest

from fcos_d2.evaluation.report.gallery import PANEL, Commands, Mistake, draw, spread
from fcos_d2.evaluation.results import DetectionSet


def dataset(folder, size=(300, 400), name="a.png"):
    """An image of one grey with one label and two detections."""
    truth = {
        "images": [{"id": 7, "file_name": name, "height": size[0], "width": size[1]}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [100, 100, 50, 50], "iscrowd": 0}
        ],
    }
    rows = [
        {"image_id": 7, "category_id": 1, "bbox": [110, 100, 50, 50], "score": 0.9},
        {"image_id": 7, "category_id": 1, "bbox": [90, 100, 50, 50], "score": 0.1},
    ]
    if folder is not None:
        cv2.imwrite(str(folder / "a.png"), np.full((*size, 3), 90, np.uint8))
    return DetectionSet(truth=truth, detections=rows, folder=folder)


FALSE = Mistake(image=0, title="cat 0.90", found=(110, 100, 160, 150))
MISS = Mistake(image=0, title="cat", labelled=(100, 100, 150, 150), label="cat")


def decoded(url):
    content = base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).astype(int)


def test_found_and_labelled_stand_side_by_side(tmp_path):
    ((picture,),) = draw(dataset(tmp_path), [[FALSE]], 0.5, Commands())
    found, labelled = decoded(picture.found), decoded(picture.labelled)
    assert found.shape == labelled.shape == (PANEL, PANEL, 3)
    # The part is 120 px wide and begins at 75: a box at 110 begins at 35 of 120.
    column = round(35 / 120 * PANEL)
    assert found[PANEL // 2, column, 2] > 180 and found[PANEL // 2, column, 1] < 120  # red
    column = round(25 / 120 * PANEL)
    assert labelled[PANEL // 2, column, 1] > 110 and labelled[PANEL // 2, column, 2] < 90  # green


def test_detections_below_the_threshold_are_not_drawn(tmp_path):
    ((high,),) = draw(dataset(tmp_path), [[FALSE]], 0.5, Commands())
    ((low,),) = draw(dataset(tmp_path), [[FALSE]], 0.05, Commands())
    column = round(15 / 120 * PANEL)  # of the box at 90
    difference = decoded(low.found) - decoded(high.found)
    assert difference[PANEL // 2, column - 1 : column + 2, 2].max() > 60


@pytest.mark.parametrize("box", [(0, 0, 400, 300), (-50, -50, 5, 5), (399, 299, 400, 300)])
def test_boxes_at_and_beyond_the_border_are_drawn(tmp_path, box):
    mistake = Mistake(image=0, title="", found=box)
    ((picture,),) = draw(dataset(tmp_path), [[mistake]], 0.5, Commands())
    assert max(decoded(picture.found).shape) <= PANEL


def test_an_image_that_cannot_be_read_leaves_its_text(tmp_path):
    ((picture,),) = draw(dataset(tmp_path, name="missing.png"), [[FALSE]], 0.5, Commands())
    assert (picture.found, picture.labelled, picture.title) == ("", "", "cat 0.90")
    ((picture,),) = draw(dataset(None), [[FALSE]], 0.5, Commands())
    assert (picture.found, picture.file_name) == ("", "a.png")


def test_a_command_survives_a_shell(tmp_path):
    path = "it's; rm -rf $HOME.png"
    commands = Commands(weights="my model.pth", threshold=0.371)
    assert shlex.split(commands.of(MISS, path)) == [
        *("fcos", "why", path, "--box", "100,100,150,150", "--class", "cat"),
        *("--weights", "my model.pth", "--threshold", "0.371"),
    ]
    assert shlex.split(commands.of(FALSE, path)) == [
        *("fcos", "predict", path, "--weights", "my model.pth", "--threshold", "0.371"),
        *("--output", "drawn/"),
    ]
    assert Commands().of(FALSE, path) == ""


def test_no_image_fills_the_gallery_alone():
    mistakes = [Mistake(image=i, title=str(n)) for n, i in enumerate((0, 0, 0, 1, 0, 2))]
    assert [m.title for m in spread(mistakes, most=3)] == ["0", "1", "3"]
    assert [m.title for m in spread(mistakes, most=9)] == ["0", "1", "3", "5"]
