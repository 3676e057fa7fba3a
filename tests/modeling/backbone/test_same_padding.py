"""TensorFlow's padding, against timm's."""

import pytest
import torch
from torch import nn

from fcos_d2.modeling.backbone.same_padding import SamePaddedConv2d, exchange_same_padding

timm = pytest.importorskip("timm")


def same(kernel: int, stride: int, dilation: int = 1, **options: object) -> nn.Conv2d:
    return timm.layers.Conv2dSame(4, 8, kernel, stride=stride, dilation=dilation, **options)


@pytest.mark.parametrize("size", [(32, 64), (33, 50), (7, 9), (1, 2)])
def test_is_timms_at_every_size(size):
    cases = [(3, 2, 1), (5, 2, 1), (4, 3, 1), (3, 2, 2), (1, 2, 1), (2, 4, 1)]
    peers = [same(*case, bias=i % 2 == 0, groups=1 + i % 2) for i, case in enumerate(cases)]
    ours = nn.Sequential(*peers)
    exchange_same_padding(ours)
    x = torch.randn(2, 4, *size)
    for conv, peer in zip(ours, peers, strict=True):
        assert type(conv) is SamePaddedConv2d and conv.weight is peer.weight
        torch.testing.assert_close(conv(x), peer(x), rtol=0, atol=0)


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_graph_of_one_size_is_that_of_all(kernel):
    """By both ways of export: traced or exported at one size, run at another."""
    peer = same(kernel, 2)
    model = nn.Sequential(peer)
    exchange_same_padding(model)
    small, large = torch.randn(1, 4, 32, 64), torch.randn(1, 4, 96, 32)
    sides = {2: 2 * torch.export.Dim("h", min=4), 3: 2 * torch.export.Dim("w", min=4)}
    exported = torch.export.export(model, (small,), dynamic_shapes=(sides,)).module()
    for graph in (torch.jit.trace(model, small), exported):
        torch.testing.assert_close(graph(large), peer(large))
