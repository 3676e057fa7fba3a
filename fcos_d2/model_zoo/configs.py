"""Configs by name, wherever fcos_d2 is installed."""

from pathlib import Path

from detectron2.config import CfgNode, LazyConfig, instantiate
from detectron2.modeling import build_model
from omegaconf import DictConfig, OmegaConf
from torch import nn

from fcos_deploy.text import read_text

from ..checkpoint import FCOSCheckpointer
from ..checkpoint.known_files import ZOO
from ..config import get_cfg
from ..modeling.backbone import weights_come_later

_PACKAGE = Path(__file__).resolve().parents[1]


def config_root() -> Path:
    """The folder of the configs: in the package once installed, beside it in a checkout."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def list_configs() -> list[str]:
    """All names that `get_config` takes: "FCOS-RT/R50", "lazy/FCOS-RT/R50", ..."""
    root = config_root()
    files = [path for ext in ("yaml", "py") for path in root.rglob(f"*.{ext}")]
    names = [path.relative_to(root).with_suffix("") for path in files]
    return sorted(
        name.as_posix()
        for name in names
        if name.name not in ("Base", "__init__") and "common" not in name.parts
    )


def get_config_file(name: str) -> str:
    """The path of a config.

    Args:
        name: "FCOS-RT/R50" (yaml), "lazy/FCOS-RT/R50" (python), or the path of any config file;
            the extension may be left out for the names.

    Raises:
        ValueError: neither a known name nor a file.
    """
    for candidate in (Path(name), config_root() / name):
        if candidate.is_file() and candidate.suffix in (".yaml", ".yml", ".py"):
            return str(candidate)
    for extension in (".yaml", ".py"):
        candidate = config_root() / f"{name}{extension}"
        if candidate.is_file():
            return str(candidate)
    raise ValueError(f"{name}: no such config; known names are {', '.join(list_configs())}")


def get_config(name: str, opts: list[str] | None = None) -> CfgNode | DictConfig:
    """The config of a model.

    Args:
        name: see `get_config_file`.
        opts: overrides; KEY VALUE pairs for yaml, key=value for python configs.

    Returns:
        CfgNode for yaml, DictConfig for python configs, and for the config.yaml that their runs
        write.

    Raises:
        ValueError: unknown name, or an override of a key that does not exist.
    """
    path = get_config_file(name)
    if path.endswith(".py"):
        return LazyConfig.apply_overrides(LazyConfig.load(path), list(opts or []))
    if "_target_:" in read_text(path):
        # LazyConfig.load would also take yaml tags that run code.
        return LazyConfig.apply_overrides(OmegaConf.load(path), list(opts or []))
    cfg = get_cfg()
    try:
        cfg.merge_from_file(path)
        cfg.merge_from_list(list(opts or []))
    except UnicodeDecodeError:  # `read_text` takes UTF-16, yacs does not
        raise ValueError(f"{path}: save the file as UTF-8") from None
    except (KeyError, AssertionError, ValueError) as error:
        # yacs reports unknown keys, odd lists and wrong types this way.
        raise ValueError(f"{path}: {error.args[0] if error.args else error}") from None
    return cfg


def get_model(name: str, opts: list[str] | None = None, trained: bool = False) -> nn.Module:
    """The model of a config, on its device.

    Args:
        name, opts: see `get_config`.
        trained: with the weights that others have published for it (see MODELS for their
            licence) instead of random ones.

    Raises:
        ValueError: bad config; or nobody has published weights, or they cannot be fetched.
    """
    cfg = get_config(name, opts)
    with weights_come_later(trained):
        if isinstance(cfg, CfgNode):
            model = build_model(cfg)
        else:
            model = instantiate(cfg.model).to(cfg.train.device)
    if trained:
        FCOSCheckpointer(model).load(f"{ZOO}{name.removeprefix('lazy/')}", checkpointables=[])
    return model
