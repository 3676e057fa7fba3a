"""Whole or not at all, on good and on full disks."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from fcos_deploy import writing
from fcos_deploy.writing import describe, remove_leftovers, replacing, write_bytes, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written(tmp_path):
    write_text(tmp_path / "a.txt", "öl")
    write_text(str(tmp_path / "a.txt"), "ölig")
    assert (tmp_path / "a.txt").read_bytes() == "ölig".encode() and names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("x"), OSError(errno.EIO, "bad")])
def test_an_error_leaves_the_old_file(tmp_path, error):
    write_text(tmp_path / "a.txt", "old")
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert (tmp_path / "a.txt").read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_disk_without_space_is_told_before(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 9 * 10**8, 2_500_000))
    with pytest.raises(OSError) as caught, replacing(tmp_path / "model.pth", size=130_000_000):
        raise AssertionError("it was not told")
    expected = f"{tmp_path}/model.pth: no space left on device, 130.0 MB needed, 2.5 MB free"
    assert describe(caught.value) == expected and names(tmp_path) == []


def test_a_disk_that_gets_full_is_told(tmp_path):
    refused = pytest.raises(OSError, match="needed")
    with refused as caught, replacing(tmp_path / "a.json") as temporary:
        temporary.write_bytes(bytes(2_000_000))
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(tmp_path / "a.json") in describe(caught.value)
    assert "2.0 MB needed" in describe(caught.value) and names(tmp_path) == []


def test_a_real_limit_on_files(tmp_path):
    """The system itself stops the writing, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="file too large|File too large"):
            write_bytes(tmp_path / "a.bin", bytes(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


def test_leftovers_of_the_dead_go(tmp_path):
    """Not those of processes that may be writing."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f"model.pth.{dead.pid}.tmp").write_text("half")
    (tmp_path / f"street.mp4.{dead.pid}.tmp.mp4").write_text("half")
    (tmp_path / f"model.pth.{os.getpid()}.tmp").write_text("being written")
    (tmp_path / "notes.tmp").write_text("a user's own")
    assert len(remove_leftovers(tmp_path)) == 2
    assert names(tmp_path) == [f"model.pth.{os.getpid()}.tmp", "notes.tmp"]


def test_errors_in_one_line(tmp_path):
    with pytest.raises(OSError) as caught:
        write_text(tmp_path / "no" / "a.txt", "x")
    assert describe(caught.value) == f"{tmp_path}/no/a.txt: no such file or directory"
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError) as caught:
        os.makedirs(tmp_path / "file" / "out")
    assert describe(caught.value) == f"{tmp_path}/file/out: not a directory"
    assert describe(ValueError("SOLVER.X is 3")) == "SOLVER.X is 3"
    assert writing.describe(OSError("page 3 cannot be written")) == "page 3 cannot be written"
