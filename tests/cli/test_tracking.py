"""`fcos predict --track` on a drawn video."""

from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from fcos_cli import drawing
from fcos_cli.main import main
from fcos_d2.visualization import VideoReader, VideoWriter

pytest.importorskip("trackers")

SIZE = (120, 200)  # h, w
FRAMES = 16


def places(frame: int) -> list[tuple[int, int, int, int]]:
    """A blue object that goes right and a red one that goes left; they cover each other."""
    x = 10 + 10 * frame
    return [(x, 40, x + 24, 64), (180 - x, 50, 204 - x, 74)]


def drawn_video(path: Path) -> Path:
    with VideoWriter(path, 8, SIZE) as writer:
        for number in range(FRAMES):
            frame = np.full((*SIZE, 3), 40, np.uint8)
            for box, color in zip(places(number), ((255, 60, 0), (0, 60, 255)), strict=True):
                cv2.rectangle(frame, box[:2], box[2:], color, cv2.FILLED)
            writer.write(frame)
    return path


class StandIn:
    """Finds the two objects of `drawn_video`, in turning order; stops at call `stop_at`."""

    class_names: ClassVar[list[str]] = ["blue", "red"]
    stop_at: ClassVar[int | None] = None
    error: ClassVar[type[BaseException]] = KeyboardInterrupt
    config_thresholds: ClassVar[tuple[float, ...] | None] = (0.5, 0.85)
    set_to: ClassVar[float] = -1.0

    def __init__(self, *_: object, **__: object) -> None:
        self.score_thresholds = self.config_thresholds
        self.calls = 0

    def set_threshold(self, threshold: float) -> None:
        type(self).set_to = threshold

    def __call__(self, image: np.ndarray) -> Instances:
        self.calls += 1
        if self.calls == self.stop_at:
            raise self.error("stand-in")
        found = Instances(image.shape[:2])
        order = [0, 1] if self.calls % 2 else [1, 0]
        boxes = torch.tensor(places(self.calls - 1), dtype=torch.float32)[order]
        # The weak third box has nothing to do with the two.
        boxes = torch.cat([boxes, torch.tensor([[150.0, 90.0, 170.0, 110.0]])])
        found.pred_boxes = Boxes(boxes)
        # Later the blue one is too weak for a new track, as the third box always is.
        found.scores = torch.tensor([0.9, 0.9 if self.calls < 4 else 0.3, 0.2])
        found.pred_classes = torch.tensor([*order, 0])
        return found


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    monkeypatch.setattr(drawing, "Predictor", StandIn)
    monkeypatch.setattr(StandIn, "stop_at", None)
    monkeypatch.setattr(StandIn, "error", KeyboardInterrupt)
    return StandIn


def run(*words: object) -> int:
    return main(["predict", "--config", "any", *map(str, words)])


def tracked(tmp_path: Path, *more: object) -> tuple[int, Path]:
    video, output = drawn_video(tmp_path / "v.mp4"), tmp_path / "out" / "drawn.mp4"
    return run("--video", video, "--output", output, "--track", *more), output


def rows(path: Path) -> np.ndarray:
    return np.loadtxt(path, delimiter=",", ndmin=2)


def test_two_that_cross(tmp_path: Path, capsys, stand_in) -> None:
    line = ["--count-line", "100,120,100,0"]
    zone = ["--count-zone", "80,0,120,0,120,120,80,120"]
    code, output = tracked(tmp_path, *line, *zone)

    assert code == 0 and stand_in.set_to == 0.1
    found = rows(output.with_name("drawn.mot.txt"))
    assert found.shape == (2 * (FRAMES - 1), 9)  # from their second frame on
    for number, label in ((1, 1), (2, 2)):
        own = found[found[:, 1] == number]
        assert own[:, 0].tolist() == [*range(2, FRAMES + 1)]
        assert set(own[:, 7]) == {label}
        expected = [places(frame)[label - 1] for frame in range(1, FRAMES)]
        assert (own[:, 2:6] == [[x1 + 1, y1 + 1, 24, 24] for x1, y1, _, _ in expected]).all()
    assert output.with_name("drawn.labels.txt").read_text() == "blue\nred\n"
    out = capsys.readouterr().out
    assert "2 objects tracked" in out
    assert "line 100,120,100,0: to the right 1, to the left 1" in out
    assert "zone 80,0,120,0,120,120,80,120: 2 objects, at most 2 at once" in out
    with VideoReader(output) as reader:
        assert sum(1 for _ in reader) == FRAMES


def test_the_same_each_time(tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        _, output = tracked(tmp_path / name)
        texts.append(output.with_name("drawn.mot.txt").read_text())
    assert texts[0] == texts[1] != ""


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_stop_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    monkeypatch.setattr(StandIn, "stop_at", 9)
    monkeypatch.setattr(StandIn, "error", error)
    code, output = tracked(tmp_path)
    assert code == (0 if error is KeyboardInterrupt else 1)
    with VideoReader(output) as reader:
        num_frames = sum(1 for _ in reader)
    assert num_frames == 8
    assert rows(output.with_name("drawn.mot.txt"))[:, 0].max() == 8


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--count-line", "1,2,3,4"], 2, "need --track"),
        (["--track", "--count-line", "1,2,3"], 2, "'1,2,3' is no list of points"),
        (["--track", "--count-zone", "1,2,3,4"], 2, "three or more points"),
        (["--track", "--count-line", "900,0,900,50"], 1, "outside of the frames"),
        (["--track", "--count-zone", "5,nan,3,4,1,1"], 2, "no list of points"),
    ],
)
def test_wrong_use(tmp_path: Path, capsys, words: list[str], code: int, message: str) -> None:
    video = drawn_video(tmp_path / "v.mp4")
    given = ["predict", "--config", "any", "--video", str(video), "--output", str(tmp_path / "o")]
    try:
        found = main([*given, *words])
    except SystemExit as stop:
        found = stop.code
    assert found == code
    assert message in capsys.readouterr().err


def test_images_are_not_tracked(tmp_path: Path, capsys) -> None:
    assert run(tmp_path, "--track", "--output", tmp_path / "o") == 2
    assert "--track is for --video FILE and --camera" in capsys.readouterr().err


def test_an_empty_video_leaves_nothing(tmp_path: Path, capsys) -> None:
    (tmp_path / "v.mp4").touch()
    assert run("--video", tmp_path / "v.mp4", "--track", "--output", tmp_path / "o" / "d.mp4") == 1
    assert "the file is empty" in capsys.readouterr().err
    assert not (tmp_path / "o").exists() or [*(tmp_path / "o").iterdir()] == []
