"""The config keys of fcos_d2 and the yaml files."""

import json
import re
from pathlib import Path

import pytest
from detectron2.config import CfgNode
from detectron2.config import get_cfg as get_detectron2_cfg

import fcos_d2
from fcos_d2.config import add_fcos_config, get_cfg

PACKAGE = Path(fcos_d2.__file__).resolve().parent
CONFIGS = PACKAGE.parent / "configs"
YAML_FILES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))


def leaf_keys(cfg: CfgNode, prefix: str = "") -> set[str]:
    """Full names of all keys that hold a value."""
    keys = set()
    for key, value in cfg.items():
        name = f"{prefix}{key}"
        keys |= leaf_keys(value, f"{name}.") if isinstance(value, CfgNode) else {name}
    return keys


ADDED_KEYS = sorted(leaf_keys(get_cfg()) - leaf_keys(get_detectron2_cfg()))


def test_the_keys_are_those_of_detectron2_and_ours():
    assert leaf_keys(get_detectron2_cfg()) < leaf_keys(get_cfg())
    assert "MODEL.FCOS.NUM_CLASSES" in ADDED_KEYS
    assert "SOLVER.OPTIMIZER" in ADDED_KEYS


def test_configs_are_independent():
    first, second = get_cfg(), get_cfg()
    first.MODEL.FCOS.NORM = "none"
    first.MODEL.FCOS.IN_FEATURES.append("p8")
    assert second.MODEL.FCOS.NORM == "GN"
    assert second.MODEL.FCOS.IN_FEATURES == ["p3", "p4", "p5", "p6", "p7"]


def test_adding_the_keys_to_a_config_of_the_user():
    cfg = get_detectron2_cfg()
    cfg.MODEL.WEIGHTS = "mine.pth"
    add_fcos_config(cfg)
    assert cfg.MODEL.WEIGHTS == "mine.pth"
    assert leaf_keys(cfg) == leaf_keys(get_cfg())


def test_unknown_keys_are_refused():
    with pytest.raises((AssertionError, KeyError), match="NUM_CLASES"):
        get_cfg().merge_from_list(["MODEL.FCOS.NUM_CLASES", 3])


def test_there_are_yaml_files():
    assert "FCOS/R50-1x.yaml" in YAML_FILES


@pytest.mark.parametrize("name", YAML_FILES)
def test_yaml_files_merge(name):
    cfg = get_cfg()
    cfg.merge_from_file(str(CONFIGS / name))
    fcos = cfg.MODEL.FCOS
    assert len(fcos.IN_FEATURES) == len(fcos.FPN_STRIDES) == len(fcos.SIZES_OF_INTEREST) + 1


@pytest.mark.parametrize("name", YAML_FILES)
def test_yaml_files_lie_two_steps_deep_at_most(name):
    text = (CONFIGS / name).read_text(encoding="utf-8")
    base = re.search(r"""^_BASE_: *["']?([^"'\n]+)""", text, re.MULTILINE)
    if base:
        parent = ((CONFIGS / name).parent / base[1]).read_text(encoding="utf-8")
        assert "_BASE_" not in parent


def test_keys_and_defaults_are_those_of_the_released_models(shared_dir):
    path = shared_dir / "golden" / "settings_all.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    ours = get_cfg().MODEL.FCOS
    assert settings["Base-FCOS.yaml"]["fcos"].items() <= ours.items()
    for name, theirs in settings.items():
        assert theirs["fcos"].keys() <= ours.keys(), name
