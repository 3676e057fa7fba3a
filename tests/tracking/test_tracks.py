import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from fcos_d2.detections import ImageDetections
from fcos_d2.tracking.tracks import ObjectTracker


def found(*boxes: tuple[float, float, float, float], scores: list[float]) -> ImageDetections:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    classes = np.arange(len(array)) % 2
    return ImageDetections(
        array, np.array(scores, np.float32), classes, np.array(["a", "b"])[classes]
    )


@pytest.fixture
def tracker() -> ObjectTracker:
    pytest.importorskip("trackers")
    return ObjectTracker(fps=10)


def test_a_weak_detection_prolongs_a_track_but_begins_none(tracker: ObjectTracker) -> None:
    here, there = (0, 0, 10, 10), (50, 50, 70, 70)
    given = [([0.9, 0.2], [True, False])] * 2 + [([0.3, 0.2], [False, False])]
    ids = []
    for scores, is_sure in given:
        tracks = tracker.update(found(here, there, scores=scores), np.array(is_sure))
        ids.append(tracks.ids.tolist())
    assert ids == [[], [1], [1]]  # a number comes with the second frame
    assert tracks.boxes.tolist() == [[0, 0, 10, 10]]
    assert tracks.scores.tolist() == pytest.approx([0.3])
    assert tracks.classes.tolist() == [0]


def test_a_hidden_object_keeps_its_number_for_a_second(tracker: ObjectTracker) -> None:
    assert tracker.memory == 10
    box, nothing = found((10, 10, 30, 30), scores=[0.9]), found(scores=[])
    for _ in range(3):
        tracks = tracker.update(box, np.array([True]))
    for _ in range(5):
        assert len(tracker.update(nothing, np.zeros(0, bool))) == 0
    assert tracker.update(box, np.array([True])).ids.tolist() == tracks.ids.tolist() == [1]


def test_frames_without_any_detection(tracker: ObjectTracker) -> None:
    tracks = tracker.update(found(scores=[]), np.zeros(0, bool))
    assert tracks.boxes.shape == (0, 4) and len(tracks) == 0


def test_missing_packages_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'pip install "fcos_d2\[track\]"'):
        ObjectTracker(fps=10)


def test_they_are_imported_only_when_used() -> None:
    code = "import sys, fcos_cli.drawing; print({'trackers', 'supervision'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
