"""Whole detectors from checkpoints, to detect with."""

from torch import nn

from ..class_names import listed
from .checkpointer import FCOSCheckpointer
from .classes import has_outputs_for
from .contents import split_weights
from .reading import read_checkpoint


def load_detector(model: nn.Module, weights: str, trust_checkpoint: str | None = None) -> dict:
    """Loads `weights`; random parameters would detect confident nonsense, so all must be there.

    Args:
        model: changed in place.
        weights: as `FCOSCheckpointer.load` takes them.
        trust_checkpoint: the one file that may run code, see `read_checkpoint`.

    Returns:
        What the file holds beside the weights, such as class_names.

    Raises:
        ValueError: no weights, or parts of the model that are not in them; names them.
    """
    if not weights:
        raise ValueError(
            "no weights given: name the checkpoint of a trained detector (`weights=model.pth`)"
        )
    checkpointer = FCOSCheckpointer(model, trust_checkpoint=trust_checkpoint)
    checkpoint = checkpointer.load(weights, checkpointables=[])
    report = checkpointer.report
    if report is not None and (absent := report.absent):
        raise ValueError(
            f"{weights}: {len(absent)} parts of this model are not in it: {listed(absent)}; is it "
            "the checkpoint of a detector with this config?"
        )
    return checkpoint


def stored_class_names(weights: str, trust_checkpoint: str | None = None) -> list[str] | None:
    """The classes that a checkpoint names, in the order of its outputs.

    Returns:
        None if it names none, or not as many as it has outputs.

    Raises:
        ValueError: the file is absent, cannot be fetched, is damaged or not trusted.
    """
    file = FCOSCheckpointer(nn.Identity()).fetch(weights)
    content = split_weights(read_checkpoint(file, trust_checkpoint, asked_for=weights), weights)
    names = content.get("class_names")
    return list(names) if names and has_outputs_for(content["model"], names) else None
