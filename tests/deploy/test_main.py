"""python -m fcos_deploy on a graph that finds the same on every image."""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_model
from made_videos import write_webm
from tiny_model import write_model

from fcos_deploy.__main__ import main
from fcos_deploy.vision import VideoReader

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(write_model(tmp_path / "exported"))


def write_images(folder: Path, num: int) -> Path:
    folder.mkdir()
    for i in range(num):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((64, 96, 3), 10 * i % 256, np.uint8))
    return folder


def write_video(path: Path, num: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 12.5, (96, 64))
    for i in range(num):
        writer.write(np.full((64, 96, 3), 20 * i, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("batch", [1, 2, 9])
def test_images(model: str, tmp_path: Path, batch: int) -> None:
    images = write_images(tmp_path / "in", 5)
    arguments = ["--model", model, "--input", str(images), "--batch", str(batch)]
    drawn, found = tmp_path / "drawn", tmp_path / "found.json"
    assert main([*arguments, "--output", str(drawn), "--json", str(found)]) == 0

    content = json.loads(found.read_text())
    assert [Path(x["image"]).name for x in content] == [f"{i}.png" for i in range(5)]
    assert content[3]["objects"] == [
        {"class": "dog", "score": 0.9, "box_xyxy": [4.0, 8.0, 24.0, 48.0]},
        {"class": "cat", "score": 0.3, "box_xyxy": [0.0, 0.0, 16.0, 16.0]},
    ]
    picture = cv2.imread(str(drawn / "3.png"))
    # In the colour of infer.yaml; the cat is below the threshold of pictures.
    assert picture[30, 4].tolist() == [0, 255, 0]
    assert not (picture == [0, 0, 255]).all(axis=2).any()


@pytest.mark.parametrize("options", [[], ["--json", "{}/found.json"]], ids=["plain", "json"])
def test_memory_does_not_grow_with_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    """100 detections on each image; kept as Python objects they were 30 kB."""
    monkeypatch.setattr(tiny_model, "BOXES", [[2.0, 4.0, 12.0, 24.0]] * 100)
    monkeypatch.setattr(tiny_model, "SCORES", [0.9] * 100)
    monkeypatch.setattr(tiny_model, "CLASSES", [1] * 100)
    model = str(write_model(tmp_path / "exported"))
    images = write_images(tmp_path / "in", 120)
    taken = []
    monkeypatch.setattr(
        "fcos_deploy.__main__.summary", lambda *_: taken.append(tracemalloc.get_traced_memory()[0])
    )
    tracemalloc.start()
    try:
        arguments = ["--model", model, "--input", str(images)]
        assert main([*arguments, *(x.format(tmp_path) for x in options)]) == 0
    finally:
        tracemalloc.stop()
    assert (taken[-1] - taken[40]) / 80 < 1000


def test_unreadable_images_are_named_and_the_rest_is_done(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    images = write_images(tmp_path / "in", 3)
    (images / "1.png").write_bytes(b"")
    (images / "9.jpg").write_text("no picture")
    assert main(["--model", model, "--input", str(images), "--batch", "2"]) == 1

    out, err = capsys.readouterr()
    assert "2 of 4 images" in out
    assert f"{images / '1.png'}: the file is empty" in err and f"{images / '9.jpg'}: " in err


def test_coco_results(model: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    images = write_images(tmp_path / "in", 3)
    coco = {
        "images": [{"id": 7, "file_name": "sub/0.png"}, {"id": 8, "file_name": "2.png"}],
        "categories": [{"id": 5, "name": "dog"}, {"id": 3, "name": "cat"}],
    }
    annotations, found = tmp_path / "val.json", tmp_path / "found.json"
    annotations.write_text(json.dumps(coco))
    arguments = ["--model", model, "--input", str(images), "--json", str(found)]
    assert main([*arguments, "--coco", str(annotations)]) == 0

    rows = json.loads(found.read_text())
    assert [(x["image_id"], x["category_id"]) for x in rows] == [(7, 5), (7, 3), (8, 5), (8, 3)]
    assert rows[0]["bbox"] == [4.0, 8.0, 20.0, 40.0] and rows[0]["score"] == 0.9
    assert "lacks 1 images" in capsys.readouterr().err


def test_video(model: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    video = write_video(tmp_path / "a.mp4", 8)
    target, found = tmp_path / "b.mp4", tmp_path / "f.json"
    arguments = ["--model", model, "--video", str(video), "--batch", "2"]
    assert main([*arguments, "--output", str(target), "--json", str(found)]) == 0

    with VideoReader(target) as reader:
        frames = list(reader)
    assert (len(frames), reader.fps, reader.size) == (8, 12.5, (64, 96))
    # Frames in their order, drawn on.
    assert [round(frame[60, 90].mean() / 20) for frame in frames] == [*range(8)]
    blue, green, red = frames[4][30, 4].tolist()  # on grey; the codec mixes colours
    assert green > max(blue, red) + 50
    assert [x["frame"] for x in json.loads(found.read_text())] == [*range(8)]
    out = capsys.readouterr().out
    assert "8 frames; written to" in out and "engine" in out and "images/s" in out


def test_video_as_browsers_record_it(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """1000 frames a second and 400 of them by its header, 25 and 10 by its timestamps."""
    video = write_webm(tmp_path / "a.webm", [40 * i for i in range(10)], 1000, 400)
    target = tmp_path / "b.mp4"
    assert main(["--model", model, "--video", str(video), "--output", str(target)]) == 0

    with VideoReader(target) as reader:
        assert (reader.fps, reader.frame_count, len(list(reader))) == (25, 10, 10)
    out, err = capsys.readouterr()
    assert f"{video}: 10 frames; written to" in out and "announces" not in out and err == ""


def test_damaged_video(model: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert main(["--model", model, "--video", str(tmp_path / "a.mp4")]) == 1
    assert f"error: {tmp_path / 'a.mp4'}: not a video" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "nowhere"], "nowhere: no such file or folder"),
        (["--input", "{in}", "--json", "y", "--coco", "x.json"], "x.json: no such file"),
        (["--input", "{in}", "--batch", "0"], "batch must be at least 1, got 0"),
        (["--input", "{in}", "--score-threshold", "2"], "score threshold must be in [0, 1], got 2"),
        (["--input", "{in}", "--threads", "0"], "threads must be between 1 and"),
    ],
)
def test_bad_input_gets_one_line(
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    arguments: list[str],
    message: str,
) -> None:
    images = str(write_images(tmp_path / "in", 1))
    arguments = [images if x == "{in}" else x for x in arguments]
    assert main(["--model", model, *arguments]) == 1
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_wrong_use(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as info:
        main(["--model", "m", "--input", "x", "--coco", "x.json"])
    assert info.value.code == 2
    assert "--coco needs --input, and --json" in capsys.readouterr().err


def test_runs_where_torch_detectron2_and_fcos_d2_are_not(model: str, tmp_path: Path) -> None:
    images = write_images(tmp_path / "in", 1)
    program = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'detectron2', 'fcos_d2', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"  # importing it is an ImportError
        f"sys.path.insert(0, {str(DEPLOY)!r})\n"
        "from fcos_deploy.__main__ import main\n"
        f"sys.exit(main(['--model', {model!r}, '--input', {str(images)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 images" in done.stdout


def test_names_that_no_terminal_takes(model: str, tmp_path: Path, capfd) -> None:
    folder = write_images(tmp_path / "in", 1)
    (folder / "0.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    (folder / "b\x1b[2J.png").write_text("no image")
    found = tmp_path / "found.json"
    arguments = ["--input", str(folder), "--output", str(tmp_path / "out"), "--json", str(found)]
    assert main(["--model", model, *arguments]) == 1
    printed = "".join(capfd.readouterr())
    assert r"caf\xe9.png: 1 dog" in printed and r"b\x1b[2J.png: not an image" in printed
    assert "\x1b" not in printed
    assert [Path(x["image"]).name for x in json.loads(found.read_text())] == ["caf\udce9.png"]
    assert os.listdir(os.fsencode(tmp_path / "out")) == [b"caf\xe9.png"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_annotations_of_windows(model: str, tmp_path: Path, encoding: str) -> None:
    images = write_images(tmp_path / "in", 2)
    coco = {
        "images": [{"id": 7, "file_name": "x\\in\\0.png"}, {"id": 8, "file_name": "in\\1.png"}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    truth, found = tmp_path / "truth.json", tmp_path / "found.json"
    truth.write_text(json.dumps(coco), encoding=encoding)
    arguments = ["--input", str(images), "--json", str(found), "--coco", str(truth)]
    assert main(["--model", model, *arguments]) == 0
    assert {x["image_id"] for x in json.loads(found.read_text())} == {7, 8}
