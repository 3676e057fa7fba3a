"""The page of a report: its numbers are those of the dict, names are text, and it is not large."""

import json
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from fcos_d2.evaluation.matches import match
from fcos_d2.evaluation.report import parts
from fcos_d2.evaluation.report.model_card import model_card
from fcos_d2.evaluation.report.numbers import report_numbers
from fcos_d2.evaluation.report.page import page, write_page
from fcos_d2.evaluation.results import DetectionSet

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
NAMES = (SCRIPT, IMAGE, "{{ 7 * 7 }}", "cat")
ORIGIN = {
    "model": {
        "weights": f"output/{SCRIPT}/model_best.pth",
        "config": f"MODEL: {IMAGE}",
        "origins": [{"weights": IMAGE, "source": SCRIPT, "licence": "Apache-2.0 (nobody)"}],
    },
    "speed": {"median_ms": 12.25, "device": SCRIPT},
    "made": {"time": "2026-11-26T10:00:00+00:00", "command": f"fcos report {IMAGE}"},
}


class Elements(HTMLParser):
    """Tags with their attributes, and all text outside of `style`."""

    def __init__(self, html):
        super().__init__()
        self.found, self.text, self.cells, self._open = [], "", [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data
        if {"td", "th"} & {*self._open}:
            self.cells[-1] += data


def made_set(folder, count=6, names=NAMES, seed=0):
    """Objects of all classes on noise, which a detector finds now and then, and mixes up."""
    generator = np.random.default_rng(seed)
    file_names = [f"{i}{SCRIPT if i % 2 else IMAGE}.png".replace("/", "_") for i in range(count)]
    objects, rows = [], []
    for i in range(count):
        for k in range(1, 1 + len(names)):
            box = [*generator.uniform(0, 150, 2).tolist(), 40.0, 40.0]
            objects.append({"image_id": i + 1, "category_id": k, "bbox": box, "area": 1600.0})
            score, label = generator.uniform(), int(generator.integers(1, 1 + len(names)))
            rows.append({"image_id": i + 1, "category_id": label, "bbox": box, "score": score})
    if folder is not None:
        folder.mkdir(exist_ok=True)
        picture = generator.integers(0, 255, (200, 200, 3), dtype=np.uint8)
        for name in file_names:
            cv2.imwrite(str(folder / name), picture)
    truth = {
        "images": [
            {"id": i + 1, "file_name": name, "width": 200, "height": 200, "camera": NAMES[i % 2]}
            for i, name in enumerate(file_names)
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names, start=1)],
        "annotations": [{**x, "id": n, "iscrowd": 0} for n, x in enumerate(objects, start=1)],
    }
    return DetectionSet(truth=truth, detections=rows, folder=folder, source=IMAGE)


def made_page(folder, **changes):
    data = made_set(folder / "images", **changes)
    matches = match(data)
    numbers = report_numbers(data, matches=matches, resamples=20, origin=ORIGIN)
    return numbers, parts.build_gallery(data, matches, numbers)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Numbers and gallery of a set in which all names are HTML."""
    return made_page(tmp_path_factory.mktemp("report"))


def test_names_are_text_everywhere(report):
    numbers, gallery = report
    html = page(numbers, gallery, numbers)
    elements = Elements(html)
    tags = {tag for tag, _ in elements.found}
    assert "script" not in tags
    for tag, attributes in elements.found:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        if tag == "img":
            assert attributes["src"].startswith("data:image/jpeg;base64,")
            assert set(attributes) == {"src", "alt", "loading", "decoding"}
    # Without the names the page has the very same elements.
    plain = json.dumps(numbers)
    for name in NAMES:
        plain = plain.replace(json.dumps(name)[1:-1], "x" * len(name))
    same = Elements(page(json.loads(plain), gallery, json.loads(plain)))
    assert [tag for tag, _ in same.found] == [tag for tag, _ in elements.found]
    for name in (SCRIPT, IMAGE, "{{ 7 * 7 }}"):
        assert elements.text.count(name) > 5


def test_nothing_is_loaded_from_elsewhere(report):
    for _, attributes in Elements(page(*report)).found:
        links = [attributes.get(name, "") for name in ("href", "src")]
        assert all(x.startswith(("#", "data:image/")) or not x for x in links), attributes


def test_the_numbers_are_those_of_the_report(report):
    numbers, gallery = report
    text = Elements(page(numbers, gallery)).text
    for figure in numbers["figures"].values():
        if figure["value"] is not None:
            assert f"{figure['value']:.1f}" in text
            assert f"{figure['low']:.1f} to {figure['high']:.1f}" in text
    for choice in numbers["thresholds"]["choices"]:
        found = choice["overall"]
        shown = found["reason"] or f"{found['threshold']:.3f}"
        assert shown in text
    cells = Elements(page(numbers, gallery)).cells
    for error in numbers["tide"]["errors"].values():
        at = cells.index(error["meaning"])
        assert cells[at - 3 : at] == [f"{error['cost']:.1f}", "", str(error["count"])]
    at = cells.index("labelled ↓ found →")
    (names, *rows) = (cells[at + 6 * i : at + 6 * i + 6] for i in range(6))
    assert names[1:] == [*NAMES, "background"]
    shown = [[0 if x == "" else int(x) for x in row[1:]] for row in rows]
    assert shown == numbers["confusion"]["matrix"]
    at = cells.index(numbers["images"][0]["file_name"])
    worst = numbers["images"][0]
    keys = ("boxes", "true", "missed", "wrong")
    assert cells[at + 1 : at + 6] == [f"{worst['f1']:.2f}", *(str(worst[x]) for x in keys)]
    assert "24 boxes: " not in text and "6 boxes: the figure means little" in text


def test_what_changed_stands_beside(report):
    numbers, gallery = report
    earlier = json.loads(json.dumps(numbers))
    earlier["figures"]["AP"]["value"] -= 3
    assert "+3.0" in Elements(page(numbers, gallery, earlier)).text
    assert "before" not in Elements(page(numbers, gallery)).text


def test_pictures_are_lazy_and_have_their_command(report):
    _, gallery = report
    assert [part.name for part in gallery] == [*parts.EXPLANATIONS]
    (missed,) = [part for part in gallery if part.name == "Misses"]
    assert missed.pictures and missed.pictures[0].command.startswith("fcos why ")
    pictures = [p for part in gallery for p in part.pictures]
    assert all(
        p.found and p.labelled and p.file_name in p.command.replace("'\"'\"'", "'")
        for p in pictures
    )
    images = [a for tag, a in Elements(page(*report)).found if tag == "img"]
    assert len(images) == 2 * len(pictures)
    assert all(attributes["loading"] == "lazy" for attributes in images)


def test_many_images_give_a_small_page(tmp_path):
    """5,000 images; the gallery has as many pictures as it has with any number of them."""
    numbers, gallery = made_page(tmp_path, count=30)
    rows = [
        dict(numbers["images"][0], file_name=f"folder/a_long_name_{i}.jpg") for i in range(5000)
    ]
    html = page({**numbers, "images": rows}, gallery)
    assert sum(len(part.pictures) for part in gallery) > 20
    assert len(html.encode()) < 5e6
    assert "The page has the worst 1,000." in html and html.count("a_long_name_") == 1000


def test_a_detector_that_finds_nothing(tmp_path):
    data = made_set(None)
    data = DetectionSet(truth=data.truth, detections=[])
    matches = match(data)
    numbers = report_numbers(data, matches=matches, resamples=20)
    text = Elements(page(numbers, parts.build_gallery(data, matches, numbers))).text
    assert "nothing was detected" in text and "--set-threshold" not in text


def test_the_model_card_is_yaml_and_markdown(report, tmp_path):
    numbers, gallery = report
    assert write_page(numbers, gallery, tmp_path) == tmp_path / "report.html"
    _, front, body = (tmp_path / "model_card.md").read_text().split("---\n", 2)
    card = yaml.safe_load(front)
    assert (card["license"], card["pipeline_tag"]) == ("apache-2.0", "object-detection")
    (result,) = card["model-index"][0]["results"]
    values = {x["name"]: x["value"] for x in result["metrics"]}
    assert values["AP"] == round(numbers["figures"]["AP"]["value"], 2)
    assert result["dataset"]["name"] == IMAGE
    assert "<" not in body and "Apache-2.0 \\(nobody\\)" in body


def test_the_model_card_names_no_folder_of_the_machine(report, tmp_path):
    numbers, gallery = report
    home = "/home/ann/secret"
    numbers = numbers | {
        "data": numbers["data"]
        | {"source": f"{home}/cells/coco/val.json", "folder": home, "results": f"{home}/a.json"},
        "model": numbers["model"]
        | {
            "weights": f"{home}/run/model_best.pth",
            "origins": [{"weights": f"{home}/r50.pth", "source": "me", "licence": "MIT"}],
        },
        "made": numbers["made"] | {"command": f"fcos report --weights {home}/run/model_best.pth"},
    }
    html = write_page(numbers, gallery, tmp_path).read_text()
    card = (tmp_path / "model_card.md").read_text()
    assert "secret" not in card and "on coco/val.json" in card and "r50.pth" in card
    assert f"{home}/cells/coco/val.json" in html and "run on coco/val.json" in html
    at_home = numbers | {"data": numbers["data"] | {"source": str(Path.home() / "val.json")}}
    assert f"{Path.home().name}/val.json" not in model_card(at_home)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_finds_room_and_runs_nothing(report, tmp_path, width):
    """Nothing but tables and commands, in boxes of their own, is wider than the screen."""
    html = page(*report)
    # Without its policy, which would forbid the probe and whatever a name might run.
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', html)[0]
    probe = "<script>window.alert = () => { parent.document.body.dataset.ran = 'yes'; };</script>"
    measure = (
        'onload="document.body.dataset.width = this.contentDocument.documentElement.scrollWidth"'
    )
    frame = f'style="border:0;width:{width}px;height:900px" {measure}'  # no window is below 500 px
    content = escape(html.replace(policy, probe))
    outer = tmp_path / "outer.html"
    outer.write_text(f'<!doctype html><body><iframe {frame} srcdoc="{content}"></iframe></body>')
    body = re.search(r"<body[^>]*>", dumped(outer))[0]
    assert body == f'<body data-width="{width}">'


def dumped(path: Path) -> str:
    """The page as it stands after its scripts have run."""
    words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    words += ["--window-size=1400,900", "--virtual-time-budget=2000", "--dump-dom"]
    command = [*words, f"--user-data-dir={path.parent / 'profile'}", path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
