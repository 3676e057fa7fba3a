import os
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from fcos_d2.data import loader  # noqa: F401  importing it is what is tested


def status_of_fork(child, seconds: float = 20) -> int:
    """Exit code of a forked process that runs `child`; -1 where it hangs."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(child())
        finally:
            os._exit(99)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return -1


@pytest.fixture
def eight_threads():
    before = cv2.getNumThreads()
    cv2.setNumThreads(8)
    yield np.full((480, 640, 3), 7, np.uint8)
    cv2.setNumThreads(before)


def resize(image: np.ndarray) -> int:
    return int(cv2.resize(image, (1067, 800)).max())


def test_a_fork_has_one_thread_and_its_parent_keeps_all(eight_threads):
    resize(eight_threads)
    assert status_of_fork(cv2.getNumThreads) == 1
    assert cv2.getNumThreads() == 8
    assert status_of_fork(lambda: resize(eight_threads)) == 7


def test_forks_of_forks_and_other_programs(eight_threads):
    assert status_of_fork(lambda: status_of_fork(cv2.getNumThreads)) == 1
    command = [sys.executable, "-c", "import cv2; print(cv2.getNumThreads() >= 1)"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "True\n"
    assert cv2.getNumThreads() == 8


@pytest.mark.slow
def test_no_fork_of_3000_hangs(eight_threads):
    resize(eight_threads)
    assert {status_of_fork(lambda: resize(eight_threads)) for _ in range(3000)} == {7}
