"""Yaml configs: bases, and what is refused, with one line each."""

import os
import re
import time

import pytest

from fcos_d2 import model_zoo
from fcos_d2.config_files import read_config_file


def write(folder, **files):
    """Files by their stem; returns the path of the last one."""
    for name, text in files.items():
        path = folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
    return path


def refusal(path, opts=None):
    with pytest.raises(ValueError) as raised:
        model_zoo.get_config(str(path), opts)
    message = str(raised.value)
    assert path.name in message or path.parent.name in message
    assert message.isprintable()  # one line, too
    return message


def test_bases_one_after_the_other(tmp_path):
    path = write(
        tmp_path,
        first="MODEL:\n  FCOS: {NMS_TH: 0.1, POS_RADIUS: 2.0}\nSEED: 1\n",
        second="MODEL:\n  FCOS: {NMS_TH: 0.2}\n",
        leaf="_BASE_: [first.yaml, second.yaml]\nSEED: 3\n",
    )
    content = read_config_file(path)
    assert content == {"MODEL": {"FCOS": {"NMS_TH": 0.2, "POS_RADIUS": 2.0}}, "SEED": 3}
    cfg = model_zoo.get_config(str(path))
    assert (cfg.MODEL.FCOS.NMS_TH, cfg.MODEL.FCOS.POS_RADIUS, cfg.SEED) == (0.2, 2.0, 3)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(tmp_path, encoding):
    path = tmp_path / "marked.yaml"
    path.write_text("SEED: 7\n", encoding=encoding)
    assert model_zoo.get_config(str(path)).SEED == 7


def test_aliases_of_usual_size(tmp_path):
    path = write(tmp_path, x="INPUT:\n  MIN_SIZE_TRAIN: &s [64, 96]\n  LSJ_SCALES: *s\n")
    assert model_zoo.get_config(str(path)).INPUT.LSJ_SCALES == (64, 96)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("- MODEL\n- SEED\n", "holds a list"),
        ("SEED", "holds a str"),
        ("MODEL: [1\n", "not a yaml config: .*line 2"),
        ("MODEL: {FCOS: }}\n", "not a yaml config: .*line 1"),
        ("SEED: 1\n\tX: 2\n", "not a yaml config"),
        ("SEED: !!bool maybe\n", "not a yaml config"),
        ("SEED: !!timestamp 2020-13-45\n", "not a yaml config"),
        ("SEED: " + "9" * 5000 + "\n", "not a yaml config"),
        ("SEED: " + "[" * 3000 + "\n", "not a yaml config"),
        ("? [1, 2]\n: 3\n", "unhashable"),
        ("1: 2\n", "key 1 is no text"),
        ("MODEL: 3\n", "MODEL is 3, but must be a section with keys of its own"),
        ("SEED: {A: 1}\n", "SEED is {'A': 1}, but must be a whole number, such as -1"),
        ("SEED: 2020-01-01\n", "SEED"),
        ('"\\e[31mSEED": 1\n', r"\\x1b\[31mSEED"),
        ("MODEL: {FCOS: {NUM_CLASES: 3}}\n", "MODEL.FCOS.NUM_CLASES"),
        ("VERSION: 1\n", "VERSION must be 2, got 1"),
        ("MODEL: {LOAD_PROPOSALS: true}\n", "pickles"),
        ("_BASE_: 3\n", "must be a path or a list of paths, got 3"),
        ("_BASE_: nowhere.yaml\n", "'nowhere.yaml' is not there"),
        ("_BASE_: https://example.com/a.yaml\n", "is not fetched"),
        ("_BASE_: /dev/zero\n", "is not there"),
        ("_BASE_: x.yaml\n", "goes round in a circle: x.yaml -> x.yaml"),
    ],
)
def test_one_line_for_what_is_no_config(tmp_path, text, message):
    assert re.search(message, refusal(write(tmp_path, x=text)))


def test_bases_in_a_circle(tmp_path):
    path = write(tmp_path, a="_BASE_: b.yaml\n", b="_BASE_: c.yaml\n", c="_BASE_: a.yaml\n")
    assert "c.yaml -> a.yaml -> b.yaml -> c.yaml" in refusal(path)


def test_bases_that_multiply(tmp_path):
    files = {f"f{i}": f"_BASE_: [{', '.join([f'f{i - 1}.yaml'] * 9)}]\n" for i in range(1, 9)}
    start = time.process_time()
    assert "more than 50 files" in refusal(write(tmp_path, f0="SEED: 1\n", **files))
    assert time.process_time() - start < 3


@pytest.mark.parametrize("merge", [False, True])
def test_alias_bombs(tmp_path, merge):
    """Nine levels of ten aliases each stand for a billion values."""
    inner = "{<<: [%s]}" if merge else "[%s]"
    lines = ["a0: &a0 {x: 1}" if merge else "a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} {inner % ', '.join([f'*a{i - 1}'] * 10)}" for i in range(1, 10)]
    start = time.process_time()
    assert "aliases stand for more than" in refusal(write(tmp_path, x="\n".join(lines) + "\n"))
    assert time.process_time() - start < 0.5
    assert "stands for what it is in" in refusal(write(tmp_path, x="MODEL: &m\n  FCOS: *m\n"))


@pytest.mark.parametrize("text", ["[" * 190_000, "{a: " * 40_000, "- " * 90_000, "[a," * 5000])
def test_deep_files_are_refused_at_once(tmp_path, text):
    start = time.process_time()
    assert "more than 50 deep" in refusal(write(tmp_path, x=text))
    assert time.process_time() - start < 3


def test_large_files_are_not_read(tmp_path):
    assert "too many for a config" in refusal(write(tmp_path, x="#" * 200_001))


def test_overrides(tmp_path):
    path = write(tmp_path, x="SEED: 1\n")
    assert "'SEED' has no value" in refusal(path, ["SEED"])
    assert "x.yaml" in refusal(path, ["SEED", "-" * 100_000 + "1"])
    assert "Non-existent key: SEEDS" in refusal(path, ["SEEDS", "1"])


@pytest.mark.parametrize("where", ["leaf", "base", "list"])
def test_no_tag_runs_code(tmp_path, where):
    canary = tmp_path / "canary"
    evil = f"SEED: !!python/object/apply:os.system ['touch {canary}']\n"
    files = {
        "leaf": {"x": evil},
        "base": {"b": evil, "x": "_BASE_: b.yaml\n"},
        "list": {"b": evil, "x": "_BASE_: [b.yaml]\n"},
    }[where]
    message = refusal(write(tmp_path, **files))
    assert "python/object/apply:os.system" in message and "is a .py file" in message
    assert not canary.exists()


def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ValueError, match="no such config"):
        model_zoo.get_config(str(tmp_path / "pipe.yaml"))
    assert "is not there" in refusal(write(tmp_path, x="_BASE_: pipe.yaml\n"))
