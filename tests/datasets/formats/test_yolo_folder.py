"""YOLO labels with a plain list of classes."""

from pathlib import Path

import pytest

from fcos_d2.datasets.formats import read_dataset, yolo_folder
from fcos_d2.datasets.formats.yolo_folder import folder_of_list, is_yolo_folder, read_folder
from fcos_deploy.files import files_below


def write(folder: Path, **texts: str) -> Path:
    """Files by their names, with / for __ and . for the last _; images are never opened here."""
    for name, text in texts.items():
        path = folder / ".".join(name.replace("__", "/").rsplit("_", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


BOX = "0 0.5 0.5 0.2 0.2\n"


def test_labels_beside_the_images_must_hold_boxes(tmp_path):
    write(tmp_path, a_jpg="", a_txt="4 cats at 5 o'clock\n", classes_txt="cat\n")
    assert not is_yolo_folder(tmp_path)
    write(tmp_path, b_jpg="", b_txt="", c_txt=BOX)  # an image without objects; no image
    assert not is_yolo_folder(tmp_path)
    write(tmp_path, b_txt=BOX)
    assert is_yolo_folder(tmp_path)


def test_any_text_in_labels_is_for_the_reader_to_judge(tmp_path):
    write(tmp_path, labels__a_txt="cat 0.5 0.5 0.2 0.2\n", images__b_jpg="")
    assert not is_yolo_folder(tmp_path)
    write(tmp_path, labels__classes_txt="cat\n")
    assert is_yolo_folder(tmp_path)
    (tmp_path / "images").rename(tmp_path / "JPEGImages")  # the labels of a VOC dataset
    assert not is_yolo_folder(tmp_path)


def test_the_folder_that_a_list_belongs_to(tmp_path):
    for inside in ("classes.txt", "labels/classes.txt", "labels/Train/classes.txt"):
        assert folder_of_list(tmp_path / "a" / inside, tmp_path) == tmp_path / "a"
    assert folder_of_list(tmp_path / "classes.txt", tmp_path) == tmp_path


def test_lists_that_differ(tmp_path):
    write(tmp_path, train__classes_txt="cat\ndog\n", val__classes_txt="cat\n")
    write(tmp_path, train__a_jpg="", train__a_txt=BOX)
    assert read_folder(tmp_path).names == ["cat", "dog"]
    write(tmp_path, val__classes_txt="dog\n")
    line = "val/classes.txt: its classes differ from those in .*train/classes.txt, so one number"
    with pytest.raises(ValueError, match=line):
        read_folder(tmp_path)
    write(tmp_path, val__classes_txt="\n")
    with pytest.raises(ValueError, match="val/classes.txt: no class name in it"):
        read_folder(tmp_path)


def test_splits_at_any_depth(tmp_path):
    write(tmp_path, classes_txt="cat\n", one__train__a_jpg="", two__train__b_jpg="")
    write(tmp_path, one__valid__images__c_jpg="", one__other__d_jpg="", one__train__a_txt=BOX)
    data = read_folder(tmp_path)
    assert data.splits == {"train": ["one/train", "two/train"], "val": ["one/valid"]}
    assert data.passed_over == ("images in no folder of a split: 1, such as one/other/d.jpg",)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (
            ("train_1__a_jpg", "train_2__a_jpg"),
            "to train, those in train_1 or those in train_2. List",
        ),
        (
            ("train__a_jpg", "train__test__a_jpg"),
            "to test, those in train/test or those in train. List",
        ),
    ],
)
def test_several_folders_for_one_split(tmp_path, names, line):
    write(tmp_path, classes_txt="cat\n", a_jpg="", a_txt=BOX, **dict.fromkeys(names, ""))
    with pytest.raises(ValueError, match=line):
        read_folder(tmp_path)


def test_without_a_list(tmp_path):
    with pytest.raises(ValueError, match="no data.yaml, obj.data or classes.txt of YOLO labels"):
        read_folder(tmp_path)
    write(tmp_path, photos__a_jpg="", boxes__a_txt=BOX)
    line = f"{tmp_path}/boxes: holds YOLO labels, .*put a classes.txt into {tmp_path}, a name"
    with pytest.raises(ValueError, match=line):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("labels__a_txt",),
        ("a_jpg", "labels__a_txt"),
        ("photos__a_jpg", "boxes__a_txt"),
        ("images__a_jpg", "boxes__a_txt"),
    ],
)
def test_labels_apart_from_the_images(tmp_path, names):
    write(tmp_path, classes_txt="cat\n", **{x: BOX if x.endswith("txt") else "" for x in names})
    line = (
        f"not where they belong: put them into {tmp_path}/images, the labels into {tmp_path}/labels"
    )
    with pytest.raises(ValueError, match=line):
        read_dataset(tmp_path)


def test_a_list_of_the_dataset_is_not_the_dataset(tmp_path):
    write(tmp_path, a_jpg="", a_txt=BOX, classes_txt="cat\n")
    with pytest.raises(ValueError, match=f"of a YOLO dataset; give its folder, {tmp_path}"):
        read_dataset(tmp_path / "classes.txt")


def test_images_beside_a_validation_set_alone(tmp_path):
    write(tmp_path, classes_txt="cat\n", a_jpg="", a_txt=BOX, val__b_jpg="", val__b_txt=BOX)
    line = "1 images, such as a.jpg, are in no folder of a split, beside val; move them, with their"
    with pytest.raises(ValueError, match=line):
        read_folder(tmp_path)


def test_images_outside_of_images(tmp_path):
    write(tmp_path, classes_txt="cat\n", images__a_jpg="", labels__a_txt=BOX, val__images__b_jpg="")
    assert read_folder(tmp_path).passed_over == (
        "images outside of images/: 1, such as val/images/b.jpg",
    )


def test_a_large_folder_is_walked_through_once(tmp_path, monkeypatch):
    write(tmp_path, classes_txt="cat\n", images__a_jpg="", labels__a_txt=BOX)
    walks = []

    def counted(folder):
        walks.append(folder)
        return files_below(folder)

    monkeypatch.setattr(yolo_folder, "files_below", counted)
    read_folder(tmp_path)
    assert walks == [tmp_path]
