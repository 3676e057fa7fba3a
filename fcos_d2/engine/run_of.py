"""The run that a config describes."""

from typing import TypeAlias

from detectron2.config import CfgNode
from omegaconf import DictConfig

from .run_lazy import run_from_lazy
from .run_parts import Run
from .run_yaml import is_yaml, run_from_yaml

Config: TypeAlias = CfgNode | DictConfig | Run  # what a trainer takes


def run_of(config: Config) -> Run:
    """The run of a yaml config or a LazyConfig: the one place that looks which of them it is.

    Args:
        config: a run is returned as it is.
    """
    if isinstance(config, Run):
        return config
    return run_from_yaml(config) if is_yaml(config) else run_from_lazy(config)
