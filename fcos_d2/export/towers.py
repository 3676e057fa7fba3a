"""The towers of the head as a graph wants them: norms folded, on large maps by Winograd."""

from torch import Tensor, nn

from ..modeling.folding import fold_batch_norms
from ..modeling.head import FCOSHead
from ..modeling.layers import PerLevelNorm
from ..modeling.winograd import MIN_CHANNELS, replace_convolutions


class LevelTowers(nn.ModuleList):
    """A tower for each level, in the place of one for all."""

    def forward(self, x: Tensor, level: int) -> Tensor:
        """(N, C, Hi, Wi) of level `level` -> the same shape."""
        return self[level](x)


def with_exportable_towers(head: FCOSHead, num_winograd: int = 0) -> FCOSHead:
    """A copy for inference.

    Norms per level are folded into convolutions per level.

    Args:
        head: a trained one.
        num_winograd: so many levels, from the finest on, are convolved by F(4, 3).

    Raises:
        ValueError: `num_winograd` > 0, and no convolution that profits.
    """
    head = fold_batch_norms(head)
    large_maps: list[nn.Sequential] = []
    for name in ("share_tower", "cls_tower", "bbox_tower"):
        layers = list(getattr(head, name))
        norms_differ = any(isinstance(layer, PerLevelNorm) for layer in layers)
        if not (norms_differ or num_winograd):
            continue
        towers: list[nn.Sequential] = [
            nn.Sequential(*(x[level] if isinstance(x, PerLevelNorm) else x for x in layers))
            for level in range(head.num_levels)
        ]
        if norms_differ:
            towers = [fold_batch_norms(tower) for tower in towers]
        large_maps += towers[:num_winograd]
        setattr(head, name, LevelTowers(towers))
    if num_winograd:
        replace_convolutions(large_maps, min_cells=0, min_channels=MIN_CHANNELS)
    return head
