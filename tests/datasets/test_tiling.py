"""Tiles of large images: which boxes they get, where, and which tiles are written."""

import json

import cv2
import numpy as np
import pytest

from fcos_cli.main import main
from fcos_d2.datasets.formats import read_dataset
from fcos_d2.datasets.tiling import write_tiles

# An image of 10 x 6 px (w x h) in three tiles of 6 px that overlap by 4.
REGIONS = [(0, 0, 6, 6), (2, 0, 8, 6), (4, 0, 10, 6)]


def one_image(folder, *boxes):
    """The image, whose blue is the column and green the row, and its annotations."""
    picture = np.zeros((6, 10, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(10) * 20, np.arange(6)[:, None] * 20
    cv2.imwrite(str(folder / "a.png"), picture)
    annotations = [
        {"id": i, "image_id": 1, "category_id": 7, "bbox": [*box], "iscrowd": crowd}
        for i, (*box, crowd) in enumerate(boxes)
    ]
    images = [{"id": 1, "file_name": "a.png", "height": 6, "width": 10}]
    return {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "x"}]}


def boxes_of(folder):
    data = json.loads((folder / "annotations.json").read_text())
    names = {x["id"]: x["file_name"] for x in data["images"]}
    return [(names[a["image_id"]], *a["bbox"]) for a in data["annotations"]]


def test_boxes_by_their_visible_share(tmp_path):
    coco = one_image(tmp_path, (1, 1, 4, 2, 0))  # 1 to 5: of its 4 columns 4, 3 and 1 are seen
    made = write_tiles(coco, tmp_path, tmp_path / "out", lambda _: REGIONS, min_visible=0.5)
    assert boxes_of(tmp_path / "out") == [
        ("images/a_0_0.png", 1, 1, 4, 2),
        ("images/a_2_0.png", 0, 1, 3, 2),
    ]
    assert (made.tiles, made.boxes, made.lost) == (2 + made.empty, 2, 0)
    tile = cv2.imread(str(tmp_path / "out" / "images" / "a_2_0.png"))
    assert tile.shape == (6, 6, 3) and tile[3, 0].tolist() == [40, 60, 0]


def test_a_crowd_counts_wherever_it_is_and_large_boxes_are_counted(tmp_path):
    coco = one_image(tmp_path, (5, 0, 5, 6, 1), (0, 0, 10, 1, 0))
    made = write_tiles(coco, tmp_path, tmp_path / "out", lambda _: REGIONS, min_visible=0.8)
    assert [box[0] for box in boxes_of(tmp_path / "out")] == [
        f"images/a_{x}_0.png" for x in (0, 2, 4)
    ]
    assert made.lost == 1 and "1 boxes are too large for any tile" in str(made)


def test_the_share_of_empty_tiles(tmp_path):
    coco = one_image(tmp_path, (0, 0, 1, 1, 0))
    every = [(x, y, x + 1, y + 1) for x in range(10) for y in range(6)]
    for share, least, most in ((0, 0, 0), (1, 59, 59), (0.5, 15, 45)):
        made = write_tiles(
            coco, tmp_path, tmp_path / f"{share}", lambda _: every, empty_share=share
        )
        assert least <= made.empty <= most and made.empty + made.left_out == 59
        assert made.tiles == made.empty + 1


@pytest.mark.parametrize(
    ("shares", "line"),
    [({"min_visible": 0}, "visible share of a box"), ({"empty_share": 2}, "tiles without boxes")],
)
def test_shares_out_of_range(tmp_path, shares, line):
    with pytest.raises(ValueError, match=line):
        write_tiles(one_image(tmp_path), tmp_path, tmp_path / "out", lambda _: REGIONS, **shares)


def test_names_from_the_data_stay_in_the_folder(tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    coco = one_image(tmp_path, (0, 0, 3, 3, 0))
    coco["images"][0]["file_name"] = "../../a.png"
    with pytest.raises(ValueError, match="leads out of the output folder"):
        write_tiles(coco, folder, tmp_path / "out", lambda _: REGIONS)
    assert not (tmp_path / "out").exists()


def test_the_command_cuts_all_sets_of_a_folder(tmp_path, capsys):
    for split in ("train", "val"):
        folder = tmp_path / "data" / split
        folder.mkdir(parents=True)
        coco = one_image(folder, (1, 1, 3, 3, 0))
        (folder / "boxes.json").write_text(json.dumps(coco))
    output = tmp_path / "tiles"
    words = ["convert", str(tmp_path / "data"), "--slice", "6", "--slice-overlap", "0.5"]
    assert main([*words, "--output", str(output)]) == 0
    assert "1 images became" in capsys.readouterr().out
    read = read_dataset(output / "val" / "annotations.json")
    assert read.problems == []
    assert [x["file_name"] for x in read.coco["images"]] == [
        "images/a_0_0.png",
        "images/a_2_0.png",
        "images/a_4_0.png",
    ]
