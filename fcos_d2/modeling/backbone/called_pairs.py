"""Which batch norms get what a convolution gives, seen while a model runs."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from detectron2.layers import FrozenBatchNorm2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..modes import evaluating


def called_pairs(model: nn.Module, run: Callable[[], object]) -> list[tuple[str, str]]:
    """Names of convolutions, each with the name of the batch norm that alone uses its result.

    Args:
        model: as it is in evaluation.
        run: calls `model`, and returns all that it gives.
    """
    seen = _Seen()
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(seen.convolved(name)))
        elif isinstance(module, (_BatchNorm, FrozenBatchNorm2d)):
            handles.append(module.register_forward_pre_hook(seen.normalises(name)))
            handles.append(module.register_forward_hook(seen.normalised))
    try:
        with torch.no_grad(), evaluating(model), seen:
            given = run()
    finally:
        for handle in handles:
            handle.remove()
    seen.count(given)
    return seen.pairs()


class _Seen(TorchDispatchMode):
    """Counts how often each tensor is used outside of norms."""

    def __init__(self) -> None:
        super().__init__()
        self._alive: list[Tensor] = []  # so that no two of them have the same id
        self._uses = Counter[int]()
        self._convs: list[tuple[str, int]] = []  # with the tensor that it gave
        self._norms: list[tuple[str, int]] = []  # with the tensor that it got
        self._inside = 0  # norms

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if not self._inside:
            self.count((args, kwargs))
        return func(*args, **(kwargs or {}))

    def count(self, used: object) -> None:
        """All tensors in a nested structure are used once more."""
        for x in tree_leaves(used):
            if isinstance(x, Tensor):
                self._uses[self._id(x)] += 1

    def convolved(self, name: str) -> Callable:
        return lambda module, args, result: self._convs.append((name, self._id(result)))

    def normalises(self, name: str) -> Callable:
        def before(module: nn.Module, args: tuple) -> None:
            self._norms.append((name, self._id(args[0])))
            self._inside += 1

        return before

    def normalised(self, module: nn.Module, args: tuple, result: Tensor) -> None:
        self._inside -= 1

    def pairs(self) -> list[tuple[str, str]]:
        """Of modules that were called once, by tensors that nothing else has used."""
        calls = Counter(name for name, _ in [*self._convs, *self._norms])
        readers = Counter(x for _, x in self._norms)
        conv_of = {x: name for name, x in self._convs}
        return [
            (conv_of[x], norm)
            for norm, x in self._norms
            if x in conv_of
            and readers[x] == 1
            and not self._uses[x]
            and calls[norm] == calls[conv_of[x]] == 1
        ]

    def _id(self, x: Tensor) -> int:
        self._alive.append(x)
        return id(x)
