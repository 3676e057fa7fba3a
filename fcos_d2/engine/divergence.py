"""Stops a diverging run while its weights are still good."""

import math

import torch
import torch.distributed as dist
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import HookBase
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from torch import Tensor, nn


class TrainingDiverged(SystemExit):
    """Ends the program with a message and exit status 1, without a stack trace."""


class DivergenceGuard(HookBase):
    """Checks every loss and every gradient, and clips the gradients, before the weights change.

    On a value that is not finite it saves a checkpoint (the weights before the bad step) and
    raises TrainingDiverged with the iteration, learning rate, loss terms and images of the batch.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        checkpointer: DetectionCheckpointer,
        max_grad_norm: float = math.inf,
    ) -> None:
        """
        Args:
            model: returns a dict of losses in training.
            optimizer: of its parameters.
            checkpointer: writes the checkpoint.
            max_grad_norm: the gradients of the whole model are scaled down to this L2 norm.
        """
        self.model = model
        self.optimizer = optimizer
        self.checkpointer = checkpointer
        self.max_grad_norm = max_grad_norm
        self._handles = []
        self._losses: dict[str, Tensor] = {}
        self._file_names: list[str] = []

    def before_train(self) -> None:
        self._handles = [
            self.model.register_forward_hook(self._check_losses),
            self.optimizer.register_step_pre_hook(self._check_gradients),
        ]

    def after_train(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _check_losses(self, model: nn.Module, inputs: tuple, losses: dict[str, Tensor]) -> None:
        if not model.training:
            return
        self._losses = {name: loss.detach() for name, loss in losses.items()}
        self._file_names = [str(x.get("file_name", x.get("image_id", "?"))) for x in inputs[0]]
        total = sum(self._losses.values())
        if not _finite_on_all_ranks(total):
            self._stop("a loss is not finite")

    def _check_gradients(self, *_: object) -> None:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        if not torch.isfinite(norm):
            self._stop("the gradient is not finite")
        get_event_storage().put_scalar("grad_norm", norm.item())

    def _stop(self, cause: str) -> None:
        iteration = self.trainer.iter
        name = f"model_diverged_{iteration:07d}"
        self.checkpointer.save(name, iteration=iteration)
        losses = ", ".join(f"{name}={loss.item():.4g}" for name, loss in self._losses.items())
        raise TrainingDiverged(
            f"Training diverged on rank {comm.get_rank()}: {cause} at iteration {iteration}, "
            f"learning rate {self.optimizer.param_groups[0]['lr']:.3g}, {losses}.\n"
            f"Batch: {', '.join(self._file_names)}.\n"
            f"The weights before this step are in {self.checkpointer.save_dir}/{name}.pth. Look at "
            "these images, then --resume with a lower learning rate (SOLVER.BASE_LR, "
            "optimizer.lr), a longer warm-up or a lower gradient clipping norm."
        )


def _finite_on_all_ranks(value: Tensor) -> bool:
    """Every rank learns of trouble on any rank, so that all stop together and none waits."""
    finite = torch.isfinite(value).float()
    if comm.get_world_size() > 1:
        dist.all_reduce(finite, op=dist.ReduceOp.MIN)
    return bool(finite)
