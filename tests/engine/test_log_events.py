import logging

import numpy as np
import pytest
import torch
from detectron2.engine import HookBase, TrainerBase
from detectron2.utils.events import EventStorage

from fcos_d2.engine.best import EarlyStop
from fcos_d2.engine.log_events import (
    FailureGuard,
    new_events,
    run_to_resume,
    to_picture,
    training_failed,
)


def test_new_events_by_iteration():
    """Losses 1, 9, 2 of iterations 4 to 6 have the median 2; AP is not smoothed."""
    storage = EventStorage(4)
    for loss in (1.0, 9.0, 2.0):
        storage.put_scalar("total_loss", loss)
        if loss == 9:
            storage.put_scalar("bbox/AP", 30.0, smoothing_hint=False)
            storage.put_image("predictions/a.jpg", torch.ones(3, 2, 4))
        storage.step()
    events = new_events(storage, after=-1)
    assert [*events] == [5, 6]  # AP's iteration and the last one of the loss
    assert events[6] == ({"total_loss": 2.0}, {})
    assert events[5][0] == {"bbox/AP": 30.0}
    assert events[5][1]["predictions/a.jpg"].shape == (2, 4, 3)
    assert [*new_events(storage, after=5)] == [6]
    assert new_events(storage, after=6) == {}


def test_to_picture():
    grey = np.full((3, 1, 2), 7, np.uint8)
    assert (to_picture(grey) == 7).all() and to_picture(grey).shape == (1, 2, 3)
    # 255 * 0.2 = 51; beyond [0, 1] it is cut off.
    image = torch.tensor([0.2, 1.5, -1.0]).reshape(3, 1, 1)
    assert to_picture(image).tolist() == [[[51, 255, 0]]]


def test_run_to_resume(tmp_path):
    storage = EventStorage(0)
    storage.put_scalar("total_loss", 1.0, cur_iter=100)
    storage.put_scalar("total_loss", 1.0, cur_iter=119)
    path = tmp_path / "id"
    assert run_to_resume(path, storage) == ""
    path.write_text("abc\n")
    assert run_to_resume(path, storage) == "abc"
    storage.put_scalar("grad_norm", 1.0, cur_iter=0)
    assert run_to_resume(path, storage) == ""  # a training from the start, in an old folder


class Loop(TrainerBase):
    def __init__(self, error):
        super().__init__()
        self.error = error
        self.failed = None
        hook = HookBase()
        hook.after_train = lambda: setattr(self, "failed", training_failed())
        self.register_hooks([hook])

    def run_step(self):
        if self.error:
            raise self.error


@pytest.mark.parametrize(
    ("error", "failed"),
    [(None, False), (ValueError(), True), (SystemExit(1), True), (EarlyStop(), False)],
)
def test_training_failed(error, failed):
    loop = Loop(error)
    if error is None:
        loop.train(0, 2)
    else:
        with pytest.raises(type(error)):
            loop.train(0, 2)
    assert loop.failed is failed


def test_failures_are_logged_once_and_followed_by_a_pause(monkeypatch, caplog):
    """The first attempt takes 10 s, so that the next one is 200 s after it; then at least 60 s."""
    clock, calls = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    def fail(seconds):
        calls.append(clock[0])
        clock[0] += seconds
        raise ConnectionError("no network")

    guard = FailureGuard("W&B")
    caplog.set_level(logging.WARNING)
    for now, seconds in [(0, 10), (209, 10), (211, 1), (240, 1), (280, 1)]:
        clock[0] = now
        guard.attempt(lambda seconds=seconds: fail(seconds))
    assert calls == [0, 211, 280]
    guard.attempt(lambda: calls.append("last"), final=True)
    assert calls[-1] == "last"
    (record,) = caplog.records
    assert "W&B failed (ConnectionError: no network)" in record.getMessage()


def test_an_interruption_passes():
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FailureGuard("W&B").attempt(interrupt)
