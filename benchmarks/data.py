"""Times of reading, drawing and video against detectron2's, for `python -m benchmarks`.

Each function measures ours and theirs in turns, in one process, and returns one row for each
comparison, see `rates_row`.
"""

import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import torch
from detectron2.data import DatasetMapper
from detectron2.data.catalog import Metadata
from detectron2.modeling import build_model
from detectron2.structures import Boxes, BoxMode, Instances
from detectron2.utils.video_visualizer import VideoVisualizer

from benchmarks.common import suite_row
from fcos_cli.drawing import draw_video
from fcos_d2 import model_zoo
from fcos_d2.benchmark.timing import time_in_turns
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.device import resolve_device
from fcos_d2.predictor import Predictor
from fcos_d2.visualization import VideoReader, VideoWriter, draw_detections
from fcos_deploy.pipeline import buffered

NUM_IMAGES, NUM_BOXES = 8, 8  # images in the folder, boxes on each
CLASS_NAMES = ["person", "bicycle", "car", "traffic light", "dog", "cat", "bench", "truck"]
VIDEO_CONFIG = "FCOS-RT/R50"
VIDEO_SIZE = (512, 736)  # height and width, px
VIDEO_THRESHOLD = 0.05  # random weights give scores around 0.07


def measure_mapper(repeats: int = 20) -> list[dict]:
    """Images/s of one core from a 640 x 480 jpeg to the training sample at 800 px."""
    cfg = model_zoo.get_config("FCOS/R50-1x")
    cfg.INPUT.MIN_SIZE_TRAIN = (800,)
    ours, theirs = FCOSDatasetMapper(cfg, is_train=True), DatasetMapper(cfg, is_train=True)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        records = [_record(Path(folder) / f"{i}.jpg", i) for i in range(NUM_IMAGES)]
        jobs = tuple(lambda m=m: [m(record) for record in records] for m in (ours, theirs))
        note = "one core; detectron2's DatasetMapper; to a short side of 800 px"
        name = "mapper, 640x480 jpeg"
        return [rates_row(name, "images/s", 2.5, note, jobs, NUM_IMAGES, repeats)]


def measure_drawing(repeats: int = 11) -> list[dict]:
    """Frames/s of one core with 50 boxes on 1280 x 720, against detectron2's VideoVisualizer."""
    rng = np.random.default_rng(0)
    image = picture(0, 720, 1280)
    corners = rng.uniform(0, (1100, 600), (50, 2))
    boxes = np.hstack([corners, corners + rng.uniform(30, 250, (50, 2))]).clip(0, (1280, 720) * 2)
    class_ids, scores = rng.integers(0, len(CLASS_NAMES), 50), rng.uniform(0.3, 1, 50)
    found = Instances((720, 1280))
    found.pred_boxes, found.scores = Boxes(torch.from_numpy(boxes)), torch.from_numpy(scores)
    found.pred_classes = torch.from_numpy(class_ids)
    visualizer = VideoVisualizer(Metadata(thing_classes=CLASS_NAMES))
    jobs = (
        lambda: draw_detections(image, boxes, class_ids, scores, CLASS_NAMES),
        lambda: visualizer.draw_instance_predictions(image, found).get_image(),
    )
    note = "one core; detectron2's VideoVisualizer"
    with one_thread():
        return [rates_row("drawing 50 boxes on 1280x720", "frames/s", 50, note, jobs, 1, repeats)]


def measure_video(repeats: int = 3, num_frames: int = 4) -> list[dict]:
    """Frames/s of `fcos predict`, from the file to the drawn file, against the detector alone.

    The detector has random weights, and a threshold that lets it find many objects.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights, source, target = (Path(folder) / name for name in ("w.pth", "v.mp4", "o.mp4"))
        cfg = model_zoo.get_config(VIDEO_CONFIG)
        cfg.MODEL.WEIGHTS, cfg.MODEL.DEVICE = "", resolve_device(cfg.MODEL.DEVICE)
        torch.manual_seed(0)
        torch.save({"model": build_model(cfg).state_dict()}, weights)
        predictor = Predictor(VIDEO_CONFIG, str(weights), confidence_threshold=VIDEO_THRESHOLD)
        with VideoWriter(source, 25, VIDEO_SIZE) as writer:
            for i in range(num_frames):
                writer.write(np.roll(picture(0, *VIDEO_SIZE), 8 * i, axis=1))
        with VideoReader(source) as reader:
            frames = list(reader)

        def whole() -> None:
            with VideoReader(source) as reader, VideoWriter(target, 25, VIDEO_SIZE) as writer:
                draw_video(predictor, reader, writer)

        def detector_alone() -> None:
            # In a thread, too: there, torch's helpers wait in another way than in the first one.
            list(buffered((predictor(frame) for frame in frames), num_frames))

        num_found = len(predictor(frames[0]))
        note = f"{VIDEO_CONFIG}, random weights, {num_found} boxes a frame; the detector alone"
        name, jobs = "video 736x512, whole pipeline", (whole, detector_alone)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            # The time is that of the wall: threads are what is measured.
            row = rates_row(
                name, "frames/s", 0.95, note, jobs, num_frames, repeats, time.perf_counter
            )
    return [row]


def rates_row(
    name: str,
    unit: str,
    target: float,
    note: str,
    jobs: tuple[Callable[[], object], Callable[[], object]],
    num: int,
    repeats: int,
    clock: Callable[[], float] = time.thread_time,
) -> dict:
    """A row of the suite, of our job and the peer's, which handle `num` images each.

    The time is by default that of computing in this thread, whatever else runs.
    """
    times = time_in_turns(dict(zip("ab", jobs, strict=True)), 1, repeats, clock)
    ours, peer = (num * 1e3 / statistics.median(values) for values in times.values())
    return suite_row(name, ours, peer, unit, target, note, more_is_better=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch and OpenCV compute in the calling thread alone."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def picture(seed: int, height: int, width: int) -> np.ndarray:
    """A drawn scene with some noise: as a jpeg it has about the bytes of a photo."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 40 + 1, width // 40 + 1, 3), np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(30):
        x, y, radius = (int(v) for v in rng.integers(0, (width, height, height // 6)))
        color = rng.integers(0, 256, 3).tolist()
        cv2.circle(picture, (x, y), radius, color, cv2.FILLED, cv2.LINE_AA)
    noise = rng.integers(-12, 13, picture.shape, np.int16)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _record(path: Path, seed: int) -> dict:
    cv2.imwrite(str(path), picture(seed, 480, 640), [cv2.IMWRITE_JPEG_QUALITY, 90])
    annotation = {"bbox_mode": BoxMode.XYWH_ABS, "category_id": 1, "iscrowd": 0}
    boxes = [[40.0 * i, 30.0 * i, 100.0, 80.0] for i in range(NUM_BOXES)]
    return {
        "file_name": str(path),
        "height": 480,
        "width": 640,
        "annotations": [{**annotation, "bbox": box} for box in boxes],
    }
