"""Classification losses whose positive target is a quality in [0, 1] instead of 1.

The class score then ranks boxes by itself, and a quality branch is not needed. As in the focal
loss, every entry is first taken as negative, and the positive ones are exchanged.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .fused_focal import negative_focal_sum


@dataclass(frozen=True, kw_only=True)
class QualityFocalLoss:
    """|target - p| ** beta x cross entropy(p, target), where the target is the quality at the class
    of a positive location, and 0 elsewhere.

    Args:
        beta: focusing exponent, at least 1 (below, the gradient has no bound).

    Raises:
        ValueError: another `beta`.

    Source: arXiv 2006.04388, equation 5.
    """

    beta: float = 2.0

    soft_targets: ClassVar[Literal[True]] = True

    def __post_init__(self) -> None:
        if not self.beta >= 1:
            raise ValueError(f"beta must be at least 1, got {self.beta}")

    def __call__(
        self, cls_logits: Tensor, labels: Tensor, quality: Tensor, positive_idxs: Tensor
    ) -> Tensor:
        """Scalar, the sum over all locations and classes.

        Args:
            cls_logits: (R, K).
            labels: (R,) int64 in [0, K]; K is background.
            quality: (P,) in [0, 1] of the positive locations, in their order; gets no gradient.
            positive_idxs: (P,) int64, the positive locations, rising.
        """
        total, label_logits = negative_focal_sum(cls_logits, labels, 1.0, self.beta)
        logits, negative = label_logits[positive_idxs], torch.zeros_like(quality)
        return total + (self._loss(logits, quality.detach()) - self._loss(logits, negative)).sum()

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return (target - logits.sigmoid()).abs() ** self.beta * entropy


@dataclass(frozen=True, kw_only=True)
class VarifocalLoss:
    """Positives are weighted by their quality, and only negatives are focused on:
    quality x cross entropy(p, quality) at the class of a positive location, and
    alpha x p ** gamma x -log(1 - p) elsewhere; a positive of quality 0 counts as elsewhere.

    Args:
        alpha: weight of the negatives, at least 0.
        gamma: focusing exponent, 0 or >= 1.

    Raises:
        ValueError: another `alpha` or `gamma`.

    Source: arXiv 2008.13367, equation 2.
    """

    alpha: float = 0.75
    gamma: float = 2.0

    soft_targets: ClassVar[Literal[True]] = True

    def __post_init__(self) -> None:
        if not self.alpha >= 0:
            raise ValueError(f"alpha must be at least 0, got {self.alpha}")
        if self.gamma != 0 and not self.gamma >= 1:
            raise ValueError(f"gamma must be 0 or at least 1, got {self.gamma}")

    def __call__(
        self, cls_logits: Tensor, labels: Tensor, quality: Tensor, positive_idxs: Tensor
    ) -> Tensor:
        """Scalar; the arguments are those of `QualityFocalLoss`."""
        total, label_logits = negative_focal_sum(cls_logits, labels, self.alpha, self.gamma)
        logits, quality = label_logits[positive_idxs], quality.detach()
        entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
        negative = self.alpha * logits.sigmoid() ** self.gamma * F.softplus(logits)
        return total + torch.where(quality > 0, quality * entropy - negative, 0.0).sum()
