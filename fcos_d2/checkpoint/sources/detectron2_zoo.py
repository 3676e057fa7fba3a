"""detectron2's own files of ResNets, which detectron2 itself fits to a model."""

import logging

from detectron2.checkpoint.c2_model_loading import align_and_update_state_dicts

from .source import IMAGENET_RGB, Source, State


def source_of(state: State, author: str | None) -> Source:
    """The origin of weights with these names.

    Args:
        state: of the file.
        author: what the file says of itself.
    """
    return Source(
        name="detectron2's zoo",
        matches=lambda keys: False,
        convert=lambda state, model_keys: _align(state, model_keys, author),
        body_anchor="stem.conv1.weight",
        # Caffe2's files have no statistics: their norms are only a scale and a shift.
        may_miss=r"\.norm\.running_(mean|var)$",
        expects=_expects(state, author),
    )


def _expects(state: State, author: str | None) -> dict[str, object]:
    """What the weights were made for: those of Caffe2 for BGR, in grey levels.

    Its ResNeXts were given images divided by a deviation or not, which the files do not tell.
    """
    if author == "torchvision":
        return IMAGENET_RGB
    if author != "Caffe2":
        return {}
    expects: dict[str, object] = {"input_format": "BGR", "pixel_mean": [103.53, 116.28, 123.675]}
    first, second = state.get("res2_0_branch2a_w"), state.get("res2_0_branch2b_w")
    grouped = first is not None and second is not None and len(first) != second.shape[1]
    return expects if grouped else {**expects, "pixel_std": [1.0, 1.0, 1.0]}


def _align(state: State, model_state: State, author: str | None) -> State:
    """detectron2's matching of names by their ends."""
    table = logging.getLogger("detectron2.checkpoint.c2_model_loading")
    level = table.level
    table.setLevel(logging.ERROR)  # our report says it in one line
    try:
        return align_and_update_state_dicts(model_state, state, c2_conversion=author == "Caffe2")
    finally:
        table.setLevel(level)
