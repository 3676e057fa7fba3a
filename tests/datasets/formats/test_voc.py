"""Pascal VOC as the tools of others write it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fcos_d2.datasets.formats import read_dataset

OBJECT = (
    "<object><name>{name}</name><bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax>"
    "<ymax>{3}</ymax></bndbox>{more}</object>"
)


def annotate(folder: Path, stem: str, *corners: float, name: str = "cat", more: str = "") -> str:
    """An image of 40 x 20 px in `folder`, and its xml."""
    path = folder / f"{stem}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    images = folder.parent / "JPEGImages" if folder.name == "Annotations" else folder
    (images / stem).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(images / f"{stem}.png"), np.zeros((20, 40, 3), np.uint8))
    xml = f"<annotation>{OBJECT.format(*corners, name=name, more=more)}</annotation>"
    path.write_text(xml, encoding="utf-8")
    return xml


def boxes(folder: Path | str) -> tuple[list[list[float]], list[str]]:
    coco, problems, _, _ = read_dataset(folder)
    return [a["bbox"] for a in coco["annotations"]], [p.kind for p in problems]


@pytest.mark.parametrize(
    ("corners", "box", "kinds"),
    [
        ((3, 4, 3, 9), [2, 3, 1, 6], []),  # columns 3..3, rows 4..9, counted from 1
        ((3, 4, 9, 4), [2, 3, 7, 1], []),
        ((3, 4, 3, 4), None, ["box without area"]),
        ((9, 4, 3, 9), [2, 3, 7, 6], ["box with swapped corners"]),
        ((3, 9, 9, 4), [2, 3, 7, 6], ["box with swapped corners"]),
        ((9, 9, 3, 4), [2, 3, 7, 6], ["box with swapped corners"]),
    ],
)
def test_corners(tmp_path, corners, box, kinds):
    annotate(tmp_path, "a", *corners)
    assert boxes(tmp_path) == ([box] if box else [], kinds)


def test_folders_and_lists_of_cvat(tmp_path):
    """Names with spaces are in quotes; Annotations and JPEGImages have the same folders."""
    folder = tmp_path / "Annotations"
    for stem in ("sub dir/frame 1", "sub dir/frame 2", "plain", "deep/er/x"):
        annotate(folder, stem, 3, 4, 9, 12)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text('"sub dir/frame 1"\nplain\ndeep/er/x\n')
    (lists / "cat_train.txt").write_text('"sub dir/frame 1" 1\nplain -1\ndeep/er/x  0\n')
    (lists / "bare.txt").write_text("sub dir/frame 1\nplain.png\ndeep\\er\\x\n")
    expected = ["sub dir/frame 1.png", "plain.png", "deep/er/x.png"]
    for name in ("train", "cat_train", "bare"):
        coco, problems, images, _ = read_dataset(f"{tmp_path}:{name}")
        assert [x["file_name"] for x in coco["images"]] == expected, name
        assert not problems and images == tmp_path / "JPEGImages"
    assert len(read_dataset(tmp_path).coco["images"]) == 4


def test_a_list_that_is_not_there(tmp_path):
    annotate(tmp_path / "Annotations", "a", 3, 4, 9, 12)
    for name in ("Train", "notes"):
        (tmp_path / f"{name}.txt").write_text("a\n")
    assert len(read_dataset(f"{tmp_path}:Train").coco["images"]) == 1
    with pytest.raises(ValueError, match="train.txt: no such list; there are Train, notes"):
        read_dataset(f"{tmp_path}:train")


def test_loose_files_in_folders(tmp_path):
    """Read where there is none above them, which would be of another set."""
    for stem in ("cam0/a", "cam1/a"):
        annotate(tmp_path / "set", stem, 3, 4, 9, 12)
    assert boxes(tmp_path / "set") == ([[2, 3, 7, 9]] * 2, [])
    annotate(tmp_path / "set", "b", 3, 4, 9, 12)
    assert boxes(tmp_path / "set") == ([[2, 3, 7, 9]], [])


def test_an_image_with_two_annotation_files(tmp_path):
    annotate(tmp_path / "Annotations", "a", 3, 4, 9, 12)
    annotate(tmp_path / "Annotations", "old/a", 3, 4, 9, 12)
    assert boxes(tmp_path) == ([[2, 3, 7, 9]] * 2, [])
    (tmp_path / "JPEGImages" / "old" / "a.png").unlink()
    assert boxes(tmp_path) == ([[2, 3, 7, 9]], ["image with two annotation files"])


def test_xml_of_something_else(tmp_path):
    annotate(tmp_path, "a", 3, 4, 9, 12)
    (tmp_path / "pom.xml").write_text("<project/>")
    assert boxes(tmp_path) == ([[2, 3, 7, 9]], ["xml file of something else"])


def test_links_and_hidden_files(tmp_path):
    annotate(tmp_path / "store" / "Annotations", "a", 3, 4, 9, 12)
    (tmp_path / "set" / "Annotations").mkdir(parents=True)
    (tmp_path / "set" / "JPEGImages").mkdir()
    (tmp_path / "set" / "Annotations" / "x").symlink_to(tmp_path / "store" / "Annotations")
    (tmp_path / "set" / "Annotations" / "._b.xml").write_bytes(b"\0\5\x16\7")
    (tmp_path / "set" / "JPEGImages" / "x").symlink_to(tmp_path / "store" / "JPEGImages")
    assert boxes(tmp_path / "set") == ([[2, 3, 7, 9]], [])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gbk", "gb18030", "big5", "shift_jis"])
def test_encodings(tmp_path, encoding):
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    xml = f'<?xml version="1.0" encoding="{declared}"?>\n' + annotate(
        tmp_path, "a", 3, 4, 9, 12, name="木"
    )
    (tmp_path / "a.xml").write_bytes(xml.encode(encoding))
    coco, problems, _, _ = read_dataset(tmp_path)
    assert [x["name"] for x in coco["categories"]] == ["木"] and not problems


@pytest.mark.parametrize(
    ("declared", "content", "name"),
    [("utf-16", "utf-8", "木"), ("utf-16", "utf-16-le", "木"), ("ISO-8859-1", "latin-1", "é")],
)
def test_encodings_that_are_not_what_they_say(tmp_path, declared, content, name):
    xml = annotate(tmp_path, "a", 3, 4, 9, 12, name=name)
    xml = f"<?xml version='1.0' encoding='{declared}'?>{xml}"
    (tmp_path / "a.xml").write_bytes(xml.encode(content))
    coco, problems, _, _ = read_dataset(tmp_path)
    assert [x["name"] for x in coco["categories"]] == [name] and not problems


@pytest.mark.parametrize(
    ("declared", "content", "words"),
    [
        ("klingon", "木", "a.xml: the encoding 'klingon' is not known; save the file as UTF-8"),
        ("zip", "木", "a.xml: 'zip' is no encoding; save the file as UTF-8"),
        ("utf-8", "狗", r"a.xml: byte \d+ (0xb9, in line 1) is not UTF-8; save the file as UTF-8"),
    ],
)
def test_encodings_that_cannot_be_read_are_named(tmp_path, declared, content, words):
    xml = annotate(tmp_path, "a", 3, 4, 9, 12, name=content)
    xml = f"<?xml version='1.0' encoding='{declared}'?>{xml}"
    (tmp_path / "a.xml").write_bytes(xml.encode("gbk"))
    annotate(tmp_path, "b", 3, 4, 9, 12)
    coco, problems, _, _ = read_dataset(tmp_path)
    assert len(coco["images"]) == 1 and [p.kind for p in problems] == ["annotation file unreadable"]
    head, _, tail = words.partition(r"byte \d+ ")
    assert head in problems[0].where and tail in problems[0].where


def test_turned_boxes_of_cvat(tmp_path):
    rotation = "<attributes><attribute><name>rotation</name><value>{}</value></attribute>"
    for stem, degrees in (("a", "90.0"), ("b", "0.0"), ("c", "180")):
        more = rotation.format(degrees) + "</attributes>"
        annotate(tmp_path, stem, 11, 9, 30, 12, more=more)
    # [10, 8, 30, 12] has its centre at (20, 10); turned by 90 degrees it is 4 x 20 px.
    found, kinds = boxes(tmp_path)
    assert found == [pytest.approx([18, 0, 4, 20]), [10, 8, 20, 4], [10, 8, 20, 4]]
    assert kinds == ["turned box"]


def test_a_robndbox_in_degrees_is_left_out(tmp_path):
    annotate(tmp_path, "a", 3, 4, 9, 12)
    values = "<cx>9</cx><cy>9</cy><w>4</w><h>2</h><angle>45</angle>"
    xml = f"<annotation><object><name>cat</name><robndbox>{values}</robndbox></object></annotation>"
    (tmp_path / "a.xml").write_text(xml)
    assert boxes(tmp_path) == (
        [],
        ["turned box (robndbox) that is not cx, cy, w, h and an angle in radians"],
    )


def test_names_of_images(tmp_path):
    """<filename> counts where no image has the name of the xml file; whoever wrote it."""
    annotate(tmp_path, "a", 3, 4, 9, 12)
    xml = (tmp_path / "a.xml").read_text()
    (tmp_path / "a.xml").rename(tmp_path / "old.XML")
    for stated in ("a.png", "C:\\photos\\a.png", "photos/a.png"):
        stated = f"<filename>{stated}</filename></annotation>"
        (tmp_path / "old.XML").write_text(xml.replace("</annotation>", stated))
        coco, problems, _, _ = read_dataset(tmp_path)
        assert [x["file_name"] for x in coco["images"]] == ["a.png"] and not problems
    long = f"<filename>{'x' * 300}</filename></annotation>"
    (tmp_path / "old.XML").write_text(xml.replace("</annotation>", long))
    assert boxes(tmp_path) == ([], ["image file missing"])
