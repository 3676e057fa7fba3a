"""What the bodies, the backbones below a neck, have in common."""

from collections.abc import Collection

from detectron2.layers import get_norm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...choices import check_choice
from ..batch_norms import exchange_batch_norms

BODY_NORMS = ("FrozenBN", "BN", "SyncBN", "GN")


def body_norm(norm: str, channels: int) -> nn.Module:
    """A norm of a body.

    Args:
        norm: one of BODY_NORMS. "GN" has 32 groups; fewer where these would be of one channel or
            not of one size.
        channels: C.

    Raises:
        ValueError: another norm.
    """
    check_choice("norm", norm, BODY_NORMS)
    if norm == "GN":
        most = min(32, channels // 2)
        return nn.GroupNorm(next(g for g in range(most, 0, -1) if channels % g == 0), channels)
    return get_norm(norm, channels)


def freeze(module: nn.Module) -> None:
    """Keeps the parameters of `module` and the statistics of its batch norms as they are."""
    for parameter in module.parameters():
        parameter.requires_grad = False
    exchange_batch_norms(module, "FrozenBN")


def freeze_parameters(model: nn.Module, names: Collection[str]) -> None:
    """As `freeze`, for some parameters of `model` and for the batch norms that they belong to.

    Args:
        model: changed in place.
        names: of parameters; a batch norm without any belongs to those of the module around it.
    """
    for name in names:
        model.get_parameter(name).requires_grad = False
    norms = set()
    for name, module in model.named_modules():
        own = [*module.parameters()] or [*model.get_submodule(name.rpartition(".")[0]).parameters()]
        if isinstance(module, _BatchNorm) and own and not any(x.requires_grad for x in own):
            norms.add(module)
    exchange_batch_norms(model, "FrozenBN", among=norms)


def check_features(asked: list[str], given: list[str], body: str) -> None:
    """Raises ValueError for features that a body does not give; lists are of names."""
    missing = [name for name in asked if name not in given]
    if missing or not asked:
        raise ValueError(f"{body} gives the features {given}, out_features asks for {asked}")
