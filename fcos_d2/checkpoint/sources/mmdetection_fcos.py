"""mmdetection's FCOS, with the names of its versions 2 and 3 (Apache-2.0).

How it reads its outputs (`norm_on_bbox`, `centerness_on_reg`, ...) is in the config that its files
carry as text, not in the weights. Read with the config files and docstrings of mmdetection.
"""

import re
from collections.abc import Mapping

import torch

from .resnet import resnet_rules
from .source import HEAD, Source, State, rename

_CLASS_LAYER = "bbox_head.conv_cls.weight"
_TOP = 5  # the coarsest stage of the body that its neck reads


def _convert(state: State, model_state: State) -> State:
    renamed = rename(state, [*_neck_rules(state), *_RULES])
    return _in_our_shapes(renamed, model_state)


# A tower is a list of blocks there, and one sequence of convolution, norm and ReLU here.
_RULES = [
    (r"^backbone\.(?!bottom_up|fpn|top)", "backbone.bottom_up."),
    *resnet_rules("backbone.bottom_up."),
    (r"^bbox_head\.reg_convs\.", f"{HEAD}bbox_tower."),
    (r"^bbox_head\.cls_convs\.", f"{HEAD}cls_tower."),
    *((rf"_tower\.{i}\.conv\.", f"_tower.{3 * i}.") for i in range(8)),
    *((rf"_tower\.{i}\.gn\.", f"_tower.{3 * i + 1}.") for i in range(8)),
    (r"^bbox_head\.conv_cls\.", f"{HEAD}cls_logits."),
    (r"^bbox_head\.conv_reg\.", f"{HEAD}bbox_pred."),
    (r"^bbox_head\.conv_centerness\.", f"{HEAD}ctrness."),
    (r"^bbox_head\.scales\.", f"{HEAD}scales."),
]


def _neck_rules(state: State) -> list[tuple[str, str]]:
    """Its lateral convolutions end at C5; output convolutions beyond them make P6 and P7."""
    laterals = sum(key.startswith("neck.lateral_convs.") for key in state) // 2
    first = _TOP + 1 - laterals
    sides = [
        (rf"^neck\.{theirs}_convs\.{i}\.conv\.", f"backbone.fpn_{ours}{first + i}.")
        for theirs, ours in (("lateral", "lateral"), ("fpn", "output"))
        for i in range(laterals)
    ]
    return [
        *sides,
        *(
            (rf"^neck\.fpn_convs\.{i}\.conv\.", f"backbone.top_block.p{first + i}.")
            for i in range(laterals, laterals + 2)
        ),
    ]


def _in_our_shapes(state: State, model_state: State) -> State:
    """Convolutions before a norm have no bias there; here it is 0."""
    lacking = {
        key: torch.zeros_like(value, device="cpu")
        for key, value in model_state.items()
        if re.search(r"_tower\.\d+\.bias$", key)
        and key not in state
        and key.replace(".bias", ".weight") in state
    }
    # A scale is a number without a dimension there.
    scales = {key: x.reshape(1) for key, x in state.items() if key.startswith(f"{HEAD}scales.")}
    return {**state, **scales, **lacking}


def _expects(checkpoint: Mapping[str, object]) -> dict[str, object]:
    """What the config in a file says of the attributes of a detector.

    Raises:
        ValueError: a neck that there is not here.
    """
    meta = checkpoint.get("meta")
    parts = meta if isinstance(meta, Mapping) else {}
    text = parts.get("cfg") or parts.get("config")  # of version 3, of version 2
    if not isinstance(text, str):
        return {}
    if re.search(r"add_extra_convs='on_lateral'", text):
        raise ValueError("its P6 is made from the lateral C5 (on_lateral), which no neck here does")
    normalised, on_reg = (
        bool(re.search(rf"\b{name}=True", text)) for name in ("norm_on_bbox", "centerness_on_reg")
    )
    rgb = re.search(r"\b(?:to_rgb|bgr_to_rgb)=(True|False)", text)
    expects: dict[str, object] = {
        f"{HEAD}relu_regression": normalised,
        f"{HEAD}regresses_pixels": not normalised,
        f"{HEAD}quality_on_box_branch": on_reg,
        "backbone.bottom_up.res3.0.conv1.stride": (2, 2) if "style='caffe'" in text else (1, 1),
    }
    if rgb:
        expects["input_format"] = "RGB" if rgb[1] == "True" else "BGR"
    for ours, theirs in (("pixel_mean", "mean"), ("pixel_std", "std")):
        if numbers := re.search(rf"\b{theirs}=\[([\d., ]+)\]", text):
            expects[ours] = [round(float(x), 3) for x in numbers[1].split(",") if x.strip()]
    return expects


SOURCE = Source(
    name="mmdetection FCOS",
    matches=lambda keys: {_CLASS_LAYER, "bbox_head.conv_centerness.weight"} <= set(keys),
    convert=_convert,
    expects={"proposal_generator.test_selection.clip_before_nms": True},
    expects_of=_expects,
    hint="configs/Converted/mmdetection-R50.yaml has its settings, and says what to change for "
    "files without norm_on_bbox and centerness_on_reg",
)
