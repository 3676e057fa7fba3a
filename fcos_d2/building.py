"""A detector from a config of either kind, for our own tools."""

import difflib
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detectron2.config import CfgNode, instantiate
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    PROPOSAL_GENERATOR_REGISTRY,
    build_model,
)
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from .config_files import reason
from .key_effects import our_tool
from .modeling import FCOS, TimmBackbone

logger = logging.getLogger(__name__)

# What the parts of detectron2 and torch raise for a value that they cannot work with.
_WRONG_VALUES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError),
    *(ValueError, ImportError, OmegaConfBaseException),
)


def build_detector(cfg: CfgNode | DictConfig, device: str | None = None) -> nn.Module:
    """The model of a config.

    Args:
        cfg: of yaml or python.
        device: where to; None takes the config's.

    Raises:
        ValueError: a part of a name that there is not, or values that no model can be built with.
    """
    with building(cfg):
        if isinstance(cfg, CfgNode):
            return build_model(cfg)
        return _from_lazy(cfg).to(device or cfg.train.device)


@contextmanager
def building(cfg: CfgNode | DictConfig) -> Iterator[None]:
    """Names what is wrong with `cfg` when a tool of ours cannot build its model."""
    if isinstance(cfg, CfgNode):
        check_names(cfg)
    try:
        with our_tool():
            yield
    except _WRONG_VALUES as error:
        if type(error) is ValueError and reason(error) != "ValueError":
            raise  # of ours, mostly: it names the key
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
        raise ValueError(
            f"the model of this config cannot be built: {reason(error)} ({where})"
        ) from error


def _from_lazy(cfg: DictConfig) -> nn.Module:
    """cfg.model, told the channel order of the images; says where timm's weights want another."""
    image_format = cfg.dataloader.test.mapper.image_format
    model_cfg = cfg.model
    # A class, or its name in the config.yaml of a run.
    is_fcos = model_cfg["_target_"] in (FCOS, f"{FCOS.__module__}.{FCOS.__qualname__}")
    if is_fcos and "input_format" not in model_cfg:
        model_cfg = {**model_cfg, "input_format": image_format}
    model = instantiate(model_cfg)
    for body in model.modules():
        if isinstance(body, TimmBackbone) and body.statistics is not None:
            settings = model.pixel_mean.flatten(), model.pixel_std.flatten(), image_format
            for line in body.statistics.differences(*settings):
                logger.warning("%s", line)
    return model


def check_names(cfg: CfgNode) -> None:
    """Raises ValueError for a part that nobody has registered."""
    model = cfg.MODEL
    named = [
        ("META_ARCHITECTURE", model.META_ARCHITECTURE, META_ARCH_REGISTRY),
        ("BACKBONE.NAME", model.BACKBONE.NAME, BACKBONE_REGISTRY),
        ("PROPOSAL_GENERATOR.NAME", model.PROPOSAL_GENERATOR.NAME, PROPOSAL_GENERATOR_REGISTRY),
    ]
    if model.META_ARCHITECTURE == "GeneralizedRCNN":  # others do without
        named.append(("ROI_HEADS.NAME", model.ROI_HEADS.NAME, ROI_HEADS_REGISTRY))
    for key, name, registry in named:
        known = [known for known, _ in registry]
        if name in known or (key == "PROPOSAL_GENERATOR.NAME" and name == "PrecomputedProposals"):
            continue
        close = difflib.get_close_matches(str(name), known, n=3)
        raise ValueError(
            f"MODEL.{key} {name!r} is not registered; near it are {', '.join(close) or 'none'}"
        )
