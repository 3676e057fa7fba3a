import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from fcos_cli import drawing
from fcos_cli.main import main
from fcos_d2.visualization import VideoReader, VideoWriter, class_color

DEMO = Path(__file__).resolve().parents[2] / "demo" / "demo.py"


class FixedPredictor:
    """Finds one object that fills the right half of every image; stops at call `stop_at`."""

    stop_at = None
    class_names: ClassVar[list[str]] = ["thing"]
    arguments: ClassVar[dict] = {}
    config_thresholds: ClassVar[tuple[float, ...] | None] = None
    threshold: float | None = None

    def set_threshold(self, threshold: float) -> None:
        type(self).threshold = threshold

    def __init__(self, config: str, weights: str | None = None, **options: object) -> None:
        if config == "missing":
            raise ValueError("missing: no such config")
        type(self).arguments = {"config": config, "weights": weights, **options}
        self.calls = 0

    def __call__(self, image: np.ndarray) -> Instances:
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        height, width = image.shape[:2]
        found = Instances((height, width))
        found.pred_boxes = Boxes(torch.tensor([[width / 2, 0, width, height]]))
        found.scores, found.pred_classes = torch.tensor([0.9]), torch.tensor([0])
        return found


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = drawing
    monkeypatch.setattr(module, "Predictor", FixedPredictor)
    monkeypatch.setattr(FixedPredictor, "stop_at", None)
    for function in ("imshow", "waitKey", "namedWindow", "destroyAllWindows"):
        monkeypatch.setattr(cv2, function, no_window)
    return module


def no_window(*args: object) -> None:
    raise AssertionError("a window function was called")


def save(path: Path, size: tuple[int, int] = (120, 160)) -> Path:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.zeros((*size, 3), np.uint8))
    return path


def save_video(path: Path, num_frames: int = 6, fps: float = 7.5) -> Path:
    with VideoWriter(path, fps, (48, 64)) as writer:
        for _ in range(num_frames):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    return path


def run(demo: ModuleType, *arguments: object) -> int:
    words = [str(word) for word in arguments]
    config = [] if "--config" in words else ["--config", "any"]
    at = words.index("--opts") if "--opts" in words else len(words)
    return main(["predict", *words[:at], *config, *words[at:]])


def test_one_image_to_a_file(demo: ModuleType, tmp_path: Path, capsys) -> None:
    path, target = save(tmp_path / "a.jpg"), tmp_path / "out.png"

    assert run(demo, path, "--output", target) == 0
    drawn = cv2.imread(str(target))
    assert drawn.shape == (120, 160, 3)
    assert tuple(drawn[119, 120]) == class_color(0)  # lower edge of the box
    out = capsys.readouterr().out
    assert f"{path}: 1 detections in 0.0" in out and f"written to {target}" in out
    assert out.endswith("1 of 1 images drawn, 0 unreadable\n")


def test_unreadable_images_are_named_and_skipped(demo: ModuleType, tmp_path: Path, capsys) -> None:
    save(tmp_path / "in" / "a.jpg")
    save(tmp_path / "in" / "c.jpg")
    (tmp_path / "in" / "b.jpg").write_text("no image")

    assert run(demo, tmp_path / "in", "--output", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.jpg", "c.jpg"]
    captured = capsys.readouterr()
    cause = f"{tmp_path / 'in' / 'b.jpg'}: not an image"
    assert sum(line.startswith(f"skipped: {cause}") for line in captured.err.splitlines()) == 1
    assert f"2 of 3 images drawn, 1 unreadable:\n  {cause}" in captured.out


def test_nothing_processed_is_code_1(demo: ModuleType, tmp_path: Path, capsys) -> None:
    (tmp_path / "b.jpg").touch()

    assert run(demo, tmp_path / "b.jpg", "--output", tmp_path / "out") == 1
    assert "0 of 1 images drawn, 1 unreadable" in capsys.readouterr().out


def test_same_names_from_two_folders(demo: ModuleType, tmp_path: Path, capsys) -> None:
    paths = [save(tmp_path / "x" / "a.png"), save(tmp_path / "y" / "a.png", (50, 60))]

    assert run(demo, *paths, "--output", tmp_path / "out") == 0
    assert cv2.imread(str(tmp_path / "out" / "a.png")).shape == (120, 160, 3)
    assert cv2.imread(str(tmp_path / "out" / "a-2.png")).shape == (50, 60, 3)
    assert f"written to {tmp_path / 'out' / 'a-2.png'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{0}/missing.jpg"], "missing.jpg: no such file"),
        (["{0}/*.bmp"], "no image matches"),
        (["{0}/a.jpg", "{0}/b.jpg", "--output", "{0}/o.jpg"], "2 images need a folder"),
        (["{0}/a.jpg", "--output", "{0}"], "would overwrite the input"),
        (["{0}/a.jpg", "--output", "{0}/a.jpg/b"], "a.jpg"),
        (["--video", "{0}/missing.mp4"], "missing.mp4: no such file"),
        (["--video", "{0}/a.txt"], "a.txt: not a video"),
        (["--video", "{0}/v.mp4", "--output", "{0}"], "would overwrite the input"),
        (["--video", "{0}/v.mp4", "--output", "{0}/o.avi"], "videos are written as .mp4"),
        (["{0}/a.jpg", "--config", "missing"], "missing: no such config"),
    ],
)
def test_errors_are_one_line(
    demo: ModuleType, tmp_path: Path, capsys, arguments: list[str], message: str
) -> None:
    save(tmp_path / "a.jpg")
    save(tmp_path / "b.jpg")
    save_video(tmp_path / "v.mp4")
    (tmp_path / "a.txt").write_text("text")
    if "--output" not in arguments:
        arguments = [*arguments, "--output", "{0}/out"]

    assert run(demo, *(a.format(tmp_path) for a in arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize(
    "sources", [[], ["a.jpg", "--camera"], ["--video", "v.mp4", "--camera", "0"]]
)
def test_exactly_one_source(demo: ModuleType, capsys, sources: list[str]) -> None:
    assert run(demo, *sources) == 2
    assert "name images, or --video FILE, or --camera" in capsys.readouterr().err


def test_no_display_is_said_before_the_model_is_loaded(
    demo: ModuleType, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(demo, "Predictor", None)

    assert run(demo, save(tmp_path / "a.jpg")) == 1
    assert "error: this machine has no display for a window: use --output\n" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(("key", "num_shown"), [(27, 1), (ord("q"), 1), (ord(" "), 3)])
def test_window(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: int, num_shown: int
) -> None:
    shown = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "imshow", lambda name, image: shown.append(image))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: key)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *arguments: 1)
    paths = [save(tmp_path / name) for name in ("a.png", "b.png", "c.png")]

    assert run(demo, *paths) == 0
    assert len(shown) == num_shown


@pytest.mark.parametrize(
    ("given", "of_config", "line", "set_to"),
    [
        (None, None, "", 0.5),
        (0.3, None, "", None),
        (None, (0.4,), "lowest score of a detection, by the config: 0.4\n", None),
        (0.3, (0.4,), "by the config: 0.4; as --threshold says: 0.3\n", None),
    ],
)
def test_whose_threshold_holds_is_said(
    demo: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    given: float | None,
    of_config: tuple | None,
    line: str,
    set_to: float | None,
) -> None:
    monkeypatch.setattr(FixedPredictor, "config_thresholds", of_config)
    monkeypatch.setattr(FixedPredictor, "threshold", None)
    flag = [] if given is None else ["--threshold", given]
    assert run(demo, save(tmp_path / "a.png"), "--output", tmp_path / "o.png", *flag) == 0
    assert FixedPredictor.arguments["confidence_threshold"] == given
    assert FixedPredictor.threshold == set_to
    said = capsys.readouterr().out
    assert line in said and ("lowest score" in said) == bool(line)


def test_options_reach_the_predictor(demo: ModuleType, tmp_path: Path) -> None:
    output = ["--output", tmp_path / "o.png", "--weights", "w.pth", "--threshold", 0.3]
    options = ["--slice", 640, "--slice-overlap", 0.25, "--tta", "--agnostic-nms"]
    options += ["--precision", "bf16", "--compile", "--winograd"]
    options += ["--device", "cpu", "--opts", "MODEL.X", "-1"]

    assert run(demo, save(tmp_path / "a.png"), *output, *options) == 0
    assert FixedPredictor.arguments == {
        "config": "any",
        "weights": "w.pth",
        "confidence_threshold": 0.3,
        "slice_size": 640,
        "slice_overlap": 0.25,
        "tta": True,
        "agnostic_nms": True,
        "device": "cpu",
        "precision": "bf16",
        "compile": True,
        "winograd": True,
        "opts": ["MODEL.X", "-1"],
        "trust_checkpoint": None,
        "trust_config": False,
    }


@pytest.mark.parametrize("output", ["new/x.mp4", "folder"])
def test_video(demo: ModuleType, tmp_path: Path, output: str, capsys) -> None:
    path = save_video(tmp_path / "v.mp4")
    target = tmp_path / (output if output.endswith(".mp4") else "folder/v.mp4")

    assert run(demo, "--video", path, "--output", tmp_path / output) == 0
    reader = VideoReader(target)
    assert (reader.fps, len(list(reader)), reader.size) == (7.5, 6, (48, 64))
    assert f"{path}: 6 frames drawn; written to {target}\n" in capsys.readouterr().out


def test_interrupt_keeps_what_was_written(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(FixedPredictor, "stop_at", 4)
    path, target = save_video(tmp_path / "v.mp4"), tmp_path / "o.mp4"

    assert run(demo, "--video", path, "--output", target) == 0
    assert len(list(VideoReader(target))) == 3
    assert "3 frames drawn, stopped before its end" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_keeps_what_was_written(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, number: int
) -> None:
    """It comes while the third frame is drawn and other threads are ahead."""
    before = {x: signal.getsignal(x) for x in (signal.SIGINT, signal.SIGTERM)}
    # A shell that starts this in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    drawn = []

    def draw_or_end(*arguments: object) -> np.ndarray:
        drawn.append(arguments)
        if len(drawn) == 3:
            os.kill(os.getpid(), number)
        return arguments[0]

    monkeypatch.setattr(demo, "draw_detections", draw_or_end)
    path, target = save_video(tmp_path / "v.mp4", 12), tmp_path / "o.mp4"
    try:
        assert run(demo, "--video", path, "--output", target) == 0
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
    assert len(list(VideoReader(target))) == 2
    assert "2 frames drawn, stopped before its end" in capsys.readouterr().out
    assert not [t for t in threading.enumerate() if t.name == "buffered"]


def test_frames_keep_their_order_and_detections(demo: ModuleType, tmp_path: Path) -> None:
    levels = list(range(0, 240, 20))
    with VideoWriter(tmp_path / "v.mp4", 5, (48, 64)) as writer:
        for level in levels:
            writer.write(np.full((48, 64, 3), level, np.uint8))

    def level_of(image: np.ndarray) -> int:
        return round(image.mean() / 20)

    with VideoReader(tmp_path / "v.mp4") as reader:
        pairs = list(demo.detected(level_of, reader))
    assert [found for _, found in pairs] == [level_of(frame) for frame, _ in pairs]
    assert [found for _, found in pairs] == list(range(12))


def test_error_of_the_detector_comes_out_and_the_video_stays(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(FixedPredictor):
        def __call__(self, image: np.ndarray) -> Instances:
            if self.calls == 2:
                raise RuntimeError("out of memory")
            return super().__call__(image)

    monkeypatch.setattr(demo, "Predictor", Broken)
    path, target = save_video(tmp_path / "v.mp4"), tmp_path / "o.mp4"
    with pytest.raises(RuntimeError, match="out of memory"):
        run(demo, "--video", path, "--output", target)
    assert len(list(VideoReader(target))) == 2
    assert not [t for t in threading.enumerate() if t.name == "buffered"]


def test_escape_ends_a_shown_video(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    shown = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "imshow", lambda name, image: shown.append(image))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: 27 if len(shown) == 2 else 255)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *arguments: 1)

    assert run(demo, "--video", save_video(tmp_path / "v.mp4", 20)) == 0
    assert len(shown) == 2
    assert "2 frames drawn, stopped before its end" in capsys.readouterr().out
    assert not [t for t in threading.enumerate() if t.name == "buffered"]


def test_a_camera_is_not_buffered(demo: ModuleType) -> None:
    taken = []
    reader = type(
        "Camera",
        (),
        {"is_live": True, "__iter__": lambda self: (taken.append(i) or i for i in range(9))},
    )()
    frames = demo.detected(lambda frame: -frame, reader)
    assert next(frames) == (0, 0) and next(frames) == (1, -1)
    assert taken == [0, 1]


def test_interrupt_between_images(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(FixedPredictor, "stop_at", 2)
    paths = [save(tmp_path / name) for name in ("a.png", "b.png", "c.png")]

    assert run(demo, *paths, "--output", tmp_path / "out") == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.png"]
    assert "1 of 3 images drawn" in capsys.readouterr().out


def test_video_that_ends_early(demo: ModuleType, tmp_path: Path, shared_dir: Path, capsys) -> None:
    path = shared_dir / "data" / "video" / "made_truncated.avi"

    assert run(demo, "--video", path, "--output", tmp_path) == 0
    assert len(list(VideoReader(tmp_path / "made_truncated.mp4"))) == 15
    line = "15 frames drawn, the video ends before the 24 frames that it announces"
    assert line in capsys.readouterr().out


def test_hard_inputs(demo: ModuleType, tmp_path: Path, shared_dir: Path, capsys) -> None:
    folder = shared_dir / "data" / "hard_inputs"
    names = set(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    # The large one is read in another test, and older Pillows have no AVIF.
    names -= {"big_8000x6000.jpg", "avif.avif"}
    inputs = [folder / "images" / name for name in sorted(names)]

    assert run(demo, *inputs, "--output", tmp_path) == 0
    # Unreadable: two JPEG and one PNG cut short, an empty file, two texts, the bomb. The folder
    # named like an image has no image in it and counts, too.
    assert "46 of 54 images drawn, 8 unreadable:" in capsys.readouterr().out
    written = {path.name for path in tmp_path.iterdir()}
    assert {"ünïcode_图像.jpg", "animated.gif.jpg", "no_extension.jpg", "UPPER.JPG"} <= written
    assert len(written) == 46


def test_help_runs_as_a_script() -> None:
    command = [sys.executable, str(DEMO), "--help"]
    environment = {**os.environ, "PYTHONPATH": str(DEMO.parents[1])}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)

    assert result.returncode == 0, result.stderr
    assert "--video-input FILE" in result.stdout


def test_the_flags_of_other_demos(demo: ModuleType, tmp_path: Path, capsys) -> None:
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    model = ["--config-file", "any", "--weights", "w.pth", "--confidence-threshold", "0.3"]
    target = str(tmp_path / "o.png")
    image = ["--input", str(save(tmp_path / "a.png")), "--output", target]
    assert script.main([*model, *image, "--opts", "MODEL.X", "-1"]) == 0
    assert FixedPredictor.arguments["confidence_threshold"] == 0.3
    assert FixedPredictor.arguments["opts"] == ["MODEL.X", "-1"]
    video = ["--video-input", str(save_video(tmp_path / "v.mp4")), "--output", str(tmp_path)]
    assert script.main([*model, *video]) == 1
    assert "would overwrite the input" in capsys.readouterr().err
    with pytest.raises(SystemExit) as info:
        script.main([*model, "--webcam", *image])
    assert info.value.code == 2


def test_the_config_is_found_by_the_weights(demo: ModuleType, tmp_path: Path, capsys) -> None:
    image, output = str(save(tmp_path / "a.png")), ["--output", str(tmp_path / "o.png")]
    weights = str(tmp_path / "run" / "model.pth")
    assert main(["predict", image, *output, "--weights", weights]) == 2
    assert "config.yaml beside the weights" in capsys.readouterr().err
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    assert main(["predict", image, *output, "--weights", weights]) == 0
    assert FixedPredictor.arguments["config"] == str(tmp_path / "run" / "config.yaml")
    assert main(["predict", image, *output, "--weights", "zoo://FCOS-RT/R50"]) == 0
    assert FixedPredictor.arguments["config"] == "FCOS-RT/R50"
    assert main(["predict", image, *output]) == 2


def test_names_that_no_terminal_takes(demo: ModuleType, tmp_path: Path, capfd) -> None:
    folder = tmp_path / "in"
    path = save(folder / "a.png")
    path.rename(folder / os.fsdecode(b"caf\xe9.png"))
    (folder / "b\x1b[2J.png").write_text("no image")
    assert run(demo, folder, "--output", tmp_path / "out") == 0
    printed = "".join(capfd.readouterr())
    assert r"caf\xe9.png: 1 detections" in printed and r"b\x1b[2J.png: not an image" in printed
    assert "\x1b[2J" not in printed
    assert os.listdir(os.fsencode(tmp_path / "out")) == [b"caf\xe9.png"]
    assert run(demo, "\x1b2J\udce9", "--output", tmp_path / "out") == 1
    assert capfd.readouterr().err == "error: \\x1b2J\\xe9: no such file or folder\n"


def test_a_pixel_limit_that_is_no_number(demo: ModuleType, tmp_path: Path, monkeypatch, capsys):
    path = save(tmp_path / "a.png")
    monkeypatch.setenv("FCOS_MAX_PIXELS", "1e9")
    assert run(demo, path, "--output", tmp_path / "out") == 1
    assert capsys.readouterr().err == (
        "error: FCOS_MAX_PIXELS must be a whole number of pixels, got '1e9'\n"
    )
