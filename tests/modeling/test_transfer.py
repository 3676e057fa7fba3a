"""What the losses of a batch ask of the device: counted on the meta device, which has no values.

Whatever waits for a value there raises an error, as does a choice by a mask.
"""

from collections import Counter

import pytest
import torch
from detectron2.structures import Boxes, Instances
from parts import CLS_LOSSES, generator_of
from torch.utils._python_dispatch import TorchDispatchMode

from fcos_d2.modeling import FCOSHead
from fcos_d2.modeling.criterion import BOX_QUALITIES
from fcos_d2.modeling.geometry import location_grids
from fcos_d2.modeling.normalizers import LOSS_NORMALIZERS
from fcos_d2.modeling.transfer import upload

SIZE = (64, 96)
NO_BRANCH = {"quality_branch": False}


class DeviceCounter(TorchDispatchMode):
    """Counts the operators that touch the meta device, and the copies onto it."""

    def __init__(self):
        super().__init__()
        self.operators, self.uploads = Counter(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        leaves = torch.utils._pytree.tree_leaves((args, kwargs, result))
        on_device = [x.is_meta for x in leaves if isinstance(x, torch.Tensor) and x.dim() > 0]
        if any(on_device):
            self.operators[func.overloadpacket.__name__] += 1
            # 0-dim tensors of the CPU are read by the launch of an operator.
            self.uploads += not all(on_device)
        return result


def count_losses(num_images, **options):
    branch = options.pop("quality_branch", True)
    head = FCOSHead(
        in_channels=32,
        num_classes=3,
        num_levels=2,
        quality_branch=branch,
        num_cls_convs=1,
        num_box_convs=1,
    )
    levels = {"in_features": ["p3", "p4"], "strides": [8, 16]}
    generator = generator_of(head, [32], **levels, **options)
    generator.to("meta").train()
    truth = []
    for n in range(num_images):
        truth.append(Instances(SIZE))
        corners = torch.rand(0 if n == 1 else 4, 2) * 40
        truth[-1].gt_boxes = Boxes(torch.cat((corners, corners + 20), dim=1))
        truth[-1].gt_classes = torch.randint(0, 3, (len(corners),))
    sizes = [(8, 12), (4, 6)]
    features = [torch.empty(num_images, 32, *size, device="meta") for size in sizes]
    outputs = generator.fcos_head(features)
    grids = location_grids(sizes, generator.strides, SIZE)
    with DeviceCounter() as counter:
        losses = generator.losses(grids, outputs, truth)
    with DeviceCounter() as backward:
        sum(losses.values()).backward()
    assert backward.uploads == 0
    assert all(loss.is_meta for loss in losses.values())
    return counter


@pytest.mark.parametrize("assigner", ["size_ranges", "atss"])
@pytest.mark.parametrize("cls_loss", CLS_LOSSES)
@pytest.mark.parametrize("quality", [*({"box_quality": x} for x in BOX_QUALITIES), NO_BRANCH])
def test_one_upload_and_no_wait(assigner, cls_loss, quality):
    counter = count_losses(3, assigner=assigner, cls_loss=cls_loss, **quality)
    assert counter.uploads == 1


@pytest.mark.parametrize("loss_normalizer", LOSS_NORMALIZERS)
def test_every_normaliser(loss_normalizer):
    assert count_losses(2, loss_normalizer=loss_normalizer).uploads == 1


def test_the_number_of_images_does_not_count():
    few, many = count_losses(2), count_losses(16)
    assert few.operators == many.operators
    assert sum(many.operators.values()) < 250  # each image took 145 before


def test_upload():
    """One copy keeps types, shapes and empty tensors; the CPU needs none."""
    tensors = [torch.tensor([3, 1]), torch.rand(2, 4, dtype=torch.float64), torch.rand(0, 4)]
    assert upload(tensors, torch.device("cpu")) is tensors
    with DeviceCounter() as counter:
        there = upload(tensors, torch.device("meta"))
    assert counter.uploads == 1 and all(x.is_meta for x in there)
    assert [(x.dtype, x.shape) for x in there] == [(x.dtype, x.shape) for x in tensors]
