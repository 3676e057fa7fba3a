"""Where weights come from and under which licence: kept in every checkpoint trained from them."""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

from torch import nn

from .known_files import KNOWN_FILES
from .licences import refuse_noncommercial
from .packages import PACKAGED, PYPI
from .sources import Source
from .timm_hub import hub_weights

ORIGINS = "origins"  # their name in a checkpoint
NOT_STATED = "not stated"
# A bare state dict with our names is as likely AdelaiDet's.
_LIKE_ADELAIDET = f"{NOT_STATED} (AdelaiDet's own files, which look the same, allow no commerce)"


class Origin(TypedDict):
    """Weights that a training started from, in plain text for any reader of a checkpoint."""

    weights: str  # the value of MODEL.WEIGHTS
    source: str
    licence: str


def licence_of(weights: str) -> str | None:
    """Of a known address, before anything is fetched; None if it is not known."""
    if weights.startswith(PYPI):
        known = PACKAGED.get(weights.removeprefix(PYPI))
        return known.licence if known else None
    return KNOWN_FILES[weights].licence if weights in KNOWN_FILES else None


def origins_of(weights: str, source: Source | None, checkpoint: dict) -> list[Origin]:
    """What loaded weights descend from.

    Args:
        weights: the address or file that was asked for.
        source: the kind of file.
        checkpoint: its content. Our own checkpoints say what they were trained from.
    """
    if (kept := checkpoint.get(ORIGINS)) is not None:
        return [cast(Origin, dict(origin)) for origin in kept]
    licence = licence_of(weights)
    if licence is None:
        is_bare = source is not None and source.name.startswith("AdelaiDet")
        is_bare = is_bare and not checkpoint.get("class_names")
        licence = _LIKE_ADELAIDET if is_bare else NOT_STATED
    name = source.name if source is not None else "unknown"
    return [Origin(weights=weights, source=name, licence=licence)]


def fetched_origins(model: nn.Module) -> list[Origin]:
    """Of the weights that bodies of timm have fetched by themselves."""
    found = []
    body: Any
    for body in model.modules():
        if getattr(body, "statistics", None) is None or not getattr(body, "pretrained", False):
            continue
        known = hub_weights(body.name)
        repository, licence = (
            (known.repository, known.licence) if known else (str(body.name), NOT_STATED)
        )
        found.append(Origin(weights=repository, source="timm's hub", licence=licence))
    return found


def refuse_unaccepted(origins: Sequence[Origin], accepted: bool) -> None:
    """Raises ValueError for weights that may not be used commercially, unless that is accepted."""
    for origin in origins:
        refuse_noncommercial(origin["weights"], origin["licence"], accepted)


def origins_in_words(origins: Sequence[Origin]) -> str:
    """For people."""
    lines = [f"{x['weights']} ({x['source']}); licence: {x['licence']}" for x in origins]
    return "; ".join(lines) or "random weights"
