import numpy as np
import pytest

from fcos_d2.tracking.counts import LineCount, ZoneCount, check_points
from fcos_d2.tracking.tracks import Tracks

pytest.importorskip("supervision")


def tracks(**centres: tuple[float, float]) -> Tracks:
    """Objects of 10 x 10 px by number: n1=(x, y)."""
    ids = np.array([int(name[1:]) for name in centres], np.int64)
    boxes = np.array([[x - 5, y - 5, x + 5, y + 5] for x, y in centres.values()]).reshape(-1, 4)
    return Tracks(ids, boxes, np.ones(len(ids)), np.zeros(len(ids), np.int64))


def test_sides_of_a_line() -> None:
    """Looking down the picture, its right side is at the left hand: x rises to the left."""
    down = LineCount([(50, 0), (50, 100)], memory=10)
    for x in (20, 40, 60, 80):
        down.update(tracks(n1=(x, 50)))
    assert (down.to_right, down.to_left) == (0, 1)
    up = LineCount([(50, 100), (50, 0)], memory=10)
    for x in (20, 40, 60, 80):
        up.update(tracks(n1=(x, 50)))
    assert (up.to_right, up.to_left) == (1, 0)
    assert up.summary().startswith("line 50,100,50,0: to the right 1, to the left 0")


def test_each_object_counts_once_where_two_cross_and_one_trembles() -> None:
    line = LineCount([(50, 100), (50, 0)], memory=10)
    for step in range(12):
        x = 5 + 8 * step
        trembling = 51 if step == 5 else 48
        line.update(tracks(n1=(x, 20), n2=(100 - x, 25), n3=(trembling, 60)))
    assert (line.to_right, line.to_left) == (1, 1)


def test_an_object_hidden_while_it_crosses_counts() -> None:
    line = LineCount([(50, 100), (50, 0)], memory=10)
    for x in (20, 30, 40):
        line.update(tracks(n1=(x, 50)))
    for _ in range(6):
        line.update(tracks())
    for x in (70, 80):
        line.update(tracks(n1=(x, 50)))
    assert (line.to_right, line.to_left) == (1, 0)


def test_beside_the_end_of_a_line_nothing_counts() -> None:
    line = LineCount([(50, 40), (50, 0)], memory=10)
    for x in (20, 40, 60, 80):
        line.update(tracks(n1=(x, 70)))
    assert (line.to_right, line.to_left) == (0, 0)


def test_zone() -> None:
    zone = ZoneCount([(40, 0), (60, 0), (60, 100), (40, 100)])
    counts = []
    for x in (20, 45, 55, 80):
        zone.update(tracks(n1=(x, 50), n2=(50, 50), n3=(10, 10)))
        counts.append(zone.now)
    zone.update(tracks())
    assert counts == [1, 2, 2, 1] and zone.now == 0
    assert zone.ids == {1, 2} and zone.most == 2
    assert zone.summary() == "zone 40,0,60,0,60,100,40,100: 2 objects, at most 2 at once"


@pytest.mark.parametrize(
    ("points", "what", "message"),
    [
        ([(5, 5), (5, 5)], "--count-line", "points must differ"),
        ([(5, 5), (9, 9), (5, 5)], "--count-zone", "points must differ"),
        ([(300, 5), (400, 50)], "--count-line", "outside of the frames, which have 200x100 px"),
        ([(-10, 5), (-1, 50)], "--count-line", "outside"),
    ],
)
def test_lines_that_nothing_can_cross(points: list, what: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_points(points, (100, 200), what)


def test_lines_may_leave_the_frame() -> None:
    check_points([(-10, 5), (500, 50)], (100, 200), "--count-line")
