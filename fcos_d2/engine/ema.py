"""The moving mean of the weights, which is evaluated and saved in place of the last ones."""

from detectron2.engine import HookBase
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage(HookBase):
    """Keeps an exponential moving average of weights and buffers, updated after each step.

    Update n (from 0) keeps min(decay, (1 + n) / (10 + n)) of the average, so that a short run
    forgets its first weights as well.

    Source: Polyak averaging; the warm-up as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, model: nn.Module, decay: float = 0.9998) -> None:
        """
        Args:
            model: in training, not yet distributed.
            decay: share of the average that a step keeps in the long run, in [0, 1).

        Raises:
            ValueError: another `decay`.
        """
        if not 0 <= decay < 1:
            raise ValueError(f"SOLVER.EMA.DECAY (train.ema.decay) must be in [0, 1), got {decay}")
        self.source = model
        self.decay = decay
        self._averaged = AveragedModel(model, multi_avg_fn=self._average, use_buffers=True)
        # 0 would make torch copy the model instead of averaging it with what was loaded.
        self._averaged.n_averaged += 1

    @property
    def model(self) -> nn.Module:
        """The model with the averaged weights."""
        return self._averaged.module

    @property
    def num_updates(self) -> int:
        return int(self._averaged.n_averaged) - 1

    def after_step(self) -> None:
        self._averaged.update_parameters(self.source)

    def state_dict(self) -> dict:
        """The count only: the checkpointer saves the averaged weights as those of the model."""
        return {"num_updates": self.num_updates}

    def load_state_dict(self, state_dict: dict) -> None:
        self._averaged.n_averaged.fill_(state_dict["num_updates"] + 1)

    def _average(self, averaged: list[Tensor], current: list[Tensor], num_averaged: Tensor) -> None:
        get_ema_multi_avg_fn(decay_at(int(num_averaged) - 1, self.decay))(averaged, current, None)


def decay_at(update: int, decay: float) -> float:
    """The share of the average that an update, counted from 0, keeps."""
    return min(decay, (1 + update) / (10 + update))
