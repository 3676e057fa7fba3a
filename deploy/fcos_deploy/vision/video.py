"""Videos and cameras, frame by frame, with OpenCV. Frames are uint8 BGR (H, W, 3)."""

import errno
import itertools
import logging
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ..writing import replacing, temporary_name

# FFmpeg prints its own lines about each damaged file; ours name the file and the cause. OpenCV
# reads this variable once, when it opens the first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

DEFAULT_FPS = 30.0  # if the source does not say, like many cameras
MAX_FPS = 1000.0  # higher rates are ticks of a clock, not frames

logger = logging.getLogger(__name__)


class VideoReader:
    """Iterates once over the frames of a video file or a camera.

    Attributes:
        name: the file, or "camera 0".
        fps: frames per second; the mean if they come at uneven times.
        frame_count: number of frames announced, or None; the file may end earlier.
        size: (h, w) px of the frames.
        num_decoded: frames given out so far.
    """

    def __init__(self, source: str | Path | int) -> None:
        """Open the source and decode its first frame.

        Args:
            source: a file, or the index of a camera.

        Raises:
            ValueError: if the source does not open or has no frame; names it and the cause.
        """
        self.is_live = isinstance(source, int)
        self.name = f"camera {source}" if self.is_live else str(source)
        _check_source(source)
        # OpenCV reports every backend that it tried in vain.
        log = getattr(cv2.utils, "logging", cv2)  # the former since OpenCV 5
        level = log.setLogLevel(0)
        self._capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        log.setLogLevel(level)
        # The header may be wrong, or not count the rotation of a phone's video: the frame decides.
        found, first = self._capture.read()
        if not found:
            opened = self._capture.isOpened()
            self._capture.release()
            raise ValueError(f"{self.name}: {_cause(source, opened)}")
        self._first: np.ndarray | None = first
        self.size = first.shape[:2]
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        times = [] if isinstance(source, int) else packet_times(source)
        announced = int(count) if math.isfinite(count) and count > 0 else None
        rate, self.frame_count = true_rate(fps, announced, times)
        self.fps = DEFAULT_FPS if rate is None else rate
        if rate is None and not self.is_live:
            logger.warning(
                "%s: does not give a valid frame rate (%g frames/s); %g is assumed",
                *(self.name, fps, DEFAULT_FPS),
            )
        self.num_decoded = 0
        # OpenCV hangs if it is closed while it reads.
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[np.ndarray]:
        frame, self._first = self._first, None
        while frame is not None:
            self.num_decoded += 1
            yield frame
            with self._lock:
                found, decoded = self._capture.read()  # nothing once it is closed
            frame = decoded if found else None

    def close(self) -> None:
        """Release the file or the camera; another thread may be reading."""
        with self._lock:
            self._capture.release()

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class VideoWriter:
    """Writes frames to an mp4 file; to be used in a `with` statement.

    An mp4 can be played only once it is closed, which `with` does after errors and Ctrl-C, too;
    only then does it get its name. A file without frames, or cut off by a full disk, is deleted.
    Sides of odd length get one more line of pixels, because the codec stores colours in pairs.

    Attributes:
        num_written: frames written so far.
    """

    def __init__(self, path: str | Path, fps: float, size: tuple[int, int]) -> None:
        """Create the file.

        Args:
            path: a name that ends in .mp4, in a folder that exists.
            fps: frames per second.
            size: (h, w) px of the frames.

        Raises:
            ValueError: if the name, rate or size is not possible, or the file cannot be written.
        """
        self.path, self.size, self.num_written = Path(path), tuple(size), 0
        if self.path.suffix.lower() != ".mp4":
            raise ValueError(f"{path}: videos are written as .mp4, give such a name")
        if not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"{path}: the frame rate must be positive, got {fps}")
        if min(self.size) < 1:
            raise ValueError(f"{path}: the frames must have pixels, got (h, w) = {self.size}")
        if not self.path.parent.is_dir():
            raise ValueError(f"{path}: there is no folder {self.path.parent}")
        height, width = (side + side % 2 for side in self.size)
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._temporary = temporary_name(self.path, ".mp4")
        self._writer = cv2.VideoWriter(str(self._temporary), codec, fps, (width, height))
        if not self._writer.isOpened():
            self._temporary.unlink(missing_ok=True)
            raise ValueError(f"{path}: the file cannot be written, or OpenCV has no mp4 codec")

    def write(self, frame: np.ndarray) -> None:
        """Append one frame, uint8 BGR (H, W, 3).

        Raises:
            ValueError: if the frame has another size or type; OpenCV would drop it silently.
        """
        if frame.shape != (*self.size, 3) or frame.dtype != np.uint8:
            got = f"{frame.dtype} {frame.shape}"
            raise ValueError(f"{self.path}: frames must be uint8 {(*self.size, 3)}, got {got}")
        bottom, right = (side % 2 for side in self.size)
        if bottom or right:
            frame = cv2.copyMakeBorder(frame, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        self._writer.write(frame)
        self.num_written += 1

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: it cannot be played, as on a full disk, which OpenCV does not report.
        """
        if not self._writer.isOpened():
            return
        self._writer.release()
        if self.num_written == 0:
            self._temporary.unlink(missing_ok=True)
            return
        with replacing(self.path, durable=False) as name:
            os.replace(self._temporary, name)
            if not _can_be_played(name):
                raise OSError(errno.EIO, "the video could not be written whole", str(self.path))

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def packet_times(path: str | Path) -> list[float]:
    """When each frame of a video file is shown, s, rising; from all of the file, undecoded.

    Empty if this OpenCV cannot tell.
    """
    undecoded = [cv2.CAP_PROP_FORMAT, -1]
    try:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, undecoded)
    except cv2.error:
        return []
    times = []
    while capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    return sorted(times)


def true_rate(
    fps: float, frame_count: int | None, times: list[float]
) -> tuple[float | None, int | None]:
    """Frames per second, or None if unknown, and the number of frames.

    Headers may give the ticks of the container's clock as the rate (1000 in what browsers record),
    or the rate of the first frames; their number of frames is then a guess from the duration.

    Args:
        fps: what the header says.
        frame_count: what the header says, or None.
        times: when each frame is shown, s, rising; may be empty.
    """
    rate, num = (fps if 0 < fps <= MAX_FPS else None), frame_count
    span = times[-1] - times[0] if times else 0
    if span > 0:
        # How long the last frame is shown is unknown, but hardly longer than the longest.
        longest = max(after - before for before, after in itertools.pairwise(times))
        agrees = rate and 0.98 * span <= len(times) / rate <= 1.02 * (span + 2 * longest)
        if not agrees:
            measured = (len(times) - 1) / span
            rate, num = (measured if measured <= MAX_FPS else None), len(times)
    elif rate == MAX_FPS:  # a clock of milliseconds, and not even two frames to measure by
        rate, num = None, len(times) or None
    return rate, num or len(times) or None


def _can_be_played(path: Path) -> bool:
    capture = cv2.VideoCapture(str(path))
    try:
        return capture.isOpened() and capture.grab()
    finally:
        capture.release()


def _check_source(source: str | Path | int) -> None:
    if isinstance(source, int):
        return
    path = Path(source)
    if not path.exists():
        raise ValueError(f"{source}: no such file")
    if not path.is_file():
        raise ValueError(f"{source}: not a file")
    if path.stat().st_size == 0:
        raise ValueError(f"{source}: the file is empty")


def _cause(source: str | Path | int, opened: bool) -> str:
    if isinstance(source, int):
        return "gives no picture" if opened else "there is no such camera, or it is in use"
    if opened:
        return "no frame can be decoded"
    return "not a video that OpenCV can open (damaged, cut short, or of another format)"
