"""Files of class names and tables."""

import math
from pathlib import Path

import numpy as np
import pytest

from fcos_d2.datasets.formats.records import (
    corners_to_box,
    enclosing_corners,
    read_csv_rows,
    read_names,
)
from fcos_d2.datasets.problems import Place

IMAGE = {"file_name": "a.png", "height": 20, "width": 40}


def names(tmp_path: Path, file: str, text: str, used: tuple[str, ...] = ()) -> list[str]:
    (tmp_path / file).write_text(text, encoding="utf-8")
    return read_names(tmp_path / file, used)


@pytest.mark.parametrize(
    ("file", "text", "used", "expected"),
    [
        ("names.txt", "screw 4,0\n", (), ["screw 4,0"]),
        ("names.txt", "screw 4,0\nscrew 5,0\n", (), ["screw 4,0", "screw 5,0"]),
        ("names.txt", "screw 4,0\nscrew 5,1\n", (), ["screw 4,0", "screw 5,1"]),
        ("names.txt", "cat,1\ndog,0\n", ("cat",), ["dog", "cat"]),
        ("names.csv", "screw 4,0\n", ("screw 4,0",), ["screw 4,0"]),
        ("names.csv", "screw 4,0\n", ("screw 4",), ["screw 4"]),
        ("names.csv", "cat,1\ndog,0\n", (), ["dog", "cat"]),
        ("names.csv", '"screw 4,0",0\n"a ""nut""",1\n', (), ["screw 4,0", 'a "nut"']),
        ("names.csv", '"screw 4,0"\nnut\n', (), ["screw 4,0", "nut"]),
        ("names.csv", "screw 4,0\nnut\n", (), ["screw 4,0", "nut"]),
        ("names.csv", "class,id\ncat,1\ndog,0\n", (), ["dog", "cat"]),
        ("names.csv", "nut,small\nscrew 4,0\nbolt\n", (), ["nut,small", "screw 4,0", "bolt"]),
        ("names.txt", '"cat"\n', (), ['"cat"']),
        ("names.txt", "7 inch\n\n  9\u2028x \n", (), ["7 inch", "9\u2028x"]),
    ],
)
def test_names(tmp_path, file, text, used, expected):
    assert names(tmp_path, file, text, used) == expected


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("names.csv", "cat,0\ndog,2\n", r"must be 0, 1, 2, ... once each, got \[0, 2\]"),
        ("names.csv", "cat,0\ndog,0\n", r"must be 0, 1, 2, ... once each, got \[0, 0\]"),
        ("names.txt", "cat\ncat\n", "must be there and differ"),
        ("names.txt", "\n", "must be there and differ"),
        ("names.csv", ",0\n", "must be there and differ"),
    ],
)
def test_names_that_are_refused(tmp_path, file, text, words):
    with pytest.raises(ValueError, match=f"{file}: class (ids|names) {words}"):
        names(tmp_path, file, text)


def test_rows_of_csv(tmp_path):
    text = 'a.png,1,"nut, ""big"""\r\n\r\n  \r\n"two\r\nlines",2,\r\n,,\r\n'
    (tmp_path / "a.csv").write_bytes(text.encode("utf-16"))
    assert read_csv_rows(tmp_path / "a.csv") == [
        (1, ["a.png", "1", 'nut, "big"']),
        (4, ["two\nlines", "2", ""]),
        (6, ["", "", ""]),
    ]
    (tmp_path / "a.csv").write_text('"' + "x" * 200_000)
    with pytest.raises(ValueError, match="a.csv: not valid CSV in line 1"):
        read_csv_rows(tmp_path / "a.csv")


def test_swapped_corners_are_turned_in_every_format():
    problems, place = [], Place("x.csv line 1", category="cat")
    box = corners_to_box([30, 15, 10, 5], IMAGE, place, problems)
    assert box["bbox"] == [10, 5, 20, 10]
    assert [str(p) for p in problems] == [
        "warning: box with swapped corners: x.csv line 1: cat [30, 15, 10, 5]; turned"
    ]
    assert corners_to_box([10, 5, 10, 15], IMAGE, place, problems) is None


def test_the_upright_box_around_a_turned_one():
    """Against the corners of the box, turned one by one."""
    generator = np.random.default_rng(0)
    for cx, cy, width, height, angle in generator.uniform(-7, 7, (50, 5)):
        width, height = abs(width), abs(height)
        corners = [
            (
                cx + x * width / 2 * math.cos(angle) - y * height / 2 * math.sin(angle),
                cy + x * width / 2 * math.sin(angle) + y * height / 2 * math.cos(angle),
            )
            for x in (-1, 1)
            for y in (-1, 1)
        ]
        xs, ys = zip(*corners, strict=True)
        expected = [min(xs), min(ys), max(xs), max(ys)]
        assert enclosing_corners(cx, cy, width, height, angle) == pytest.approx(expected)
