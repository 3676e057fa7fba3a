"""How many objects cross a line, or are in a zone: with `supervision`, by their centres."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .tracks import Tracks

Point = tuple[float, float]  # x, y, px
CONFIRMED = 2  # frames on the other side, after which an object has crossed


class LineCount:
    """Counts objects whose centre crosses a line.

    Attributes:
        points: of the line.
        to_right, to_left: objects so far, as seen from the first point towards the second.
    """

    def __init__(self, points: Sequence[Point], memory: int) -> None:
        """
        Args:
            points: two.
            memory: frames after which a hidden object is forgotten; one that is hidden while it
                crosses counts, too.
        """
        import supervision

        self.points = points
        self._memory = memory
        self._last: dict[int, tuple[int, np.ndarray]] = {}  # id -> frame, box
        self._frame = 0
        start, end = (supervision.Point(*point) for point in points)
        self._zone = supervision.LineZone(
            start,
            end,
            triggering_anchors=[supervision.Position.CENTER],
            minimum_crossing_threshold=CONFIRMED,
        )

    @property
    def to_right(self) -> int:
        """Objects that crossed from left to right."""
        return self._zone.out_count

    @property
    def to_left(self) -> int:
        """Objects that crossed from right to left."""
        return self._zone.in_count

    def update(self, tracks: Tracks) -> None:
        """Takes the objects of the next frame."""
        # The zone forgets within frames who is hidden, so it gets their last places again.
        self._frame += 1
        for number, box in zip(tracks.ids.tolist(), tracks.boxes, strict=True):
            self._last[number] = self._frame, box
        self._last = {
            number: (frame, box)
            for number, (frame, box) in self._last.items()
            if self._frame - frame <= self._memory
        }
        boxes = np.array([box for _, box in self._last.values()]).reshape(-1, 4)
        self._zone.trigger(_detections(boxes, np.array([*self._last], dtype=np.int64)))

    def text(self) -> str:
        """For the picture."""
        return f"to the right {self.to_right}, to the left {self.to_left}"

    def summary(self) -> str:
        """For the end."""
        (x1, y1), (x2, y2) = self.points
        where = f"line {x1:g},{y1:g},{x2:g},{y2:g}"
        return f"{where}: {self.text()} (looking from its first point to its second)"


class ZoneCount:
    """Counts objects whose centre is in a polygon.

    Attributes:
        points: of the polygon.
        now, most: objects in it in this frame, and in the frame with the most.
        ids: of all objects that were in it.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        """`points` are three or more."""
        import supervision

        self.points = points
        self.now, self.most = 0, 0
        self.ids: set[int] = set()
        polygon = np.rint(np.array(points)).astype(int)
        centre = [supervision.Position.CENTER]
        self._zone = supervision.PolygonZone(polygon, triggering_anchors=centre)

    def update(self, tracks: Tracks) -> None:
        """Takes the objects of the next frame."""
        inside = self._zone.trigger(_detections(tracks.boxes, tracks.ids))
        self.now = int(inside.sum())
        self.most = max(self.most, self.now)
        self.ids.update(tracks.ids[inside].tolist())

    def text(self) -> str:
        """For the picture."""
        return f"inside {self.now}, so far {len(self.ids)}"

    def summary(self) -> str:
        """For the end."""
        where = ",".join(f"{x:g}" for point in self.points for x in point)
        return f"zone {where}: {len(self.ids)} objects, at most {self.most} at once"


def check_points(points: Sequence[Point], size: tuple[int, int], what: str) -> None:
    """Raises ValueError for a line or zone that no object of a video can meet.

    Args:
        points: of it.
        size: (h, w) px of the frames.
        what: its flag.
    """
    given = ",".join(f"{x:g}" for point in points for x in point)
    if len({*points}) < (2 if what == "--count-line" else 3):
        raise ValueError(f"{what} {given}: its points must differ")
    height, width = size
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    if (high < 0).any() or (low > (width, height)).any():
        raise ValueError(f"{what} {given}: outside of the frames, which have {width}x{height} px")


def _detections(boxes: np.ndarray, ids: np.ndarray) -> Any:
    import supervision

    return supervision.Detections(xyxy=np.asarray(boxes, float).reshape(-1, 4), tracker_id=ids)
