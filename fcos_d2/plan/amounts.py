"""The quantities that decisions share, in the order in which they depend on one another."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..checkpoint.starts import Start
from ..config import get_cfg
from ..config_files import merge_overrides
from . import rules
from .decisions import get_key
from .facts import Facts
from .levels import levels_for
from .machine import Machine
from .sizes import Resize, StepCost, affordable


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user asks for.

    Attributes:
        budget: seconds of wall time; None: by `epochs`.
        spent: seconds of it that are gone when training begins.
        epochs: over the training set; None: by `budget`.
        by_default: nobody has said how long; the budget is the usual one.
        flip: mirror images; None: by names and pictures of the classes.
        opts: overrides, KEY VALUE.
    """

    budget: float | None = None
    spent: float = 0.0
    epochs: float | None = None
    by_default: bool = False
    flip: bool | None = None
    opts: tuple[str, ...] = ()

    @property
    def leaves_flips_open(self) -> bool:
        """Nobody has said whether images are mirrored."""
        return self.flip is None and "INPUT.RANDOM_FLIP" not in self.given

    @cached_property
    def given(self) -> dict[str, object]:
        """The user's values by key.

        Raises:
            ValueError: no such key, or another kind of value.
        """
        cfg = get_cfg()
        merge_overrides(cfg, list(self.opts), "the overrides")
        return {key: get_key(cfg, key) for key in self.opts[::2]}


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """What decisions share; each is the user's where the user has said it."""

    facts: Facts
    machine: Machine
    wanted: Wanted
    start: Start
    cost: StepCost | None
    given: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", self.wanted.given)

    @cached_property
    def body(self) -> str:
        if self.start.body:
            return self.start.body
        if self.start.name == "scratch":
            return rules.SCRATCH_CPU if self.machine.is_cpu else rules.SCRATCH_GPU
        return rules.BODY_CPU if self.machine.is_cpu else rules.BODY_GPU

    @cached_property
    def batch(self) -> int:
        fits = rules.BATCH_CPU if self.machine.is_cpu else rules.BATCH_GPU
        return int(self.given_or("SOLVER.IMS_PER_BATCH", fits))

    @cached_property
    def num_images(self) -> int:
        """To learn from."""
        key = "DATALOADER.FILTER_EMPTY_ANNOTATIONS"
        left_out = self.facts.num_empty if self.given_or(key, rules.LEAVE_OUT_EMPTY) else 0
        return self.facts.num_images - left_out

    @cached_property
    def step_cost(self) -> StepCost:
        guess = rules.GUESS_CPU if self.machine.is_cpu else rules.GUESS_GPU
        return self.cost or StepCost(*guess, measured=False)

    @cached_property
    def parts(self) -> int:
        """The batches that the images of a step come in."""
        if not self.machine.is_cpu:
            return self.step_cost.accumulate  # as tried
        each = self.step_cost.bytes_per_megapixel or rules.BYTES_PER_MEGAPIXEL
        most = rules.training_sizes(self.chosen_size[0], self.epochs)[-1]
        pixels = Resize.of(most, self.facts).pixels(self.facts.aspects)
        return rules.accumulation(self.batch, self.batch * each * pixels / 1e6, self.machine.memory)

    @cached_property
    def seconds(self) -> float | None:
        """For the steps of training; None: as long as it takes."""
        if self.wanted.budget is None:
            return None
        left = rules.STEPS_SHARE * self.wanted.budget - self.wanted.spent
        return max(left, 0.1 * self.wanted.budget)

    @cached_property
    def chosen_size(self) -> tuple[int, str]:
        if "INPUT.MIN_SIZE_TEST" in self.given:
            return int(self.given["INPUT.MIN_SIZE_TEST"]), "yours"
        facts = self.facts
        fits = affordable(facts, self.step_cost, self.seconds)
        objects = facts.num_boxes / self.num_images
        num_classes = len(facts.class_names)
        return rules.input_size(facts.native, facts.side(0.1), num_classes, objects, fits)

    @cached_property
    def resize(self) -> Resize:
        return Resize.of(self.chosen_size[0], self.facts)

    @cached_property
    def step_seconds(self) -> float:
        return self.step_cost.seconds(self.batch, self.resize.pixels(self.facts.aspects))

    @cached_property
    def iterations(self) -> int:
        if "SOLVER.MAX_ITER" in self.given:
            return int(self.given["SOLVER.MAX_ITER"])
        if self.seconds is None:
            return max(round((self.wanted.epochs or 1) * self.num_images / self.batch), 1)
        return max(int(self.seconds / self.step_seconds), rules.LEAST_ITERATIONS)

    @property
    def epochs(self) -> float:
        return self.iterations * self.batch / self.num_images

    @cached_property
    def level_choice(self) -> tuple[list[int], list[int], list[float]]:
        boxes = self.resize.boxes(self.facts)
        sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
        longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        ends = float(np.quantile(sides, 0.1)), float(np.quantile(longest, 0.9))
        side = rules.SIZE_STEP * int(np.ceil(max(boxes[:, 2:].max(), 1) / rules.SIZE_STEP))
        return levels_for(boxes, self.facts.image_idxs, rules.strides_for(*ends), (side, side))

    def given_or(self, key: str, otherwise: Any) -> Any:
        """The user's value of a key."""
        return self.given.get(key, otherwise)
