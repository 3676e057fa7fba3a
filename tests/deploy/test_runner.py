from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_model import write_model

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


def test_batches_that_the_model_does_not_take(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        Runner(detector, batch=0)
