"""How torch's CPU threads wait for each other, which importing fcos_d2 decides."""

import os
import subprocess
import sys

import pytest

NAMES = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
SHOW = f"import os, fcos_d2; print([os.environ.get(x) for x in {NAMES}])"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["PASSIVE", "1000"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", None]),
        ({"GOMP_SPINCOUNT": "7"}, [None, "7"]),
    ],
)
def test_threads_wait_as_the_user_says_or_sleep_after_a_moment(given, expected):
    environment = {k: v for k, v in os.environ.items() if k not in NAMES} | given
    command = [sys.executable, "-c", SHOW]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == str(expected)
