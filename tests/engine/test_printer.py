"""The line of progress."""

import logging

from detectron2.utils.events import EventStorage

from fcos_d2.engine.printer import Printer


def test_losses_of_evaluations_are_not_in_it(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("detectron2"), "propagate", True)
    with EventStorage(30) as storage, caplog.at_level(logging.INFO):
        for name in ("total_loss", "loss_fcos_cls", "time"):
            storage.put_scalar(name, 1.5)
        for name in ("validation/total_loss", "raw/my_set/validation/loss_fcos_cls"):
            storage.put_scalar(name, 2.5, smoothing_hint=False)
        storage.put_scalar("lr", 0.01)
        Printer(100).write()
    (line,) = set(caplog.messages)  # several handlers may have seen it
    assert "iter: 30  total_loss: 1.5  loss_fcos_cls: 1.5  " in line and "lr: 0.01" in line
    assert "validation" not in line and "2.5" not in line
