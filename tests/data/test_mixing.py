"""Images made of several: what is drawn where, and what becomes of boxes and masks."""

import logging
import os
from collections import Counter
from itertools import product

import cv2
import numpy as np
import pytest
from detectron2.structures import BoxMode

from fcos_d2.config import get_cfg
from fcos_d2.data.copy_paste import paste_instances
from fcos_d2.data.input_size import InputSize
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.data.mixing import ImageMixing
from fcos_d2.sample import Sample, box_of_mask, decoded, encode
from fcos_deploy.vision import ImageError

# Far apart from each other and from the grey of the images.
LEVELS = (20, 135, 250)
COLORS = [c for c in product(LEVELS, repeat=3) if len(set(c)) > 1]
SIZE = (60, 80)  # height, width
SAME_SIZE = InputSize([])  # the network gets images as they are


def record_of(index: int, box=(20, 15, 50, 45), **more) -> dict:
    """An image of one rectangle, whose colour is that of the index."""
    x1, y1, x2, y2 = box
    annotation = {
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "bbox_mode": BoxMode.XYWH_ABS,
        "category_id": index,
        "iscrowd": 0,
        "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
    }
    size = {"height": SIZE[0], "width": SIZE[1]}
    return {"file_name": str(index), **size, "annotations": [annotation | more]}


def read(record: dict) -> np.ndarray:
    image = np.full((*SIZE, 3), 128, np.uint8)
    for annotation in record["annotations"]:
        x, y, width, height = (round(v) for v in annotation["bbox"])
        image[y : y + height, x : x + width] = COLORS[int(record["file_name"])]
    return image


def mixed(seed: int, records: list[dict] | None = None, **options):
    """What becomes of the first record."""
    mixing = ImageMixing(**options)
    records = records or [record_of(i) for i in range(len(COLORS))]
    mixing.records = records
    np.random.seed(seed)
    result = mixing(records[0], lambda: read(records[0]), read, SAME_SIZE)
    return result or (records[0], read(records[0]))


def colored(image: np.ndarray, index: int, box: np.ndarray) -> np.ndarray:
    """The box around the pixels of a record's colour near `box`."""
    near = np.abs(image.astype(int) - COLORS[index]).max(axis=2) < 50
    window = np.zeros_like(near)
    x1, y1, x2, y2 = np.clip(box.round().astype(int) + np.array([-3, -3, 3, 3]), 0, None)
    window[y1:y2, x1:x2] = True
    return box_of_mask(near & window)


@pytest.mark.parametrize("images", [4, 9])
@pytest.mark.parametrize("seed", range(5))
def test_boxes_of_a_mosaic_follow_the_pixels(images, seed):
    record, image = mixed(seed, mosaic_prob=1.0, mosaic_images=images, mosaic_size=160)
    assert image.shape == (160, 160, 3) and (record["height"], record["width"]) == (160, 160)
    assert 1 <= len(record["annotations"]) <= images
    for annotation in record["annotations"]:
        assert annotation["bbox_mode"] == BoxMode.XYXY_ABS
        found = colored(image, annotation["category_id"], annotation["bbox"])
        np.testing.assert_allclose(found, annotation["bbox"], atol=2)


@pytest.mark.parametrize("seed", range(5))
def test_mixup_is_the_mean(seed):
    records = [record_of(0), record_of(1, box=(0, 0, 80, 60))]  # the second has one colour
    # In one of a thousand draws the partner is the image itself.
    record, image = mixed(seed, records[:1] + records[1:] * 999, mixup_prob=1.0)
    first, second = (a["bbox"] for a in record["annotations"])
    assert first.tolist() == [20, 15, 50, 45]
    # The mean of the partner with the grey around, and with the object of the first.
    means = [(np.array(COLORS[1]) + other) / 2 for other in ([128] * 3, COLORS[0])]
    partner = np.any([np.abs(image - mean).max(axis=2) < 3 for mean in means], axis=0)
    np.testing.assert_allclose(box_of_mask(partner), second, atol=1)
    # Where the partner is not, the mean of 128 and 114: nowhere, where it is as large as the image.
    alone = (np.abs(image.astype(int) - 121).max(axis=2) < 2).any()
    assert alone == (second.tolist() != [0, 0, 80, 60])


def test_the_same_seed_gives_the_same_sample():
    options = {"mosaic_prob": 0.5, "mixup_prob": 0.5, "copy_paste_prob": 0.5, "mosaic_size": 64}
    for seed in range(4):
        (first, image), (second, again) = mixed(seed, **options), mixed(seed, **options)
        assert (image == again).all()
        assert str(first) == str(second)
    records = {str(mixed(seed, **options)[0]) for seed in range(8)}
    assert len(records) >= 4  # an eighth of the seeds mixes nothing


def test_closing_iteration():
    options = {"mosaic_prob": 1.0, "mixup_prob": 1.0, "close_at_iteration": 10}
    record = record_of(0)
    for iteration, closed in ((9, False), (10, True), (11, True)):
        result, image = mixed(0, [{**record, "iteration": iteration}], **options)
        assert (image == read(record)).all() == closed
        assert (result["annotations"][0]["bbox_mode"] == BoxMode.XYWH_ABS) == closed


def test_the_given_record_stays_as_it_is():
    record = record_of(0)
    mixed(0, [record], mosaic_prob=1.0, mixup_prob=1.0, copy_paste_prob=1.0)
    assert record == record_of(0)


def test_a_dataset_of_one_image_and_one_without_boxes():
    record, image = mixed(0, [record_of(0)], mosaic_prob=1.0, mosaic_size=64)
    assert image.shape == (64, 64, 3)
    empty = {**record_of(1), "annotations": []}
    record, image = mixed(0, [empty], mosaic_prob=1.0, mixup_prob=1.0, copy_paste_prob=1.0)
    assert record["annotations"] == []


def test_a_partner_that_cannot_be_read():
    """Others are drawn; where none can be read, the image stays alone."""
    tried = []

    def read_some(record):
        tried.append(record["file_name"])
        if record["file_name"] != "0":
            raise ImageError("broken")
        return read(record)

    mixing = ImageMixing(mosaic_prob=1.0, mixup_prob=1.0, mosaic_size=64)
    mixing.records = [record_of(0), record_of(1), record_of(2)]
    np.random.seed(0)
    record, _ = mixing(record_of(0), lambda: read(record_of(0)), read_some, SAME_SIZE)
    assert {a["category_id"] for a in record["annotations"]} == {0} and len(set(tried)) > 1
    mixing.records = [record_of(1)]
    record, _ = mixing(record_of(0), lambda: read(record_of(0)), read_some, SAME_SIZE)
    assert {a["category_id"] for a in record["annotations"]} == {0}
    assert len(tried) < 100


def test_crowd_regions_and_masks_are_carried_along():
    record, _image = mixed(
        1, [record_of(0, iscrowd=1)], mosaic_prob=1.0, mosaic_size=160, with_masks=True
    )
    assert record["annotations"]
    for annotation in record["annotations"]:
        assert annotation["iscrowd"] == 1
        mask = decoded(annotation["segmentation"])
        assert mask.shape == (160, 160)
        np.testing.assert_allclose(box_of_mask(mask), annotation["bbox"], atol=1.5)


def test_boxes_of_which_too_little_is_left_are_dropped():
    """Windows of at most 60 x 60 px of 4 x larger images rarely show a tenth of a large box."""
    kept = [
        len(mixed(seed, mosaic_prob=1.0, mosaic_size=64, min_visible=0.99)[0]["annotations"])
        for seed in range(9)
    ]
    all_of = [
        len(mixed(seed, mosaic_prob=1.0, mosaic_size=64, min_visible=0.0)[0]["annotations"])
        for seed in range(9)
    ]
    assert sum(kept) < sum(all_of)


# --- copy-paste -------------------------------------------------------------------------------


def sample_of(*boxes, size=SIZE) -> Sample:
    """White rectangles on black, with masks."""
    image, annotations = np.zeros((*size, 3), np.uint8), []
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2] = 255
        mask = image[..., 0] * 0
        mask[y1:y2, x1:x2] = 1
        box = np.array([x1, y1, x2, y2], dtype=float)
        annotations.append(
            {"bbox": box, "category_id": i, "iscrowd": 0, "segmentation": encode(mask)}
        )
    return Sample(image, annotations)


def pastes(below: Sample, above: Sample, min_visible: float) -> list[Sample]:
    """What comes of some draws; each object is pasted in the half of them."""
    np.random.seed(0)
    results = [paste_instances(below, above, min_visible) for _ in range(24)]
    results = [result for result in results if result is not below]
    assert len(results) >= 4
    return results


def test_pasted_objects_and_what_is_left_of_others():
    below, above = sample_of((10, 10, 50, 40)), sample_of((0, 0, 80, 60))
    above.image[:] = (0, 0, 255)
    for result in pastes(below, above, min_visible=0.0):
        check_paste(result)


def check_paste(result: Sample) -> None:
    """Of one red object over a white one."""
    *others, pasted = result.annotations
    red = (result.image == (0, 0, 255)).all(axis=2)
    assert (decoded(pasted["segmentation"]) == red).all()
    assert pasted["bbox"].tolist() == box_of_mask(red).tolist()
    white = (result.image == 255).all(axis=2)
    assert len(others) == white.any()
    for annotation in others:
        assert (decoded(annotation["segmentation"]) == white).all()
        assert annotation["bbox"].tolist() == box_of_mask(white).tolist()


def test_covered_objects_are_dropped_crowds_stay_and_boxes_without_masks_are_counted():
    """An object covers all of each of three others, or exactly half, which is left."""
    sample = sample_of((0, 0, 80, 60), (0, 0, 80, 60))
    sample.annotations[1]["iscrowd"] = 1
    sample.annotations.append(
        {"bbox": np.array([0.0, 0.0, 80.0, 60.0]), "category_id": 2, "iscrowd": 0}
    )
    for right, left in ((80, {1}), (40, {0, 1, 2})):
        for result in pastes(sample, sample_of((0, 0, right, 60)), min_visible=0.5):
            assert {a["category_id"] for a in result.annotations[:-1]} == left


# --- in the mapper ----------------------------------------------------------------------------


def write_records(folder, count: int) -> list[dict]:
    records = []
    for i in range(count):
        record = record_of(i % len(COLORS))
        path = folder / f"{i}.png"
        cv2.imwrite(str(path), read(record))
        records.append({**record, "file_name": str(path), "image_id": i})
    return records


def train_config(*opts):
    cfg = get_cfg()
    cfg.merge_from_list(["INPUT.MIN_SIZE_TRAIN", (64,), "INPUT.MAX_SIZE_TRAIN", 128, *opts])
    return cfg


def mapper_of(*opts) -> FCOSDatasetMapper:
    return FCOSDatasetMapper(train_config(*opts), is_train=True)


def test_mapper_mixes_and_filters(tmp_path):
    records = write_records(tmp_path, 5)
    mapper = mapper_of("INPUT.MIX.MOSAIC_PROB", 1.0, "INPUT.MIX.MOSAIC_SIZE", 160)
    mapper.set_records(records)
    np.random.seed(0)
    result = mapper(records[0])
    assert result["image"].shape == (3, 160, 160)
    assert len(result["instances"]) >= 2 and "annotations" not in result
    tried, failed = mapper.counter.counts
    assert (tried, failed) == (4, 0)


def test_mapper_closes_the_mixing(tmp_path):
    records = write_records(tmp_path, 2)
    opts = ["INPUT.MIX.MIXUP_PROB", 1.0, "INPUT.MIX.CLOSE_ITERS", 3, "SOLVER.MAX_ITER", 10]
    mapper = mapper_of(*opts)
    mapper.set_records(records)
    counts = [len(mapper({**records[0], "iteration": i})["instances"]) for i in (6, 7)]
    assert counts == [2, 1]


def test_crowd_regions_as_objects(tmp_path):
    (record,) = write_records(tmp_path, 1)
    record["annotations"][0]["iscrowd"] = 1
    assert len(mapper_of()(record)["instances"]) == 0
    assert len(mapper_of("INPUT.USE_CROWD_BOXES", True)(record)["instances"]) == 1


def test_mixing_ends_with_a_share_of_the_run(caplog):
    """A fifth of 10 iterations is 2; CLOSE_ITERS wins, and says when it leaves none to mix."""
    share = ["INPUT.MIX.MIXUP_PROB", 1.0, "INPUT.MIX.CLOSE_SHARE", 0.2, "SOLVER.MAX_ITER"]
    closing = [mapper_of(*share, n).mixing.close_at_iteration for n in (10, 100)]
    assert closing == [8, 80]
    assert mapper_of(*share, 10, "INPUT.MIX.CLOSE_ITERS", 5).mixing.close_at_iteration == 5
    # Another test may have switched on what is said below a warning.
    assert not [x for x in caplog.records if x.levelno >= logging.WARNING]
    mapper_of(*share, 10, "INPUT.MIX.CLOSE_ITERS", 20)
    assert "no image of the 10 iterations will be mixed" in caplog.text
    ImageMixing(mixup_prob=1.0, close_at_iteration=800, max_iter=100)
    assert "does not end within the 100 of the run" in caplog.text
    with pytest.raises(ValueError, match=r"CLOSE_SHARE must be in \[0, 1\], got 2"):
        ImageMixing(close_share=2)
    with pytest.raises(ValueError, match="needs max_iter"):
        ImageMixing(close_share=0.1)


RULES = {
    "short edge": ["INPUT.MIN_SIZE_TRAIN", (80, 96, 128), "INPUT.MIN_SIZE_TEST", 112],
    "long side limited": [
        *("INPUT.MIN_SIZE_TRAIN", (96,), "INPUT.MAX_SIZE_TRAIN", 128),
        *("INPUT.MIN_SIZE_TEST", 96, "INPUT.MAX_SIZE_TEST", 128),
    ],
    "letterbox": [
        *("INPUT.RESIZE_RULE_TRAIN", "letterbox", "INPUT.RESIZE_RULE_TEST", "letterbox"),
        *("INPUT.SQUARE_SIZE", 160),
    ],
    "large-scale jitter": [
        *("INPUT.RESIZE_RULE_TRAIN", "large_scale_jitter", "INPUT.SQUARE_SIZE", 160),
        *("INPUT.MIN_SIZE_TEST", 112, "INPUT.MAX_SIZE_TEST", 190),
    ],
}


@pytest.mark.parametrize(
    ("rule", "kind"),
    [*((rule, "MOSAIC") for rule in RULES), ("short edge", "MIXUP"), ("short edge", "COPY_PASTE")],
)
@pytest.mark.parametrize("size", [(96, 96), (90, 120), (90, 160), (160, 90)])
def test_objects_have_the_size_that_they_have_at_test_time(tmp_path, size, rule, kind):
    """The median within 10 %, over squares of an eighth and a quarter of the short side."""
    rng, records = np.random.default_rng(0), []
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((*size, 3), np.uint8))
    sides = min(size) // 8, min(size) // 4  # of the two classes
    for i in range(12):
        corners = rng.integers(0, np.array(size[::-1]) - sides[i % 2], (4, 2))
        annotations = [annotation_of(x, y, sides[i % 2], i % 2) for x, y in corners.tolist()]
        record = {"file_name": str(tmp_path / "a.png"), "annotations": annotations}
        records.append({**record, "height": size[0], "width": size[1]})
    opts = [*RULES[rule], f"INPUT.MIX.{kind}_PROB", 1.0]
    train = mapper_of("INPUT.MAX_SIZE_TRAIN", 999, "INPUT.MAX_SIZE_TEST", 999, *opts)
    train.set_records(records)
    cfg = train_config("INPUT.MAX_SIZE_TEST", 999, *opts)
    tested = FCOSDatasetMapper(cfg, is_train=False)(records[0])["image"].shape
    scale = (tested[1] * tested[2] / (size[0] * size[1])) ** 0.5
    np.random.seed(0)
    ratios = []
    for i in range(32):
        found = train(records[i % 12])["instances"]
        whole = scale * np.take(sides, found.gt_classes.numpy())
        ratios += (found.gt_boxes.area().sqrt().numpy() / whole).tolist()
    assert np.median(ratios) == pytest.approx(1, abs=0.1), len(ratios)


def annotation_of(x: int, y: int, side: int, category: int) -> dict:
    corners = [x, y, x + side, y, x + side, y + side, x, y + side]
    box = {"bbox": [x, y, side, side], "bbox_mode": BoxMode.XYWH_ABS, "segmentation": [corners]}
    return {**box, "category_id": category, "iscrowd": 0}


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (("INPUT.MIX.MOSAIC_PROB", 1.0, "INPUT.MIX.MOSAIC_IMAGES", 5), "4 or 9, got 5"),
        (("INPUT.MIX.MIXUP_PROB", 1.5), r"_PROB must be in \[0, 1\], got 1.5"),
        (("INPUT.MIX.MOSAIC_PROB", 1.0, "INPUT.MIX.MOSAIC_SIZE", 8), "at least 32, got 8"),
        (("INPUT.MIX.MIXUP_PROB", 0.5, "MODEL.MASK_ON", True), "MASK_FORMAT bitmask"),
        (("INPUT.RESIZE_RULE_TRAIN", "square"), "RESIZE_RULE_TRAIN must be one of .*'square'"),
    ],
)
def test_mistakes_are_named(opts, message):
    with pytest.raises(ValueError, match=message):
        mapper_of(*opts)


def test_letterbox_at_test_time_has_no_border(tmp_path):
    """Boxes are scaled back by the size of the image, which a border would change."""
    cfg = get_cfg()
    cfg.INPUT.RESIZE_RULE_TRAIN = cfg.INPUT.RESIZE_RULE_TEST = "letterbox"
    cfg.INPUT.SQUARE_SIZE = 160
    (record,) = write_records(tmp_path, 1)
    assert FCOSDatasetMapper(cfg, is_train=False)(record)["image"].shape == (3, 120, 160)
    assert FCOSDatasetMapper(cfg, is_train=True)(record)["image"].shape == (3, 160, 160)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pytest would keep all of them
def test_memory_of_a_worker_does_not_grow(tmp_path):
    """Resident memory after 2000 mixed samples is that after 500, but for 2 %."""
    records = write_records(tmp_path, 40)
    mapper = mapper_of(
        *("INPUT.MIX.MOSAIC_PROB", 1.0, "INPUT.MIX.MIXUP_PROB", 1.0, "INPUT.MIX.MOSAIC_SIZE", 640),
        *("INPUT.MIX.COPY_PASTE_PROB", 0.5),
    )
    mapper.set_records(records)
    resident = {}
    for i in range(2000):
        mapper(records[i % len(records)])
        if i + 1 in (500, 2000):
            with open(f"/proc/{os.getpid()}/statm") as file:
                resident[i + 1] = int(file.read().split()[1])
    assert resident[2000] < 1.02 * resident[500]


def test_slivers_are_not_learned_unless_asked_for():
    options = [], ["INPUT.MIN_VISIBLE", 0.1]
    mappers = [mapper_of("INPUT.MIX.MOSAIC_PROB", 1.0, *some) for some in options]
    assert [mapper.mixing.min_visible for mapper in mappers] == [0.3, 0.1]


@pytest.mark.parametrize("kind", ["masks", "crowd masks", "boxes", "off"])
def test_copy_paste_without_masks_is_said_once(kind, caplog, monkeypatch):
    monkeypatch.setattr("detectron2.utils.logger._LOG_COUNTER", Counter())
    mask = {"masks": {}, "crowd masks": {"iscrowd": 1}}.get(kind, {"segmentation": []})
    records = [record_of(1, segmentation=[]), record_of(0, **mask)]
    for _ in range(2):  # a second loader is built for precise batch norms
        mixing = ImageMixing(copy_paste_prob=0.0 if kind == "off" else 0.5)
        mixing.set_records(records)
    said = [x for x in caplog.records if "copy-paste" in x.getMessage()]
    assert len(said) == (kind in ("crowd masks", "boxes"))
