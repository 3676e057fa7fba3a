"""Configs by name, and what is known of the models: `fcos zoo`."""

from .configs import config_root, get_config, get_config_file, get_model, list_configs
from .models import MODELS, ModelEntry, table

__all__ = [
    "MODELS",
    "ModelEntry",
    "config_root",
    "get_config",
    "get_config_file",
    "get_model",
    "list_configs",
    "table",
]
