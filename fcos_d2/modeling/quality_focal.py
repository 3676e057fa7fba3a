"""Classification losses whose positive target is a quality in [0, 1] instead of 1.

The class score then ranks boxes by itself, and a quality branch is not needed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .fused_focal import negative_focal_sum


def quality_focal_loss(
    cls_logits: Tensor,
    labels: Tensor,
    quality: Tensor,
    beta: float = 2.0,
    positive_idxs: Tensor | None = None,
) -> Tensor:
    """Sum over all locations and classes of |target - p| ** beta x cross entropy(p, target).

    The target is the quality at the class of a positive location, and 0 elsewhere. As in
    `focal_loss`, every entry is first taken as negative, and the positive ones are exchanged.

    Args:
        cls_logits: (R, K).
        labels: (R,) int64 in [0, K]; K is background.
        quality: (P,) in [0, 1] of the positive locations, in their order; gets no gradient.
        beta: focusing exponent, at least 1 (below, the gradient has no bound).
        positive_idxs: (P,) int64, the positive locations, rising; None: they are looked for, which
            waits for a GPU.

    Returns:
        Scalar.

    Raises:
        ValueError: another `beta`.

    Source: arXiv 2006.04388, equation 5.
    """
    if beta < 1:
        raise ValueError(f"beta must be at least 1, got {beta}")
    total, logits = _negative_sum(cls_logits, labels, 1.0, beta, positive_idxs)
    negative = torch.zeros_like(logits)
    exchanged = _quality_focal(logits, quality.detach(), beta) - _quality_focal(
        logits, negative, beta
    )
    return total + exchanged.sum()


def _quality_focal(logits: Tensor, target: Tensor, beta: float) -> Tensor:
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (target - logits.sigmoid()).abs() ** beta * entropy


def varifocal_loss(
    cls_logits: Tensor,
    labels: Tensor,
    quality: Tensor,
    alpha: float = 0.75,
    gamma: float = 2.0,
    positive_idxs: Tensor | None = None,
) -> Tensor:
    """Sum of a loss that weighs positives by their quality, and focuses among negatives only.

    quality x cross entropy(p, quality) at the class of a positive location, and
    alpha x p ** gamma x -log(1 - p) elsewhere; a positive of quality 0 counts as elsewhere.

    Args:
        cls_logits, labels, quality, positive_idxs: as in `quality_focal_loss`.
        alpha: weight of the negatives.
        gamma: focusing exponent, 0 or >= 1.

    Returns:
        Scalar.

    Raises:
        ValueError: another `gamma`.

    Source: arXiv 2008.13367, equation 2.
    """
    if gamma != 0 and gamma < 1:
        raise ValueError(f"gamma must be 0 or at least 1, got {gamma}")
    total, logits = _negative_sum(cls_logits, labels, alpha, gamma, positive_idxs)
    quality = quality.detach()
    entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    negative = _varifocal_negative(logits, alpha, gamma)
    exchanged = torch.where(quality > 0, quality * entropy - negative, 0.0)
    return total + exchanged.sum()


def _varifocal_negative(logits: Tensor, alpha: float, gamma: float) -> Tensor:
    return alpha * logits.sigmoid() ** gamma * F.softplus(logits)


def _negative_sum(
    cls_logits: Tensor, labels: Tensor, weight: float, gamma: float, positive_idxs: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As `negative_focal_sum`, with the (P,) logits of positive locations alone."""
    total, label_logits = negative_focal_sum(cls_logits, labels, weight, gamma)
    if positive_idxs is None:
        positive_idxs = (labels < cls_logits.shape[1]).nonzero()[:, 0]
    return total, label_logits[positive_idxs]
