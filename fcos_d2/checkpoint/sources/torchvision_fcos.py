"""torchvision's fcos_resnet50_fpn."""

from collections.abc import Collection

from .resnet import resnet_rules
from .source import HEAD, IMAGENET_RGB, Source, State, rename, with_unit_scales

# torchvision's 91 outputs are COCO's category ids; these eleven stand for nothing.
_COCO_GAPS = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
_CLASS_LAYER = "head.classification_head.cls_logits."
_RULES = [
    (r"^backbone\.body\.", "backbone.bottom_up."),
    *resnet_rules("backbone.bottom_up."),
    *(
        (rf"^backbone\.fpn\.inner_blocks\.{i}\.0\.", f"backbone.fpn_lateral{i + 3}.")
        for i in range(3)
    ),
    *(
        (rf"^backbone\.fpn\.layer_blocks\.{i}\.0\.", f"backbone.fpn_output{i + 3}.")
        for i in range(3)
    ),
    (r"^backbone\.fpn\.extra_blocks\.", "backbone.top_block."),
    (r"^head\.classification_head\.conv\.", f"{HEAD}cls_tower."),
    (r"^head\.classification_head\.", HEAD),
    (r"^head\.regression_head\.conv\.", f"{HEAD}bbox_tower."),
    (r"^head\.regression_head\.bbox_reg\.", f"{HEAD}bbox_pred."),
    (r"^head\.regression_head\.bbox_ctrness\.", f"{HEAD}ctrness."),
]


def _convert(state: State, model_keys: Collection[str]) -> State:
    num_outputs = len(state[f"{_CLASS_LAYER}bias"])
    # Models of other datasets count a background class, too: output 0.
    gaps = _COCO_GAPS if num_outputs == 91 else (0,)
    classes = [i for i in range(num_outputs) if i not in gaps]
    own_classes = {
        key: value[classes] if key.startswith(_CLASS_LAYER) else value
        for key, value in state.items()
    }
    return with_unit_scales(rename(own_classes, _RULES), model_keys)


SOURCE = Source(
    name="torchvision FCOS",
    matches=lambda keys: f"{_CLASS_LAYER}weight" in keys and "backbone.body.conv1.weight" in keys,
    convert=_convert,
    expects={
        **IMAGENET_RGB,
        "proposal_generator.location_rule": "corner",
        "proposal_generator.test_selection.clip_before_nms": True,
        "backbone.bottom_up.res3.0.conv1.stride": (1, 1),
    },
    hint="configs/Converted/TorchVision-R50.yaml has its settings",
)
