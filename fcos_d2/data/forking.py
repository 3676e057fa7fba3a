"""Forked processes, such as the workers of a loader, use one thread of OpenCV."""

import os

import cv2

_in_parent: list[int] = []


def _before_fork() -> None:
    _in_parent.append(cv2.getNumThreads())
    cv2.setNumThreads(1)


def _after_fork_in_parent() -> None:
    cv2.setNumThreads(_in_parent.pop())


def use_one_opencv_thread_in_forks() -> None:
    """Has every fork from now on leave OpenCV's pool of threads behind.

    The threads do not survive a fork, and a child that waits for them hangs, also inside
    `cv2.setNumThreads`. So the pool is put away before the fork and comes back in the parent. This
    holds for every loader, detectron2's as well; one thread a worker is also the faster choice.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
