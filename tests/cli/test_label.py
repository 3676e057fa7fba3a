import csv
import json
import os
import signal
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from fcos_cli import drawing, labelling
from fcos_cli.commands.label import FORMATS
from fcos_cli.main import main
from fcos_d2.datasets.formats import read_dataset
from fcos_d2.detections import ImageDetections

HOSTILE = ["<script>&\"'", "no", "{{x}}: [a", "猫 ../../etc"]


class SpotFinder:
    """Bright rectangles: grey level over 255 is the score, the height tells the class."""

    class_names: ClassVar[list[str]] = HOSTILE
    stop_at: ClassVar[int | None] = None
    stop_by: ClassVar[type[BaseException]] = KeyboardInterrupt
    calls: ClassVar[int] = 0

    config_thresholds: ClassVar[tuple[float, ...] | None] = None

    def __init__(self, *_: object, confidence_threshold: float | None, **__: object) -> None:
        type(self).calls = 0
        self.score_thresholds = self.config_thresholds
        if confidence_threshold is not None:
            self.set_threshold(confidence_threshold)

    def set_threshold(self, threshold: float) -> None:
        self.score_thresholds = (threshold,) * 4

    def detect(self, image: np.ndarray) -> ImageDetections:
        type(self).calls += 1
        if self.calls == self.stop_at:
            raise self.stop_by
        number, _, stats, _ = cv2.connectedComponentsWithStats(
            (image[..., 0] > 20).astype(np.uint8)
        )
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:number]], np.float32)
        boxes = boxes.reshape(-1, 4)
        scores = np.array([image[int(y), int(x), 0] / 255 for x, y, _, _ in boxes], np.float32)
        classes = np.array([int(b[3] - b[1]) % 4 for b in boxes], np.int64)
        return ImageDetections(boxes, scores, classes, np.array(self.class_names)[classes])


@pytest.fixture(autouse=True)
def finder(monkeypatch: pytest.MonkeyPatch) -> type[SpotFinder]:
    monkeypatch.setattr(drawing, "Predictor", SpotFinder)
    monkeypatch.setattr(SpotFinder, "class_names", HOSTILE)
    monkeypatch.setattr(SpotFinder, "stop_at", None)
    monkeypatch.setattr(SpotFinder, "config_thresholds", None)
    return SpotFinder


def picture(path: Path, *spots: tuple[int, int, int, int, int]) -> Path:
    """Spots are x, y, w, h and grey level."""
    image = np.zeros((60, 80, 3), np.uint8)
    for x, y, w, h, level in spots:
        image[y : y + h, x : x + w] = level
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two sure spots in a, a sure and a weak one in each x, nothing in the last."""
    folder = tmp_path / "my photos"
    picture(folder / "a.png", (3, 5, 20, 12, 250), (40, 30, 11, 17, 200))
    picture(folder / "one" / "x.png", (10, 10, 20, 14, 240), (50, 40, 10, 10, 60))
    picture(folder / "two" / "x.png", (0, 0, 80, 15, 230))
    picture(folder / "猫 & <b>'s.png")
    return folder


def run(folder: Path, output: Path, *more: object) -> int:
    words = ["label", folder, "--config", "any", "--weights", "w.pth", "--output", output, *more]
    return main([str(word) for word in words])


EXPECTED = [
    ("a.png", "<script>&\"'", [3, 5, 20, 12]),
    ("a.png", "no", [40, 30, 11, 17]),
    ("one/x.png", "{{x}}: [a", [10, 10, 20, 14]),
    ("two/x.png", "猫 ../../etc", [0, 0, 80, 15]),
]


def content(coco: dict) -> list[tuple]:
    files = {x["id"]: x["file_name"] for x in coco["images"]}
    names = {x["id"]: x["name"] for x in coco["categories"]}
    rows = [
        (files[x["image_id"]], names[x["category_id"]], [round(v, 3) for v in x["bbox"]])
        for x in coco["annotations"]
    ]
    return sorted(rows)


@pytest.mark.parametrize("format", ["coco", "yolo", "voc"])
def test_our_readers_give_the_boxes_back(photos: Path, tmp_path: Path, format: str) -> None:
    assert run(photos, tmp_path / "out", "--format", format) == 0

    places = {"coco": "annotations.json", "yolo": "yolo/data.yaml", "voc": "voc"}
    images = photos if format == "coco" else None
    read = read_dataset(tmp_path / "out" / places[format], images=images)
    assert read.problems == []
    found = [(name.removeprefix("images/"), *rest) for name, *rest in content(read.coco)]
    assert found == EXPECTED
    assert len(read.coco["images"]) == 4


def test_label_studio(photos: Path, tmp_path: Path) -> None:
    assert run(photos, tmp_path / "out", "--format", "label-studio") == 0

    folder = tmp_path / "out" / "label-studio"
    config = ElementTree.parse(folder / "config.xml").getroot()
    control = config.find("RectangleLabels")
    assert [x.get("value") for x in control] == HOSTILE
    tasks = json.loads((folder / "tasks.json").read_text())
    found = []
    for task in tasks:
        # The url of the task is what the <Image> shows.
        url = task["data"][config.find("Image").get("value").removeprefix("$")]
        assert url.isascii() and " " not in url
        name = unquote(url).removeprefix("/data/local-files/?d=my photos/")
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "w.pth"
        regions = prediction["result"]
        assert len({x["id"] for x in regions}) == len(regions)
        for region in regions:
            assert (region["from_name"], region["to_name"]) == ("label", "image")
            assert region["from_name"] == control.get("name")
            assert region["to_name"] == control.get("toName") == config.find("Image").get("name")
            assert (region["original_width"], region["original_height"]) == (80, 60)
            value = region["value"]
            box = [value["x"] * 0.8, value["y"] * 0.6, value["width"] * 0.8, value["height"] * 0.6]
            found.append((name, *value["rectanglelabels"], [round(x, 3) for x in box]))
    assert sorted(found) == EXPECTED
    assert tasks[0]["predictions"][0]["score"] == pytest.approx((250 + 200) / 2 / 255, abs=1e-4)


def test_label_studio_with_another_url(photos: Path, tmp_path: Path) -> None:
    url = "https://example.org/p/"
    assert run(photos, tmp_path / "out", "--format", "label-studio", "--image-url", url) == 0
    tasks = json.loads((tmp_path / "out" / "label-studio" / "tasks.json").read_text())
    assert tasks[1]["data"]["image"] == "https://example.org/p/one/x.png"


def cvat_boxes(output: Path) -> list[tuple]:
    root = ElementTree.parse(output / "cvat" / "annotations.xml").getroot()
    found = []
    for image in root.findall("image"):
        assert (image.get("width"), image.get("height")) == ("80", "60")
        for box in image.findall("box"):
            assert {"source", "occluded", "z_order"} <= {*box.keys()}
            x1, y1, x2, y2 = (float(box.get(x)) for x in ("xtl", "ytl", "xbr", "ybr"))
            found.append((image.get("name"), box.get("label"), [x1, y1, x2 - x1, y2 - y1]))
    return sorted(found)


def test_cvat(photos: Path, tmp_path: Path) -> None:
    assert run(photos, tmp_path / "out", "--format", "cvat") == 0

    root = ElementTree.parse(tmp_path / "out" / "cvat" / "annotations.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert [x.get("id") for x in root.findall("image")] == ["0", "1", "2", "3"]
    assert [x.text for x in root.iterfind("meta/task/labels/label/name")] == HOSTILE
    assert cvat_boxes(tmp_path / "out") == EXPECTED
    labels = json.loads((tmp_path / "out" / "cvat" / "labels.json").read_text())
    assert [x["name"] for x in labels] == HOSTILE


def test_threshold_and_scores(photos: Path, tmp_path: Path) -> None:
    assert run(photos, tmp_path / "out", "--threshold", 0.2) == 0
    coco = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [x["score"] for x in coco["annotations"]] == [0.9804, 0.7843, 0.9412, 0.2353, 0.902]


def test_thresholds_of_the_config_by_class(photos: Path, tmp_path: Path, finder, capsys) -> None:
    finder.config_thresholds = (0.99, 0.5, 0.2, 0.5)
    assert run(photos, tmp_path / "out") == 0
    coco = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [x["score"] for x in coco["annotations"]] == [0.7843, 0.9412, 0.2353, 0.902]
    assert "lowest score of a detection, by the config" in capsys.readouterr().out


def test_several_formats_and_a_second_run(photos: Path, tmp_path: Path, capsys, finder) -> None:
    """What is corrected by hand stays, and only the new image is looked at."""
    output = photos / "labels"  # within the images, too
    formats = ["--format", "coco", "yolo", "voc", "label-studio", "cvat"]
    assert run(photos, output, *formats) == 0
    (output / "yolo" / "labels" / "a.txt").write_text("1 0.5 0.5 0.25 0.25\n")
    path = output / "annotations.json"
    coco = json.loads(path.read_text())
    coco["annotations"][0]["bbox"] = [1, 2, 3, 4]
    path.write_text(json.dumps(coco | {"info": {"by": "hand"}}))
    xml = (output / "voc" / "Annotations" / "a.xml").read_bytes()
    picture(photos / "new.png", (20, 20, 30, 13, 200))
    capsys.readouterr()

    assert run(photos, output, *formats) == 0
    assert finder.calls == 1
    out = capsys.readouterr().out
    assert "4 of 5 images have labels, which they keep" in out
    assert (output / "yolo" / "labels" / "a.txt").read_text() == "1 0.5 0.5 0.25 0.25\n"
    assert (output / "voc" / "Annotations" / "a.xml").read_bytes() == xml
    new = ("new.png", "no", [20, 20, 30, 13])
    after = json.loads(path.read_text())
    assert after["info"] == {"by": "hand"}
    assert content(after) == sorted([("a.png", EXPECTED[0][1], [1, 2, 3, 4]), *EXPECTED[1:], new])
    for key in ("images", "annotations"):
        assert len({x["id"] for x in after[key]}) == 5
    assert cvat_boxes(output) == sorted([*EXPECTED, new])
    tasks = json.loads((output / "label-studio" / "tasks.json").read_text())
    assert [x["data"]["file_name"] for x in tasks][-1] == "new.png" and len(tasks) == 5
    yolo = content(read_dataset(output / "yolo" / "data.yaml").coco)
    by_hand = ("a.png", "no", [30, 22.5, 20, 15])
    found = sorted((name.removeprefix("images/"), *rest) for name, *rest in yolo)
    assert found == sorted([by_hand, *EXPECTED[2:], new])
    assert content(read_dataset(output / "voc").coco) == sorted([*EXPECTED, new])


def test_labels_in_the_folder_stay(photos: Path, tmp_path: Path, capsys, finder) -> None:
    (photos / "a.txt").write_text("")  # YOLO: nothing is there
    (photos / "one" / "x.txt").write_text("a photo of two spots\n")  # a caption
    coco = {
        "images": [{"id": 7, "file_name": "x.png", "height": 60, "width": 80}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "no"}],
    }
    (photos / "two" / "old.json").write_text(json.dumps(coco))
    before = {x: x.read_bytes() for x in photos.rglob("*") if x.is_file()}

    assert run(photos, tmp_path / "out") == 0
    assert f"2 of 4 images have labels, which they keep (2 in {photos})" in capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [x["file_name"] for x in written["images"]] == ["one/x.png", "猫 & <b>'s.png"]
    assert {x: x.read_bytes() for x in photos.rglob("*") if x.is_file()} == before


@pytest.mark.parametrize(
    ("image", "file", "text"),
    [
        ("images/a.png", "labels/a.txt", "0 0.5 0.5 0.1 0.1"),
        ("JPEGImages/a.png", "Annotations/a.xml", "<annotation></annotation>"),
        ("a.png", "a.xml", "<annotation></annotation>"),
        ("a.png", "a.json", '{"shapes": [], "imagePath": "a.png"}'),
        ("a.png", "boxes.csv", "a.png,1,2,10,12,cat\n"),
    ],
)
def test_kinds_of_labels(tmp_path: Path, finder, image: str, file: str, text: str) -> None:
    folder = tmp_path / "f"
    picture(folder / image)
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(text)
    if file == "boxes.csv":
        (folder / "classes.csv").write_text("cat,0\n")

    assert run(folder, tmp_path / "out") == 0
    assert finder.calls == 0 and not (tmp_path / "out").exists()


def test_broken_images_are_named_and_skipped(photos: Path, tmp_path: Path, capsys) -> None:
    (photos / "broken.jpg").write_text("no image")
    (photos / "b\nad.png").write_bytes((photos / "a.png").read_bytes())

    assert run(photos, tmp_path / "out", "--format", "cvat") == 0
    captured = capsys.readouterr()
    lines = [x for x in captured.err.splitlines() if x.startswith("skipped: ")]
    assert len(lines) == 2
    assert "b\\nad.png: cvat cannot hold this name" in lines[0]
    assert f"{photos / 'broken.jpg'}: not an image" in lines[1]
    assert "4 boxes in 4 of 6 images, 2 skipped:\n" in captured.out
    assert cvat_boxes(tmp_path / "out") == EXPECTED


def test_only_broken_images_are_code_1(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.jpg").write_text("no image")
    assert run(tmp_path / "f", tmp_path / "out") == 1
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_what_was_found(photos: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(SpotFinder, "stop_at", 3)
    assert run(photos, tmp_path / "out") == 0
    assert "stopped after 2 of 4 images" in capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert content(written) == EXPECTED[:3]


@pytest.mark.parametrize(
    ("make", "format", "message"),
    [
        (
            lambda f, o: (f / "a.jpg").write_bytes((f / "a.png").read_bytes()),
            "yolo",
            "a.jpg and a.png",
        ),
        (lambda f, o: o.write_text("x"), "coco", "is a file"),
        (lambda f, o: (o.mkdir(), (o / "annotations.json").write_text("[]")), "coco", "not a COCO"),
        (
            lambda f, o: (
                o.mkdir(),
                (o / "annotations.json").write_text(
                    '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "dog"}]}'
                ),
            ),
            "coco",
            "other classes",
        ),
    ],
)
def test_errors_are_one_line(
    photos: Path, tmp_path: Path, capsys, make, format: str, message: str
) -> None:
    make(photos, tmp_path / "out")
    assert run(photos, tmp_path / "out", "--format", format) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error


def test_no_such_folder(tmp_path: Path, capsys) -> None:
    assert run(tmp_path / "no", tmp_path / "out") == 1
    assert "no such folder of images" in capsys.readouterr().err


def test_class_names_that_text_cannot_hold(photos: Path, tmp_path: Path, capsys, finder) -> None:
    finder.class_names = ["a\x1b[31m", "b", "c", "d"]
    assert run(photos, tmp_path / "out", "--format", "voc") == 1
    assert "voc cannot hold this name" in capsys.readouterr().err
    assert run(photos, tmp_path / "out") == 0  # json can


class WithBackbone(SpotFinder):
    """As SpotFinder, with features: the mean colours of the parts of an image."""

    def __init__(self, *_: object, **options: Any) -> None:
        super().__init__(**options)
        backbone = nn.Module()
        pool = nn.functional.adaptive_avg_pool2d
        backbone.forward = lambda x: {"p3": pool(x, 4).reshape(1, -1, 1, 1)}
        self.model = nn.Module()
        self.model.backbone = backbone

    def detect(self, image: np.ndarray) -> ImageDetections:
        self.model.backbone(torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float())
        return super().detect(image)


def test_the_doubtful_come_first_and_once_each(tmp_path: Path, monkeypatch, capsys) -> None:
    """Twelve sure images, three scenes with scores near the threshold, one of them six times."""
    monkeypatch.setattr(drawing, "Predictor", WithBackbone)
    folder = tmp_path / "f"
    for i in range(12):
        picture(folder / f"sure{i:02}.png", (5 * i, 3 * i, 20, 12, 250))
    for i in range(6):
        picture(folder / f"burst{i}.png", (5, 5, 24, 12, 130 - i % 2))
    picture(folder / "odd1.png", (50, 40, 24, 12, 132), (5, 40, 24, 12, 125))
    picture(folder / "odd2.png", (45, 5, 30, 16, 124))

    lists = []
    for name in ("out", "again"):
        assert run(folder, tmp_path / name, "--uncertain", 4) == 0
        lists.append((tmp_path / name / "uncertain.csv").read_text())
    assert lists[0] == lists[1]
    rows = [*csv.DictReader(lists[0].splitlines())]
    assert [*rows[0]] == ["rank", "image", "uncertainty", "margin", "classes", "views", "why"]
    names = [row["image"] for row in rows]
    assert len(names) == 4
    assert {name.rstrip("0123456789.png") for name in names[:3]} == {"burst", "odd"}
    assert {"odd1.png", "odd2.png"} < {*names[:3]}
    assert "near the threshold" in rows[0]["why"]
    out = capsys.readouterr().out
    assert f"to label first: {tmp_path / 'out' / 'uncertain.csv'}" in out
    # Boxes below the threshold, which are only looked at, are no labels.
    coco = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert min(x["score"] for x in coco["annotations"]) >= 0.5


def test_an_earlier_list_stays(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(drawing, "Predictor", WithBackbone)
    folder, output = tmp_path / "f", tmp_path / "out"
    picture(folder / "a.png", (5, 5, 24, 12, 130))
    assert run(folder, output, "--uncertain", 9) == 0
    before = (output / "uncertain.csv").read_text()
    picture(folder / "b.png", (5, 5, 24, 12, 130))
    assert run(folder, output, "--uncertain", 9) == 0
    assert (output / "uncertain.csv").read_text() == before
    assert "b.png" in (output / "uncertain-2.csv").read_text()


def test_an_error_keeps_what_was_found(photos: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(SpotFinder, "stop_at", 3)
    monkeypatch.setattr(SpotFinder, "stop_by", RuntimeError)
    with pytest.raises(RuntimeError):
        run(photos, tmp_path / "out")
    coco = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert len(coco["images"]) == 2 and coco["annotations"]


def test_a_kill_loses_no_more_than_what_was_found_since(
    photos: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(labelling, "WRITTEN_EVERY", 0.0)
    monkeypatch.setattr(SpotFinder, "stop_at", 3)
    monkeypatch.setattr(SpotFinder, "stop_by", SystemExit)  # nothing is done after it
    with pytest.raises(SystemExit):
        run(photos, tmp_path / "out")
    path = tmp_path / "out" / "annotations.json"
    assert content(json.loads(path.read_text())) == EXPECTED[:3]
    monkeypatch.setattr(SpotFinder, "stop_at", None)
    assert run(photos, tmp_path / "out") == 0
    assert content(json.loads(path.read_text())) == EXPECTED


def test_written_now_and_then_or_at_once_is_the_same(photos: Path, tmp_path: Path, monkeypatch):
    formats = ["--format", *FORMATS]
    assert run(photos, tmp_path / "at once", *formats) == 0
    monkeypatch.setattr(labelling, "WRITTEN_EVERY", 0.0)
    assert run(photos, tmp_path / "each", *formats) == 0

    def files(folder: Path) -> dict[str, str]:
        found = (x for x in folder.rglob("*") if x.is_file() and x.suffix != ".png")
        return {str(x.relative_to(folder)): x.read_text() for x in found}

    there = files(tmp_path / "at once")
    assert len(there) > 10
    assert files(tmp_path / "each") == there


def test_labels_that_cannot_be_written_are_not_written_twice(
    photos: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    """As on a full disk: COCO has the image, and YOLO fails."""
    write = labelling.write_labels

    def full(*arguments, **options):
        if "yolo" in arguments:
            raise OSError("no space left")
        return write(*arguments, **options)

    monkeypatch.setattr(labelling, "WRITTEN_EVERY", 0.0)
    monkeypatch.setattr(labelling, "write_labels", full)
    assert run(photos, tmp_path / "out", "--format", "coco", "yolo") == 1
    assert "no space left" in capsys.readouterr().err
    written = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [x["file_name"] for x in written["images"]] == ["a.png"]


def test_ctrl_c_while_labels_are_written(photos: Path, tmp_path: Path, monkeypatch) -> None:
    write = labelling.write_labels

    def interrupted(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return write(*arguments, **options)

    monkeypatch.setattr(labelling, "WRITTEN_EVERY", 0.0)
    monkeypatch.setattr(labelling, "write_labels", interrupted)
    assert run(photos, tmp_path / "out", "--format", "coco", "yolo") == 0
    first = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert content(first) == EXPECTED[:2]  # of one image, and in both formats
    assert [x.name for x in (tmp_path / "out" / "yolo" / "labels").rglob("*.txt")] == ["a.txt"]


@pytest.mark.parametrize("format", ["yolo", "voc"])
def test_labels_of_other_images_are_not_mixed_in(
    photos: Path, tmp_path: Path, format: str, capsys
) -> None:
    """The folders of these formats link to the images."""
    other = tmp_path / "others"
    picture(other / "b.png", (3, 5, 20, 12, 250))
    picture(photos / "b.png", (3, 5, 20, 12, 250))
    (photos / "\u732b & <b>'s.png").unlink()
    assert run(photos, tmp_path / "out", "--format", format) == 0
    assert run(other, tmp_path / "out", "--format", format) == 1
    error = capsys.readouterr().err
    assert "holds labels of the images in" in error and "name another --output" in error


def test_what_people_changed_in_the_settings_stays(photos: Path, tmp_path: Path) -> None:
    out, formats = tmp_path / "out", ("--format", "cvat", "label-studio")
    assert run(photos, out, *formats) == 0
    (out / "label-studio" / "config.xml").write_text("<View>ours</View>")
    (out / "cvat" / "labels.json").write_text('[{"name": "ours"}]')
    path = out / "cvat" / "annotations.xml"
    path.write_text(path.read_text().replace('label="no"', 'label="zebra"'))
    picture(photos / "z.png", (3, 5, 20, 12, 250))
    assert run(photos, out, *formats) == 0
    assert (out / "label-studio" / "config.xml").read_text() == "<View>ours</View>"
    assert (out / "cvat" / "labels.json").read_text() == '[{"name": "ours"}]'
    root = ElementTree.parse(path).getroot()
    assert [x.text for x in root.iter("name")] == [*HOSTILE, "zebra"]
    assert len(root.findall("image")) == 5


def test_no_path_of_the_machine_leaves_it(photos: Path, tmp_path: Path) -> None:
    words = ["label", photos, "--config", "any", "--weights", tmp_path / "run" / "best.pth"]
    words += ["--output", tmp_path / "out", "--format", "label-studio"]
    assert main([str(word) for word in words]) == 0
    tasks = json.loads((tmp_path / "out" / "label-studio" / "tasks.json").read_text())
    assert {x["predictions"][0]["model_version"] for x in tasks} == {"run/best.pth"}
