"""Inputs of public problem reports in the checker, the converter and training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from severity import severity
from tiny_run import TINY_MODEL, make_tiny_coco, train_request

from fcos_cli.main import main
from fcos_d2.datasets.formats import read_dataset
from fcos_d2.datasets.own_data import DataFiles, register_own_data
from fcos_d2.engine import run

# Of every label `0.32 0.36 0.43 0.43` in images of 96 x 72 px.
BOX = [10.08, 10.44, 41.28, 30.96]


@pytest.fixture(scope="module")
def inputs(shared_dir: Path) -> Path:
    return shared_dir / "data" / "bug_inputs"


def boxes(coco: dict) -> list[list[float]]:
    return [annotation["bbox"] for annotation in coco["annotations"]]


def names(coco: dict) -> list[str]:
    return [category["name"] for category in coco["categories"]]


def kinds(problems: list) -> list[str]:
    return list(dict.fromkeys(problem.kind for problem in problems))


class Doors:
    """The same data through the checker, the converter and the reader of training."""

    def __init__(self, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
        self.tmp_path, self.capsys = tmp_path, capsys

    def open(self, data: Path, *flags: str) -> tuple[int, str, dict]:
        """Exit code and words of the checker; what the converter wrote, as training reads it."""
        output = self.tmp_path / "converted.json"
        self.capsys.readouterr()
        code = severity(str(data), "--workers", "1", *flags)
        said = "".join(self.capsys.readouterr())
        assert "Traceback" not in said
        assert main(["convert", str(data), *flags, "--output", str(output)]) == 0
        converted = json.loads(output.read_text())
        given = dict(zip(flags[::2], flags[1::2], strict=True))
        files = DataFiles(str(data), given.get("--images"))
        classes = given.get("--classes")
        own = register_own_data(files, None, self.tmp_path, classes=classes, check=code < 2)
        assert own.class_names == names(converted)
        trained = json.loads((self.tmp_path / "own_train.json").read_text())
        assert boxes(trained) == boxes(converted)
        return code, said, converted

    def refused(self, data: Path, *flags: str) -> str:
        """The line that all of them end with."""
        output = self.tmp_path / "converted.json"
        assert main(["check", str(data), "--workers", "1", *flags]) == 1
        lines = [self.capsys.readouterr().err]
        assert main(["convert", str(data), *flags, "--output", str(output)]) == 1
        lines.append(self.capsys.readouterr().err)
        assert lines[0] == lines[1] and lines[0].count("\n") == 1
        given = dict(zip(flags[::2], flags[1::2], strict=True))
        with pytest.raises(ValueError) as info:
            files = DataFiles(str(data), given.get("--images"))
            register_own_data(files, None, self.tmp_path, classes=given.get("--classes"))
        assert lines[0] == f"error: {info.value}\n"
        return lines[0]


@pytest.fixture
def doors(tmp_path: Path, capsys: pytest.CaptureFixture) -> Doors:
    return Doors(tmp_path, capsys)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("data.yaml", ["no", "yes", "null", "007", "1e3", "12:30"]),
        ("block.yaml", ["off", "~", "2020-01-02", "010", "5.10", "N/A"]),
    ],
)
def test_08_yolo_names_as_they_are_written(inputs, doors, file, expected):
    code, _, coco = doors.open(inputs / "08-yolo-yaml-words" / file)
    assert names(coco) == expected and len(boxes(coco)) == 6 and code < 2


@pytest.mark.parametrize(("folder", "count"), [("", 4), ("visible", 2)])
def test_09_key_points_are_passed_over(inputs, doors, folder, count):
    code, _, coco = doors.open(inputs / "09-yolo-pose-labels" / folder / "data.yaml")
    assert code == 0 and boxes(coco) == [pytest.approx(BOX)] * count


@pytest.mark.parametrize("data", ["bom/data.yaml", "utf16/data.yaml", "plain/list.yaml"])
def test_10_yolo_in_every_encoding(inputs, doors, data):
    code, _, coco = doors.open(inputs / "10-text-encodings" / data)
    assert code == 0 and boxes(coco) == [pytest.approx(BOX)] * 2 and names(coco) == ["cat"]


def test_10_voc_list_and_csv(inputs, doors):
    folder = inputs / "10-text-encodings"
    code, _, coco = doors.open(f"{folder / 'voclist'}:train")
    assert code == 0 and len(boxes(coco)) == 2
    flags = "--classes", str(folder / "plain" / "classes_u.csv")
    code, _, coco = doors.open(folder / "plain" / "train_u.csv", *flags)
    assert code == 0 and names(coco) == ["猫"] and boxes(coco) == [[10, 10, 41, 31]]


def test_10_what_cannot_be_decoded_is_named(inputs, doors):
    line = doors.refused(inputs / "10-text-encodings" / "plain" / "gbk.yaml")
    assert "gbk.yaml: byte 50 (0xb9, in line 3) is not UTF-8; save the file as UTF-8" in line


@pytest.mark.parametrize("data", ["yolo/data.yaml", "voc"])
def test_13_hidden_files_are_passed_over(inputs, doors, data):
    code, _, coco = doors.open(inputs / "13-appledouble" / data)
    assert code == 0 and len(boxes(coco)) == len(coco["images"]) == 2


@pytest.mark.parametrize(("folder", "count"), [("a", 2), ("b", 3)])
def test_14_links_to_folders_are_followed(inputs, doors, tmp_path, folder, count):
    copy = tmp_path / "copy"
    shutil.copytree(inputs / "14-symlinks", copy)
    subprocess.run(["sh", "make_links.sh"], cwd=copy, check=True)
    code, _, coco = doors.open(copy / folder / "data.yaml")
    assert code == 0 and len(coco["images"]) == len(boxes(coco)) == count
    os.symlink("..", copy / "b" / "images" / "train" / "round")
    assert len(doors.open(copy / "b" / "data.yaml")[2]["images"]) == 3


def test_15_names_of_windows(inputs, doors):
    folder = inputs / "15-windows-paths"
    for data, *flags in (
        ("result.json",),
        ("train.csv", "--classes", str(folder / "classes.csv")),
    ):
        code, _, coco = doors.open(folder / data, "--images", str(folder), *flags)
        assert code < 2 and len(boxes(coco)) == len(coco["images"]) == 4
        assert coco["images"][0]["file_name"] == "images/im0.jpg"


@pytest.mark.parametrize("data", ["deep.json", "drive.json"])
def test_15_names_of_other_machines_are_explained(inputs, data):
    coco, problems, _, _ = read_dataset(inputs / "15-windows-paths" / data)
    assert coco["images"] == []
    assert "(nor with / for \\; write names of Windows relative to the folder" in problems[0].where


def test_16_turned_boxes(inputs, doors):
    folder = inputs / "16-cvat-rotation"
    code, said, coco = doors.open(folder / "voc")
    # 0.785 is 45 degrees: (120 + 20) / 2 * sqrt(0.5) = 49.5 to every side of (80, 80).
    assert boxes(coco) == [pytest.approx([30.5, 30.5, 99, 99], abs=0.05)] and code == 1
    assert "turned box (robndbox): 1 (the upright box around it is taken): bar.xml" in said
    code, _, coco = doors.open(folder / "obb" / "data.yaml")
    # 0.191 * 160 = 30.56 and 0.809 * 160 = 129.44.
    assert boxes(coco) == [pytest.approx([30.56, 30.56, 98.88, 98.88])] and code == 0


@pytest.mark.parametrize("data", ["obj.data", ""])
def test_19_yolo_of_cvat(inputs, doors, data):
    code, _, coco = doors.open(inputs / "19-cvat-yolo11" / data)
    assert code == 0 and names(coco) == ["cat"] and boxes(coco) == [pytest.approx(BOX)] * 3


def test_19_its_list_alone_is_no_dataset(inputs, doors):
    folder = inputs / "19-cvat-yolo11"
    line = doors.refused(folder / "train.txt", "--classes", str(folder / "obj.names"))
    assert f"give its file, {folder / 'obj.data'}" in line


def test_28_corners_are_turned(inputs, doors):
    code, said, coco = doors.open(inputs / "28-corner-order" / "voc")
    assert boxes(coco) == [[10, 10, 41, 31]] * 2 and code == 1
    assert "warning: box with swapped corners: 1 (turned): im0.xml: cat [51.0, 41.0, 11.0" in said


def test_32_json_with_a_byte_order_mark(inputs, doors):
    folder = inputs / "32-json-bom"
    code, _, coco = doors.open(folder / "val.json", "--images", str(folder / "images"))
    assert code < 2 and len(coco["images"]) == 4


@pytest.mark.parametrize(
    ("data", "classes"),
    [
        ("08-yolo-yaml-words/data.yaml", ["no", "yes", "null", "007", "1e3", "12:30"]),
        ("13-appledouble/voc", ["cat"]),
        ("19-cvat-yolo11", ["cat"]),
    ],
)
def test_whole_training(inputs, tmp_path, data, classes):
    settings = TINY_MODEL | {"OUTPUT_DIR": str(tmp_path), "SOLVER.MAX_ITER": 1}
    opts = [str(word) for item in settings.items() for word in item]
    given = ["--config-file", "Recipes/R18-Scratch", "--train-data", str(inputs / data)]
    run(train_request([*given, *opts]))
    assert torch.load(tmp_path / "model_final.pth")["class_names"] == classes


def test_training_bears_every_name(tmp_path):
    """A name that is not UTF-8 and escape sequences in a class, down to the log file."""
    json_file, images = make_tiny_coco(tmp_path / "in", 2)
    os.rename(tmp_path / "in" / "1.png", tmp_path / "in" / os.fsdecode(b"caf\xe9.png"))
    content = json.loads(Path(json_file).read_text())
    content["images"][0]["file_name"] = "caf\udce9.png"
    content["annotations"][1]["bbox"][2] = 0
    content["categories"][0]["name"] = "\x1b[2Jcat"
    content["annotations"][0]["id"] = 0
    path = tmp_path / os.fsdecode(b"tr\xe4in.json")
    path.write_text(json.dumps(content))
    settings = TINY_MODEL | {"OUTPUT_DIR": str(tmp_path / "out"), "SOLVER.MAX_ITER": 1}
    opts = [str(word) for item in settings.items() for word in item]
    given = ["--config-file", "Recipes/R18-Scratch", "--train-data", str(path)]
    given += ["--train-images", images]
    # In a process of its own, whose terminal nobody else writes on.
    command = [sys.executable, str(Path(__file__).parents[3] / "train_net.py"), *given, *opts]
    done = subprocess.run(command, capture_output=True, check=True)
    printed = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
    log = (tmp_path / "out" / "log.txt").read_text(encoding="utf-8")
    for text in (printed, log):
        assert "annotation 0 of caf\\xe9.png" in text and "\\x1b[2Jcat" in text
        assert "\x1b[2J" not in text and "Logging error" not in text
    assert log.count("Command line arguments") == log.count("1 classes: ") == 1
