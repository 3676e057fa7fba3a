"""`fcos why`: doors, questions that cannot be answered, and what is written."""

import json

import cv2
import numpy as np
import pytest
from random_weights import write_detector

from fcos_cli.main import main
from fcos_d2.evaluation.why import MISSES, STEPS


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_detector(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two pictures with three annotated objects."""
    folder, rng = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    images = []
    for i in range(2):
        picture = rng.integers(0, 256, (60, 100, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
        images.append({"id": i + 1, "file_name": f"{i}.png", "height": 60, "width": 100})
    boxes = [[5, 5, 30, 30], [50, 20, 9, 9], [10, 10, 60, 40]]
    annotations = [
        {
            "id": 70 + k,
            "image_id": k // 2 + 1,
            "category_id": k % 2 + 1,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for k, box in enumerate(boxes)
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "val.json").write_text(json.dumps(coco))
    return folder


def test_one_object(weights, folder, tmp_path, capsys):
    words = ["why", str(folder / "0.png"), "--box", "5,5,35,35", "--class", "cat"]
    assert main([*words, "--weights", weights, "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("The object at 5,5,35,35 of 0.png (cat) is 30 x 30 px large")
    written = json.loads((tmp_path / "out" / "why.json").read_text())
    assert written["step"] in STEPS and written["paragraph"] in printed
    assert cv2.imread(str(tmp_path / "out" / "why.png")).shape[1] > 600


def test_an_annotation_and_a_set(weights, folder, tmp_path, capsys):
    """The set's json holds what the question about one of its objects answers."""
    common = ["why", "--data", str(folder / "val.json"), "--weights", weights, "--json"]
    assert main([*common, "--output", str(tmp_path), "--what-if", "threshold=0.9"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["images"], result["objects"]) == (2, 3)
    assert sum(result["steps"].values()) == len(result["misses"]) > 0
    assert [*result["steps"]] == [*MISSES]
    assert [x["variant"] for x in result["outcomes"]] == [{}, {"threshold": 0.9}]
    assert result == json.loads((tmp_path / "why.json").read_text())
    missed = result["misses"][0]
    step = missed["step"].replace(" ", "-")
    assert len([*(tmp_path / step).glob("*.png")]) == result["steps"][missed["step"]]
    assert main([*common, "--annotation", str(missed["id"])]) == 0
    assert json.loads(capsys.readouterr().out) == missed


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "name an IMAGE with --box, or --data"),
        (["0.png"], 2, "--box X1,Y1,X2,Y2 is missing"),
        (["0.png", "--box", "1,2,3,4", "--data", "val.json"], 2, "name an IMAGE"),
        (["0.png", "--box", "1,2,3,4", "--what-if", "size=3"], 2, "are for --data"),
        (["--data", "val.json", "--box", "1,2,3,4"], 2, "are for an IMAGE"),
        (["0.png", "--box", "1,2,3"], 1, "four numbers with commas"),
        (["0.png", "--box", "9,2,3,8"], 1, "has no area: x2 must be above x1"),
        (["0.png", "--box", "900,2,930,8"], 1, "lies outside the image, which is 100 x 60 px"),
        (["0.png", "--box", "1,2,30,40", "--class", "cow"], 1, "whose classes are cat, dog"),
        (["absent.png", "--box", "1,2,30,40"], 1, "absent.png"),
        (["val.json", "--box", "1,2,30,40"], 1, "val.json"),
        (["--data", "val.json", "--annotation", "7"], 1, "has no annotation with the id 7; it has"),
        (["--data", "val.json", "--what-if", "nms=1"], 1, "no setting that can be changed"),
    ],
)
def test_wrong_questions(words, code, message, weights, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["why", *words, "--weights", weights]) == code
    error = capsys.readouterr().err.strip()
    assert message in error and "Traceback" not in error
