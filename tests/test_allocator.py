"""Memory that the process keeps instead of clearing it anew in each step."""

import os
import platform
import subprocess
import sys

import pytest

from fcos_cli.main import main

# Page faults of ten tensors of 64 MB, one after the other, each page 4 KB: 16384 of each.
SCRIPT = """
import resource, sys, torch
from fcos_d2.allocator import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
for _ in range(3):
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(2**24)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


def faults(keep: bool, **environment: str) -> tuple[bool, int]:
    """Whether memory is kept, and the page faults of the loop of SCRIPT."""
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, "keep" if keep else "leave"]
    ran = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    kept, count = ran.stdout.split()
    return kept == "True", int(count)


@on_glibc
def test_a_freed_tensor_is_the_next_one():
    kept, few = faults(keep=True)
    _, many = faults(keep=False)
    assert kept
    assert few < 50
    assert many > 300  # 163840, or a 512th of that with huge pages


@on_glibc
@pytest.mark.parametrize(
    "chosen",
    [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=65536"}],
)
def test_what_the_user_has_chosen_stays(chosen):
    kept, count = faults(keep=True, **chosen)
    assert not kept
    assert count > 300


def test_each_command_keeps_it(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr("fcos_d2.keep_freed_memory", lambda: calls.append(1))
    assert main(["zoo"]) == 0
    assert calls
