from pathlib import Path

import numpy as np
import pytest

from fcos_d2.tracking.mot import MotWriter, labels_of, mot_path
from fcos_d2.tracking.tracks import Tracks


def tracks(*ids: int) -> Tracks:
    num = len(ids)
    boxes = np.array([[9.5, 19, 29.5, 59]] * num).reshape(-1, 4)
    return Tracks(np.array(ids, np.int64), boxes, np.full(num, 0.75), np.full(num, 1))


def test_lines(tmp_path: Path) -> None:
    """Everything counts from 1: the box begins in the pixel after the ninth and a half."""
    path = mot_path(tmp_path / "a b.mp4")
    with MotWriter(path, ["cat", "do\ng"]) as writer:
        for each in (tracks(), tracks(4), tracks(2, 4)):
            writer.write(each)
    row = "10.50,20.00,20.00,40.00,0.7500,2,-1"
    assert path.read_text() == f"2,4,{row}\n3,2,{row}\n3,4,{row}\n"
    assert path.name == "a b.mot.txt"
    assert labels_of(path).read_text() == "cat\ndo\\ng\n"
    assert sorted(x.name for x in tmp_path.iterdir()) == ["a b.labels.txt", "a b.mot.txt"]


def test_an_error_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "v.mot.txt"
    with pytest.raises(KeyboardInterrupt), MotWriter(path, ["cat", "dog"]) as writer:
        writer.write(tracks(1))
        raise KeyboardInterrupt
    assert path.read_text().startswith("1,1,")


def test_no_frame_leaves_no_file(tmp_path: Path) -> None:
    with MotWriter(tmp_path / "v.mot.txt", ["cat"]):
        pass
    assert [*tmp_path.iterdir()] == []
