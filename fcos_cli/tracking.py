"""What `fcos predict --track` adds to a video."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from detectron2.structures import Instances

from fcos_d2.detections import ImageDetections
from fcos_d2.tracking.counts import check_points
from fcos_d2.tracking.mot import MotWriter, mot_path
from fcos_d2.tracking.tracks import check_packages
from fcos_d2.tracking.video import VideoTracking

# An object that is tracked already is followed down to this score.
LOWEST_TRACKED = 0.1


@dataclass(frozen=True)
class Tracking:
    """Draws the frames of a video with its objects, in their order."""

    video: VideoTracking
    class_names: Sequence[str]
    thresholds: np.ndarray  # score that a new object needs, by class, (K,)

    def __call__(self, frame: np.ndarray, instances: Instances) -> np.ndarray:
        """The next frame, drawn on."""
        found = ImageDetections.of(instances, self.class_names)
        tracks = self.video.update(found, found.scores >= self.thresholds[found.classes])
        return self.video.draw(frame, tracks)


def check_tracking(arguments: argparse.Namespace, size: tuple[int, int]) -> None:
    """Raises ValueError before the model is loaded: packages, or lines outside of the frames."""
    check_packages()
    for what, shapes in (
        ("--count-line", arguments.count_line),
        ("--count-zone", arguments.count_zone),
    ):
        for points in shapes:
            check_points(points, size, what)


def start_tracking(
    arguments: argparse.Namespace,
    class_names: list[str],
    thresholds: np.ndarray,
    fps: float,
    target: Path | None,
    stack: ExitStack,
) -> Tracking:
    """What follows the objects of a video.

    Args:
        arguments: of `fcos predict`.
        class_names: of the detector.
        thresholds: score that a new object needs, by class, (K,).
        fps: frames per second.
        target: the drawn video, which the MOT file lies beside; None for a window.
        stack: closes that file.
    """
    mot = stack.enter_context(MotWriter(mot_path(target), class_names)) if target else None
    video = VideoTracking(
        fps=fps,
        class_names=class_names,
        lines=arguments.count_line,
        zones=arguments.count_zone,
        mot=mot,
    )
    return Tracking(video, class_names, thresholds)
