"""Which files are opened, and what is said of the others."""

import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fcos_d2.checkpoint import reading
from fcos_d2.checkpoint.reading import read_checkpoint, sha256_of

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([1.0, -1.0])}


class Intruder:
    """Creates a file while it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def assert_is_state(loaded: dict) -> None:
    torch.testing.assert_close(loaded, STATE, rtol=0, atol=0)


@pytest.mark.parametrize("new_format", [True, False])
def test_files_of_torch(tmp_path, new_format):
    path = tmp_path / "a.any"  # the content tells the format
    torch.save(STATE, path, _use_new_zipfile_serialization=new_format)
    assert_is_state(read_checkpoint(path))


def test_safetensors(tmp_path):
    save_file(STATE, tmp_path / "a.pth")
    assert_is_state(read_checkpoint(tmp_path / "a.pth"))


def write_pickle(path: Path) -> None:
    data = {"model": {key: value.numpy() for key, value in STATE.items()}, "__author__": "me"}
    path.write_bytes(pickle.dumps(data, protocol=2))


def test_pickles_need_trust(tmp_path):
    path = tmp_path / "R-50.pkl"
    write_pickle(path)
    digest = sha256_of(path)
    with pytest.raises(
        ValueError, match=f"R-50.pkl: a pickle, .*--trust-checkpoint {path}`.*{digest}"
    ):
        read_checkpoint(path)
    for word in (str(path), digest):
        loaded = read_checkpoint(path, word)
        np.testing.assert_array_equal(loaded["model"]["weight"], STATE["weight"].numpy())


@pytest.mark.parametrize("word", ["other.pkl", "", "0" * 64, "R-50.pkl"])
def test_trust_in_one_file_is_none_in_another(tmp_path, word):
    write_pickle(tmp_path / "R-50.pkl")
    with pytest.raises(ValueError, match="R-50.pkl: a pickle, which can run any code"):
        read_checkpoint(tmp_path / "R-50.pkl", word)


def test_a_download_is_trusted_by_its_address(tmp_path):
    write_pickle(tmp_path / "cached")
    url = "detectron2://R-50.pkl"
    assert read_checkpoint(tmp_path / "cached", url, asked_for=url)["__author__"] == "me"
    with pytest.raises(ValueError, match=f"add `--trust-checkpoint {url}`"):
        read_checkpoint(tmp_path / "cached", asked_for=url)


def test_pickles_of_a_known_hash_need_none(tmp_path, monkeypatch):
    path = tmp_path / "R-50.pkl"
    write_pickle(path)
    monkeypatch.setattr(reading, "KNOWN_SHA256", {sha256_of(path)})
    assert read_checkpoint(path)["__author__"] == "me"


@pytest.mark.parametrize("container", ["torch", "legacy torch", "pickle"])
def test_nothing_runs_before_it_is_trusted(tmp_path, container):
    path, trace = tmp_path / "model.pth", tmp_path / "trace"
    data = {"model": STATE, "other": Intruder(trace)}
    if container == "pickle":
        path.write_bytes(pickle.dumps({"model": {}, "other": Intruder(trace)}))
    else:
        torch.save(data, path, _use_new_zipfile_serialization=container == "torch")
    with pytest.raises(ValueError, match="model.pth: a pickle, which can run any code"):
        read_checkpoint(path)
    assert not trace.exists()
    read_checkpoint(path, str(path))
    assert trace.exists()


def test_whole_models_are_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(
        ValueError, match="holds a Linear, not weights by name; save model.state_dict"
    ):
        read_checkpoint(tmp_path / "model.pth", str(tmp_path / "model.pth"))


def truncated(save: object) -> object:
    def write(path: Path) -> None:
        save(STATE, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.touch(), "the file is empty"),
        (
            lambda path: path.write_text("hello"),
            "damaged, or not a checkpoint .begins with b'hello'",
        ),
        (lambda path: path.write_text("<!DOCTYPE html><html>"), "a web page, not weights"),
        (
            lambda path: path.write_text(
                "version https://git-lfs.github.com/spec/v1\noid sha256:0"
            ),
            "a Git LFS pointer, not the weights; run `git lfs pull`",
        ),
        (truncated(torch.save), "damaged, or not a checkpoint"),
        (truncated(save_file), "damaged, or not a checkpoint"),
        (
            lambda path: path.write_bytes(b"PK\x03\x04" + b"\0" * 100),
            "damaged, or not a checkpoint",
        ),
    ],
)
def test_damaged_files_are_named_in_one_line(tmp_path, write, message):
    path = tmp_path / "model.pth"
    write(path)
    with pytest.raises(ValueError, match=f"model.pth: {message}") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_damaged_pickle_that_is_trusted(tmp_path):
    path = tmp_path / "model.pkl"
    write_pickle(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match="model.pkl: damaged, or not a checkpoint"):
        read_checkpoint(path, str(path))


def test_a_flipped_bit_never_loads_as_something_else(tmp_path):
    """torch itself reads an archive without a look at its checksums."""
    path = tmp_path / "model.pth"
    torch.save({"model": STATE, "iteration": 7}, path)
    whole, draw = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            loaded = read_checkpoint(path)
        except ValueError as error:
            assert "\n" not in str(error) and str(path) in str(error)
            refused += 1
        else:  # a byte that nothing reads
            torch.testing.assert_close(loaded["model"], STATE, rtol=0, atol=0)
            assert loaded["iteration"] == 7
    assert refused > 50


def test_a_flipped_weight_is_found(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"weight": torch.full((1000,), 3.0)}, path)
    data = bytearray(path.read_bytes())
    data[data.index(torch.full((10,), 3.0).numpy().tobytes()) + 401] ^= 64
    path.write_bytes(data)
    assert torch.load(path)["weight"].ne(3).any()  # torch is silent
    with pytest.raises(reading.DamagedCheckpointError, match="the checksum of '.*data/0' is wrong"):
        read_checkpoint(path)


def test_an_archive_that_would_fill_the_memory(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"weight": torch.zeros(10_000_000)}, path)
    with zipfile.ZipFile(path) as stored, zipfile.ZipFile(tmp_path / "bomb.pth", "w") as bomb:
        for entry in stored.infolist():
            bomb.writestr(entry.filename, stored.read(entry), zipfile.ZIP_DEFLATED)
    assert (tmp_path / "bomb.pth").stat().st_size < 1e5
    with pytest.raises(ValueError, match="unpacks to 40 MB.* checkpoint of this model .1 MB"):
        read_checkpoint(tmp_path / "bomb.pth", model_bytes=1_000_000)
    # The same weights of a model of that size are no bomb.
    assert len(read_checkpoint(tmp_path / "bomb.pth", model_bytes=40_000_000)["weight"]) == 1e7
