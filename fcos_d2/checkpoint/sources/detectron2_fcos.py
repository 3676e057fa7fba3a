"""detectron2's built-in FCOS."""

from collections.abc import Collection

from .source import HEAD, Source, State, rename, with_unit_scales

_RULES = [
    (r"^head\.cls_subnet\.", f"{HEAD}cls_tower."),
    (r"^head\.bbox_subnet\.", f"{HEAD}bbox_tower."),
    (r"^head\.cls_score\.", f"{HEAD}cls_logits."),
    (r"^head\.", HEAD),
]


def _convert(state: State, model_keys: Collection[str]) -> State:
    return with_unit_scales(rename(state, _RULES), model_keys)


SOURCE = Source(
    name="detectron2 FCOS",
    matches=lambda keys: {"head.cls_score.weight", "head.ctrness.weight"} <= set(keys),
    convert=_convert,
    hint="configs/Converted/detectron2-R50.yaml has its settings",
)
