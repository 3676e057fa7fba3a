"""The moving mean of the weights, which is evaluated and saved in place of the last ones."""

import copy

import torch
from detectron2.engine import HookBase
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .budget import Budget


class WeightAverage(HookBase):
    """Keeps an exponential moving average of weights and buffers, updated after each step.

    Update n (from 0) keeps min(decay, (1 + n) / (10 + n)) of the average, so that a short run
    forgets its first weights as well. In a run with a budget, `decay` is for an iteration of the
    config's schedule, of which a step may be several, or less than one.

    Source: Polyak averaging; the warm-up as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(
        self, model: nn.Module, decay: float = 0.9998, budget: Budget | None = None
    ) -> None:
        """
        Args:
            model: in training, not yet distributed.
            decay: share of the average that a step keeps in the long run, in [0, 1).
            budget: of the run, if it has one.

        Raises:
            ValueError: another `decay`.
        """
        if not 0 <= decay < 1:
            raise ValueError(f"`decay` must be in [0, 1), got {decay}")
        self.source = model
        self.decay = decay
        self.budget = budget
        self.model = copy.deepcopy(model)  # with the averaged weights
        # A number of Python: torch's own AveragedModel asks the GPU for its count in each step.
        self.num_updates = 0

    @torch.no_grad()
    def after_step(self) -> None:
        decay = self.decay if self.budget is None else self.decay**self.budget.stride
        average = get_ema_multi_avg_fn(decay_at(self.num_updates, decay))
        for averaged, current in self._by_type():
            average(averaged, current, None)
        self.num_updates += 1

    def _by_type(self) -> list[tuple[list[Tensor], list[Tensor]]]:
        """Averaged and current tensors, those of one type and place together."""
        groups: dict[tuple, tuple[list[Tensor], list[Tensor]]] = {}
        pairs = zip(_tensors_of(self.model), _tensors_of(self.source), strict=True)
        for averaged, current in pairs:
            group = groups.setdefault((current.device, current.dtype), ([], []))
            group[0].append(averaged)
            group[1].append(current)
        return list(groups.values())

    def state_dict(self) -> dict:
        """The count only: the checkpointer saves the averaged weights as those of the model."""
        return {"num_updates": self.num_updates}

    def load_state_dict(self, state_dict: dict) -> None:
        self.num_updates = int(state_dict["num_updates"])


def _tensors_of(model: nn.Module) -> list[Tensor]:
    return [x.detach() for x in (*model.parameters(), *model.buffers())]


def decay_at(update: int, decay: float) -> float:
    """The share of the average that an update, counted from 0, keeps."""
    return min(decay, (1 + update) / (10 + update))
