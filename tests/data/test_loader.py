"""Which samples a run sees, and in which order."""

import random
from itertools import islice

import cv2
import numpy as np
import pytest
import torch
from detectron2.data.samplers import TrainingSampler

from fcos_d2.config import get_cfg
from fcos_d2.data.loader import TrainingBatches, build_training_loader, follow
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.data.seeding import as_the_batch, seeded, within_batch

# Four lying and two standing images.
RECORDS = [
    {"width": w, "height": h, "name": i} for i, (w, h) in enumerate([(4, 3)] * 4 + [(3, 4)] * 2)
]


def mapper(record):
    """All kinds of random numbers that an augmentation may draw."""
    drawn = random.random(), float(np.random.rand()), float(torch.rand(1))
    return {"name": record["name"], "iteration": record["iteration"], "drawn": drawn}


def batches(count, start=0, **options):
    """The first batches of a run of seed 3 that goes on at an iteration."""
    with seeded(3):
        loader = build_training_loader(
            RECORDS, **{"mapper": mapper, "total_batch_size": 2} | options
        )
    loader.batch_sampler.start_iteration = start
    return list(islice(loader, count))


def test_a_resumed_run_gets_what_was_next():
    assert batches(6)[2:] == batches(4, start=2)
    accumulated = {"total_batch_size": 4, "accumulate_steps": 2}
    assert batches(6, **accumulated)[2:] == batches(4, start=1, **accumulated)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_change_nothing(num_workers):
    assert batches(5) == batches(5, num_workers=num_workers)


def enlarging_mapper(record):
    image = np.full((480, 640, 3), record["name"], np.uint8)
    return int(cv2.resize(image, (1067, 800)).max())


def test_workers_use_opencv_after_their_parent_did():
    """The threads of its pool are not in the worker, where `cv2.setNumThreads` waits for them."""
    cv2.resize(np.zeros((480, 640, 3), np.uint8), (3000, 2000))
    with seeded(3):
        loader = build_training_loader(
            RECORDS, mapper=enlarging_mapper, total_batch_size=2, num_workers=1
        )
    loader.timeout = 60  # s
    assert sorted({value for batch in islice(loader, 20) for value in batch}) == [*range(6)]


def test_every_sample_has_its_own_random_numbers():
    drawn = [sample["drawn"] for batch in batches(50) for sample in batch]
    assert len(set(drawn)) == 100
    # Uniform: the mean of 100 numbers lies within 3 of its deviations of 0.289 / 10.
    np.testing.assert_allclose(np.mean(drawn, axis=0), 0.5, atol=0.087)


def test_every_image_comes_once_in_an_epoch():
    names = [x["name"] for batch in batches(6, aspect_ratio_grouping=False) for x in batch]
    assert sorted(names[:6]) == sorted(names[6:]) == [0, 1, 2, 3, 4, 5]


def test_lying_and_standing_images_are_not_mixed():
    for batch in batches(20):
        assert len({x["name"] < 4 for x in batch}) == 1


def test_iterations_are_counted_over_accumulated_batches():
    found = batches(4, total_batch_size=4, accumulate_steps=2)
    assert [[x["iteration"] for x in batch] for batch in found] == [[0, 0], [0, 0], [1, 1], [1, 1]]
    # The same images as in batches of two, because both go through one order.
    names = [[x["name"] for x in batch] for batch in found]
    assert names == [[x["name"] for x in batch] for batch in batches(4)]


def test_ranks_get_different_samples(monkeypatch):
    def draws(rank):
        monkeypatch.setattr("detectron2.utils.comm.get_rank", lambda: rank)
        monkeypatch.setattr("detectron2.utils.comm.get_world_size", lambda: 2)
        sampler = TrainingSampler(4, seed=1)
        return [x for batch in islice(TrainingBatches(sampler, None, 2, seed=5), 1) for x in batch]

    first, second = draws(0), draws(1)
    assert {x.record for x in first + second} == {0, 1, 2, 3}
    assert len({x.seed for x in first + second}) == 4
    assert len({x.batch_seed for x in first + second}) == 1  # no process waits for a larger image


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_batch_size": 3, "accumulate_steps": 2}, "batch of 3 .* 1 processes x 2 steps"),
        ({"dataset": []}, "no image to train on"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_training_loader(
            **{"dataset": RECORDS, "mapper": mapper, "total_batch_size": 2} | options
        )


def test_the_callers_random_numbers_go_on():
    np.random.seed(1)
    expected = np.random.rand(2)
    np.random.seed(1)
    first = np.random.rand()
    with seeded(7):
        np.random.rand()
    assert [first, np.random.rand()] == expected.tolist()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_schedule_that_is_followed(num_workers):
    """Samples have the iteration of the schedule when they were drawn; workers are ahead."""
    with seeded(3):
        loader = build_training_loader(
            RECORDS, mapper=mapper, total_batch_size=2, num_workers=num_workers
        )
    position = 0.0
    follow(loader, lambda: position)
    found = []
    for batch in islice(loader, 12):
        found.append(batch[0]["iteration"])
        position += 2.5
    ahead = 2 * num_workers  # torch's prefetch_factor
    expected = [0] * ahead + [int(2.5 * i) for i in range(12 - ahead)]
    assert found == expected
    plain = [[x["drawn"] for x in batch] for batch in batches(12)]
    with seeded(3):
        again = build_training_loader(RECORDS, mapper=mapper, total_batch_size=2)
    follow(again, lambda: 99.0)
    assert [[x["drawn"] for x in batch] for batch in islice(again, 12)] == plain


def test_numbers_that_a_batch_shares():
    with seeded(3), within_batch(7):
        with as_the_batch():
            shared = np.random.rand()
        own = np.random.rand()
    with seeded(4), within_batch(7), as_the_batch():
        assert np.random.rand() == shared
    for really in (True, False):  # outside of a batch, and where they are not wanted
        with seeded(3), as_the_batch(really):
            assert np.random.rand() == own
    with seeded(3), within_batch(7), as_the_batch(False):
        assert np.random.rand() == own


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("resize", ["PIL", "torch"])
def test_one_size_per_batch(tmp_path, resize, num_workers):
    """Sizes of 60 images in batches of 2: one in each batch, but all of the three in some batch."""
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), np.zeros((40, 60, 3), np.uint8))
    record = {"file_name": str(path), "height": 40, "width": 60, "annotations": []}
    cfg = get_cfg()
    cfg.merge_from_list(["INPUT.MIN_SIZE_TRAIN", (32, 64, 96), "INPUT.RESIZE", resize])

    def heights(per_batch):
        cfg.INPUT.ONE_SIZE_PER_BATCH = per_batch
        with seeded(0):
            loader = build_training_loader(
                [{**record, "image_id": i} for i in range(6)],
                mapper=FCOSDatasetMapper(cfg, is_train=True),
                total_batch_size=2,
                num_workers=num_workers,
            )
        return [{x["image"].shape[1] for x in batch} for batch in islice(loader, 30)]

    assert {len(found) for found in heights(True)} == {1}
    assert set.union(*heights(True)) == {32, 64, 96}
    assert {len(found) for found in heights(False)} == {1, 2}
