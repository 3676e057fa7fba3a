"""Files of YOLO's labels, judged as a whole."""

from pathlib import Path

import pytest

from fcos_d2.datasets.formats.yolo_labels import is_label_file, judge_key_points, judge_labels

BOX = "0 0.5 0.5 0.2 0.2\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", True),
        (b"0 0.5 .5 1e-3 0.2\n\n1 0 0 1 1 1 0\n", True),
        (b"0 0.5 0.5 0.2\n", False),
        (b"a cat on the mat\n", False),
        (b"0 0.5 0.5 0.2 0.2 \xff\n", False),
    ],
)
def test_what_a_label_file_holds(tmp_path, text, expected):
    (tmp_path / "a.txt").write_bytes(text)
    assert is_label_file(tmp_path / "a.txt") is expected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images with labels, of which the one is in no list."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        (tmp_path / "images" / f"{name}.jpg").touch()
        (tmp_path / "labels" / f"{name}.txt").write_text(BOX)
    return tmp_path


def judged(folder: Path, name: str = "a") -> list[str]:
    item = (folder / "images" / f"{name}.jpg", folder / "labels" / f"{name}.txt")
    return [str(p).replace(f"{folder}/", "") for p in judge_labels([item], [], "data.yaml")]


def test_labels_without_their_image(folder):
    for name, text in (("c", BOX), ("d", ""), ("classes", "cat\n"), (".e", BOX), ("f", BOX)):
        (folder / "labels" / f"{name}.txt").write_text(text)
    (folder / "images" / "f.HEIC").touch()
    kind, done = "warning: labels without image: labels/", "; left out"
    assert judged(folder) == [
        f"{kind}c.txt: no image of this name in images{done}",
        f"{kind}f.txt: f.HEIC cannot be read: convert it to jpg{done}",
    ]


def test_names_of_label_studio(folder):
    (folder / "images" / "c.jpg").touch()
    (folder / "labels" / "01a2b3c4-c.txt").write_text(BOX)
    cure = "export from Label Studio as 'YOLO with Images', whose names fit the labels"
    assert judged(folder, "c")[1].endswith(f"looked for labels/c.txt; {cure}")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([" .1 .2 2 .3 .4 0", " .1 .2 1 .3 .4 1"], ["kpt_shape: [2, 3]"]),
        ([" .1 .2 2", " .1 .2 0"], ["kpt_shape: [1, 3]"]),
        ([" .1 .2 1 .3 .4 1"], []),  # may be the polygon of a corner
        ([" .1 .2 2 .3 .4 0", " .1 .2 2"], []),
        ([" .1 .2 2 .3 .4 0", ""], []),
        ([" .1 .2 2 .3 .4 .5"], []),
        ([" .1 .2 2 .3"], []),
        ([" a .2 2"], []),
        ([], []),
    ],
)
def test_key_points(tmp_path, lines, words):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"0 .5 .5 .2 .2{line}\n" for line in lines))
    problems = judge_key_points([path, tmp_path / "gone.txt"], "data.yaml")
    assert [p.detail.split("write ")[1].removesuffix(" into data.yaml") for p in problems] == words
    assert all(p.severity == "error" for p in problems)
