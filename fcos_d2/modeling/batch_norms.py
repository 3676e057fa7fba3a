"""Batch norms exchanged for another kind of batch norm; what else they do, and their keys, stay."""

from collections.abc import Callable, Collection
from functools import cache
from typing import Any

from detectron2.layers import FrozenBatchNorm2d, NaiveSyncBatchNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

KINDS = {
    "FrozenBN": FrozenBatchNorm2d,
    "BN": nn.BatchNorm2d,
    "SyncBN": nn.SyncBatchNorm,
    "NaiveSyncBN": NaiveSyncBatchNorm,
}


@cache
def activated(kind: type[nn.Module]) -> type[nn.Module]:
    """The norm `kind` with a dropout `drop` and an activation `act` after it.

    timm's BatchNormAct2d is such a norm, and these are its names of the two.
    """

    def forward(self: Any, x: Tensor) -> Tensor:
        return self.act(self.drop(kind.forward(self, x)))

    return type(f"Activated{kind.__name__}", (kind,), {"forward": forward})


def is_activated(norm: nn.Module) -> bool:
    """Whether a batch norm is one of `activated`, or timm's."""
    return {name for name, _ in norm.named_children()} == {"act", "drop"}


@cache
def of_vectors(kind: type[nn.Module]) -> type[nn.Module]:
    """The norm `kind`, which is of images, for (N, C) and (N, C, L)."""
    if kind is nn.BatchNorm2d:
        return nn.BatchNorm1d

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return kind.forward(self, x.reshape(*x.shape[:2], -1, 1)).reshape(x.shape)

    return type(f"{kind.__name__}OfVectors", (kind,), {"forward": forward})


def exchange_batch_norms(
    model: nn.Module,
    kind: str,
    which: type[nn.Module] | tuple[type[nn.Module], ...] = (_BatchNorm, FrozenBatchNorm2d),
    among: Collection[nn.Module] | None = None,
) -> int:
    """Makes the batch norms of `model` norms of one kind, in place.

    In evaluation the results stay the same. So do parameters, statistics, their names, and what
    needs a gradient, except that frozen norms have no parameters.

    Args:
        model: not a norm itself.
        kind: one of KINDS.
        which: classes of the norms to exchange.
        among: these modules alone; None: all.

    Returns:
        How many were exchanged.

    Raises:
        ValueError: a norm without statistics, or of an unknown class, which may do more.
    """
    new: dict[nn.Module, nn.Module] = {}  # a norm in two places stays one
    for name, norm in list(model.named_modules(remove_duplicate=False)):
        if isinstance(norm, which) and (among is None or norm in among):
            if norm not in new:
                new[norm] = _like(norm, kind, name)
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, new[norm])
    return len(new)


def _like(norm: Any, kind: str, name: str) -> nn.Module:
    """A norm of `kind` with the content of `norm`."""
    make, children = _variant(norm, name)(KINDS[kind]), dict(norm.named_children())
    options: dict[str, Any] = {"eps": norm.eps}
    if kind != "FrozenBN":
        options["momentum"] = getattr(norm, "momentum", 0.1)
        options["affine"] = getattr(norm, "affine", True)
    if kind == "NaiveSyncBN":
        options["stats_mode"] = "N"  # weights the processes by their images: as in one process
    new = make(norm.num_features, **options).to(norm.running_mean)  # its device and dtype
    for child_name, child in children.items():
        new.add_module(child_name, child)
    # Counters: a norm that was frozen while it was made has none.
    new.load_state_dict(norm.state_dict(), strict=False)
    if kind == "FrozenBN":
        new.num_batches_tracked = norm.num_batches_tracked
    elif isinstance(norm, _BatchNorm):
        for ours, theirs in zip(new.parameters(), norm.parameters(), strict=True):
            ours.requires_grad = theirs.requires_grad
    return new.train(norm.training)


def _variant(norm: Any, name: str) -> Callable[[Any], type[nn.Module]]:
    """What makes a class of KINDS do all that the class of `norm` does."""
    own = type(norm)
    if norm.running_mean is None:
        raise ValueError(f"{name} keeps no statistics: it cannot be another kind of batch norm")
    if isinstance(norm, nn.BatchNorm1d) or own in map(of_vectors, KINDS.values()):
        return of_vectors
    if is_activated(norm):
        return activated
    if own.forward in [kind.forward for kind in KINDS.values()]:
        return lambda kind: kind
    raise ValueError(
        f"{name} is a {own.__module__}.{own.__name__}, which may do more than a batch norm does: "
        "it cannot be another kind of batch norm"
    )
