"""Options of `FCOSProposalGenerator` that are wrong by themselves, or together."""

from .head import FCOSHead
from .normalizers import LOSS_NORMALIZERS


def check_choice(name: str, value: str, legal: tuple[str, ...]) -> None:
    """Raises ValueError for a value that is not legal."""
    if value not in legal:
        raise ValueError(f"{name} must be one of {legal}, got {value!r}")


def check_levels(in_features: list[str], strides: list[int], size_bounds: list[float]) -> None:
    """Raises ValueError for lists that describe other numbers of levels."""
    if not len(in_features) == len(strides) == len(size_bounds) + 1:
        raise ValueError(
            "in_features, strides and size_bounds must describe L, L and L - 1 levels, got "
            f"{in_features}, {strides} and {size_bounds}"
        )


def check_head(head: FCOSHead, num_classes: int, num_levels: int, quality_branch: bool) -> None:
    """Raises ValueError for a head that was built for something else."""
    if (head.num_classes, head.num_levels) != (num_classes, num_levels):
        raise ValueError(
            f"head is for {head.num_classes} classes and {head.num_levels} levels, num_classes "
            f"and strides are for {num_classes} and {num_levels}"
        )
    if head.quality_branch != quality_branch:
        raise ValueError(
            "the head needs quality_branch=False if box_quality (MODEL.FCOS.BOX_QUALITY) is "
            f"'none', and only then; got quality_branch={head.quality_branch}"
        )


def check_together(
    *,
    assigner: str,
    cls_loss: str,
    loss_normalizer: str,
    box_quality: str,
    thresh_with_quality: bool,
    yield_proposals: bool,
    yield_box_features: bool,
) -> None:
    """Raises ValueError for arguments of `FCOSProposalGenerator` that exclude each other."""
    check_choice("loss_normalizer", loss_normalizer, LOSS_NORMALIZERS)
    if assigner == "task_aligned" and cls_loss == "focal":
        raise ValueError(
            "the assigner 'task_aligned' gives soft class targets: it needs cls_loss "
            "'quality_focal' or 'varifocal' (MODEL.FCOS.CLS_LOSS), got 'focal'"
        )
    if assigner == "task_aligned" and loss_normalizer != "fg":
        raise ValueError(
            "the assigner 'task_aligned' divides by the sum of its alignment: it needs "
            f"loss_normalizer 'fg', got {loss_normalizer!r}"
        )
    if box_quality == "none" and thresh_with_quality:
        raise ValueError("thresh_with_quality needs a quality branch, and box_quality is 'none'")
    if yield_proposals and yield_box_features:
        raise ValueError(
            "yield_proposals and yield_box_features exclude each other: detectron2's second "
            "stage takes proposals with their two fields only"
        )
