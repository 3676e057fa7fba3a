"""CSV of boxes and lines of boxes: headers, names of classes and of other machines."""

import pytest
from layouts import write_image

from fcos_d2.datasets.formats import read_dataset
from fcos_d2.datasets.formats.lines import is_csv_of_boxes


def read(folder, text, file="boxes.csv", **given):
    """The boxes, and the kinds of the problems; c.png has 32 x 32 px."""
    write_image(folder / "c.png")
    (folder / file).write_text(text)
    found = read_dataset(folder / file, **given)
    names = {x["id"]: x["name"] for x in found.coco["categories"]}
    boxes = [(names[a["category_id"]], *a["bbox"]) for a in found.coco["annotations"]]
    return boxes, [problem.kind for problem in found.problems]


# 16 x 8 px at (8, 4); Roboflow's header, that of VoTT, and none.
@pytest.mark.parametrize(
    "text",
    [
        "filename,width,height,class,xmin,ymin,xmax,ymax\nc.png,32,32,dog,8,4,24,12\n",
        '"image","xmin","ymin","xmax","ymax","label"\n"c.png",8,4,24,12,"dog"\n',
        "Path, X1, Y1, X2, Y2, Class\nc.png, 8, 4, 24, 12, dog\n",
        "c.png,8,4,24,12,dog\n",
    ],
)
def test_columns_by_name_and_classes_of_the_file_itself(tmp_path, text):
    assert read(tmp_path, text) == ([("dog", 8, 4, 16, 8)], [])
    assert is_csv_of_boxes(tmp_path / "boxes.csv")


def test_classes_of_the_file_are_in_the_order_of_their_names(tmp_path):
    read(tmp_path, "c.png,8,4,24,12,dog\nc.png,,,,,\nc.png,1,1,9,9,cat\n")
    coco = read_dataset(tmp_path / "boxes.csv").coco
    assert [x["name"] for x in coco["categories"]] == ["cat", "dog"]


def test_a_row_shorter_than_the_header(tmp_path):
    text = "filename,class,xmin,ymin,xmax,ymax\nc.png,dog,8,4,24,12\nc.png,dog,8,4,24\n"
    assert read(tmp_path, text) == ([("dog", 8, 4, 16, 8)], ["box that is not four numbers"])


@pytest.mark.parametrize(
    "text",
    [
        "image,xmin,ymin,xmax,ymax\nc.png,8,4,24,12\n",
        "image,xmin,ymin,xmax,ymax,label,score\nc.png,8,4,24,12,dog,0.9\n",
        "a,b,c,d,e,f\n",
        "",
    ],
)
def test_a_csv_of_something_else(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    assert not is_csv_of_boxes(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["/home/me/images/c.png", "C:\\me\\c.png"])
def test_paths_of_another_machine(tmp_path, name):
    note = "folder of another machine"
    assert read(tmp_path, f"{name},8,4,24,12,dog\n") == ([("dog", 8, 4, 16, 8)], [note])
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    given = {"file": "boxes.txt", "classes": tmp_path / "names.txt"}
    assert read(tmp_path, f"{name} 8,4,24,12,1\n", **given) == ([("dog", 8, 4, 16, 8)], [note])


def test_two_paths_of_another_machine_are_not_one_image(tmp_path):
    rows = "/a/c.png,8,4,24,12,dog\n/b/c.png,8,4,24,12,dog\nc.png,1,1,9,9,dog\n"
    assert read(tmp_path, rows) == ([("dog", 1, 1, 8, 8)], ["image file missing"] * 2)


def test_shares_of_the_image(tmp_path):
    kind = "boxes that look relative, shares of the image"
    assert read(tmp_path, "c.png,0.25,0.125,0.75,0.375,dog\n") == ([("dog", 8, 4, 16, 8)], [kind])


@pytest.mark.parametrize("name", ["classes.csv", "_classes.csv", "class_list.csv"])
def test_a_file_of_classes_beside_it(tmp_path, name):
    (tmp_path / name).write_text("class,id\ncat,0\ndog,1\n")
    assert read(tmp_path, "c.png,8,4,24,12,cow\n") == ([], ["unknown category"])
