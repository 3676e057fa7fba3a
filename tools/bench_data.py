"""Times of reading, drawing and video against detectron2's, for `tools/benchmark.py`.

Each function measures ours and theirs in turns, in one process, and returns one row for each
comparison, see `row`.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from detectron2.data import DatasetMapper
from detectron2.structures import BoxMode

from fcos_d2 import model_zoo
from fcos_d2.data.mapper import FCOSDatasetMapper

NUM_IMAGES, NUM_BOXES = 8, 8


def measure_mapper(repeats: int = 20) -> list[dict]:
    """Images/s of one core from a 640 x 480 jpeg to the training sample at 800 px."""
    cfg = model_zoo.get_config("FCOS/R50-1x")
    cfg.INPUT.MIN_SIZE_TRAIN = (800,)
    ours, theirs = FCOSDatasetMapper(cfg, is_train=True), DatasetMapper(cfg, is_train=True)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        records = [_record(Path(folder) / f"{i}.jpg", i) for i in range(NUM_IMAGES)]
        seconds = in_turns(
            [lambda m=m: [m(record) for record in records] for m in (ours, theirs)], repeats
        )
    note = "one core; detectron2's DatasetMapper; to a short side of 800 px"
    rates = NUM_IMAGES / seconds
    return [row("mapper, 640x480 jpeg", "images/s", rates, target=2.5, note=note)]


def row(name: str, unit: str, rates: np.ndarray, target: float, note: str) -> dict:
    """One line of the results, from our rate and the peer's."""
    ours, peer = (float(rate) for rate in rates)
    return {
        "name": name,
        "ours": ours,
        "peer": peer,
        "unit": unit,
        "ratio": ours / peer,
        "target": target,
        "note": note,
    }


def in_turns(
    jobs: list[Callable[[], object]], repeats: int, clock: Callable[[], float] = time.thread_time
) -> np.ndarray:
    """Median seconds of each job; by default of computing in this thread, whatever else runs."""
    seconds = np.empty((repeats + 1, len(jobs)))
    for turn in seconds:
        for i, job in enumerate(jobs):
            start = clock()
            job()
            turn[i] = clock() - start
    return np.median(seconds[1:], axis=0)  # the first turn fills caches


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


def _picture(seed: int, height: int, width: int) -> np.ndarray:
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
    cv2.imwrite(str(path), _picture(seed, 480, 640), [cv2.IMWRITE_JPEG_QUALITY, 90])
    annotation = {"bbox_mode": BoxMode.XYWH_ABS, "category_id": 1, "iscrowd": 0}
    boxes = [[40.0 * i, 30.0 * i, 100.0, 80.0] for i in range(NUM_BOXES)]
    return {
        "file_name": str(path),
        "height": 480,
        "width": 640,
        "annotations": [{**annotation, "bbox": box} for box in boxes],
    }
