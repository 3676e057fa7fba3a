import cv2
import numpy as np
import pytest
from detectron2.data import MapDataset
from detectron2.data import transforms as T
from detectron2.structures import BoxMode
from torch.utils.data import DataLoader

from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.data.unreadable import TooManyUnreadableError
from fcos_deploy.image import ImageError


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
