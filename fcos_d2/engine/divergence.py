"""Stops a diverging run while its weights are still good."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.layers import FrozenBatchNorm2d
from detectron2.utils import comm
from torch import Tensor, nn


class TrainingDiverged(ValueError):
    """A loss or a gradient is no longer finite; a command ends with this in one line, and 1."""


@contextmanager
def one_rank_tells() -> Iterator[None]:
    """Of several ranks that stop together, only the first leaves with the error.

    Raises:
        SystemExit: on the others, with 1.
    """
    try:
        yield
    except TrainingDiverged:
        if comm.is_main_process():
            raise
        raise SystemExit(1) from None


class DivergenceGuard:
    """Looks at the losses and the gradient of every step before its weights change.

    On a value that is not finite, on any rank, all ranks stop: the checkpoint that is saved holds
    the state before the bad batch, the statistics of norms included, which a forward pass changes.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        checkpointer: DetectionCheckpointer,
    ) -> None:
        """
        Args:
            model: in training, on its device.
            optimizer: of its parameters.
            checkpointer: writes the checkpoint.
        """
        self.optimizer = optimizer
        self.checkpointer = checkpointer
        self._buffers = _changing_buffers(model)
        self._before = [[torch.empty_like(x) for x in group] for group in self._buffers]

    @torch.no_grad()
    def remember(self) -> None:
        """To be called before the first forward pass of a step."""
        for kept, buffers in zip(self._before, self._buffers, strict=True):
            torch._foreach_copy_(kept, buffers)

    @torch.no_grad()
    def restore(self) -> None:
        """The buffers are again as they were when `remember` was called."""
        for kept, buffers in zip(self._before, self._buffers, strict=True):
            torch._foreach_copy_(buffers, kept)

    def check(
        self,
        iteration: int,
        losses: list[dict[str, float]],
        grad_norm: float,
        batches: list[list[dict]],
        scaled: bool = False,
    ) -> None:
        """To be called before the optimiser's step, by all ranks with the same numbers.

        Args:
            iteration: of the step.
            losses: of each rank.
            grad_norm: of the whole model.
            batches: of this rank.
            scaled: whether the loss is scaled, so that a gradient that is not finite is nothing
                special: such a step is left out.

        Raises:
            TrainingDiverged: with the iteration, learning rate, losses and images of the batch.
        """
        for rank, row in enumerate(losses):
            if not all(map(math.isfinite, row.values())):
                self._stop(f"on rank {rank}: a loss is not finite", iteration, row, batches, rank)
        if not (scaled or math.isfinite(grad_norm)):
            cause = "on rank 0: the gradient is not finite"
            self._stop(cause, iteration, losses[0], batches, rank=0)

    def _stop(
        self,
        cause: str,
        iteration: int,
        losses: dict[str, float],
        batches: list[list[dict]],
        rank: int,
    ) -> None:
        self.restore()
        name = f"model_diverged_{iteration:07d}"
        self.checkpointer.save(name, iteration=iteration, diverged=cause)
        own = [str(x.get("file_name", x.get("image_id", "?"))) for batch in batches for x in batch]
        file_names = comm.all_gather(own)[rank]
        terms = ", ".join(f"{name}={loss:.4g}" for name, loss in losses.items())
        message = (
            f"Training diverged {cause} at iteration {iteration}, "
            f"learning rate {self.optimizer.param_groups[0]['lr']:.3g}, {terms}. "
            f"Batch: {', '.join(file_names)}. "
            f"The weights before this step are in {self.checkpointer.save_dir}/{name}.pth. Look at "
            "these images, then --resume, which goes on after this batch, with a lower `base_lr`, "
            "a longer warm-up or a lower gradient clipping norm."
        )
        # The first rank that ends takes the others with it: none may before all is done.
        comm.synchronize()
        raise TrainingDiverged(message)


def _changing_buffers(model: nn.Module) -> list[list[Tensor]]:
    """Buffers that a forward pass in training may change, those of one type together."""
    frozen = {
        id(x)
        for module in model.modules()
        if isinstance(module, FrozenBatchNorm2d)
        for x in module.buffers()
    }
    saved = {x.data_ptr() for x in model.state_dict().values()}
    buffers = [x for x in model.buffers() if id(x) not in frozen and x.data_ptr() in saved]
    types: dict[torch.dtype, list[Tensor]] = {x.dtype: [] for x in buffers}
    for x in buffers:
        types[x.dtype].append(x)
    return list(types.values())
