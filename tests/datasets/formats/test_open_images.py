"""Open Images' CSV: shares of the image, names of classes, groups, and damaged rows."""

import pytest
from layouts import write_image

from fcos_d2.datasets.formats import read_dataset

HEAD = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf"


def read(folder, *rows):
    write_image(folder / "c.png")
    (folder / "boxes.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    return read_dataset(folder / "boxes.csv")


def test_boxes_in_px_and_groups_as_crowds(tmp_path):
    (tmp_path / "class-descriptions.csv").write_text("/m/1,Fish\n")
    found = read(tmp_path, "c,/m/1,0.25,0.5,0.125,1,0", "c,/m/2,0,1,0,1,1")
    assert [a["bbox"] for a in found.coco["annotations"]] == [[8, 4, 8, 28], [0, 0, 32, 32]]
    assert [a["iscrowd"] for a in found.coco["annotations"]] == [0, 1]
    assert [x["name"] for x in found.coco["categories"]] == ["/m/2", "Fish"]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ("c,/m/1,0.25,x,0.125,1,0", "box that is not four numbers"),
        ("c,/m/1", "box that is not four numbers"),
    ],
)
def test_a_bad_row_is_named_and_the_others_stay(tmp_path, bad, kind):
    found = read(tmp_path, "c,/m/1,0,1,0,1,0", bad)
    assert [p.kind for p in found.problems] == [kind]
    assert len(found.coco["annotations"]) == 1


def test_rows_of_images_that_are_not_there_are_one_note(tmp_path):
    found = read(tmp_path, *(f"{x},/m/1,0,1,0,1,0" for x in ("a", "c", "b", "b")))
    (problem,) = found.problems
    assert problem.severity == "note"
    assert problem.where == "boxes.csv: 2 of 3 images, such as a"
    assert [x["file_name"] for x in found.coco["images"]] == ["c.png"]
    (tmp_path / "c.png").unlink()
    with pytest.raises(ValueError, match=r"boxes.csv: none of its 3 images, such as a, is in"):
        read_dataset(tmp_path / "boxes.csv")


def test_a_folder_for_each_class(tmp_path):
    write_image(tmp_path / "Cat" / "a.png")
    write_image(tmp_path / "Cat" / "c.png")  # the one in the folder itself is nearer
    found = read(tmp_path, *(f"{x},/m/1,0,1,0,1,0" for x in ("a", "c")))
    assert [x["file_name"] for x in found.coco["images"]] == ["Cat/a.png", "c.png"]


def test_other_columns_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("ImageID,XMin\nc,0\n")
    with pytest.raises(ValueError, match="no column 'LabelName'; Open Images has ImageID, Label"):
        read_dataset(tmp_path / "a.csv", format="openimages")
