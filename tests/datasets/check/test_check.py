"""The checks of a dataset, on small sets made by hand."""

import base64
import json
from functools import partial
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import torch
from stand_ins import headless_generator

from fcos_d2.data.augmentation import ResizeShortestEdge
from fcos_d2.data.input_size import sizes_after
from fcos_d2.datasets.check import check_dataset, check_images, check_sets, level_statistics
from fcos_d2.datasets.check.histogram import histogram_svg, size_shares
from fcos_d2.datasets.check.images import shared_content
from fcos_d2.datasets.check.page import pictures_of
from fcos_d2.datasets.problems import Place, Problem
from fcos_d2.modeling import FCOSProposalGenerator

# What is said of the pictures of the collection that load: kinds of notes, by name.
NOTES = {
    "gray16.png": ["image 16-bit gray"],
    "cmyk.jpg": ["image CMYK"],
    "exif_orient_6.jpg": ["image turned by its EXIF tag"],
    "exif_orient_1.jpg": [],
    "ok_baseline.jpg": [],
}


@pytest.fixture
def generator() -> FCOSProposalGenerator:
    return headless_generator()


def short_edge(side: int) -> partial:
    return partial(sizes_after, ResizeShortestEdge(side, side))


def coco_of(boxes: list, size: tuple[int, int] = (64, 64), names=("cat", "dog")) -> dict:
    """One image, a.png, with boxes xywh of class 1."""
    annotations = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": box, "area": 1, "iscrowd": 0}
        for i, box in enumerate(boxes, start=1)
    ]
    height, width = size
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": height, "width": width}],
        "annotations": annotations,
        "categories": [{"id": i, "name": n} for i, n in enumerate(names, start=1)],
    }


def test_levels_on_paper(generator):
    """At scale 1: a 24 px box at (4, 4) has four locations of each level (see the drawing's test);
    a 1 px box has none.
    """
    statistics = level_statistics(
        coco_of([[4, 4, 24, 24], [40, 40, 1, 1]]), generator, short_edge(64)
    )
    assert statistics.positives == [4, 4]
    assert statistics.sides.tolist() == [24, 1]
    assert statistics.learned.tolist() == [True, False] and statistics.unlearned_share == 0.5
    # At twice the size the tiny box is 2 px wide, (80, 80)-(82, 82), and still has no location.
    statistics = level_statistics(coco_of([[40, 40, 1, 1]]), generator, short_edge(128))
    assert statistics.sides.tolist() == [2] and statistics.unlearned_share == 1
    advice = " ".join(statistics.advice())
    assert "smaller than the finest stride (8 px)" in advice and "FCOS/R50-P2-1x" in advice


def test_levels_of_an_assigner_that_chooses_by_predictions():
    """Strictly inside of the 24 px box at (4, 4) lie 12 and 20 px of stride 8, 8 and 24 of 16."""
    generator = headless_generator(assigner="task_aligned", cls_loss="quality_focal")
    statistics = level_statistics(
        coco_of([[4, 4, 24, 24], [40, 40, 1, 1]]), generator, short_edge(64)
    )
    assert statistics.positives == [4, 4]
    assert statistics.learned.tolist() == [True, False]
    assert statistics.lost == 0 and statistics.idle_levels() == ""


def test_boxes_that_lose_their_locations_to_others(generator):
    """Two boxes of one centre: the smaller takes all that the larger could have at its level."""
    statistics = level_statistics(
        coco_of([[4, 4, 24, 24], [4.5, 4.5, 23, 23]]), generator, short_edge(64)
    )
    assert statistics.learned.all() and statistics.lost == 0.5
    assert "lie so close to smaller ones" in " ".join(statistics.advice())


def test_many_boxes_go_through_in_chunks(generator, monkeypatch):
    torch.manual_seed(0)
    boxes = (torch.rand(50, 4) * 30 + 1).tolist()
    whole = level_statistics(coco_of(boxes), generator, short_edge(64))
    monkeypatch.setattr("fcos_d2.datasets.check.levels.CHUNK", 7)
    parts = level_statistics(coco_of(boxes), generator, short_edge(64))
    assert parts.positives == whole.positives
    assert parts.learned.tolist() == whole.learned.tolist() and 0 < whole.learned.mean() < 1


def test_sets():
    train, val = coco_of([[1, 2, 3, 4]]), coco_of([[1, 2, 3, 4]])
    train["images"].append({"id": 2, "file_name": "b.png", "height": 9, "width": 9})
    train["annotations"].append({**train["annotations"][0], "id": 9, "iscrowd": 1})
    problems = check_sets(train, val)
    assert [(p.severity, p.kind, p.where) for p in problems] == [
        ("warning", "class without boxes", "dog"),
        ("note", "images without boxes", "1 of 2, such as b.png"),
        ("note", "crowd regions", "1"),
        ("error", "image in training and validation", "a.png"),
    ]


def test_every_picture_of_the_collection(shared_dir):
    """Each of the 56 loads or is refused, as its manifest says, and none ends the check."""
    hard = shared_dir / "data" / "hard_inputs"
    manifest = json.loads((hard / "manifest.json").read_text(encoding="utf-8"))
    records = [
        {"id": i, "file_name": name, "height": 1, "width": 1} for i, name in enumerate(manifest)
    ]
    problems, unreadable = check_images(records, hard / "images", workers=2, progress=False)
    refused = {records[i]["file_name"] for i in unreadable}
    assert len(manifest) == 56
    # Where either would do: half a picture is refused, garbage that decodes is not noticed.
    decided = {"truncated_half.jpg": True, "truncated.png": True, "corrupt_middle.jpg": False}
    for name, entry in manifest.items():
        must_fail = entry["expected"].startswith(("error", "refuse"))
        assert (name in refused) == decided.get(name, must_fail), name
    for name, kinds in NOTES.items():
        found = [p.kind for p in problems if p.severity == "note" and p.place.image == name]
        assert found == kinds


def test_images_of_the_same_content_and_of_another_size(tmp_path):
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((20, 40, 3), np.uint8))
    (tmp_path / "c.png").write_bytes(b"text")
    sizes = {"a.png": (20, 40), "b.png": (40, 20), "c.png": (1, 1)}
    records = [
        {"id": i, "file_name": name, "height": size[0], "width": size[1]}
        for i, (name, size) in enumerate(sizes.items(), start=1)
    ]
    problems, unreadable = check_images(records, tmp_path, workers=1, progress=False)
    assert unreadable == {3}
    assert [p.kind for p in problems] == [
        "image of another size than stated",
        "two files of the same content",
        "image unreadable",
    ]


def test_report(tmp_path, generator):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64, 3), np.uint8))
    place = Place(image="a.png", category="cat", box=(1, 1, 0, 1))
    given = [Problem("warning", "box without area", "", "left out", place)]
    coco = coco_of([[4, 4, 24, 24]], names=("cat",))
    report = check_dataset("mine", coco, tmp_path, given, generator, short_edge(64), workers=1)
    text = report.text()
    assert "mine: 1 images, 1 boxes, 1 classes" in text and "16 - 32 px 100.0%" in text
    assert "p3 (stride 8, farthest side 0 to 16 px): 4, 50.0%" in text
    assert "found: 1 warnings" in text and report.exit_code == 1
    page = report.html()
    assert page.count("<figure>") == 1 and "data:image/jpeg" in page and "left out" in page
    report.problems.clear()
    assert report.exit_code == 0 and "nothing is wrong" in report.text()
    report.problems.append(Problem("error", "x", "y"))
    assert report.exit_code == 2


def test_a_file_in_both_sets_is_found_by_content(tmp_path):
    """The copy has another name; a picture of equal name, and one of equal size, do not count."""
    for name, level in (("train/a", 10), ("train/b", 20), ("val/copy", 10), ("val/b", 30)):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(path), np.full((8, 8, 3), level, np.uint8))
    names = ("a", "b"), ("b", "copy", "gone")
    train, val = ([{"file_name": f"{name}.png"} for name in some] for some in names)
    (problem,) = shared_content(train, tmp_path / "train", val, tmp_path / "val")
    assert problem.severity == "error"
    assert problem.where == f"a.png: is {tmp_path / 'val/copy.png'} of validation"
    (same,) = shared_content(train, tmp_path / "train", train[:1], tmp_path / "train")
    assert same.where == "a.png"


def test_pictures_show_the_box_with_the_problem(tmp_path):
    """One for each image, the worst problem of it; of images that cannot be read there is none."""
    for name in ("3 of b.png", "a: [1, 2, 3, 4].png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((320, 320, 3), np.uint8))
    (tmp_path / "text.png").write_text("text")
    places = [
        Place("boxes.csv line 3", "3 of b.png", category="cat", box=(100, 100, 50, 50)),
        Place(image="3 of b.png"),
        Place(image="a: [1, 2, 3, 4].png"),
        Place(image="text.png"),
        Place(image="gone.png"),
        Place("x.json"),
    ]
    problems = [Problem("warning", "odd", "", "", place) for place in places]
    kept = {"3 of b.png": [[200, 200, 50, 50]]}
    (url, caption), (other, _) = pictures_of(problems, kept, tmp_path, {})
    assert caption == str(problems[0]) and other.startswith("data:image/jpeg")
    content = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_COLOR).astype(int)
    blue, green, red = picture[100:151, 100].mean(axis=0)  # left side of the wrong box
    assert red > 100 and green < red / 2 and blue < red / 2
    blue, green, red = picture[200:251, 200].mean(axis=0)  # and of the one that is kept
    assert red > 100 and green > 100


def test_sizes_by_area_and_by_longer_side(generator):
    """A 64 x 4 px box: 16 px by area, 64 px long, each on the edge of its bin."""
    statistics = level_statistics(coco_of([[0, 0, 64, 4]]), generator, short_edge(64))
    shares = {label: pair for label, *pair in size_shares(statistics)}
    assert shares.pop("16 - 32 px") == [1, 0] and shares.pop("64 - 128 px") == [0, 1]
    assert set(map(tuple, shares.values())) == {(0, 0)}
    drawing = ElementTree.fromstring(histogram_svg(statistics).split("<p>")[0])
    bars = [x for x in drawing.iter("rect") if x.find("title") is not None]
    assert {x.find("title").text for x in bars if float(x.get("height")) == 160} == {
        "16 - 32 px: 100.0%",
        "64 - 128 px: 100.0%",
    }


def test_deep_colour_is_said(tmp_path):
    assert cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8, 3), 60000, np.uint16))
    record = {"id": 1, "file_name": "a.png", "height": 8, "width": 8}
    problems, unreadable = check_images([record], tmp_path, workers=1)
    assert [p.kind for p in problems] == ["image 16-bit colour"] and not unreadable
