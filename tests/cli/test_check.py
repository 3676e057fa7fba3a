import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from scenes import scene, write_scene
from tiny_run import make_tiny_coco

from fcos_cli.main import main


@pytest.fixture
def data(tmp_path) -> tuple[str, str]:
    return make_tiny_coco(tmp_path / "data")


def test_a_clean_set(data, capsys):
    json_file, images = data
    assert main(["check", json_file, "--images", images, "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "6 images, 6 boxes, 1 classes" in printed and "locations that learn" in printed


def test_mistakes_give_the_exit_code_and_a_repaired_copy(data, tmp_path, capsys):
    json_file, images = data
    content = json.loads(Path(json_file).read_text())
    content["annotations"][0]["category_id"] = 42
    content["annotations"][1]["bbox"][2] = 0
    Path(json_file).write_text(json.dumps(content))
    fixed, page = tmp_path / "fixed.json", tmp_path / "report.html"
    options = ["--images", images, "--workers", "1", "--fix", str(fixed), "--html", str(page)]
    assert main(["check", json_file, *options]) == 1
    printed = capsys.readouterr().out
    assert "error: unknown category" in printed and "which differs in:" in printed
    assert len(json.loads(fixed.read_text())["annotations"]) == 4
    assert page.read_text().startswith("<!doctype html>")
    assert main(["check", str(fixed), "--images", images, "--workers", "1"]) == 0


def test_without_a_look_at_the_files(data, capsys):
    json_file, _ = data
    arguments = [json_file, "--images", "nowhere", "--no-images"]
    assert main(["check", *arguments]) == 0
    assert "6 images" in capsys.readouterr().out


def test_what_is_no_dataset(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    assert main(["check", str(tmp_path)]) == 1
    assert "no annotations of a known format" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "nowhere.json")]) == 1
    assert "no such file or folder" in capsys.readouterr().err


def test_names_that_no_terminal_takes(tmp_path, capfd):
    """A YOLO folder with a name that is not UTF-8, and one that would clear the screen."""
    for grey, name in enumerate((b"caf\xe9", b"a\x1b[2J\nb")):
        path = tmp_path / "images" / os.fsdecode(name + b".png")
        path.parent.mkdir(exist_ok=True)
        picture = np.full((20, 40, 3), grey, np.uint8)
        path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        label = tmp_path / "labels" / os.fsdecode(name + b".txt")
        label.parent.mkdir(exist_ok=True)
        label.write_text("0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0 0.5\n")
    (tmp_path / "data.yaml").write_text('train: images\nnames: ["\\e[2Jcat\\n"]\n')
    data, page, fixed = (str(tmp_path / x) for x in ("data.yaml", "page.html", "fixed.json"))
    outputs = ["--html", page, "--fix", fixed, "--workers", "1"]
    assert main(["check", data, *outputs]) == 0
    assert main(["check", data, "--strict", "--workers", "1"]) == 1
    printed = "".join(capfd.readouterr())
    assert r"caf\xe9.txt line 2: \x1b[2Jcat\n [" in printed and r"a\x1b[2J\nb.txt line 2" in printed
    assert "\x1b" not in printed
    html = Path(page).read_text(encoding="utf-8")
    assert r"caf\xe9.txt" in html and "\x1b" not in html
    names = [image["file_name"] for image in json.loads(Path(fixed).read_text())["images"]]
    assert sorted(names) == ["images/a\x1b[2J\nb.png", "images/caf\udce9.png"]
    assert main(["check", fixed, "--images", str(tmp_path), "--workers", "1"]) == 0
    assert main(["convert", data, "--output", fixed]) == 0
    assert main(["convert", data, "--output", str(tmp_path / "x"), "--format", "yolo"]) == 1
    printed = "".join(capfd.readouterr())
    assert r"yolo cannot hold this name" in printed and "\x1b" not in printed


def test_near_duplicates_across_the_sets_of_a_folder_are_shown(tmp_path, capsys):
    for split, quality in (("train", 95), ("valid", 60)):
        (tmp_path / split).mkdir()
        write_scene(tmp_path / split / "b.jpg", scene(1 if split == "train" else 2))
        write_scene(tmp_path / split / "a.jpg", scene(0), quality)
        images = [{"id": i, "file_name": f"{x}.jpg"} for i, x in enumerate("ab", start=1)]
        images = [{**image, "height": 96, "width": 96} for image in images]
        box = {"bbox": [5, 6, 40, 50], "area": 2000, "iscrowd": 0, "category_id": 1}
        annotations = [{**box, "id": i, "image_id": i} for i in (1, 2)]
        categories = [{"id": 1, "name": "x"}]
        coco = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(coco))
    page = tmp_path / "page.html"
    assert main(["check", str(tmp_path), "--html", str(page), "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert "found Roboflow's COCO export" in out
    twin = tmp_path / "valid" / "a.jpg"
    line = f"near duplicate in training and validation: 1: a.jpg: looks like {twin} of validation"
    assert f"warning: {line}" in out
    assert page.read_text().count("<figure>") == 2  # the one of training, and its twin
