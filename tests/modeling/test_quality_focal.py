"""Classification losses with a quality as target."""

import math

import pytest
import torch
from torch import Tensor

from fcos_d2.modeling import FocalLoss, QualityFocalLoss, VarifocalLoss

LOG2 = math.log(2)


def of(loss: QualityFocalLoss | VarifocalLoss, cls_logits, labels, quality) -> Tensor:
    positive_idxs = (labels < cls_logits.shape[1]).nonzero()[:, 0]
    return loss(cls_logits, labels, quality, positive_idxs)


def test_on_paper():
    """One location of class 0 with quality 0.8 and one of background, two classes, logits 0.

    p = 1/2, and every cross entropy is log 2. Quality focal: (0.8 - 0.5)^2 at the positive entry,
    (1/2)^2 at three others. Varifocal: 0.8 at the positive one, 0.75 (1/2)^2 at the others.
    """
    inputs = torch.zeros(2, 2), torch.tensor([0, 2]), torch.tensor([0.8])
    assert of(QualityFocalLoss(), *inputs).item() == pytest.approx((0.09 + 0.75) * LOG2)
    assert of(VarifocalLoss(), *inputs).item() == pytest.approx((0.8 + 3 * 0.1875) * LOG2)


def slowly(cls_logits: Tensor, labels: Tensor, quality: Tensor, term) -> float:
    """The sum of `term` of target and probability, entry by entry."""
    total, qualities = 0.0, iter(quality.tolist())
    for logits, label in zip(cls_logits.tolist(), labels.tolist(), strict=True):
        target_of_label = next(qualities) if label < len(logits) else 0.0
        for class_idx, logit in enumerate(logits):
            p = 1 / (1 + math.exp(-logit))
            total += term(target_of_label if class_idx == label else 0.0, p)
    return total


def entropy(q, p):
    return -q * math.log(p) - (1 - q) * math.log(1 - p)


CASES = [
    (QualityFocalLoss(beta=2.0), lambda q, p: abs(q - p) ** 2 * entropy(q, p)),
    (QualityFocalLoss(beta=1.5), lambda q, p: abs(q - p) ** 1.5 * entropy(q, p)),
    (
        VarifocalLoss(alpha=0.75, gamma=2.0),
        lambda q, p: q * entropy(q, p) if q > 0 else -0.75 * p**2 * math.log(1 - p),
    ),
    (
        VarifocalLoss(alpha=0.5, gamma=0.0),
        lambda q, p: q * entropy(q, p) if q > 0 else -0.5 * math.log(1 - p),
    ),
]


def random_case():
    """Two of the qualities are the limits 0 and 1."""
    cls_logits = torch.randn(40, 5, dtype=torch.float64) * 3
    labels = torch.randint(0, 6, (40,))
    labels[:3] = torch.tensor([0, 5, 4])
    quality = torch.rand(int((labels < 5).sum()), dtype=torch.float64)
    quality[:2] = torch.tensor([0.0, 1.0])
    return cls_logits, labels, quality


@pytest.mark.parametrize(("loss", "term"), CASES)
def test_against_the_slow_way(loss, term):
    case = random_case()
    assert of(loss, *case).item() == pytest.approx(slowly(*case, term), rel=1e-12)


@pytest.mark.parametrize(("loss", "term"), CASES)
def test_gradient(loss, term):
    cls_logits, labels, quality = random_case()
    cls_logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: of(loss, x, labels, quality), cls_logits)


@pytest.mark.parametrize("loss", [QualityFocalLoss(), VarifocalLoss()])
def test_the_target_gets_no_gradient(loss):
    cls_logits, labels, quality = random_case()
    cls_logits.requires_grad_(), quality.requires_grad_()
    of(loss, cls_logits, labels, quality).backward()
    assert quality.grad is None and cls_logits.grad.abs().sum() > 0


@pytest.mark.parametrize("loss", [QualityFocalLoss(), VarifocalLoss()])
def test_far_logits_stay_finite(loss):
    cls_logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    total = of(loss, cls_logits, torch.tensor([1, 2]), torch.tensor([0.5]))
    total.backward()
    assert total.isfinite() and cls_logits.grad.isfinite().all()


def test_without_positives():
    cls_logits, labels = torch.randn(4, 3), torch.full((4,), 3)
    nothing = torch.zeros(0)
    # The focal loss with alpha 0 has the negatives only.
    expected = FocalLoss(alpha=0.0)(cls_logits, labels)
    torch.testing.assert_close(of(QualityFocalLoss(), cls_logits, labels, nothing), expected)
    torch.testing.assert_close(of(VarifocalLoss(), cls_logits, labels, nothing), 0.75 * expected)


def test_options_are_checked():
    with pytest.raises(ValueError, match="beta must be at least 1, got 0.5"):
        QualityFocalLoss(beta=0.5)
    with pytest.raises(ValueError, match="gamma must be 0 or at least 1, got 0.5"):
        VarifocalLoss(gamma=0.5)
    with pytest.raises(ValueError, match="alpha must be at least 0, got -0.5"):
        VarifocalLoss(alpha=-0.5)
