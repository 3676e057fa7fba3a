"""What our writers have in common: what is new, which run goes on, and what happens on failure."""

import logging
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from detectron2.utils.events import EventStorage
from torch import Tensor

from .best import EarlyStop

logger = logging.getLogger(__name__)

Events = tuple[dict[str, float], dict[str, np.ndarray]]  # scalars and images by name


def new_events(storage: EventStorage, after: int) -> dict[int, Events]:
    """What was put into the storage after an iteration, as detectron2's writers see it.

    Args:
        storage: of a trainer.
        after: iteration; -1 for all.

    Returns:
        Events by iteration, in its order. A scalar is its last value, or the median of 20
        iterations where the storage holds it to be noisy. Images are uint8 RGB (H, W, 3).

    Source: detectron2 `utils/events.py` `TensorboardXWriter.write`.
    """
    events: dict[int, Events] = {}
    for name, (value, iteration) in storage.latest_with_smoothing_hint().items():
        if iteration > after:
            events.setdefault(iteration, ({}, {}))[0][name] = value
    # The storage has no public way to its images.
    for name, image, iteration in storage._vis_data:
        if iteration > after:
            events.setdefault(iteration, ({}, {}))[1][name] = to_picture(image)
    return dict(sorted(events.items()))


def to_picture(image: Tensor | np.ndarray) -> np.ndarray:
    """uint8 (H, W, C) of an image (C, H, W), which is uint8, or float in [0, 1]."""
    array = torch.as_tensor(image).cpu().numpy().transpose(1, 2, 0)
    if array.dtype != np.uint8:
        array = np.rint(255 * array.clip(0, 1)).astype(np.uint8)
    return np.ascontiguousarray(array)


def run_to_resume(id_file: Path, storage: EventStorage) -> str:
    """The id of the run that goes on, or "" where a new one starts.

    Training from iteration 0 is a new run, even in the folder of an old one.

    Args:
        id_file: holds the id of the last run in the folder, if there was one.
        storage: with the first scalars of this training.
    """
    starts = (history.values()[0][1] for history in storage.histories().values())
    first = min(starts, default=storage.iter)
    return id_file.read_text().strip() if first > 0 and id_file.is_file() else ""


def training_failed() -> bool:
    """Whether an error ends the training; to be called from `after_train` of a hook or below."""
    # The trainer calls the hooks in a `finally`, where the error is known but not passed on.
    error = sys.exc_info()[1]
    return error is not None and not isinstance(error, EarlyStop)


class FailureGuard:
    """Keeps failures of a logging service away from the training.

    After a failure it leaves the service alone for a while. An attempt can block for minutes before
    it fails; a pause of 20 times as long keeps what is lost to them below a twentieth of the run.
    """

    def __init__(self, name: str, pause: float = 60.0) -> None:
        """
        Args:
            name: of the service, for the warning.
            pause: the shortest, s.
        """
        self.name = name
        self.pause = pause
        self._warned = False
        self._quiet_until = -math.inf

    def attempt(self, action: Callable[[], None], final: bool = False) -> None:
        """Calls `action`, unless in a pause; of its failures, the first one is logged.

        Args:
            action: may raise any Exception.
            final: call it in a pause as well.
        """
        start = time.monotonic()
        if start < self._quiet_until and not final:
            return
        try:
            action()
        except Exception as error:  # of which kind depends on the service and on the network
            now = time.monotonic()
            self._quiet_until = now + max(self.pause, 20 * (now - start))
            if not self._warned:
                logger.warning(
                    "logging to %s failed (%s: %s); training goes on and tries again later, with "
                    "all numbers in metrics.json",
                    *(self.name, type(error).__name__, error),
                )
            self._warned = True
