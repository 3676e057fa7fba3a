"""Streams of images through a detector, in stages that overlap."""

import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field

import numpy as np

from .detector import Batch, Detections, Detector
from .pipeline import Clock, batches, buffered
from .vision import draw_detections

PARTS = ("decode", "preprocess", "engine", "post-process", "draw", "encode")
AHEAD = 2  # groups that a stage may be ahead of the next


@dataclass
class Item:
    """One image or frame on its way through the stages."""

    name: str | int  # file, or number of the frame
    image: np.ndarray  # BGR uint8 (H, W, 3)
    found: Detections = field(init=False, repr=False)  # once it has been through
    drawn: np.ndarray | None = None  # as `image`


@dataclass
class Group:
    """Items that go from stage to stage together."""

    items: list[Item]
    batches: list[Batch] = field(default_factory=list)  # of the engine
    outputs: list[list[np.ndarray]] = field(default_factory=list)  # for each batch

    def __len__(self) -> int:
        return len(self.items)


class Runner:
    """Detects, and draws if asked to; each stage has its own thread, unless the source is live.

    Attributes:
        clock: of the stages.
        num_done: images completed.
        draw_score: detections with a higher score are drawn.
    """

    def __init__(
        self, detector: Detector, batch: int = 1, draws: bool = True, is_live: bool = False
    ) -> None:
        """
        Args:
            detector: runs on each batch.
            batch: images at a time.
            draws: whether the items that come out are drawn on.
            is_live: take items only when needed; frames of a camera that are read ahead get old.

        Raises:
            ValueError: a batch that the model does not take.
        """
        limit = detector.settings.batch
        if batch < 1 or (limit is not None and batch > limit):
            legal = "at least 1" if limit is None else f"in [1, {limit}], as the model takes"
            raise ValueError(f"the batch must be {legal}, got {batch}")
        self.detector, self.batch, self.draws, self.is_live = detector, batch, draws, is_live
        self.draw_score = detector.settings.draw
        self.clock = Clock()
        self.num_done = 0
        # How many were done, and when: after the warm-up, and after the last group.
        self._start: tuple[int, float] | None = None
        self._end: tuple[int, float] | None = None

    def run(self, items: Iterable[Item]) -> Generator[Item, None, None]:
        """The items in order, with what was found on each."""
        images = self.clock.each("decode", items)
        groups: Iterable = (Group(group) for group in batches(images, self.batch))
        stages = {
            "preprocess": self._preprocess,
            "engine": self._detect,
            "post-process": self._postprocess,
        }
        if self.draws:
            stages["draw"] = self._draw
        for part, work in stages.items():
            groups = self.clock.stage(part, work, self._ahead(groups))
        for number, group in enumerate(self._ahead(groups), start=1):
            for item in group.items:
                yield item
                self.num_done += 1
            # By groups, because the items of a group come out all at once.
            self._end = self.num_done, time.perf_counter()
            if number <= self.clock.warm_up:
                self._start = self._end

    def speed(self) -> str:
        """A few lines: images per second as a whole, and milliseconds of each part.

        The first groups, during which the engine warms up, do not count.
        """
        parts = self.clock.milliseconds()
        if self._start is None or self._end is None or self._start == self._end:
            return "too few images to tell the speed"
        if "engine" not in parts:
            return "too few images to tell the speed"
        rate = (self._end[0] - self._start[0]) / (self._end[1] - self._start[1])
        lines = [f"{rate:.2f} images/s with {self.detector.engine.name}, batch {self.batch}"]
        lines += [f"  {part:<13}{parts[part]:8.1f} ms" for part in PARTS if part in parts]
        return "\n".join(lines)

    def _ahead(self, groups: Iterable) -> Iterable:
        return groups if self.is_live else buffered(groups, AHEAD)

    def _preprocess(self, group: Group) -> Group:
        group.batches = self.detector.preprocess([item.image for item in group.items])
        return group

    def _detect(self, group: Group) -> Group:
        group.outputs = [self.detector.engine.run(*batch.inputs) for batch in group.batches]
        return group

    def _postprocess(self, group: Group) -> Group:
        sizes = [item.image.shape[:2] for item in group.items]
        results = self.detector.postprocess(group.batches, group.outputs, sizes)
        for item, found in zip(group.items, results, strict=True):
            item.found = found
        return group

    def _draw(self, group: Group) -> Group:
        settings = self.detector.settings
        for item in group.items:
            found = item.found.above(self.draw_score)
            item.drawn = draw_detections(
                item.image,
                found.boxes,
                found.classes,
                found.scores,
                settings.class_names,
                settings.class_colors,
            )
        return group
