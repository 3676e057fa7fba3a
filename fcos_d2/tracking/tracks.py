"""Which detection of a frame is which object: ByteTrack of Roboflow's `trackers`."""

import importlib.util
from typing import NamedTuple

import numpy as np

from ..detections import ImageDetections

# Of the confidences that ByteTrack gets: sure ones start tracks, all others only prolong them.
_SURE, _UNSURE, _BETWEEN = 1.0, 0.2, 0.6


class Tracks(NamedTuple):
    """The objects of a frame, by number."""

    ids: np.ndarray  # int (T,), from 1, the same for an object in all frames
    boxes: np.ndarray  # float (T, 4), xyxy px
    scores: np.ndarray  # float (T,)
    classes: np.ndarray  # int (T,), as detected in this frame

    def __len__(self) -> int:
        return len(self.ids)


def check_packages() -> None:
    """Raises ValueError where the extra packages are missing."""
    missing = [x for x in ("trackers", "supervision") if importlib.util.find_spec(x) is None]
    if missing:
        raise ValueError(
            f'tracking needs {" and ".join(missing)}: pip install "fcos_d2[track]", or pip install '
            "trackers supervision"
        )


class ObjectTracker:
    """Gives the detections of one frame after the other the numbers of their objects.

    An object gets its number in its second frame, and keeps it while it is hidden for a second.

    Attributes:
        memory: frames after which a hidden object is forgotten.
    """

    def __init__(self, fps: float) -> None:
        """`fps` are the frames per second of the video.

        Raises:
            ValueError: the extra packages are missing.
        """
        check_packages()
        from trackers import ByteTrackTracker

        self._tracker = ByteTrackTracker(
            frame_rate=fps,
            track_activation_threshold=_BETWEEN,
            high_conf_det_threshold=_BETWEEN,
            minimum_consecutive_frames=1,
        )
        self.memory: int = self._tracker.maximum_frames_without_update

    def update(self, found: ImageDetections, is_sure: np.ndarray) -> Tracks:
        """The objects of the next frame.

        Args:
            found: all that may be part of a track.
            is_sure: bool (D,), those that may begin one.
        """
        import supervision

        detections = supervision.Detections(
            xyxy=found.boxes.reshape(-1, 4),
            confidence=np.where(is_sure, _SURE, _UNSURE),
            class_id=found.classes,
            data={"position": np.arange(len(found))},
        )
        tracked = self._tracker.update(detections)
        ids = np.asarray(tracked.tracker_id, dtype=np.int64)
        positions = np.asarray(tracked.data.get("position", []), dtype=np.int64)
        positions, ids = positions[ids >= 0], ids[ids >= 0]
        order = np.argsort(ids)
        positions = positions[order]
        return Tracks(
            ids[order] + 1,
            found.boxes[positions],
            found.scores[positions],
            found.classes[positions],
        )
