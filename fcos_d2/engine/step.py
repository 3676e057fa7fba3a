"""One optimiser step: from several batches, in full or mixed precision, on any device."""

import logging
import math
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from detectron2.engine import SimpleTrainer
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ..checkpoint.resume import IMPLEMENTATION
from ..device import PRECISIONS, check_precision, cpu_has_bf16
from ..modeling import FCOS
from .clock import Clock
from .divergence import DivergenceGuard
from .numbers import numbers_of_ranks
from .wrapping import unwrapped

logger = logging.getLogger(__name__)


class StepTrainer(SimpleTrainer):
    """detectron2's SimpleTrainer and AMPTrainer in one, which can also accumulate gradients.

    Batches of one step have common normalisers, so that the gradients are those of one large batch
    (where the model has batch norms in training, these still see the small ones).
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: DataLoader,
        optimizer: torch.optim.Optimizer,
        *,
        accumulate_steps: int = 1,
        precision: str | None = None,
        max_grad_norm: float = math.inf,
    ) -> None:
        """
        Args:
            model: returns a dict of losses in training; maybe distributed.
            data_loader: endless batches.
            optimizer: of the parameters of `model`.
            accumulate_steps: batches of a step.
            precision: "fp16" (with loss scaling) or "bf16" for mixed precision; None for float32,
                which also takes the place of bf16 on CPUs without it.
            max_grad_norm: the gradients of the whole model are scaled down to this L2 norm.

        Raises:
            ValueError: unknown precision, or fp16 on a CPU.
        """
        super().__init__(model, data_loader, optimizer)
        self.accumulate_steps = accumulate_steps
        self.max_grad_norm = max_grad_norm
        self.guard: DivergenceGuard | None = None  # looks at each step before the weights change
        self.clock: Clock | None = None  # of a run with a budget
        self.signal = 0  # the number of one that asks this rank to stop
        self.agreed_signal = 0  # of one that asked any rank, known to all of them
        self.device_type = next(model.parameters()).device.type
        check_precision(precision, self.device_type)
        if precision == "bf16" and self.device_type == "cpu" and not cpu_has_bf16():
            # Emulated, convolutions were seen to take 100 times as long.
            logger.warning("this CPU cannot compute in bf16: training in float32")
            precision = None
        self.dtype = None if precision is None else PRECISIONS[precision]
        # Small gradients would vanish in float16, whose range bfloat16 does not share.
        self.grad_scaler = torch.amp.GradScaler(self.device_type, enabled=precision == "fp16")

    def run_step(self) -> None:
        """One step of the optimiser, and the metrics of its batches."""
        assert self.model.training, "the model was left in evaluation mode"
        start = time.perf_counter()
        batches = [next(self._data_loader_iter) for _ in range(self.accumulate_steps)]
        data_time = time.perf_counter() - start
        if self.guard is not None:
            self.guard.remember()
        self.optimizer.zero_grad()
        losses = self.accumulate(batches)
        self.after_backward()
        self.grad_scaler.unscale_(self.optimizer)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        grad_norm = nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        # Here the step waits for the device, once.
        known = {"data_time": data_time, "signal": float(self.signal)}
        if self.clock is not None:
            known |= self.clock.numbers(self.iter + 1)
        rows = numbers_of_ranks({**losses, "grad_norm": grad_norm}, known)
        self._look_at(rows, list(losses), batches)
        if self.clock is not None:
            self.clock.obey(rows[0])
        if not self.grad_scaler.is_enabled() or math.isfinite(rows[0]["grad_norm"]):
            self.optimizer.step()
        self.grad_scaler.update()

    def _look_at(
        self, rows: list[dict[str, float]], loss_names: list[str], batches: list[list[dict]]
    ) -> None:
        """Guards the step, and logs its numbers as detectron2 does.

        Args:
            rows: of each rank: the losses, grad_norm, data_time and signal.
            loss_names: among their names.
            batches: of this rank.
        """
        self.agreed_signal = int(max(row["signal"] for row in rows))
        losses = [{name: row[name] for name in loss_names} for row in rows]
        grad_norm = rows[0]["grad_norm"]  # the same on all
        if self.guard is not None:
            scaled = self.grad_scaler.is_enabled()
            self.guard.check(self.iter, losses, grad_norm, batches, scaled)
        storage = get_event_storage()
        storage.put_scalar("rank_data_time", rows[comm.get_rank()]["data_time"])
        if math.isfinite(grad_norm):
            storage.put_scalar("grad_norm", grad_norm)
        if comm.is_main_process():
            storage.put_scalar("data_time", max(row["data_time"] for row in rows))
            means = {name: sum(x[name] for x in losses) / len(losses) for name in loss_names}
            storage.put_scalar("total_loss", sum(means.values()))
            if len(means) > 1:
                storage.put_scalars(**means)

    def accumulate(self, batches: list[list[dict]]) -> dict[str, Tensor]:
        """Adds the gradients of the batches to those of the parameters.

        Args:
            batches: inputs of the model.

        Returns:
            The losses of all batches as of one.
        """
        totals: dict[str, Tensor] = {}
        exact = self._can_share_normalizers(len(batches))
        # Where not, each batch counts the same, whatever is in it.
        share = 1.0 if exact or len(batches) == 1 else 1 / len(batches)
        with self._common_normalizers(batches) if exact else nullcontext():
            for i, batch in enumerate(batches):
                with self._reducing_gradients(i == len(batches) - 1):
                    with self._precision():
                        losses = self.model(batch)
                    losses = {name: loss * share for name, loss in losses.items()}
                    self.grad_scaler.scale(sum(losses.values())).backward()
                for name, loss in losses.items():
                    totals[name] = totals.get(name, 0) + loss.detach()
        return totals

    def _precision(self) -> AbstractContextManager:
        return torch.autocast(self.device_type, self.dtype) if self.dtype else nullcontext()

    def _can_share_normalizers(self, num_batches: int) -> bool:
        model = unwrapped(self.model)
        if num_batches == 1 or not isinstance(model, FCOS):
            return False
        return not model.proposal_generator.assigner.needs_predictions

    def _common_normalizers(self, batches: list[list[dict]]) -> AbstractContextManager:
        model: Any = unwrapped(self.model)  # an FCOS
        sums = sum(model.target_sums(batch) for batch in batches)
        return model.proposal_generator.shared_normalizers(sums)

    def _reducing_gradients(self, last: bool) -> AbstractContextManager:
        """Processes exchange gradients once, in the last backward pass."""
        distributed = isinstance(self.model, DistributedDataParallel)
        return self.model.no_sync() if distributed and not last else nullcontext()

    def state_dict(self) -> dict:
        state = super().state_dict()
        if self.grad_scaler.is_enabled():
            state["grad_scaler"] = self.grad_scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """The state of a checkpoint, but learning rate, weight decay, ... as configured now."""
        configured = [
            {name: value for name, value in group.items() if name != "params"}
            for group in self.optimizer.param_groups
        ]
        super().load_state_dict(state_dict)
        changed: dict[str, tuple[object, object]] = {}
        for group, options in zip(self.optimizer.param_groups, configured, strict=True):
            # The schedule, if there is one yet, has made another "lr" of the configured one.
            options.setdefault("initial_lr", options["lr"])
            before = group | {"lr": group.get("initial_lr", group["lr"])}
            after = options | {"lr": options["initial_lr"]}
            del after["initial_lr"]
            for name, value in after.items():
                if name not in IMPLEMENTATION and name in before and before[name] != value:
                    changed.setdefault(name, (before[name], value))
            group.update(options)
        if changed:
            lines = (f"{name} {old} -> {new}" for name, (old, new) in changed.items())
            logger.warning("the config counts, not the checkpoint: %s", ", ".join(lines))
        if self.grad_scaler.is_enabled() and "grad_scaler" in state_dict:
            self.grad_scaler.load_state_dict(state_dict["grad_scaler"])
