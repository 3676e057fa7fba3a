"""Which of our configs a name in a folder of golden data stands for.

"R_50_1x__NORM_none" is R_50_1x.yaml with MODEL.FCOS.NORM "none"; "RT_" is the folder FCOS_RT.
"""

import fcos_d2  # noqa: F401, first, because it silences a warning of detectron2

# isort: split
from detectron2.config import CfgNode

from fcos_d2 import model_zoo
from fcos_d2.config import get_cfg

# AdelaiDet's file -> our config.
CONFIGS = {
    "Base-FCOS.yaml": "FCOS/Base",
    "R_50_1x.yaml": "FCOS/R50-1x",
    "R_50_1x_iou.yaml": "FCOS/R50-1x-IoU",
    "MS_R_50_2x.yaml": "FCOS/R50-MS-2x",
    "MS_R_50_2x_iou.yaml": "FCOS/R50-MS-2x-IoU",
    "MS_R_101_2x.yaml": "FCOS/R101-MS-2x",
    "MS_R_101_2x_iou.yaml": "FCOS/R101-MS-2x-IoU",
    "MS_X_101_32x8d_2x.yaml": "FCOS/X101-32x8d-MS-2x",
    "MS_X_101_32x8d_2x_iou.yaml": "FCOS/X101-32x8d-MS-2x-IoU",
    "MS_X_101_32x8d_2x_dcnv2.yaml": "FCOS/X101-32x8d-MS-2x-DCNv2",
    "MS_X_101_32x8d_2x_dcnv2_iou.yaml": "FCOS/X101-32x8d-MS-2x-DCNv2-IoU",
    "MS_X_101_64x4d_2x.yaml": "FCOS/X101-64x4d-MS-2x",
    "MS_X_101_64x4d_2x_dcnv2.yaml": "FCOS/X101-64x4d-MS-2x-DCNv2",
    "vovnet/MS_V_39_3x.yaml": "FCOS/V39-MS-3x",
    "vovnet/MS_V_57_3x.yaml": "FCOS/V57-MS-3x",
    "vovnet/MS_V_99_3x.yaml": "FCOS/V99-MS-3x",
    "FCOS_RT/MS_R_50_4x_syncbn.yaml": "FCOS-RT/R50",
    "FCOS_RT/MS_R_50_4x_syncbn_bn_head.yaml": "FCOS-RT/R50-BN-Head",
    "FCOS_RT/MS_DLA_34_4x_syncbn.yaml": "FCOS-RT/DLA34",
    "FCOS_RT/MS_DLA_34_4x_syncbn_bn_head.yaml": "FCOS-RT/DLA34-BN-Head",
    "FCOS_RT/MS_DLA_34_4x_syncbn_shared_towers.yaml": "FCOS-RT/DLA34-SharedTowers",
    "FCOS_RT/MS_DLA_34_4x_syncbn_shared_towers_bn_head.yaml": "FCOS-RT/DLA34-SharedTowers-BN-Head",
}
# Names of options that are not those of the keys under MODEL.FCOS.
OPTION_KEYS = {
    "INFERENCE_TH": "INFERENCE_TH_TEST",
    "LOC": "LOC_LOSS_TYPE",
    "NORMALIZER": "LOSS_NORMALIZER_CLS",
    "PRE_NMS_TOPK": "PRE_NMS_TOPK_TEST",
    "POST_NMS_TOPK": "POST_NMS_TOPK_TEST",
}


def config_of(name: str, info: dict) -> CfgNode:
    """Our config of a configuration, for the CPU.

    Args:
        name: "R_50_1x", "RT_MS_R_50_4x_syncbn", "R_50_1x__NORM_none", ...
        info: <name>.json, or {}; its yaml and opts go before the name.

    Raises:
        ValueError: a name or option that is not known.
    """
    base, _, options = name.partition("__")
    yaml = info.get("yaml", yaml_of(base))
    if yaml not in CONFIGS:
        raise ValueError(f"{name}: no config is known for {yaml!r}")
    texts = options.split("__") if options else []
    opts = info.get("opts", [word for text in texts for word in options_of(text)])
    cfg = model_zoo.get_config(str(model_zoo.config_root() / f"{CONFIGS[yaml]}.yaml"), opts)
    cfg.MODEL.DEVICE = "cpu"
    return cfg


def yaml_of(base: str) -> str:
    """AdelaiDet's file of a name without options."""
    if base.startswith("RT_"):
        return f"FCOS_RT/{base.removeprefix('RT_')}.yaml"
    return f"vovnet/{base}.yaml" if base.startswith("MS_V_") else f"{base}.yaml"


def options_of(text: str) -> list:
    """Overrides for the text of an option, such as "BOX_QUALITY_iou_LOC_iou".

    Raises:
        ValueError: no such key, or a value that it cannot take.
    """
    fcos = get_cfg().MODEL.FCOS
    keys = {**{key: key for key in fcos}, **OPTION_KEYS}
    opts, words = [], text.split("_")
    while words:
        lengths = range(len(words), 0, -1)
        found = next((n for n in lengths if "_".join(words[:n]) in keys), None)
        if found is None:
            raise ValueError(f"option {text!r}: no key of MODEL.FCOS at {'_'.join(words)!r}")
        key, words, value = keys["_".join(words[:found])], words[found:], []
        while words and not any("_".join(words[:n]) in keys for n in range(1, len(words) + 1)):
            value.append(words.pop(0))
        opts += [f"MODEL.FCOS.{key}", _parse(text, "_".join(value), fcos[key])]
        if key == "TOP_LEVELS":
            opts += _levels(int(opts[-1]))
    return opts


def _parse(text: str, value: str, default: object) -> object:
    """The value of an option; a flag without a word is switched on."""
    if isinstance(default, bool) and value in ("", "on", "off"):
        return value != "off"
    try:
        if value and isinstance(default, (int, float, str)) and not isinstance(default, bool):
            return type(default)(value)
    except ValueError:
        pass
    raise ValueError(f"option {text!r}: {value!r} cannot take the place of {default!r}")


def _levels(top_levels: int) -> list:
    num = 3 + top_levels
    return [
        "MODEL.FCOS.IN_FEATURES",
        [f"p{i + 3}" for i in range(num)],
        "MODEL.FCOS.FPN_STRIDES",
        [8 * 2**i for i in range(num)],
        "MODEL.FCOS.SIZES_OF_INTEREST",
        [64 * 2**i for i in range(num - 1)],
    ]
