"""Flags as overrides of a config of either kind."""

from fcos_d2 import model_zoo
from fcos_d2.config_files import read_config_file
from fcos_d2.config_targets import has_targets


def plain_overrides(
    config: str, weights: str | None, output: str | None, device: str | None
) -> list[str]:
    """The overrides that say the same as --weights, --output and --device."""
    path = model_zoo.get_config_file(config)
    lazy = path.endswith(".py") or has_targets(read_config_file(path))
    keys = (
        ("train.init_checkpoint", "train.output_dir", "train.device")
        if lazy
        else ("MODEL.WEIGHTS", "OUTPUT_DIR", "MODEL.DEVICE")
    )
    given = [(key, x) for key, x in zip(keys, (weights, output, device), strict=True) if x]
    return [f"{key}={x}" for key, x in given] if lazy else [w for pair in given for w in pair]
