"""The weights in what a checkpoint file holds."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .reading import DamagedCheckpointError

IN_TRAINING = "model_in_training"  # the weights beside their moving mean, which is "model"


def split_weights(loaded: dict, path: str) -> dict:
    """What a file holds, with the weights under "model".

    Args:
        loaded: the dict of a file: a state dict, bare or under a name, maybe with the prefix of a
            distributed model; or a pickle of detectron2's zoo.
        path: for the message.

    Raises:
        ValueError: no weights in it, or weights that no layer can take.
        DamagedCheckpointError: NaN or infinity in the weights.
    """
    rest = dict(loaded)
    for name in ("model", "state_dict", "model_state_dict", "model_state", "blobs"):
        if isinstance(loaded.get(name), Mapping):
            state = rest.pop(name)
            break
    else:
        state, rest = loaded, {}
    arrays = {k: v for k, v in state.items() if isinstance(v, (Tensor, np.ndarray))}
    if not arrays:
        raise ValueError(f"{path}: no weights in it; it holds {', '.join(map(str, loaded))[:200]}")
    unnamed = [key for key in arrays if not isinstance(key, str)]
    if unnamed:
        raise ValueError(f"{path}: its weights have no names: {unnamed[0]!r} is no text")
    if "conv1_w" in arrays:  # a ResNet of Caffe2
        rest.update(matching_heuristics=True, __author__="Caffe2")
        arrays = {k: v for k, v in arrays.items() if not k.endswith("_momentum")}
    if all(key.startswith("module.") for key in arrays):
        arrays = {key.removeprefix("module."): value for key, value in arrays.items()}
    weights = {key: _dense(key, value, path) for key, value in arrays.items()}
    in_training = rest.get(IN_TRAINING)
    for state in (weights, in_training if isinstance(in_training, Mapping) else {}):
        _refuse_not_finite(state, path)
    return {**rest, "model": weights}


def _refuse_not_finite(weights: Mapping[str, Tensor], path: str) -> None:
    bad = [
        key
        for key, value in weights.items()
        if value.is_floating_point() and not torch.isfinite(value).all()
    ]
    if bad:
        listed = ", ".join(bad[:3]) + (", ..." if len(bad) > 3 else "")
        raise DamagedCheckpointError(
            f"{path}: NaN or infinity in {len(bad)} of {len(weights)} tensors ({listed}), as a "
            "training that diverged leaves them: take an earlier checkpoint"
        )


def _dense(key: str, value: Tensor | np.ndarray, path: str) -> Tensor:
    if isinstance(value, np.ndarray):
        try:
            return torch.from_numpy(value)
        except TypeError as error:
            raise ValueError(f"{path}: {key} is no tensor ({error})") from None
    if value.is_meta:
        kind, cure = "meta tensor", "it holds a shape, but no numbers; save a model that has them"
    elif value.is_quantized:
        kind, cure = "quantised tensor", "save the model before it was quantised, or `dequantize()`"
    elif value.layout is not torch.strided or value.is_nested:
        kind, cure = "sparse tensor", "save `to_dense()` of it"
    else:
        return value
    raise ValueError(f"{path}: {key} is a {kind}, which no layer of a detector takes; {cure}")
