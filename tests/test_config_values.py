"""Values in the types of their keys, from files and from the command line."""

import pytest

from fcos_d2 import model_zoo
from fcos_d2.config import get_cfg
from fcos_d2.key_effects import leaves


def value_of(cfg, key):
    return leaves(cfg)[key]


def both_ways(tmp_path, key, text):
    """What a key becomes on the command line, and in a file with the same letters."""
    *sections, name = key.split(".")
    lines = [f"{'  ' * i}{section}:" for i, section in enumerate(sections)]
    path = tmp_path / "x.yaml"
    path.write_text("\n".join([*lines, f"{'  ' * len(sections)}{name}: {text}\n"]))
    empty = tmp_path / "empty.yaml"
    empty.write_text("VERSION: 2\n")
    return [
        lambda: value_of(model_zoo.get_config(str(empty), [key, text]), key),
        lambda: value_of(model_zoo.get_config(str(path)), key),
    ]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("SOLVER.BUDGET", "1200", 1200.0),
        ("SOLVER.BUDGET", "-3", -3.0),
        ("SOLVER.BASE_LR", "1e-4", 1e-4),
        ("SOLVER.MAX_ITER", "9e4", 90000),
        ("SOLVER.MAX_ITER", "90000.0", 90000),
        ("SOLVER.EMA.ENABLED", "True", True),
        ("MODEL.FPN.NORM", "GN", "GN"),
        ("MODEL.FPN.NORM", "'GN'", "GN"),
        ("SOLVER.STEPS", "[3, 4]", (3, 4)),  # a tuple by default
        ("MODEL.PIXEL_MEAN", "[1, 2, 3]", [1, 2, 3]),
        ("SOLVER.BASE_LR_END", "0", 0.0),
    ],
)
def test_what_is_right_is_taken(tmp_path, key, text, value):
    for read in both_ways(tmp_path, key, text):
        found = read()
        assert found == value and type(found) is type(value)


def test_a_tuple_for_a_list_and_a_list_for_a_tuple():
    opts = ["MODEL.PIXEL_MEAN", "(1, 2, 3)", "SOLVER.STEPS", "[5]"]
    cfg = model_zoo.get_config("FCOS/R50-1x", opts)
    assert cfg.MODEL.PIXEL_MEAN == [1, 2, 3] and cfg.SOLVER.STEPS == (5,)


@pytest.mark.parametrize("text", ["7", "1e3", "True", "(1, 2)"])
def test_on_the_command_line_everything_is_text(tmp_path, text):
    """A folder may be called 7; in a file it needs quotes."""
    path = tmp_path / "x.yaml"
    path.write_text(f'OUTPUT_DIR: "{text}"\n')
    on_command_line = model_zoo.get_config("FCOS/R50-1x", ["OUTPUT_DIR", text])
    found = on_command_line.OUTPUT_DIR, model_zoo.get_config(str(path)).OUTPUT_DIR
    assert found == (text, text)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("SOLVER.BUDGET", "20m", "'20m', but must be a number, such as 0.0"),
        ("SOLVER.BUDGET", "True", "must be a number, such as 0.0"),
        ("SOLVER.BUDGET", "[1]", "must be a number, such as 0.0"),
        ("SOLVER.MAX_ITER", "True", "must be a whole number, such as 40000"),
        ("SOLVER.MAX_ITER", "1.5", "must be a whole number, such as 40000"),
        ("SOLVER.MAX_ITER", "many", "'many', but must be a whole number, such as 40000"),
        ("SOLVER.EMA.ENABLED", "1", "must be True or False"),
        ("SOLVER.EMA.ENABLED", "maybe", "'maybe', but must be True or False"),
        ("SOLVER.STEPS", "3", "must be a list, such as (30000,)"),
        ("DATASETS.TRAIN", "mine", "'mine', but must be a list, such as (1, 2)"),
        ("SOLVER", "3", "must be a section with keys of its own"),
    ],
)
def test_another_type_is_one_line_with_key_value_and_what_is_right(tmp_path, key, text, expected):
    for read in both_ways(tmp_path, key, text):
        with pytest.raises(ValueError) as raised:
            read()
        message = str(raised.value)
        assert f".yaml: {key} is " in message and message.endswith(expected)
        assert text.strip("[]") in message


@pytest.mark.parametrize("key", ["SOLVER.BUDGET", "SOLVER.MAX_ITER", "SOLVER.STEPS", "OUTPUT_DIR"])
def test_nothing_is_no_value(tmp_path, key):
    on_command_line, _ = both_ways(tmp_path, key, "None")
    with pytest.raises(ValueError, match=f"{key} is 'None', but must be"):
        on_command_line()
    for text in ("null", ""):  # yaml's words for it
        _, in_file = both_ways(tmp_path, key, text)
        with pytest.raises(ValueError, match=f"{key} is None, but must be"):
            in_file()


def test_a_number_in_a_file_is_no_text(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("OUTPUT_DIR: 7\n")
    with pytest.raises(ValueError, match=r"OUTPUT_DIR is 7, but must be text, such as './output'"):
        model_zoo.get_config(str(path))


def test_a_long_value_is_cut():
    with pytest.raises(ValueError, match=r"SEED is '-{59}\.\.\., but must be a whole number"):
        model_zoo.get_config("FCOS/R50-1x", ["SEED", "-" * 300])


def test_a_key_without_a_value_takes_anything():
    """There is one at least, or this says nothing."""
    keys = [key for key, value in leaves(get_cfg()).items() if value is None]
    assert keys
    for text, value in (("0.5", 0.5), ("abc", "abc"), ("(1, 2)", (1, 2))):
        assert value_of(model_zoo.get_config("FCOS/R50-1x", [keys[0], text]), keys[0]) == value
