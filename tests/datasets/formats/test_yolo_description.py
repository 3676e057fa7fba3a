"""What data.yaml and obj.data say."""

from pathlib import Path

import pytest

from fcos_d2.datasets.formats.yolo_description import describe, find_part


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_splits_by_any_word(tmp_path):
    text = "names: [cat]\nvalid: b\nTraining: a\nval: c\ntest:\nhold-out: d\nauthor: me\n"
    for name in "abcd":
        (tmp_path / name).mkdir()
    data = describe(written(tmp_path / "data.yaml", text))
    assert data.splits == {"train": ["a"], "val": ["c"]}
    assert data.passed_over == ("the key valid, b", "the key hold-out, d")


def test_splits_of_darknet(tmp_path):
    written(tmp_path / "obj.names", "cat\n")
    (tmp_path / "backup").mkdir()
    text = "classes = 1\nTrain = data/Train.txt\nnames = data/obj.names\nbackup = backup/\n"
    data = describe(written(tmp_path / "obj.data", text))
    assert (data.splits, data.passed_over) == ({"train": ["data/Train.txt"]}, ())
    with pytest.raises(ValueError, match="no images after train, val or test .*keys names, Foo"):
        describe(written(tmp_path / "obj.data", "names = obj.names\nFoo = Foo.txt\n"))


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("animals/data.yaml", "/content/animals"),
        ("data.yaml", "/content/drive/animals"),
        ("data.yaml", "C:\\sets\\animals"),
        ("data.yaml", "sets/animals"),
        ("animals/config/data.yaml", "/content/set"),
        ("config/data.yaml", "/content/animals"),
        ("data.yaml", "animals"),
    ],
)
def test_the_folder_of_another_machine(tmp_path, file, path):
    (tmp_path / "animals" / "images").mkdir(parents=True)
    text = f"path: {path}\ntrain: images\nnames: [cat]\n"
    assert describe(written(tmp_path / file, text)).root == tmp_path / "animals"


def test_a_folder_that_is_nowhere(tmp_path):
    text = "path: /content/set\ntrain: images/train\nnames: [cat]\n"
    data = describe(written(tmp_path / "data.yaml", text))
    assert data.root == tmp_path
    line = "images/train is not there .looked for .*images/train.; nor is its path: /content/set"
    with pytest.raises(ValueError, match=line):
        find_part(data, data.root, "images/train")
