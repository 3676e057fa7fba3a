"""The focal sum of all entries as negatives, with its own backward pass."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fcos_d2.modeling import fused_focal
from fcos_d2.modeling.fused_focal import negative_focal_sum
from fcos_d2.modeling.losses import FocalLoss


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def with_torchs_backward(
    cls_logits: Tensor, labels: Tensor, weight: float, gamma: float
) -> tuple[Tensor, Tensor]:
    """The same in ordinary operators, whose gradient is autograd's."""
    total = (weight * cls_logits.sigmoid() ** gamma * F.softplus(cls_logits)).sum()
    rows = torch.arange(len(labels))
    return total, cls_logits[rows, labels.clamp(max=cls_logits.shape[1] - 1)]


def inputs(num: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Logits (R, 5), a few of them huge, and labels, half of them background."""
    cls_logits = torch.randn(num, 5, dtype=dtype) * 4
    cls_logits[:2] *= 30
    labels = torch.randint(0, 5, (num,))
    labels[::2] = 5
    return cls_logits.requires_grad_(), labels


def test_value_and_gradient_on_paper():
    # One entry of logit 0: p = 1/2, -log(1 - p) = log 2 = 0.693147, so the sum is
    # 0.75 * 0.25 * 0.693147 = 0.129965, its derivative p^2 (2 (1 - p) log 2 + p) * 0.75
    # = 0.25 * (0.693147 + 0.5) * 0.75 = 0.223715; the entry itself adds 1.
    cls_logits = torch.zeros(1, 1, requires_grad=True)
    total, label_logits = negative_focal_sum(cls_logits, torch.tensor([0]), 0.75, 2.0)
    assert (total.item(), label_logits.tolist()) == (pytest.approx(0.129965, abs=1e-6), [0])
    (total + label_logits.sum()).backward()
    assert cls_logits.grad.item() == pytest.approx(1.223715, abs=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("pieces", [1, 7])
def test_against_torchs_backward(gamma, pieces, monkeypatch):
    cls_logits, labels = inputs(20)
    size = -(-cls_logits.numel() // pieces // torch.get_num_threads())
    monkeypatch.setattr(fused_focal, "ENTRIES_PER_THREAD", size)
    factors = torch.randn(20, dtype=torch.float64)
    results, gradients = [], []
    for function in (negative_focal_sum, with_torchs_backward):
        total, label_logits = function(cls_logits, labels, 0.75, gamma)
        results.append((total, label_logits))
        loss = 3 * total + (factors * label_logits**2).sum()
        gradients.append(torch.autograd.grad(loss, cls_logits)[0])
    torch.testing.assert_close(*results)
    torch.testing.assert_close(*gradients)


def test_gradcheck():
    cls_logits, labels = inputs(8)
    cls_logits = (cls_logits.detach() / 30).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: negative_focal_sum(x, labels, 0.6, 1.5), (cls_logits,)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    half, labels = inputs(30, dtype)
    full = half.detach().float().requires_grad_()
    total, label_logits = negative_focal_sum(half, labels, 0.75, 2.0)
    expected = negative_focal_sum(full, labels, 0.75, 2.0)
    assert total.dtype == label_logits.dtype == torch.float32
    torch.testing.assert_close((total, label_logits), expected)
    total.backward()
    expected[0].backward()
    assert half.grad.dtype == dtype
    torch.testing.assert_close(half.grad, full.grad.to(dtype))


def test_small_gradients_of_float16_survive_until_they_are_scaled():
    # p^2 = 1e-7 alone is below what float16 can hold with any precision.
    cls_logits = torch.full((1, 1), -8.0, dtype=torch.float16, requires_grad=True)
    total, _ = negative_focal_sum(cls_logits, torch.tensor([1]), 1.0, 2.0)
    (total * 65536).backward()
    # The derivative is p^2 (2 (1 - p) log(1 + e^x) + p) with p = 3.3535e-4: 3 p^3 = 1.131e-10.
    assert cls_logits.grad.item() == pytest.approx(1.131e-10 * 65536, rel=2e-2)


def test_under_autocast():
    cls_logits, labels = inputs(30, torch.float32)
    expected = negative_focal_sum(cls_logits, labels, 0.75, 2.0)
    with torch.autocast("cpu", torch.bfloat16):
        actual = negative_focal_sum(cls_logits, labels, 0.75, 2.0)
        loss = FocalLoss()(cls_logits, labels)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(loss, FocalLoss()(cls_logits, labels))


def test_no_locations():
    cls_logits = torch.zeros(0, 5, requires_grad=True)
    total, label_logits = negative_focal_sum(cls_logits, torch.zeros(0).long(), 0.75, 2.0)
    assert (total.item(), label_logits.shape) == (0, (0,))
    total.backward()
    assert cls_logits.grad.shape == (0, 5)


def test_a_kept_graph_gives_the_same_gradient_twice():
    cls_logits, labels = inputs(10)
    total, label_logits = negative_focal_sum(cls_logits, labels, 0.75, 2.0)
    loss = total + label_logits.sum()
    first = torch.autograd.grad(loss, cls_logits, retain_graph=True)
    torch.testing.assert_close(first, torch.autograd.grad(loss, cls_logits))


def test_a_second_derivative_fails_clearly():
    cls_logits, labels = inputs(10)
    total, _ = negative_focal_sum(cls_logits, labels, 0.75, 2.0)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(total, cls_logits, create_graph=True)


def test_without_gradients_nothing_is_kept():
    cls_logits, labels = inputs(10)
    with torch.no_grad():
        total, _ = negative_focal_sum(cls_logits, labels, 0.75, 2.0)
    assert total.grad_fn is None
    torch.testing.assert_close(total, negative_focal_sum(cls_logits, labels, 0.75, 2.0)[0].detach())
