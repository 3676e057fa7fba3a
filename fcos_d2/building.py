"""A detector from a config of either kind, for our own tools."""

from detectron2.config import CfgNode
from omegaconf import DictConfig
from torch import nn

from .engine.run_of import run_of


def build_detector(cfg: CfgNode | DictConfig, device: str | None = None) -> nn.Module:
    """The model of a config.

    Args:
        cfg: of yaml or python.
        device: where to; None takes the config's.

    Raises:
        ValueError: a part of a name that there is not, or values that no model can be built with.
    """
    run = run_of(cfg)
    return run.on(device or run.device).build_model()
