"""Configs by name, wherever fcos_d2 is installed."""

import difflib
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode, LazyConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from ..building import build_detector
from ..checkpoint import FCOSCheckpointer
from ..checkpoint.known_files import ZOO
from ..config import get_cfg
from ..config_files import merge_config_file, merge_overrides, read_config_file, reason
from ..config_targets import has_targets, resolve_targets
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
    near = difflib.get_close_matches(name, list_configs(), n=3) or ["Recipes/R18-Scratch"]
    raise ValueError(f"{name}: no such config; try {' or '.join(near)}; `fcos zoo` lists all")


def get_config(
    name: str, opts: list[str] | None = None, trust_config: bool = False
) -> CfgNode | DictConfig:
    """The config of a model.

    Args:
        name: see `get_config_file`. A .py config is code that is run. A yaml file runs none.
        opts: overrides; KEY VALUE pairs for yaml, key=value for python configs.
        trust_config: let the config.yaml of a LazyConfig call whatever it names, see
            `allow_config_targets` for a narrower way.

    Returns:
        CfgNode for yaml, DictConfig for python configs, and for the config.yaml that their runs
        write.

    Raises:
        ValueError: unknown name, a file that is no config, or an override of a key that does not
            exist.
    """
    path, opts = get_config_file(name), list(opts or [])
    if path.endswith(".py"):
        return _lazy_config(_load_python(path), opts, path)
    content = read_config_file(path)
    if has_targets(content):
        return _lazy_config(_from_yaml(content, trust_config, path), opts, path)
    cfg = get_cfg()
    merge_config_file(cfg, content, path)
    merge_overrides(cfg, opts, path)
    if cfg.MODEL.LOAD_PROPOSALS:
        raise ValueError(
            f"{path}: MODEL.LOAD_PROPOSALS reads pickles, which can run code, and FCOS makes its "
            "proposals itself: leave it False"
        )
    return cfg


def _load_python(path: str) -> DictConfig:
    try:
        return LazyConfig.load(path)
    except (SyntaxError, ImportError) as error:
        raise ValueError(f"{path}: {type(error).__name__}: {error.__cause__ or error}") from error


def _from_yaml(content: dict, trust_config: bool, path: str) -> DictConfig:
    try:
        tree: Any = content if trust_config else resolve_targets(content)
        return OmegaConf.create(tree, flags={"allow_objects": True})
    except (ValueError, OmegaConfBaseException) as error:
        cure = "; if you know where the file comes from, add --trust-config (trust_config=True)"
        raise ValueError(f"{path}: {reason(error)}{'' if trust_config else cure}") from error


def _lazy_config(cfg: DictConfig, opts: list[str], path: str) -> DictConfig:
    absent = [name for name in ("model", "dataloader", "train") if name not in cfg]
    if absent:
        raise ValueError(f"{path}: not a whole LazyConfig: it has no {absent[0]!r}")
    from hydra.errors import HydraException  # here, because it takes a moment

    try:
        return LazyConfig.apply_overrides(cfg, opts)
    except (OmegaConfBaseException, HydraException, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {reason(error)}") from error


def get_model(name: str, opts: list[str] | None = None, trained: bool = False) -> nn.Module:
    """The model of a config, on its device.

    Args:
        name, opts: see `get_config`.
        trained: with the weights that others have published for it (see MODELS for their
            licence) instead of random ones.

    Raises:
        ValueError: bad config; or nobody has published weights, or they cannot be fetched.
    """
    with weights_come_later(trained):
        model = build_detector(get_config(name, opts))
    if trained:
        FCOSCheckpointer(model).load(f"{ZOO}{name.removeprefix('lazy/')}", checkpointables=[])
    return model
