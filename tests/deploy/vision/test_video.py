from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from made_videos import write_avi, write_webm

from fcos_deploy.vision.video import VideoReader, VideoWriter, true_rate


def gray(value: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def write(path: Path, values: list[int], fps: float = 12.5, size: tuple = (48, 64)) -> Path:
    with VideoWriter(path, fps, size) as writer:
        for value in values:
            writer.write(gray(value, size))
    return path


def test_written_frames_are_read_back_in_order(tmp_path: Path) -> None:
    values = [0, 60, 120, 180, 240]
    with VideoReader(write(tmp_path / "a.mp4", values)) as reader:
        assert (reader.fps, reader.frame_count, reader.size) == (12.5, 5, (48, 64))
        assert reader.num_decoded == 0
        frames = list(reader)
        assert reader.num_decoded == 5

    # The codec is lossy, but not by a quarter of the step.
    assert all(abs(f.mean() - v) < 15 for f, v in zip(frames, values, strict=True))


@pytest.mark.parametrize("fps", [3.0, 29.97, 30000 / 1001, 29.833333333333332, 0.5, 60.0])
def test_frame_rate_is_kept(tmp_path: Path, fps: float) -> None:
    assert VideoReader(write(tmp_path / "a.mp4", [9, 9], fps)).fps == pytest.approx(fps, abs=1e-3)


@pytest.mark.parametrize(
    ("size", "stored"), [((47, 64), (48, 64)), ((48, 63), (48, 64)), ((1, 1), (2, 2))]
)
def test_odd_sizes_get_a_line_more(tmp_path: Path, size: tuple, stored: tuple) -> None:
    reader = VideoReader(write(tmp_path / "a.mp4", [200] * 3, size=size))

    assert reader.size == stored
    assert [round(frame[-1, -1].mean() / 20) for frame in reader] == [10, 10, 10]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interrupted_video_can_be_played(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), VideoWriter(tmp_path / "a.mp4", 10, (48, 64)) as writer:
        writer.write(gray(50))
        writer.write(gray(60))
        raise error

    assert len(list(VideoReader(tmp_path / "a.mp4"))) == 2


def test_video_without_frames_is_not_left_behind(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [])

    assert not (tmp_path / "a.mp4").exists()


def test_frames_of_another_kind_are_refused(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 10, (48, 64)) as writer:
        with pytest.raises(ValueError, match=r"must be uint8 \(48, 64, 3\), got uint8 \(64, 48,"):
            writer.write(gray(0, (64, 48)))
        with pytest.raises(ValueError, match="got float64"):
            writer.write(gray(0).astype(float))


@pytest.mark.parametrize(
    ("name", "fps", "size", "cause"),
    [
        ("a.avi", 10, (4, 4), "written as .mp4"),
        ("a.mp4", 0, (4, 4), "rate must be positive, got 0"),
        ("a.mp4", float("nan"), (4, 4), "rate must be positive, got nan"),
        ("a.mp4", 10, (0, 4), r"got \(h, w\) = \(0, 4\)"),
        ("missing/a.mp4", 10, (4, 4), "no folder .*missing"),
    ],
)
def test_writer_names_file_and_cause(
    tmp_path: Path, name: str, fps: float, size: tuple, cause: str
) -> None:
    with pytest.raises(ValueError, match=f"{name}: .*{cause}"):
        VideoWriter(tmp_path / name, fps, size)


def test_reader_names_file_and_cause(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video")
    whole = write(tmp_path / "whole.mp4", list(range(40))).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # its index is at the end
    causes = {
        "empty.mp4": "the file is empty",
        "text.mp4": "not a video that OpenCV can open",
        "cut.mp4": "not a video that OpenCV can open",
        "missing.mp4": "no such file",
        ".": "not a file",
    }
    for name, cause in causes.items():
        with pytest.raises(ValueError, match=f"^{tmp_path / name}: {cause}"):
            VideoReader(tmp_path / name)


def test_video_that_ends_early_gives_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    noise = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8)
    for frame in noise:
        writer.write(frame)
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reader = VideoReader(path)

    assert reader.frame_count == 20
    assert 0 < len(list(reader)) == reader.num_decoded < 20


@pytest.mark.parametrize(
    ("name", "fps", "announced", "decoded", "size"),
    [
        ("demo_mot_8frames.mp4", 3, 8, 8, (1080, 1920)),
        ("made_short_24frames.avi", 10, 24, 24, (240, 320)),
        ("made_one_frame.mp4", 10, 1, 1, (240, 320)),
        ("made_odd_size_322x242.mp4", 29.97, 12, 12, (242, 322)),
        ("made_truncated.avi", 10, 24, 15, (240, 320)),
    ],
)
def test_real_videos(
    shared_dir: Path, name: str, fps: float, announced: int, decoded: int, size: tuple
) -> None:
    with VideoReader(shared_dir / "data" / "video" / name) as reader:
        shapes = {frame.shape for frame in reader}
        assert (reader.fps, reader.frame_count, reader.size) == (fps, announced, size)
        assert (reader.num_decoded, shapes) == (decoded, {(*size, 3)})


@pytest.mark.parametrize("name", ["made_truncated_no_index.mp4", "made_zero_byte.mp4"])
def test_real_videos_that_do_not_open(shared_dir: Path, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        VideoReader(shared_dir / "data" / "video" / name)


EVERY_40_MS = [40 * i for i in range(50)]
UNEVEN_MS = [0, 33, 67, 100, 1500, 1533, 1567, 1600, 3000, 3033]  # a screen that stands still


@pytest.mark.parametrize(
    ("times_ms", "header_fps", "duration_ms", "fps"),
    [
        (EVERY_40_MS, 1000, 2000, 25),
        (EVERY_40_MS, 1000, None, 25),  # streamed while it was recorded
        (EVERY_40_MS, None, None, 25),
        (EVERY_40_MS, 25, 2000, 25),
        (EVERY_40_MS, 50, 2000, 25),
        ([round(1000 * i / 30) for i in range(50)], 1000, 1667, 30),
        (list(range(50)), 1000, 50, 1000),  # a slow-motion camera: this is true
        (UNEVEN_MS, 1000, 3100, 9 / 3.033),
        (UNEVEN_MS, 30, 3100, 9 / 3.033),
        (UNEVEN_MS, None, None, 9 / 3.033),
        ([500 + x for x in EVERY_40_MS], 1000, 2500, 25),
    ],
)
def test_rate_and_number_of_frames_come_from_the_timestamps(
    tmp_path: Path, caplog, times_ms: list, header_fps: float, duration_ms: float, fps: float
) -> None:
    path = write_webm(tmp_path / "a.webm", times_ms, header_fps, duration_ms)
    with VideoReader(path) as reader:
        assert reader.fps == pytest.approx(fps, rel=2e-3)
        assert reader.frame_count == len(times_ms)
        levels = [frame.mean() for frame in reader]
    assert [round(level / 3) for level in levels] == [*range(len(times_ms))]
    assert caplog.text == ""


@pytest.mark.parametrize(("rate", "step"), [(90000, 3600), (100, 4), (25, 1)])
def test_empty_ticks_of_an_avi_are_no_frames(tmp_path: Path, rate: int, step: int) -> None:
    """25 frames a second on clocks of 90,000, 100 and 25 ticks."""
    with VideoReader(write_avi(tmp_path / "a.avi", rate, [step * i for i in range(9)])) as reader:
        assert reader.fps == pytest.approx(25, rel=1e-6)
        assert reader.frame_count == len(list(reader)) == 9


@pytest.mark.parametrize("num", [1, 2, 30])
def test_a_rate_that_cannot_be_is_said(tmp_path: Path, caplog, num: int) -> None:
    """90,000 frames a second by header and timestamps: nothing tells the true rate."""
    path = write_avi(tmp_path / "a.avi", 90000, [*range(num)])
    with VideoReader(path) as reader:
        assert (reader.fps, reader.frame_count, len(list(reader))) == (30, num, num)
    assert caplog.messages == [
        f"{path}: does not give a valid frame rate (90000 frames/s); 30 is assumed"
    ]


def test_a_single_frame_has_no_rate(tmp_path: Path) -> None:
    reader = VideoReader(write_webm(tmp_path / "a.webm", [0], 1000, 40))
    assert (reader.fps, reader.frame_count) == (30, 1)
    assert VideoReader(write_webm(tmp_path / "b.webm", [0], 24, 42)).fps == pytest.approx(24)


def test_rates_on_paper() -> None:
    """Header, number of frames, times."""
    thirds = [0.0, 0.333, 0.667, 1.0]
    assert true_rate(3.0, 4, thirds) == (3.0, 4)
    assert true_rate(3.0, None, thirds) == (3.0, 4)
    assert true_rate(3.0, 9, thirds) == (3.0, 9)  # cut short after four
    assert true_rate(1000.0, 1333, thirds) == (3.0, 4)
    assert true_rate(0.0, None, thirds) == (3.0, 4)
    assert true_rate(float("nan"), None, thirds) == (3.0, 4)
    assert true_rate(29.97, 100, []) == (29.97, 100)  # an OpenCV that does not tell times
    assert true_rate(29.97, 100, [0.0] * 100) == (29.97, 100)
    assert true_rate(90000.0, 100, []) == (None, 100)


def test_missing_camera_is_named(capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(ValueError, match="camera 99: there is no such camera"):
        VideoReader(99)
    assert capfd.readouterr().err == ""  # OpenCV's own lines


def test_a_full_disk_leaves_no_half_video(tmp_path, monkeypatch):
    """OpenCV says nothing: the file that it closed holds no video."""
    (tmp_path / "a.mp4").write_bytes(b"the old one")
    writer = VideoWriter(tmp_path / "a.mp4", 25, (32, 32))
    writer.write(np.zeros((32, 32, 3), np.uint8))
    assert (tmp_path / "a.mp4").read_bytes() == b"the old one", "it has its name when it is whole"
    release = writer._writer.release

    def cut() -> None:
        release()
        writer._temporary.write_bytes(b"cut")

    monkeypatch.setattr(writer, "_writer", SimpleNamespace(isOpened=lambda: True, release=cut))
    with pytest.raises(OSError, match="could not be written whole"):
        writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"the old one"
