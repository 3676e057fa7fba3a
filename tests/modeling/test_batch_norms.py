"""Batch norms of other kinds: the same features in evaluation, whatever else the norms do."""

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d, NaiveSyncBatchNorm
from random_norms import randomise_norms
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fcos_d2.engine.wrapping import adapt_sync_batchnorm, comm
from fcos_d2.modeling import TimmBackbone
from fcos_d2.modeling.batch_norms import KINDS, exchange_batch_norms
from fcos_d2.modeling.folding import fold_batch_norms

# Ten families: with plain norms, or with norms that also activate, by ReLU, ReLU6, Hardswish,
# SiLU or LeakyReLU; LeViT has norms of vectors.
FAMILIES = (
    "resnet18",
    "efficientnet_b0",
    "mobilenetv2_100",
    "mobilenetv3_small_050",
    "regnety_002",
    "cspresnet50",
    "dla46_c",
    "ese_vovnet19b_slim",
    "ghostnet_050",
    "levit_128s",
)
FEATURES = ["res4", "res5"]


def body(name: str) -> TimmBackbone:
    torch.manual_seed(0)
    return randomise_norms(TimmBackbone(name=name, out_features=FEATURES))


def features(model: nn.Module, side: int) -> dict[str, torch.Tensor]:
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(x)


def norms_of(model: nn.Module) -> list[nn.Module]:
    return [x for x in model.modules() if isinstance(x, (_BatchNorm, FrozenBatchNorm2d))]


def assert_same(actual: dict, expected: dict) -> None:
    """Relative 1e-5, to the largest value of a feature."""
    for name, feature in expected.items():
        bound = 1e-5 * feature.abs().max().item()
        torch.testing.assert_close(actual[name], feature, rtol=0, atol=bound)


@pytest.mark.parametrize("name", FAMILIES)
def test_features_of_timm_stay(name, monkeypatch):
    """Frozen; synchronised; and then as in one process, and as in several on the CPU."""
    pytest.importorskip("timm")
    side = 224 if name == "levit_128s" else 64  # it takes no other
    model = body(name)
    expected, keys = features(model, side), [*model.state_dict()]
    num_norms = len(norms_of(model))
    assert num_norms > 0 and all(x.std() > 0 for x in expected.values())
    for kind in ("FrozenBN", "SyncBN", "BN", "SyncBN", "NaiveSyncBN"):
        processes = 2 if kind == "NaiveSyncBN" else 1
        monkeypatch.setattr(comm, "get_world_size", lambda number=processes: number)
        if kind in ("BN", "NaiveSyncBN"):
            assert adapt_sync_batchnorm(model) is model
        else:
            assert exchange_batch_norms(model, kind) == num_norms
        norms = norms_of(model)
        assert len(norms) == num_norms
        if kind == "BN":
            assert not any(isinstance(x, (nn.SyncBatchNorm, FrozenBatchNorm2d)) for x in norms)
            assert all(x.weight.requires_grad for x in norms)
        else:
            assert all(isinstance(x, KINDS[kind]) for x in norms)
        assert [*model.state_dict()] == keys
        assert_same(features(model, side), expected)
        if kind in ("FrozenBN", "BN"):
            assert_same(features(fold_batch_norms(model), side), expected)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "levit_128s"])
@pytest.mark.parametrize("norm", ["FrozenBN", "SyncBN"])
def test_bodies_are_built_with_norms_that_activate(name, norm):
    """The option of the body; in training frozen statistics stay, and others move."""
    pytest.importorskip("timm")
    torch.manual_seed(0)
    model = TimmBackbone(name=name, out_features=FEATURES, norm=norm)
    peer = TimmBackbone(name=name, out_features=FEATURES).eval()
    peer.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert_same(model.eval()(x), peer(x))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    adapt_sync_batchnorm(model).train()(x)
    moved = [key for key, value in model.state_dict().items() if not value.equal(before[key])]
    assert any(key.endswith("running_mean") for key in moved) == (norm == "SyncBN")


def test_what_is_kept():
    """Epsilon, momentum, mode, dtype, what learns, and that two places share one norm."""
    norm = nn.BatchNorm2d(4, eps=0.25, momentum=0.7).double()
    norm.bias.requires_grad = False
    model = nn.Sequential(norm, nn.ReLU(), norm).train()
    assert exchange_batch_norms(model, "NaiveSyncBN") == 1
    new = model[0]
    assert type(new) is NaiveSyncBatchNorm and new is model[2]
    assert (new.eps, new.momentum, new.training, new.weight.dtype) == (
        0.25,
        0.7,
        True,
        torch.float64,
    )
    assert (new.weight.requires_grad, new.bias.requires_grad) == (True, False)


def test_unknown_norms_are_named():
    """Nobody can tell what they do; one that only has another name is a batch norm."""

    class Clamped(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x).clamp(max=1)

    class Renamed(nn.BatchNorm2d):
        pass

    with pytest.raises(ValueError, match=r"^0.1 is a .*Clamped, which may do more"):
        exchange_batch_norms(nn.Sequential(nn.Sequential(nn.ReLU(), Clamped(4))), "FrozenBN")
    with pytest.raises(ValueError, match="^0 keeps no statistics"):
        exchange_batch_norms(
            nn.Sequential(nn.BatchNorm2d(4, track_running_stats=False)), "FrozenBN"
        )
    model = nn.Sequential(Renamed(4))
    exchange_batch_norms(model, "SyncBN")
    assert type(model[0]) is nn.SyncBatchNorm
