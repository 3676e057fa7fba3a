"""The focal loss of all entries as negatives, in one pass with its gradient in closed form.

The classification losses differ in the few positive entries only. The rest, written with torch's
operators, would make one matrix of locations x classes after the other, and keep most of them for
the backward pass. Here the operators run over pieces that stay in the processor's cache, and what
is kept is one matrix, the gradient.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# What torch hands one thread at least, and few enough float32s for its level 2 cache.
ENTRIES_PER_THREAD = 2**15
# A GPU wants few and large launches; temporaries stay below a few hundred megabytes.
ENTRIES_ON_GPU = 2**24


def negative_focal_sum(
    cls_logits: Tensor, labels: Tensor, weight: float, gamma: float
) -> tuple[Tensor, Tensor]:
    """The sum of weight x p ** gamma x -log(1 - p), and the entries that it should leave out.

    Args:
        cls_logits: (R, K); half precision is computed in float32.
        labels: (R,) int64 in [0, K]; K is background.
        weight: >= 0.
        gamma: focusing exponent, 0 or >= 1.

    Returns:
        total: scalar over all locations and classes, as if all were negative.
        label_logits: (R,) the logit of each location's class, without meaning for background. Its
            gradient flows into `cls_logits` in the same pass.

    Raises:
        RuntimeError: in the backward pass, for a graph of it: there is no second derivative.

    Source: arXiv 1708.02002, equation 5, with y = -1.
    """
    return _NegativeFocalSum.apply(cls_logits, labels, weight, gamma)


class _NegativeFocalSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, cls_logits: Tensor, labels: Tensor, weight: float, gamma: float
    ) -> tuple[Tensor, Tensor]:
        ctx.dtype, with_gradient = cls_logits.dtype, ctx.needs_input_grad[0]
        total, gradient = _sum_by_pieces(cls_logits, weight, gamma, with_gradient)
        columns = labels.clamp(max=cls_logits.shape[1] - 1)[:, None]
        if with_gradient:
            ctx.save_for_backward(gradient, columns)
        return total, cls_logits.gather(1, columns)[:, 0].to(total.dtype)

    @staticmethod
    def backward(
        ctx: Any, total_grad: Tensor, label_grad: Tensor
    ) -> tuple[Tensor, None, None, None]:
        if torch.is_grad_enabled():  # so it is with create_graph alone; zeros would be wrong
            raise RuntimeError("focal losses have no second derivative: no create_graph=True here")
        gradient, columns = ctx.saved_tensors
        # Not in place: the graph may be kept for another pass.
        gradient = (gradient * total_grad).scatter_add_(1, columns, label_grad[:, None])
        return gradient.to(ctx.dtype), None, None, None


def _sum_by_pieces(
    logits: Tensor, weight: float, gamma: float, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The sum, and its derivative in the shape of `logits`; both at least in float32."""
    flat = logits.reshape(-1)
    dtype = torch.promote_types(logits.dtype, torch.float32)
    gradient = torch.empty_like(flat, dtype=dtype) if with_gradient else None
    size = ENTRIES_ON_GPU if logits.is_cuda else ENTRIES_PER_THREAD * torch.get_num_threads()
    sums = [flat.new_zeros((), dtype=dtype)]
    for start in range(0, len(flat), size):
        piece = flat[start : start + size].to(dtype)
        probability, entropy = piece.sigmoid(), F.softplus(piece)
        power = probability**gamma
        sums.append((power * entropy).sum())
        if gradient is not None:
            # d/dx of p ** gamma x softplus(x) is p ** gamma x (gamma x (1 - p) x softplus(x) + p).
            entropy.addcmul_(entropy, probability, value=-1).mul_(gamma).add_(probability)
            gradient[start : start + size] = entropy.mul_(power).mul_(weight)
    total = torch.stack(sums).sum() * weight
    return total, None if gradient is None else gradient.view_as(logits)
