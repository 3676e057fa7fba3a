"""The layers with a row for each class, from a checkpoint with other classes than the run's."""

import re
from collections.abc import Sequence

from torch import Tensor

from ..class_names import listed, only_in, positions

# Layers whose first dimension are the classes: how many rows each class has, and how many follow
# that belong to none (the background of a second stage).
_LAYERS = (
    (r"(^|\.)fcos_head\.cls_logits\.(weight|bias)$", 1, 0),
    (r"(^|\.)box_predictor\.(\d+\.)?cls_score\.(weight|bias)$", 1, 1),
    (r"(^|\.)box_predictor\.(\d+\.)?bbox_pred\.(weight|bias)$", 4, 0),
    (r"(^|\.)mask_head\.predictor\.(weight|bias)$", 1, 0),
)
_FCOS = r"(^|\.)fcos_head\."
_SECOND_STAGE = r"(^|\.)box_predictor\."


def rows_by_name(
    state: dict[str, Tensor],
    model_state: dict[str, Tensor],
    stored: Sequence[str],
    wanted: Sequence[str],
) -> dict[str, Tensor]:
    """`state` with the rows of its classes where the model has the classes of the same names.

    Args:
        state: of the file, in the names of the model.
        model_state: the model's; the rows of classes that the file lacks stay as they are in it.
        stored: the classes of the file, in its order.
        wanted: those of the model.

    Returns:
        A state in which these layers have the shapes of the model. Layers of another shape than
        the classes say, such as class-agnostic ones, are as they were.
    """
    source = positions(wanted, stored)
    is_two_stage = any(re.search(_SECOND_STAGE, key) for key in model_state)
    fitted = dict(state)
    for key, value in state.items():
        for pattern, per_class, shared in _LAYERS:
            if not re.search(pattern, key) or key not in model_state:
                continue
            model_value = model_state[key]
            # A first stage of one class tells objects of any class from background.
            if is_two_stage and re.search(_FCOS, key) and len(model_value) == 1:
                continue
            sizes = (per_class * len(stored) + shared, per_class * len(wanted) + shared)
            if (len(value), len(model_value)) == sizes and value[0].shape == model_value[0].shape:
                fitted[key] = _rows(value, model_value, source, per_class)
    return fitted


def has_outputs_for(state: dict[str, Tensor], class_names: Sequence[str]) -> bool:
    """Whether weights, in the names of the model, have as many classes as there are names.

    Not so where a head was made larger than its dataset. True where no class layer is found.
    """
    surplus = [
        len(value) - per_class * len(class_names) - shared
        for key, value in state.items()
        for pattern, per_class, shared in _LAYERS[:2]
        if re.search(pattern, key)
    ]
    return not surplus or 0 in surplus


def _rows(value: Tensor, model_value: Tensor, source: list[int], per_class: int) -> Tensor:
    """The model's value with the rows of class source[i] of the file for class i, where >= 0."""
    rows = model_value.detach().to("cpu", value.dtype, copy=True)
    for i, j in enumerate(source):
        if j >= 0:
            rows[i * per_class : (i + 1) * per_class] = value[j * per_class : (j + 1) * per_class]
    shared = len(rows) - len(source) * per_class
    if shared:
        rows[-shared:] = value[-shared:]
    return rows


def classes_in_words(stored: Sequence[str], wanted: Sequence[str]) -> str:
    """For the loading report: which classes came from the file."""
    new, unused = only_in(wanted, stored), only_in(stored, wanted)
    kept = [name for name in wanted if name not in new]
    text = f"classes by name, {len(kept)} from the file: {listed(kept) or 'none'}"
    text += f"; new: {listed(new)}" if new else ""
    return text + (f"; of the file only: {listed(unused)}" if unused else "")
