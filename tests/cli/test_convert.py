import json

import cv2
import numpy as np

from fcos_cli.main import main


def test_conversion_says_what_it_did(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "a.png"), np.zeros((20, 40, 3), np.uint8))
    (tmp_path / "boxes.csv").write_text("a.png,1,2,11,12,cat\na.png,5,5,5,9,cat\n")
    (tmp_path / "classes.csv").write_text("cat,0\n")
    output = tmp_path / "made" / "boxes.json"
    given = [str(tmp_path / "boxes.csv"), "--images", str(tmp_path / "photos")]
    classes = ["--classes", str(tmp_path / "classes.csv")]
    assert main(["convert", *given, *classes, "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "warning: box without area: 1 (left out): boxes.csv line 2" in printed
    assert "(csv): 1 images, 1 annotations; classes cat" in printed
    assert json.loads(output.read_text())["annotations"][0]["bbox"] == [1, 2, 10, 10]
    yolo = ["--images", str(tmp_path / "photos"), "--format", "yolo"]
    assert main(["convert", str(output), *yolo, "--output", str(tmp_path / "yolo")]) == 0
    assert (tmp_path / "yolo" / "labels" / "a.txt").read_text() == (
        "0 0.150000 0.350000 0.250000 0.500000\n"
    )


def test_mistakes_are_told(tmp_path, capsys):
    assert main(["convert", str(tmp_path), "--output", "x.json"]) == 1
    assert "no annotations of a known format in it" in capsys.readouterr().err
