"""ImageNet weights of EfficientNet-Lite, as efficientnet_pytorch names them, for timm's model."""

from .source import Source, State, body_prefix, without

# Of RGB images, in grey levels; timm's own weights have 127.5.
MEAN, STD = [127.0] * 3, [128.0] * 3

_ANCHOR = "conv_stem.weight"
_CLASSIFIER = r"^_(conv_head|bn1|fc)\."
COUNTER = r"num_batches_tracked$"


def _convert(state: State, model_state: State) -> State:
    """Both list the same layers in the same order, so their tensors are paired by that.

    Raises:
        ValueError: a pair of different shapes or kinds, as of another size of the model.
    """
    prefix = body_prefix(_ANCHOR, model_state)
    theirs = without(without(state, _CLASSIFIER), COUNTER)
    ours = [key for key in without(model_state, COUNTER) if key.startswith(prefix)]
    paired = dict(zip(ours, theirs, strict=False))
    for key, other in paired.items():
        kinds = key.rpartition(".")[2], other.rpartition(".")[2]
        if kinds[0] != kinds[1] or theirs[other].shape != model_state[key].shape:
            raise _another_model(
                f"{other} {tuple(theirs[other].shape)} in the file is "
                f"{key} {tuple(model_state[key].shape)} in the model"
            )
    if len(ours) != len(theirs):
        raise _another_model(f"it has {len(theirs)} tensors, the model's body {len(ours)}")
    return {key: theirs[other] for key, other in paired.items()}


def _another_model(difference: str) -> ValueError:
    return ValueError(
        f"not the weights of this body: {difference}. EfficientNet-Lite<i> is MODEL.TIMM.NAME "
        "tf_efficientnet_lite<i>"
    )


SOURCE = Source(
    name="EfficientNet-Lite",
    # Models that are not Lite have squeeze and excitation (_se_reduce) in the same layers.
    matches=lambda keys: (
        {"_conv_stem.weight", "_blocks.0._depthwise_conv.weight", "_blocks.15._bn0.weight"}
        <= set(keys)
        and not any("._se_" in key for key in keys)
    ),
    convert=_convert,
    body_anchor=_ANCHOR,
    expects={
        "input_format": "RGB",
        "pixel_mean": MEAN,
        "pixel_std": STD,
        # timm's efficientnet_lite<i> takes the same weights, and computes something else.
        "backbone.bottom_up.model.bn1.eps": 1e-3,
    },
)
