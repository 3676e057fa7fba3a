"""Near duplicates: copies and neighbouring frames, but not images of the same surroundings."""

import os

import cv2
import numpy as np
import pytest
from scenes import scene, write_scene

from fcos_d2.datasets.near_duplicates import groups_of, near_duplicates, pairs_across


def test_copies_are_found_and_other_images_are_not(tmp_path):
    paths = [write_scene(tmp_path / f"{i}.jpg", scene(i)) for i in range(6)]
    paths.append(write_scene(tmp_path / "small.jpg", cv2.resize(scene(2), (60, 60)), quality=40))
    paths.append(write_scene(tmp_path / "bright.png", np.clip(scene(4) * 1.1 + 10, 0, 255)))
    assert near_duplicates(paths) == [(2, 6), (4, 7)]


def test_a_fixed_camera_does_not_make_all_images_alike(tmp_path):
    background, paths = scene(1, 256), []
    for i in range(25):
        picture = background.copy()
        x, y = 10 + 45 * (i % 5), 10 + 45 * (i // 5)
        picture[y : y + 40, x : x + 40] = 255 - picture[y : y + 40, x : x + 40]
        paths.append(write_scene(tmp_path / f"{i}.jpg", picture))
    moved = background.copy()
    moved[11:51, 11:51] = 255 - moved[11:51, 11:51]  # the object of the first, a pixel further
    paths.append(write_scene(tmp_path / "next.jpg", moved))
    assert near_duplicates(paths) == [(0, 25)]


def test_files_that_are_no_images(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff no picture")
    good = write_scene(tmp_path / "c.jpg", scene(0))
    paths = [tmp_path / "a.jpg", good, tmp_path / "b.jpg", tmp_path / "gone.jpg", good]
    assert near_duplicates(paths) == [(1, 4)]
    assert near_duplicates([]) == []


@pytest.mark.skipif(not hasattr(os, "link"), reason="the system has no links")
def test_pairs_across_two_sets_are_of_two_files(tmp_path):
    a, b = (write_scene(tmp_path / f"{i}.jpg", scene(i)) for i in range(2))
    c = write_scene(tmp_path / "c.jpg", scene(0), quality=70)
    assert pairs_across([a, b], [b, c]) == [(a, c)]


def test_groups():
    assert groups_of(6, [(4, 5), (0, 3), (3, 5)]) == [[0, 3, 4, 5], [1], [2]]
    assert groups_of(2, []) == [[0], [1]]
