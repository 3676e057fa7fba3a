"""What the losses are divided by, the same on every rank of a distributed run."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import Tensor, nn

from ..choices import check_choice

LOSS_NORMALIZERS = ("fg", "moving_fg", "all", "moving_fg_shared")


class LossNormalizers(nn.Module):
    """Means over the ranks of what a batch holds, and the moving mean of its positives.

    The floors apply to the sums over all ranks. A batch split over ranks thus gives, after
    averaging the gradients, exactly what one process gives for the whole batch.
    """

    def __init__(self, *, kind: str = "fg") -> None:
        """
        Args:
            kind: the classification loss is divided by the number of positives ("fg"), its moving
                mean ("moving_fg", kept in the checkpoint) or the number of locations ("all");
                "moving_fg_shared" divides all three losses by the moving mean.

        Raises:
            ValueError: another kind.
        """
        super().__init__()
        check_choice("kind of the loss normaliser", kind, LOSS_NORMALIZERS)
        self.kind = kind
        self._shared: tuple[Tensor, Tensor, Tensor] | None = None
        self.moving_num_pos: Tensor
        if kind.startswith("moving_fg"):
            # A buffer, so that a resumed run goes on with the same value.
            self.register_buffer("moving_num_pos", torch.tensor(100.0))

    def forward(
        self, local: Tensor, level_names: list[str], aligned: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Normalisers of the classification, box and quality loss; scalars > 0.

        They lie where `local` does: losses on a GPU can be divided by a scalar of the CPU. Each
        call counts as one iteration for the moving mean, and is logged; within `shared` it does
        not, and `local` does not matter.

        Args:
            local: (L + 2,) `Criterion.target_sums` of the batch, of this process.
            level_names: L names, under which the positives are logged.
            aligned: positives count as much as they are aligned: all but the quality loss are
                divided by the sum of the box weights, at least 1.
        """
        if self._shared is not None:
            return self._shared
        total, ranks = sum_over_ranks(local), comm.get_world_size()
        _log(total[:-2] / ranks, level_names)
        if not aligned and self.kind.startswith("moving_fg"):
            num_pos = (total[:-2].sum() / ranks).clamp(min=1 / ranks)
            self.moving_num_pos.mul_(0.9).add_(num_pos, alpha=0.1)
        return self.divisors(total, ranks, aligned)

    def divisors(
        self, total: Tensor, parts: int, aligned: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What `forward` gives, without counting as an iteration.

        Args:
            total: (L + 2,) `Criterion.target_sums` of a whole batch.
            parts: that it is split over; the mean of their losses is the loss of the batch.
            aligned: see `forward`.
        """
        num_pos, weight, num_locations = torch.stack((total[:-2].sum(), *total[-2:])) / parts
        floor = 1 / parts
        num_pos, weight = num_pos.clamp(min=floor), weight.clamp(min=1e-6 * floor)
        if aligned:
            weight = weight.clamp(min=floor)
            return weight, weight, num_pos
        if self.kind == "fg":
            return num_pos, weight, num_pos
        if self.kind == "all":
            return num_locations, weight, num_pos
        moving = self.moving_num_pos.clone()
        return (moving, weight, num_pos) if self.kind == "moving_fg" else (moving, moving, moving)

    @contextmanager
    def shared(self, local: Tensor, level_names: list[str]) -> Iterator[None]:
        """Within it, all batches are divided by the same: they are parts of one.

        Args:
            local: (L + 2,) sum of the `Criterion.target_sums` of these batches.
            level_names: see `forward`.
        """
        self._shared = self(local, level_names)
        try:
            yield
        finally:
            self._shared = None


def _log(num_pos: Tensor, level_names: list[str]) -> None:
    if not has_event_storage():
        return
    counts = num_pos.tolist()  # on the CPU, unless the targets need predictions
    storage = get_event_storage()
    storage.put_scalar("fcos/num_pos", sum(counts))
    for name, count in zip(level_names, counts, strict=True):
        storage.put_scalar(f"fcos/num_pos_{name}", count)


def sum_over_ranks(values: Tensor) -> Tensor:
    """`values` (any shape) added up over all processes; every rank must call it."""
    if comm.get_world_size() == 1:
        return values
    total = values.clone()
    # What is on the CPU stays there, so nothing waits for a GPU.
    dist.all_reduce(total, group=None if values.is_cuda else comm._get_global_gloo_group())
    return total
