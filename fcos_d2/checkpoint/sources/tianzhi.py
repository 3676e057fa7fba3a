"""tianzhi0549/FCOS, the paper's first code, with the names of maskrcnn-benchmark."""

from .resnet import resnet_rules
from .source import HEAD, Source, State, rename

_RULES = [
    (r"^backbone\.body\.(stem\.)?", "backbone.bottom_up."),
    *resnet_rules("backbone.bottom_up."),
    *((rf"^backbone\.fpn\.fpn_inner{i}\.", f"backbone.fpn_lateral{i + 1}.") for i in (2, 3, 4)),
    *((rf"^backbone\.fpn\.fpn_layer{i}\.", f"backbone.fpn_output{i + 1}.") for i in (2, 3, 4)),
    (r"^backbone\.fpn\.top_blocks\.", "backbone.top_block."),
    (r"^rpn\.head\.centerness\.", f"{HEAD}ctrness."),
    (r"^rpn\.head\.", HEAD),
]


def _convert(state: State, model_keys: object) -> State:
    return rename(state, _RULES)


SOURCE = Source(
    name="tianzhi0549/FCOS",
    matches=lambda keys: any(key.startswith("rpn.head.") for key in keys),
    convert=_convert,
    hint="plain models (FCOS_*, not FCOS_imprv_*) need configs/Converted/tianzhi-Plain-R50.yaml",
)
