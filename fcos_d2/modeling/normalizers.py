"""What the losses are divided by, the same on every rank of a distributed run."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import Tensor, nn

LOSS_NORMALIZERS = ("fg", "moving_fg", "all", "moving_fg_shared")


class LossNormalizers(nn.Module):
    """Means over the ranks of what a batch holds, and the moving mean of its positives.

    The floors apply to the sums over all ranks. A batch split over ranks thus gives, after
    averaging the gradients, exactly what one process gives for the whole batch.
    """

    def __init__(self, kind: str) -> None:
        """
        Args:
            kind: one of LOSS_NORMALIZERS, see `FCOSProposalGenerator`; or "alignment": the sum of
                the box weights, at least 1, for all but the quality loss.
        """
        super().__init__()
        self.kind = kind
        self._shared: tuple[Tensor, Tensor, Tensor] | None = None
        if kind.startswith("moving_fg"):
            # A buffer, so that a resumed run goes on with the same value.
            self.register_buffer("moving_num_pos", torch.tensor(100.0))

    def forward(self, positive: Tensor, loc_weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalisers of the classification, box and quality loss; scalars > 0.

        Args:
            positive: (N, R) bool.
            loc_weights: (P,) weight of each positive in the box loss.
        """
        if self._shared is not None:
            return self._shared
        return self.from_sums(target_sums(positive, loc_weights))

    def from_sums(self, local: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same from `target_sums`; it counts as one iteration for the moving mean.

        Args:
            local: (3,), of this process.
        """
        num_pos, weight, num_locations = sum_over_ranks(local) / comm.get_world_size()
        if has_event_storage():
            get_event_storage().put_scalar("fcos/num_pos", num_pos.item())
        floor = 1 / comm.get_world_size()
        num_pos, weight = num_pos.clamp(min=floor), weight.clamp(min=1e-6 * floor)
        if self.kind == "fg":
            return num_pos, weight, num_pos
        if self.kind == "alignment":
            weight = weight.clamp(min=floor)
            return weight, weight, num_pos
        if self.kind == "all":
            return num_locations, weight, num_pos
        self.moving_num_pos.mul_(0.9).add_(num_pos, alpha=0.1)
        moving = self.moving_num_pos.clone()
        return (moving, weight, num_pos) if self.kind == "moving_fg" else (moving, moving, moving)

    @contextmanager
    def shared(self, local: Tensor) -> Iterator[None]:
        """Within it, all batches are divided by the same: they are parts of one.

        Args:
            local: (3,) sum of the `target_sums` of these batches.
        """
        self._shared = self.from_sums(local)
        try:
            yield
        finally:
            self._shared = None


def target_sums(positive: Tensor, loc_weights: Tensor) -> Tensor:
    """(3,): how many positives and what weight in the box loss they have, and how many locations.

    Args:
        positive, loc_weights: see `LossNormalizers.forward`.
    """
    num_locations = loc_weights.new_tensor(positive.numel())
    return torch.stack((positive.sum().to(loc_weights), loc_weights.sum(), num_locations))


def sum_over_ranks(values: Tensor) -> Tensor:
    """`values` (any shape) added up over all processes; every rank must call it."""
    if comm.get_world_size() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total
