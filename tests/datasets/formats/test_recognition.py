"""What a folder without a dataset has in it, and what to do about it."""

import json

import pytest
from layouts import write_image

from fcos_d2.datasets.folder import find_data
from fcos_d2.datasets.formats import read_dataset

LABEL_STUDIO = [{"id": 1, "annotations": [{"result": [{"value": {"rectanglelabels": ["a"]}}]}]}]
VIA = {"c.png9": {"filename": "c.png", "regions": [{"shape_attributes": {"name": "rect"}}]}}
DATUMARO = {"info": {}, "categories": {"label": {"labels": []}}, "items": []}
CREATEML = [{"image": "c.png", "annotations": [{"label": "a", "coordinates": {"x": 1}}]}]


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [
        (
            "p/project-1.json",
            LABEL_STUDIO,
            "p/project-1.json is Label Studio's own: export COCO or",
        ),
        (
            "a.json",
            [{"label": [{"rectanglelabels": ["a"]}]}],
            "a.json is Label Studio's own: export",
        ),
        ("via.json", VIA, "via.json is VIA's own: export COCO instead"),
        ("a.json", {"_via_settings": {}}, "a.json is VIA's"),
        ("a.json", {"objects": [{"classTitle": "a"}]}, "a.json is Supervisely's"),
        ("default.json", DATUMARO, "default.json is Datumaro's"),
        ("a.json", CREATEML, "a.json is CreateML's"),
        ("samples.json", {"samples": []}, "samples.json is FiftyOne's own: export COCODet"),
        ("a.json", {"images": []}, "a.json is not COCO json, which has lists of images"),
        ("x/a.txt", "0 0.5 0.5 0.25 0.5\n", "x/a.txt is YOLO's: it needs its images, and"),
        ("_annotations.txt", "c.png 1,2,3,4,0\n", "_annotations.txt is a list of boxes: give it "),
        ("a.csv", "image_id,bbox\n", "a.csv is not read: it needs the columns filename,xmin,ymin"),
        ("data/train-0.parquet", "PAR1", "data/train-0.parquet is parquet with images inside"),
        ("x.tfrecord", "", "x.tfrecord is TensorFlow's: export COCO, YOLO or Pascal VOC"),
        ("a.tar.gz", "", "a.tar.gz is an archive: unpack it"),
        ("stray.xml", "<project/>", "stray.xml is not Pascal VOC xml"),
    ],
)
def test_what_is_not_read_is_named(tmp_path, file, content, line):
    write_image(tmp_path / "images" / "c.png")
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError) as error:
        find_data(tmp_path)
    assert f"{tmp_path}: no annotations of a known format in it; {line}" in str(error.value)


def test_images_alone(tmp_path):
    write_image(tmp_path / "c.png")
    with pytest.raises(ValueError, match="no annotations of a known format in it$"):
        find_data(tmp_path)


@pytest.mark.parametrize(
    ("folders", "other", "is_one"),
    [
        (["cat", "dog"], None, True),
        (["bus", "train"], None, True),  # a train is a class
        (["train", "valid", "test"], None, False),
        (["cat", "dog"], "cat/_darknet.labels", False),
    ],
)
def test_a_folder_for_classification(tmp_path, folders, other, is_one):
    for name in folders:
        write_image(tmp_path / name / "c.png")
    if other:
        (tmp_path / other).touch()
    line = "is a folder of images per class, which is" if is_one else "no annotations of a known"
    for find in (find_data, read_dataset):
        with pytest.raises(ValueError, match=line):
            find(tmp_path)


def test_an_archive_is_to_be_unpacked(tmp_path):
    (tmp_path / "a.zip").touch()
    with pytest.raises(ValueError, match=r"a.zip is an archive: unpack it, and give the folder"):
        read_dataset(tmp_path / "a.zip")
