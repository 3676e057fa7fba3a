"""What came from a checkpoint and what did not."""

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from tabulate import tabulate
from torch import Tensor, nn

from .sources import HEAD, Source
from .sources.source import body_prefix

_ROWS = 5  # of each kind in the table; the rest is counted
_CLASS_LAYER = "cls_logits"
# Attributes whose name says too little about where they are set.
_KEYS = {
    "input_format": "INPUT.FORMAT (image_format of the mappers)",
    f"{HEAD}relu_regression": "MODEL.FCOS.USE_RELU (relu_regression of the head)",
    f"{HEAD}regresses_pixels": "not MODEL.FCOS.NORM_REG_TARGETS (pixel_strides of the head)",
    f"{HEAD}quality_on_box_branch": "MODEL.FCOS.CENTERNESS_ON_REG (quality_on_box_branch of the "
    "head)",
    "backbone.bottom_up.model.bn1.eps": "eps of the norms of MODEL.TIMM.NAME (of the body's name)",
}


@dataclass
class LoadingReport:
    """The outcome of loading weights into a model."""

    path: str
    origin: str
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # in the model only: left as they were
    unexpected: list[str] = field(default_factory=list)  # in the file only: not used
    reshaped: list[tuple[str, tuple, tuple]] = field(default_factory=list)  # key, file, model
    new_parts: list[str] = field(default_factory=list)  # parts of a model that a body leaves new
    notes: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether file and model agree entry for entry."""
        return not (self.missing or self.unexpected or self.reshaped)

    @property
    def absent(self) -> list[str]:
        """What the model has and the file does not, which stays untrained; in words."""
        reshaped = [f"{key} ({a} in the file, {b} in the model)" for key, a, b in self.reshaped]
        return [*reshaped, *self.missing, *self.new_parts]

    def __str__(self) -> str:
        lines = [f"{self.path} ({self.origin}): {len(self.matched)} tensors loaded{self._rest()}"]
        rows = [
            *(("missing: stays as it was", key) for key in _some(self.missing)),
            *(("unexpected: not used", key) for key in _some(self.unexpected)),
            *(("shape differs: new", text) for text in _some(self._shapes())),
        ]
        if rows:
            lines.append(tabulate(rows, tablefmt="plain"))
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _rest(self) -> str:
        if not self.complete:
            return (
                f", {len(self.missing)} missing, {len(self.unexpected)} unexpected, "
                f"{len(self.reshaped)} of another shape"
            )
        return f"; new: {', '.join(self.new_parts)}" if self.new_parts else ", all there are"

    def _shapes(self) -> list[str]:
        """One line for each layer, that of the classes in the user's terms."""
        lines = []
        for key, in_file, in_model in self.reshaped:
            layer, _, name = key.rpartition(".")
            if layer.endswith(_CLASS_LAYER):
                line = f"{_CLASS_LAYER}: {in_file[0]} -> {in_model[0]} classes, new"
            else:
                line = f"{layer}.{name}: {in_file} in the file, {in_model} in the model"
            if line not in lines:
                lines.append(line)
        return lines


def _some(items: list[str]) -> Iterable[str]:
    yield from items[:_ROWS]
    if len(items) > _ROWS:
        yield f"... and {len(items) - _ROWS} more"


def compare(
    path: str, source: Source | None, state: dict[str, Tensor], model_state: dict[str, Tensor]
) -> LoadingReport:
    """What loading `state` into a model with `model_state` will do.

    Args:
        path: of the file.
        source: origin of the weights; None if unknown.
        state: the file's, in the names of the model.
        model_state: the model's.

    Returns:
        The report. Counters of batch norms and entries without effect are left out of it.
    """
    report = LoadingReport(path, source.name if source else "as it is")
    for key, value in state.items():
        if key not in model_state:
            if not _is_counter(key):
                report.unexpected.append(key)
        elif value.shape != model_state[key].shape:
            report.reshaped.append((key, tuple(value.shape), tuple(model_state[key].shape)))
        else:
            report.matched.append(key)
    may_miss = source.may_miss if source else r"$^"
    missing = [
        key
        for key in model_state
        if key not in state and not _is_counter(key) and not re.search(may_miss, key)
    ]
    body = body_prefix(source.body_anchor, model_state) if source else ""
    report.missing = [key for key in missing if key.startswith(body)]
    others = (key for key in missing if not key.startswith(body))
    report.new_parts = sorted(
        {"neck" if x.startswith("backbone.") else x.split(".")[0] for x in others}
    )
    return report


def _is_counter(key: str) -> bool:
    # Frozen norms and other projects' losses have none; one that starts anew is as good.
    return key.endswith((".num_batches_tracked", ".moving_num_pos"))


def differing_settings(model: nn.Module, expects: dict[str, object]) -> list[str]:
    """Attributes of `model` that differ from what weights were made for.

    Args:
        model: a detector.
        expects: see `Source`. The stride of a block's first convolution counts only where that is
            1x1: a block of two 3x3 convolutions has it there in any case.
    """
    lines = []
    for name, expected in expects.items():
        try:
            value = operator.attrgetter(name)(model)
            one_place = name.endswith("conv1.stride") and (
                operator.attrgetter(name.replace("stride", "kernel_size"))(model) != (1, 1)
            )
        except AttributeError:
            continue  # another kind of model
        if value is None or one_place:
            continue
        if isinstance(value, Tensor):
            value = [round(x, 3) for x in value.flatten().tolist()]
        if value != expected:
            shown = _KEYS.get(name, name)
            lines.append(f"{shown} is {value}, but these weights were made for {expected}")
    return lines
