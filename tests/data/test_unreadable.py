"""Images that fail while training: what takes their place, and how long a folder is waited for."""

import errno
import threading
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import transforms as T
from detectron2.structures import BoxMode

from fcos_d2.data import unreadable
from fcos_d2.data.loader import build_training_loader
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.data.mixing import ImageMixing
from fcos_d2.data.seeding import seeded
from fcos_d2.data.unreadable import FolderAwayError, read_patiently
from fcos_deploy.vision import ImageError, read_image

SIZE = {"height": 20, "width": 30}


def make_records(folder: Path, broken: set[int], resized: set[int] = frozenset()) -> list[dict]:
    folder.mkdir(exist_ok=True)
    records = []
    for i in range(8):
        path = folder / f"{i}.png"
        height, width = (40, 10) if i in resized else SIZE.values()
        cv2.imwrite(str(path), np.full((height, width, 3), 20 * i, np.uint8))
        if i in broken:
            path.write_bytes(path.read_bytes()[:40])
        box = {"bbox": [3, 4, 10, 8], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0}
        records.append({"file_name": str(path), "image_id": i, **SIZE, "annotations": [box]})
    return records


def batches(records: list[dict], num_workers: int, start: int = 0, **options: object) -> list:
    mapper = FCOSDatasetMapper(
        is_train=True,
        augmentations=[T.RandomFlip(0.5), T.RandomBrightness(0.5, 1.5)],
        image_format="BGR",
        max_unreadable_share=1.0,
        **options,
    )
    with seeded(5):  # which draws the seed of the loader
        loader = build_training_loader(
            records, mapper=mapper, total_batch_size=2, num_workers=num_workers
        )
    loader.batch_sampler.start_iteration = start
    found = list(islice(loader, 6))
    return [(x["file_name"], x["image"], x["instances"].gt_boxes.tensor) for b in found for x in b]


@pytest.mark.parametrize("mixing", [None, ImageMixing(mosaic_prob=0.5)], ids=["plain", "mosaic"])
def test_workers_do_not_decide_what_takes_the_place(tmp_path, mixing):
    records = make_records(tmp_path, broken={0, 1, 2, 3}, resized={4})
    alone = batches(records, 0, mixing=mixing)
    for num_workers in (2, 4):
        for one, other in zip(alone, batches(records, num_workers, mixing=mixing), strict=True):
            assert one[0] == other[0]
            torch.testing.assert_close(one[1:], other[1:], rtol=0, atol=0)
    assert {Path(name).stem for name, *_ in alone} <= {"5", "6", "7"}
    # Nor does a stop, after which the first sample may be an unreadable one.
    for start in range(1, 6):
        resumed = batches(records, 0, start=start, mixing=mixing)
        for one, other in zip(alone[2 * start :], resumed, strict=False):
            torch.testing.assert_close(one[1:], other[1:], rtol=0, atol=0)


def test_an_image_of_another_size_is_named_and_replaced(tmp_path, caplog):
    records = make_records(tmp_path, broken=set(), resized={0, 1, 2, 3})
    assert {Path(name).stem for name, *_ in batches(records, 0)} <= {"4", "5", "6", "7"}
    assert "40 x 10 px (height x width), but its annotations were made for 20 x 30" in caplog.text


def test_in_evaluation_it_counts_as_without_detections(tmp_path, caplog):
    (record, *_) = make_records(tmp_path, broken=set(), resized={0})
    test = FCOSDatasetMapper(is_train=False, augmentations=[], image_format="BGR")
    mapped = test(record)
    assert mapped["image"].shape == (3, 20, 30) and not mapped["image"].any()
    assert "made for 20 x 30; it counts as an image without detections" in caplog.text


def test_nothing_can_be_read(tmp_path):
    with pytest.raises(ImageError, match="png: "):
        batches(make_records(tmp_path, broken=set(range(8))), 0)


def test_a_folder_that_is_away_is_waited_for(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(unreadable, "PAUSES", (0.1, 0.2, 0.4, 20))
    path = make_records(tmp_path / "here", broken=set())[1]["file_name"]
    (tmp_path / "here").rename(tmp_path / "away")

    def bring_back() -> None:
        time.sleep(0.15)
        (tmp_path / "away").rename(tmp_path / "here")

    thread = threading.Thread(target=bring_back)
    thread.start()
    image = read_patiently(lambda: read_image(path), path)
    thread.join()
    assert image.max() == 20
    said = [record.getMessage() for record in caplog.records]
    assert [line.rsplit("in ", 1)[1] for line in said] == ["0.1 s", "0.2 s"][: len(said)]


def test_a_folder_that_stays_away_ends_the_run_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(unreadable, "PAUSES", (0.01, 0.02))
    records = make_records(tmp_path / "here", broken=set())
    (tmp_path / "here").rename(tmp_path / "away")
    with pytest.raises(FolderAwayError, match=r"here has been away for 0.03 s.*--resume") as error:
        batches(records, 0)
    assert "\n" not in str(error.value)


def test_only_what_may_come_back_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(unreadable.time, "sleep", lambda seconds: waited.append(seconds))
    for number, expected in ((errno.EIO, 7), (errno.ESTALE, 7), (errno.ENOENT, 0), (None, 0)):
        waited: list[float] = []

        def read(number=number):
            try:
                raise OSError(number, "x") if number else ValueError("damaged")
            except (OSError, ValueError) as error:
                raise ImageError("a.png: x") from error

        with pytest.raises(ValueError, match="a.png"):
            read_patiently(read, tmp_path / "a.png")
        assert len(waited) == expected
