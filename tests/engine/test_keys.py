"""The names of arguments in messages, and what a user of each kind of config writes for them."""

import ast
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import fcos_d2
from fcos_d2 import model_zoo
from fcos_d2.config import get_cfg
from fcos_d2.engine.keys import KEYS, adding_keys, overrides, with_keys
from fcos_d2.engine.run_of import run_of
from fcos_d2.key_effects import leaves

PACKAGE = Path(fcos_d2.__file__).parent


def test_keys_are_added():
    text = "`max_iter` is 0; `tool.py` and `other` stay, and `weights=a b.pth` starts anew"
    assert with_keys(text, "yaml") == (
        "max_iter (SOLVER.MAX_ITER) is 0; `tool.py` and `other` stay, and MODEL.WEIGHTS a b.pth "
        "starts anew"
    )
    assert with_keys(text, "lazy") == (
        "max_iter (train.max_iter) is 0; `tool.py` and `other` stay, and "
        "train.init_checkpoint=a b.pth starts anew"
    )


@pytest.mark.parametrize("name", ["FCOS-RT/R50", "lazy/FCOS-RT/R50"])
def test_values_become_overrides_of_either_kind_of_config(name):
    values = {"weights": "a.pth", "output_dir": "made here", "device": "cpu"}
    before = run_of(model_zoo.get_config(name))
    after = run_of(model_zoo.get_config(name, overrides(values, before.kind)))
    assert (after.weights, after.output_dir, after.device) == ("a.pth", "made here", "cpu")
    assert overrides({}, before.kind) == []


def test_errors_leave_with_keys_and_are_the_same_otherwise():
    error = ValueError("`device` 'x' cannot be used")
    with pytest.raises(ValueError) as caught, adding_keys("lazy"):
        raise error
    assert caught.value is error
    assert str(error) == "device (train.device) 'x' cannot be used"
    with pytest.raises(OSError, match=r"^\[Errno 2\] `device`$"), adding_keys("yaml"):
        raise OSError(2, "`device`")


def test_every_key_is_there():
    yaml_keys = {key for key, _ in KEYS.values()}
    assert yaml_keys <= leaves(get_cfg()).keys()
    # These two write all of them between them, but one default of detectron2.
    names = "lazy/TwoStage/FasterRCNN-R50-FCOS-1x", "lazy/Recipes/R50-Modern"
    configs = [model_zoo.get_config(name) for name in names]
    absent = {path for _, path in KEYS.values() if not any(is_in(cfg, path) for cfg in configs)}
    assert absent == {"model.roi_heads.box_predictor.test_topk_per_image"}


def is_in(cfg, path):
    section, _, name = path.rpartition(".")
    return name in (OmegaConf.select(cfg, section) or {})


def test_no_message_names_the_keys_of_both_kinds_itself():
    """It names an argument in backquotes, which the translator must know then."""
    both = re.compile(r"[A-Z]+\.[A-Z_.]+ \((train|optimizer|dataloader|LazyConfig)\b")
    named = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name == "arguments.py":  # the help, which is for both
            continue
        texts = [*texts_of(path)]
        assert not [text for text in texts if both.search(text)], path.name
        if path.parent.name == "engine":
            named |= {x for text in texts for x in re.findall(r"`(\w+)(?:=[^`]*)?`", text)}
    assert "max_iter" in named and named - {"srun"} <= KEYS.keys()


def texts_of(path):
    """Strings in a file that are no docstrings; f-strings in one piece."""
    tree = ast.parse(path.read_text())
    docs = {x.value for x in ast.walk(tree) if isinstance(x, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (x.value if isinstance(x, ast.Constant) else "{}" for x in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs:
            yield node.value
