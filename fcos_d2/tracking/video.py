"""A video frame by frame: tracked, counted, written and drawn."""

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

from fcos_deploy.vision import WHITE, class_color, draw_detections
from fcos_deploy.vision.labels import line_width, put_labels

from ..detections import ImageDetections
from .counts import LineCount, Point, ZoneCount
from .mot import MotWriter
from .tracks import ObjectTracker, Tracks

TRAIL_SECONDS = 2.0


class VideoTracking:
    """Takes the detections of one frame after the other, and draws the objects with their trails.

    Attributes:
        counts: lines and zones, with what they have counted so far.
        num_objects: objects so far.
    """

    def __init__(
        self,
        *,
        fps: float,
        class_names: Sequence[str],
        lines: Sequence[Sequence[Point]] = (),
        zones: Sequence[Sequence[Point]] = (),
        mot: MotWriter | None = None,
    ) -> None:
        """
        Args:
            fps: frames per second.
            class_names: of the detector.
            lines, zones: points of each, px.
            mot: gets the objects of each frame.

        Raises:
            ValueError: the extra packages are missing.
        """
        self._tracker = ObjectTracker(fps)
        self._names = class_names
        self._mot = mot
        self.counts: list[LineCount | ZoneCount] = [
            *(LineCount(points, self._tracker.memory) for points in lines),
            *(ZoneCount(points) for points in zones),
        ]
        self._trails: dict[int, deque[tuple[int, Point]]] = {}  # id -> frame, centre
        self._length = max(2, round(TRAIL_SECONDS * fps))
        self._frame = 0
        self.num_objects = 0

    def update(self, found: ImageDetections, is_sure: np.ndarray) -> Tracks:
        """The objects of the next frame; see `ObjectTracker.update`."""
        tracks = self._tracker.update(found, is_sure)
        self._frame += 1
        self.num_objects = max([self.num_objects, *tracks.ids.tolist()])
        for count in self.counts:
            count.update(tracks)
        if self._mot is not None:
            self._mot.write(tracks)
        centres = (tracks.boxes[:, :2] + tracks.boxes[:, 2:]) / 2
        for number, (x, y) in zip(tracks.ids.tolist(), centres.tolist(), strict=True):
            self._trails.setdefault(number, deque()).append((self._frame, (x, y)))
        for number, trail in [*self._trails.items()]:
            while trail and trail[0][0] <= self._frame - self._length:
                trail.popleft()
            if not trail:
                del self._trails[number]
        return tracks

    def draw(self, frame: np.ndarray, tracks: Tracks) -> np.ndarray:
        """The objects with numbers and trails, lines and zones with counts, on a new image.

        Args:
            frame: uint8 BGR (H, W, 3).
            tracks: of it.
        """
        canvas = frame.copy()
        width = line_width(*canvas.shape[:2])
        for number, trail in self._trails.items():
            points = np.rint([point for _, point in trail]).astype(np.int32)
            cv2.polylines(canvas, [points], False, class_color(number), width, cv2.LINE_AA)
        for count in self.counts:
            points = np.rint(count.points).astype(np.int32)
            cv2.polylines(canvas, [points], len(points) > 2, WHITE, width, cv2.LINE_AA)
        drawn = draw_detections(
            canvas, tracks.boxes, tracks.classes, tracks.scores, self._names, track_ids=tracks.ids
        )
        places = [np.rint(x.points).astype(int) for x in self.counts]
        boxes = np.array([[*x.min(axis=0), *x.max(axis=0)] for x in places], int).reshape(-1, 4)
        put_labels(drawn, [x.text() for x in self.counts], boxes, [WHITE] * len(places))
        return drawn

    def summary(self) -> list[str]:
        """What there is to say at the end, a line each."""
        return [f"{self.num_objects} objects tracked", *(count.summary() for count in self.counts)]
