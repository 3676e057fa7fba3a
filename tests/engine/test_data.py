"""Training and evaluation on a folder alone, in every layout that is recognised."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from layouts import BOXES, LAYOUTS, one_json, write_coco
from tiny_run import TINY_MODEL

from fcos_cli.main import main
from fcos_d2.engine import Request, run
from fcos_d2.engine.data import take_data

# Each training takes a second or two; these three differ most.
QUICK = ("roboflow coco", "label studio yolo", "voc years")


def opts(max_iter: int = 2) -> list[str]:
    settings = TINY_MODEL | {
        "SOLVER.MAX_ITER": max_iter,
        "MODEL.FCOS.INFERENCE_TH_TEST": 0.0,
    }
    return [str(word) for item in settings.items() for word in item]


def request(folder: Path, output: Path, **changes: object) -> Request:
    given = {"folder": str(folder), "output_dir": str(output), "opts": opts(), "num_gpus": 0}
    return Request(config_file="Recipes/R18-Scratch", **given | changes)


def layout(folder: Path, name: str) -> Path:
    folder.mkdir()
    LAYOUTS[name][0](folder)
    return folder


@pytest.mark.parametrize(
    "name", [x if x in QUICK else pytest.param(x, marks=pytest.mark.slow) for x in LAYOUTS]
)
def test_every_layout_trains_and_evaluates(tmp_path, name):
    results = run(request(layout(tmp_path / "data", name), tmp_path / "out"))
    assert {"AP-cat", "AP-dog"} & results["bbox"].keys()
    files = [tmp_path / "out" / f"own_{split}.json" for split in ("train", "val")]
    records = [x for file in files for x in json.loads(file.read_text())["images"]]
    images = [Path(x["file_name"]).stem for x in records]
    assert sorted(images) == sorted(BOXES)
    text = (tmp_path / "out" / "log.txt").read_text()
    assert "found " in text
    assert ("no validation set in" in text) == (LAYOUTS[name][2] is None)


def test_validation_data_given_beside_a_folder_win(tmp_path):
    folder = layout(tmp_path / "data", "roboflow coco")
    write_coco(tmp_path / "val.json", ["ä"])
    given = {"val_data": str(tmp_path / "val.json"), "val_images": str(folder / "train")}
    run(request(folder, tmp_path / "out", opts=opts(1), **given))
    val = json.loads((tmp_path / "out" / "own_val.json").read_text())
    assert [x["file_name"] for x in val["images"]] == ["ä.png"]
    assert (tmp_path / "out" / "own_test.json").is_file()  # for a later evaluation


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nothing/"], "nothing/: no such folder of data, and no KEY VALUE of the config"),
        (["a.yaml"], "a.yaml is a file: give its folder, or --train-data a.yaml"),
        (["a.ZIP"], "a.ZIP is an archive: unpack it, and give the folder"),
    ],
)
def test_a_word_that_is_no_folder(tmp_path, monkeypatch, capsys, words, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").touch()
    (tmp_path / "a.ZIP").touch()
    assert main(["train", *words, "--config", "Recipes/R18-Scratch"]) == 2
    assert line in capsys.readouterr().err


def test_a_folder_and_training_data(tmp_path, capsys):
    one_json(tmp_path)
    words = ["train", str(tmp_path), "--config", "Recipes/R18-Scratch", "--train-data", "x.json"]
    with pytest.raises(SystemExit, match="1"):
        main([*words, "--output", str(tmp_path / "out"), "MODEL.DEVICE", "cpu"])
    assert "two sets to learn from" in capsys.readouterr().err


@pytest.mark.parametrize("which", ["train", "val"])
def test_images_without_their_annotations(tmp_path, capsys, which):
    one_json(tmp_path)
    words = ["train", str(tmp_path), "--config", "Recipes/R18-Scratch", f"--{which}-images", "x"]
    with pytest.raises(SystemExit, match="1"):
        main([*words, "--output", str(tmp_path / "out"), "MODEL.DEVICE", "cpu"])
    assert f"--{which}-images x is given without --{which}-data" in capsys.readouterr().err


def test_flags_count_more_than_what_the_config_says_of_its_data():
    of_config = {"train_data": "t.json", "val_data": "v.json", "val_images": "old"}
    asked = Request(config_file="", val_images="moved")
    take_data(asked, SimpleNamespace(own_data=of_config | {"data_format": "coco"}))
    assert (asked.val_data, asked.val_images, asked.data_format) == ("v.json", "moved", "coco")
