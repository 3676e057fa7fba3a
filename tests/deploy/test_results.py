import json

import numpy as np
import pytest

from fcos_deploy.detector import Detections
from fcos_deploy.results import CocoResults, JsonFile


def ids_of(tmp_path, file_names: list[str], taken: list[str]) -> list[int | None]:
    """The image id that a detection on each of the files gets."""
    images = [{"id": i, "file_name": name} for i, name in enumerate(file_names, start=10)]
    file = tmp_path / "val.json"
    file.write_text(json.dumps({"images": images, "categories": [{"id": 7, "name": "cell"}]}))
    one = Detections(np.array([[1, 2, 4, 8]]), np.array([0.5]), np.array([0]))
    ids = []
    for name in taken:
        results = CocoResults(file, ["cell"])
        rows = results.rows(name, one)
        ids.append(rows[0]["image_id"] if rows else None)
        assert results.unknown == ([] if rows else [name])
        for row in rows:
            assert row["bbox"] == [1, 2, 3, 6] and row["category_id"] == 7 and row["score"] == 0.5
    return ids


@pytest.mark.parametrize(
    ("file_names", "taken", "ids"),
    [
        (["a.jpg", "b.jpg"], ["val/b.jpg", "a.jpg", "c.jpg"], [11, 10, None]),
        # The same name in two folders: by as much of the path as the file knows.
        (["x/a.jpg", "y/a.jpg"], ["data/y/a.jpg", "x/a.jpg", "z/a.jpg"], [11, 10, None]),
        # A folder that is not there.
        (["train2017/a.jpg"], ["photos/a.jpg"], [10]),
    ],
)
def test_images_are_found_by_name(tmp_path, file_names, taken, ids):
    assert ids_of(tmp_path, file_names, taken) == ids


def test_a_json_file_is_a_list(tmp_path):
    for rows in ([], [{"a": 1}], [{"a": "é"}, {"b": [2, None]}, {"c": 3.5}]):
        with JsonFile(tmp_path / "sub" / "x.json") as file:
            for row in rows:
                file.add([row])
            file.add([])
        assert json.loads((tmp_path / "sub" / "x.json").read_text()) == rows
    assert [x.name for x in (tmp_path / "sub").iterdir()] == ["x.json"]


def test_half_a_json_file_is_not_left_behind(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("[1]")
    with pytest.raises(RuntimeError), JsonFile(path) as file:
        file.add([{"a": 1}])
        raise RuntimeError
    assert path.read_text() == "[1]" and [*tmp_path.iterdir()] == [path]
    with pytest.raises(OSError, match="a folder, name a file in it"):
        JsonFile(tmp_path)


def test_ids_are_those_of_the_file(tmp_path):
    """Texts stay texts, and numbers beyond 2**53 are not rounded."""
    ids = {"a.jpg": "01", "b.jpg": "1", "c.jpg": 2**53 + 1, "d.jpg": 2**70 + 1}
    images = [{"id": i, "file_name": name} for name, i in ids.items()]
    file = tmp_path / "val.json"
    file.write_text(json.dumps({"images": images, "categories": [{"id": "x1", "name": "cell"}]}))
    results = CocoResults(file, ["cell"])
    one = Detections(np.array([[1, 2, 4, 8]]), np.array([0.5]), np.array([0]))
    with JsonFile(tmp_path / "results.json") as written:
        for name in ids:
            written.add(results.rows(name, one))
    rows = json.loads((tmp_path / "results.json").read_text())
    assert [row["image_id"] for row in rows] == list(ids.values())
    assert {row["category_id"] for row in rows} == {"x1"}
