import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_model import write_coded_model, write_model

from fcos_deploy import Detector
from fcos_deploy.runner import Item, Runner

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def detector(tmp_path: Path) -> Detector:
    return Detector(write_model(tmp_path / "m"))


def source(num: int, given: list[int]) -> Iterator[Item]:
    for i in range(num):
        given.append(i)
        yield Item(i, np.full((40, 60, 3), i, np.uint8))


@pytest.mark.parametrize("is_live", [False, True])
def test_all_come_in_their_order(detector: Detector, is_live: bool) -> None:
    runner = Runner(detector, batch=2, is_live=is_live)
    items = list(runner.run(source(7, [])))

    assert [item.name for item in items] == [*range(7)] and runner.num_done == 7
    assert all(item.image[0, 0, 0] == item.name for item in items)
    assert all(len(item.found.scores) == 2 and item.drawn is not None for item in items)


def test_a_camera_is_not_read_ahead(detector: Detector) -> None:
    given: list[int] = []
    items = Runner(detector, is_live=True).run(source(100, given))
    next(items)
    assert given == [0]
    next(items)
    assert given == [0, 1]


def test_no_more_is_read_than_fits(detector: Detector) -> None:
    given: list[int] = []
    items = Runner(detector, draws=False).run(source(1000, given))
    assert next(items).drawn is None
    items.close()
    # Four queues of two, one item in each of five stages.
    assert 1 <= len(given) <= 14


def test_speed_is_told_after_the_warm_up(detector: Detector) -> None:
    runner = Runner(detector)
    assert list(runner.run(source(3, []))) and "too few" in runner.speed()
    runner = Runner(detector)
    assert list(runner.run(source(9, [])))
    parts = [line.split()[0] for line in runner.speed().splitlines()[1:]]
    assert parts == ["decode", "preprocess", "engine", "post-process", "draw"]


@pytest.mark.parametrize(("batch", "num"), [(1, 9), (4, 16), (4, 18), (7, 40)])
def test_the_rate_is_images_over_time(
    detector: Detector, monkeypatch: pytest.MonkeyPatch, batch: int, num: int
) -> None:
    """The engine takes 50 ms an image: 20 images/s, however many come out at once."""

    class Slow:
        name = "slow engine"

        def run(self, images: np.ndarray, image_sizes: np.ndarray) -> list[np.ndarray]:
            now[0] += 0.05 * len(images)
            return engine.run(images, image_sizes)

    now, engine = [0.0], detector.engine
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    detector.engine = Slow()
    runner = Runner(detector, batch, draws=False, is_live=True)  # one thread, so one clock
    assert len([*runner.run(source(num, []))]) == num
    assert runner.speed().startswith(f"20.00 images/s with slow engine, batch {batch}\n")


def test_the_rate_of_stages_that_overlap(detector: Detector) -> None:
    """20 ms for each batch of 4 in the engine, the slowest stage: 200 images/s."""

    class Slow:
        name = "slow engine"

        def run(self, images: np.ndarray, image_sizes: np.ndarray) -> list[np.ndarray]:
            time.sleep(0.02)
            return engine.run(images, image_sizes)

    engine, detector.engine = detector.engine, Slow()
    runner = Runner(detector, batch=4, draws=False)
    assert len([*runner.run(source(60, []))]) == 60
    assert 1 < float(runner.speed().split()[0]) <= 200  # fewer on a busy machine


def test_images_of_unequal_sizes_keep_their_order(tmp_path: Path) -> None:
    """What comes out is what was found on each alone, in batches of four of any sizes."""
    detector = Detector(write_coded_model(tmp_path / "coded"))
    sizes = [(40, 60), (60, 40), (40, 90), (40, 60), (33, 33), (90, 40), (60, 40)]
    images = [np.full((*size, 3), 9 * i, np.uint8) for i, size in enumerate(sizes)]
    runner = Runner(detector, batch=4, draws=False)
    for item, image in zip(
        runner.run(Item(i, x) for i, x in enumerate(images)), images, strict=True
    ):
        assert item.image is image
        for found, alone in zip(item.found, detector(image), strict=True):
            np.testing.assert_allclose(found, alone, atol=1e-4)


def test_batches_that_the_model_does_not_take(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        Runner(detector, batch=0)
