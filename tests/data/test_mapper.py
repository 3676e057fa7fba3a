import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetMapper, MapDataset
from detectron2.data import transforms as T
from detectron2.structures import BoxMode
from torch.utils.data import DataLoader

from fcos_d2.data.augmentation import FastResizeShortestEdge
from fcos_d2.data.augmentation_geometry import RandomAffine, RandomCropWithBoxes
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.data.mixing import ImageMixing
from fcos_d2.data.unreadable import TooManyUnreadableError
from fcos_deploy.vision import ImageError, read_reduced


def record(tmp_path, name="a.png", readable=True):
    path = tmp_path / name
    if readable:
        cv2.imwrite(str(path), np.full((20, 30, 3), (10, 20, 30), np.uint8))
    else:
        path.write_bytes(b"text")
    annotation = {
        "bbox": [3, 4, 10, 8],
        "bbox_mode": BoxMode.XYWH_ABS,
        "category_id": 2,
        "iscrowd": 0,
    }
    crowd = annotation | {"iscrowd": 1, "category_id": 1}
    return {
        "file_name": str(path),
        "height": 20,
        "width": 30,
        "annotations": [annotation, crowd],
    }


def mapper(is_train=True, image_format="BGR", **options):
    # Doubling both sides: boxes double as well.
    augmentations = [T.Resize((40, 60))]
    return FCOSDatasetMapper(
        is_train=is_train, augmentations=augmentations, image_format=image_format, **options
    )


def test_boxes_follow_the_resize_and_crowds_are_left_out(tmp_path):
    mapped = mapper()(record(tmp_path))
    assert mapped["image"].shape == (3, 40, 60)
    assert mapped["image"][:, 0, 0].tolist() == [10, 20, 30]
    # [3, 4, 10, 8] xywh = [3, 4, 13, 12] xyxy, times 2
    assert mapped["instances"].gt_boxes.tensor.tolist() == [[6, 8, 26, 24]]
    assert mapped["instances"].gt_classes.tolist() == [2]


def test_channel_order(tmp_path):
    mapped = mapper(image_format="RGB")(record(tmp_path))
    assert mapped["image"][:, 0, 0].tolist() == [30, 20, 10]


def test_the_record_is_not_changed(tmp_path):
    given = record(tmp_path)
    before = repr(given)
    mapper()(given)
    assert repr(given) == before


def test_unreadable_image_in_training_is_replaced_and_named(tmp_path, caplog):
    train = mapper()
    train(record(tmp_path))
    mapped = train(record(tmp_path, "broken.png", readable=False))
    assert mapped["file_name"].endswith("a.png")
    assert "broken.png" in caplog.text and "takes its place" in caplog.text


def test_first_image_unreadable_stops(tmp_path):
    with pytest.raises(ImageError, match="broken.png"):
        mapper()(record(tmp_path, "broken.png", readable=False))


def test_unreadable_images_are_counted_and_listed(tmp_path):
    """2 of 4 is more than 0.4; before `grace` images the share does not count."""
    train = mapper(max_unreadable_share=0.4, unreadable_list=str(tmp_path / "out" / "list.txt"))
    train.counter.grace = 4
    train(record(tmp_path))
    train(record(tmp_path, "b1.png", readable=False))
    train(record(tmp_path))
    with pytest.raises(TooManyUnreadableError, match="2 of 4 images .*b2.png.*list.txt"):
        train(record(tmp_path, "b2.png", readable=False))
    assert train.counter.counts == (4, 2)
    lines = (tmp_path / "out" / "list.txt").read_text().splitlines()
    assert [name in line for name, line in zip(("b1.png", "b2.png"), lines, strict=True)] == [
        True
    ] * 2


def test_workers_count_together(tmp_path):
    train = mapper(max_unreadable_share=1.0, unreadable_list=str(tmp_path / "list.txt"))
    records = [record(tmp_path, f"{i}.png", readable=i % 4 != 3) for i in range(16)]
    loader = DataLoader(MapDataset(records, train), batch_size=None, num_workers=2)
    assert len(list(loader)) == 16
    assert train.counter.counts == (16, 4)
    assert len((tmp_path / "list.txt").read_text().splitlines()) == 4


def test_unreadable_image_in_evaluation_is_black(tmp_path, caplog):
    mapped = mapper(is_train=False)(record(tmp_path, "broken.png", readable=False))
    assert mapped["image"].shape == (3, 40, 60) and not mapped["image"].any()
    assert "broken.png" in caplog.text


@pytest.mark.parametrize("flip", [False, True])
def test_annotations_are_those_of_detectron2(tmp_path, flip):
    """Boxes across the border, outside of it, without area, of two modes; other keys are left."""
    given = record(tmp_path)
    box = given["annotations"][0]
    box["bbox"] = [3.0, 4.0, 10.5, 8.0]
    modes = [BoxMode.XYWH_ABS, BoxMode.XYXY_ABS]
    boxes = [
        [-5.0, -5, 12, 9],
        [25.0, 15, 29, 30],
        [31.0, 2, 40, 9],
        [3.0, 3, 0, 5],
        [1.0, 2, 4, 5],
    ]
    given["annotations"] += [
        box | {"bbox": b, "bbox_mode": modes[i % 2], "category_id": i, "segmentation": [[0.0] * 6]}
        for i, b in enumerate(boxes)
    ]
    for annotations in (given["annotations"], []):
        augmentations = [T.Resize((33, 47)), *([T.RandomFlip(1.0)] if flip else [])]
        arguments = {"is_train": True, "augmentations": augmentations, "image_format": "BGR"}
        ours = FCOSDatasetMapper(**arguments)(given | {"annotations": annotations})
        theirs = DatasetMapper(**arguments)(given | {"annotations": annotations})
        ours, theirs = ours["instances"], theirs["instances"]
        assert ours.image_size == theirs.image_size and [*ours.get_fields()] == [
            *theirs.get_fields()
        ]
        assert torch.equal(ours.gt_boxes.tensor, theirs.gt_boxes.tensor)
        assert torch.equal(ours.gt_classes, theirs.gt_classes)
        assert (ours.gt_boxes.tensor.dtype, ours.gt_classes.dtype) == (torch.float32, torch.int64)


def test_boxes_of_whole_numbers_keep_fractions(tmp_path):
    """[3, 4, 13, 12] xyxy, of 30 x 20 px in 45 x 25: times 1.5 and 1.25."""
    augmentations = [T.Resize((25, 45))]
    ours = FCOSDatasetMapper(is_train=True, augmentations=augmentations, image_format="BGR")
    boxes = ours(record(tmp_path))["instances"].gt_boxes.tensor
    assert boxes.tolist() == [[4.5, 5.0, 19.5, 15.0]]


def large_jpeg(tmp_path):
    """A white rectangle of 200 x 160 px on black, in 801 x 1201 px."""
    image = np.zeros((801, 1201, 3), np.uint8)
    image[240:400, 400:600] = 255
    cv2.imwrite(str(tmp_path / "large.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    box = {"bbox": [400, 240, 200, 160], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0}
    record = {"file_name": str(tmp_path / "large.jpg"), "height": 801, "width": 1201}
    return record | {"annotations": [box | {"iscrowd": 0}]}


WARPS = {
    "affine": {"first": [RandomAffine(scale=(1.0, 1.0), translate=0.1)]},
    "affine, crop": {"first": [RandomAffine(), RandomCropWithBoxes(min_scale=0.5)]},
    "MixUp": {"mixing": {"mixup_prob": 1.0}},
    "Mosaic": {"mixing": {"mosaic_prob": 1.0}},
}


@pytest.mark.parametrize("name", WARPS)
def test_boxes_follow_the_pixels_of_reduced_images(tmp_path, name, monkeypatch):
    """801 x 1201 px at a short side of 96: an eighth or a quarter of the size is read."""
    warp, read = WARPS[name], []

    def reading(*arguments):
        read.append(read_reduced(*arguments)[0].shape[0])
        return read_reduced(*arguments)

    monkeypatch.setattr("fcos_d2.data.mapper.read_reduced", reading)
    resize = FastResizeShortestEdge(96, 999)
    mixing = ImageMixing(**warp["mixing"]) if "mixing" in warp else None
    train = FCOSDatasetMapper(
        is_train=True,
        augmentations=[*warp.get("first", []), resize],
        image_format="BGR",
        mixing=mixing,
    )
    given = large_jpeg(tmp_path)
    train.set_records([given])
    for seed in range(6):
        np.random.seed(seed)
        mapped = train(given)
        blue = mapped["image"][0].numpy().astype(float)
        boxes = mapped["instances"].gt_boxes.tensor.round().long()
        assert len(boxes)
        inside = np.zeros(blue.shape, bool)
        for x1, y1, x2, y2 in boxes.tolist():
            inside[y1:y2, x1:x2] = True
            # A border of black, or of the border of the image, all around each.
            assert blue[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].min() > 90
        grown = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert blue[~grown].max() < 150
    assert set(read) <= {801 // 8, 801 // 4}


def test_plain_images_are_read_whole(tmp_path):
    """To the very pixels of detectron2's reader and our resize."""
    given = large_jpeg(tmp_path)
    resize = FastResizeShortestEdge(96, 999)
    mapped = FCOSDatasetMapper(is_train=True, augmentations=[resize], image_format="BGR")(given)
    whole = cv2.imread(given["file_name"])
    expected = resize.get_transform(whole).apply_image(whole)
    assert (mapped["image"].numpy() == expected.transpose(2, 0, 1)).all()


def test_a_partner_of_another_size_than_stated_is_named_and_done_without(tmp_path, caplog):
    given = large_jpeg(tmp_path)
    mixing = ImageMixing(mixup_prob=1.0)
    train = FCOSDatasetMapper(
        is_train=True,
        augmentations=[],
        image_format="BGR",
        mixing=mixing,
        max_unreadable_share=1.0,
    )
    train.set_records([given | {"height": 1201, "width": 801}])
    mapped = train(given)
    assert mapped["file_name"] == given["file_name"]
    assert len(mapped["instances"]) == len(given["annotations"])
    assert "large.jpg: 801 x 1201 px (height x width), but its annotations" in caplog.text
