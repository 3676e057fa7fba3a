"""Training batches that depend on the seed and the iteration alone.

A sample is the same whatever the number of workers, and after a stop a run goes on with the batch
that was next. detectron2's own loader starts its shuffled order anew, and augments with random
numbers that depend on what a worker did before.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetFromList
from detectron2.data.build import _train_loader_from_config
from detectron2.data.samplers import TrainingSampler
from detectron2.utils import comm
from torch.utils.data import DataLoader, Dataset, Sampler

from .forking import use_one_opencv_thread_in_forks
from .seeding import seeded, within_batch
from .workers import follow_parent

use_one_opencv_thread_in_forks()


class Draw(NamedTuple):
    """One sample of a run."""

    record: int  # index into the dataset
    iteration: int  # of the schedule, as known when the sample was drawn
    seed: int  # of the random numbers that augment it
    batch_seed: int  # of those that its whole batch shares, on all processes


class SeededRecords(Dataset):
    """What a mapper makes of the records; see `Draw`."""

    def __init__(self, records: list[dict], mapper: Callable[[dict], dict]) -> None:
        """
        Args:
            records: in detectron2's dataset format.
            mapper: gets a record with the key "iteration" added.
        """
        # One packed array instead of many objects, so that workers share the memory.
        self.records = DatasetFromList(records, copy=False)
        self.mapper = mapper
        if hasattr(mapper, "set_records"):
            mapper.set_records(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, draw: Draw) -> dict:
        with seeded(draw.seed), within_batch(draw.batch_seed):
            return self.mapper({**self.records[draw.record], "iteration": draw.iteration})


class TrainingBatches(Sampler):
    """Endless batches of draws for this process; landscape and portrait images do not mix."""

    def __init__(
        self,
        sampler: Sampler,
        groups: list[int] | None,
        batch_size: int,
        accumulate_steps: int = 1,
        seed: int = 0,
    ) -> None:
        """
        Args:
            sampler: endless indices for this process.
            groups: of each record; a batch holds one group only. None: any records go together.
            batch_size: images of a batch.
            accumulate_steps: batches of an iteration.
            seed: of the augmentations, the same in all processes.
        """
        self.sampler = sampler
        self.groups = groups
        self.batch_size = batch_size
        self.accumulate_steps = accumulate_steps
        self.seed = seed
        self.start_iteration = 0  # set it to resume a run
        # Gives the iteration of the schedule where that is not the number of the batch.
        self.position: Callable[[], float] | None = None

    def __iter__(self) -> Iterator[list[Draw]]:
        rank, skipped = comm.get_rank(), self.start_iteration * self.accumulate_steps
        for number, batch in enumerate(self._positions()):
            if number < skipped:
                continue
            iteration = number // self.accumulate_steps
            if self.position is not None:
                iteration = int(self.position())
            of_all = _seed_of(self.seed, number)
            yield [
                Draw(record, iteration, _seed_of(self.seed, rank, position), of_all)
                for position, record in batch
            ]

    def _positions(self) -> Iterator[list[tuple[int, int]]]:
        """Batches of a position in the order of this process, and the record there."""
        waiting: dict[int, list] = {}
        for position, record in enumerate(self.sampler):
            group = self.groups[record] if self.groups is not None else 0
            batch = waiting.setdefault(group, [])
            batch.append((position, record))
            if len(batch) == self.batch_size:
                yield waiting.pop(group)


def _from_config(
    cfg: CfgNode,
    mapper: Callable[[dict], dict],
    *,
    dataset: list[dict],
    sampler: Sampler | None = None,
) -> dict:
    """detectron2's arguments; the records of the config are `training_records(cfg)`."""
    return _train_loader_from_config(cfg, mapper, dataset=dataset, sampler=sampler)


@configurable(from_config=_from_config)
def build_training_loader(
    dataset: list[dict],
    *,
    mapper: Callable[[dict], dict],
    total_batch_size: int,
    sampler: Sampler | None = None,
    accumulate_steps: int = 1,
    aspect_ratio_grouping: bool = True,
    num_workers: int = 0,
) -> DataLoader:
    """The training loader of detectron2's interface; see the top of the file.

    Args:
        dataset: records in detectron2's format.
        mapper: makes the input of the model from a record.
        total_batch_size: images of an iteration, over all processes.
        sampler: endless indices for this process; None shuffles each epoch.
        accumulate_steps: batches that the images of an iteration come in.
        aspect_ratio_grouping: no batch holds both landscape and portrait images; pads less.
        num_workers: processes that load; 0 loads in this one.

    Returns:
        A loader of lists of mapped records. Its batch_sampler is a `TrainingBatches`.

    Raises:
        ValueError: no images, or a batch that cannot be divided.
    """
    parts = comm.get_world_size() * accumulate_steps
    if accumulate_steps < 1 or total_batch_size < 1 or total_batch_size % parts:
        raise ValueError(
            f"a batch of {total_batch_size} images (`total_batch_size`) cannot be divided by "
            f"{comm.get_world_size()} processes x {accumulate_steps} steps (`accumulate_steps`)"
        )
    if not len(dataset):
        raise ValueError("there is no image to train on")
    groups = None
    if aspect_ratio_grouping:
        groups = [int(record["width"] > record["height"]) for record in dataset]
    return DataLoader(
        SeededRecords(dataset, mapper),
        batch_sampler=TrainingBatches(
            # Drawn here, the seeds follow from that of the run.
            sampler or TrainingSampler(len(dataset)),
            groups,
            total_batch_size // parts,
            accumulate_steps,
            seed=comm.shared_random_seed(),
        ),
        num_workers=num_workers,
        collate_fn=_as_list,
        worker_init_fn=follow_parent,
        pin_memory=torch.cuda.is_available(),  # then nothing waits for the upload
    )


def start_at(loader: Iterable, iteration: int) -> None:
    """Lets a loader of `build_training_loader` go on with the first batch of an iteration."""
    batches = getattr(loader, "batch_sampler", None)
    if isinstance(batches, TrainingBatches):
        batches.start_iteration = iteration


def follow(loader: Iterable, position: Callable[[], float]) -> None:
    """Lets a loader of `build_training_loader` mix images as at an iteration of the schedule.

    Batches that workers have begun keep theirs, so that mixing ends a few of them later.

    Args:
        loader: of this process.
        position: gives the iteration; asked when a batch is drawn.
    """
    batches = getattr(loader, "batch_sampler", None)
    if isinstance(batches, TrainingBatches):
        batches.position = position


def _seed_of(*words: int) -> int:
    """A number in [0, 2 ** 32) that differs for each row of words."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def _as_list(batch: list[dict]) -> list[dict]:
    return batch
