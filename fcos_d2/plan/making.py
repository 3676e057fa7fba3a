"""The plan for a training set on a machine: rules applied in the order in which they depend."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..checkpoint.starts import Start
from ..config import get_cfg
from ..config_files import merge_overrides
from . import bodies, rules
from .decisions import Decision, Plan, get_key, with_yours
from .facts import Facts
from .levels import levels_for
from .machine import Machine
from .sizes import Resize, StepCost, affordable
from .wording import count, duration, epochs_in_words, facts_in_words, listed, share


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user asks for.

    Attributes:
        budget: seconds of wall time; None: by `epochs`.
        spent: seconds of it that are gone when training begins.
        epochs: over the training set; None: by `budget`.
        by_default: nobody has said how long; the budget is the usual one.
        flip: mirror images; None: by the names of the classes.
        opts: overrides, KEY VALUE.
    """

    budget: float | None = None
    spent: float = 0.0
    epochs: float | None = None
    by_default: bool = False
    flip: bool | None = None
    opts: tuple[str, ...] = ()

    @cached_property
    def given(self) -> dict[str, object]:
        """The user's values by key.

        Raises:
            ValueError: no such key, or another kind of value.
        """
        cfg = get_cfg()
        merge_overrides(cfg, list(self.opts), "the overrides")
        return {key: get_key(cfg, key) for key in self.opts[::2]}


def make_plan(
    facts: Facts, machine: Machine, wanted: Wanted, start: Start, cost: StepCost | None = None
) -> Plan:
    """The plan; the same for the same arguments.

    Args:
        facts: of the training set.
        machine: to train on.
        wanted: by the user, whose settings win, and which the other decisions follow.
        start: the weights to begin with.
        cost: of a step, as measured; None: assumed.
    """
    return _Making(facts=facts, machine=machine, wanted=wanted, start=start, cost=cost).plan()


@dataclass(frozen=True, kw_only=True)
class _Making:
    facts: Facts
    machine: Machine
    wanted: Wanted
    start: Start
    cost: StepCost | None
    given: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", self.wanted.given)

    def plan(self) -> Plan:
        decisions = [
            self.model(),
            self.beginning(),
            self.size(),
            self.levels(),
            self.batch_decision(),
            self.length(),
            self.rate(),
            self.average(),
            self.frozen(),
            self.mirror(),
            self.colour(),
            self.mixing(),
            self.loss(),
            self.selection(),
            self.pace(),
            self.loading(),
        ]
        return Plan(
            decisions=tuple(with_yours(filter(None, decisions), self.given)),
            opts=self.wanted.opts,
            facts=facts_in_words(self.facts),
            advice=tuple(self.advice()),
        )

    # What the decisions share; each is the user's where the user has said it.

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
        return int(self._given("SOLVER.IMS_PER_BATCH", fits))

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
        fits = affordable(self.facts, self.step_cost, self.batch, self.seconds)
        return rules.input_size(self.facts.native, self.facts.side(0.1), fits)

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
            return max(round((self.wanted.epochs or 1) * self.facts.num_images / self.batch), 1)
        return max(int(self.seconds / self.step_seconds), rules.LEAST_ITERATIONS)

    @property
    def epochs(self) -> float:
        return self.iterations * self.batch / self.facts.num_images

    @cached_property
    def level_choice(self) -> tuple[list[int], list[int], list[float]]:
        boxes = self.resize.boxes(self.facts)
        sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
        longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        ends = float(np.quantile(sides, 0.1)), float(np.quantile(longest, 0.9))
        side = rules.SIZE_STEP * int(np.ceil(max(boxes[:, 2:].max(), 1) / rules.SIZE_STEP))
        return levels_for(boxes, rules.strides_for(*ends), (side, side))

    def _given(self, key: str, otherwise: Any) -> Any:
        return self.given.get(key, otherwise)

    # The decisions.

    def model(self) -> Decision:
        name = bodies.in_words(self.body)
        where = "a CPU" if self.machine.is_cpu else "a GPU"
        kind = "light enough for" if bodies.is_light(self.body) else "fit for"
        values = {
            "VERSION": 2,
            "MODEL.DEVICE": self.machine.device,
            "MODEL.FCOS.NUM_CLASSES": len(self.facts.class_names),
        }
        return Decision(
            title="model",
            values=values,
            shown=f"FCOS with {name}",
            reason=f"{kind} {where}: {self.machine.name}",
        )

    def beginning(self) -> Decision:
        what = {
            "coco": "a detector trained on COCO",
            "imagenet": "a body trained on ImageNet",
            "scratch": "random weights",
            "file": self.start.source,
        }
        reason = f"from {self.start.source}; licence: {self.start.licence}"
        if self.start.name == "scratch":
            reason = self.start.source
        elif self.start.name == "file":
            reason = f"licence: {self.start.licence}"
        return Decision(
            title="start",
            values={"MODEL.WEIGHTS": self.start.weights},
            shown=what[self.start.name],
            reason=reason,
        )

    def size(self) -> Decision:
        size, why = self.chosen_size
        resize = self.resize
        sizes = rules.training_sizes(size, self.epochs)
        values: dict[str, object] = {
            "INPUT.MIN_SIZE_TRAIN": sizes,
            "INPUT.MAX_SIZE_TRAIN": rules.multiple(resize.longest * max(sizes) / size),
            "INPUT.MIN_SIZE_TEST": size,
            "INPUT.MAX_SIZE_TEST": resize.longest,
        }
        shown = f"short side {size} px, long side up to {resize.longest}"
        if len(sizes) > 1:
            shown += f"; in training {min(sizes)} to {max(sizes)}"
        if resize.letterbox:
            values |= {
                "INPUT.RESIZE_RULE_TRAIN": "letterbox",
                "INPUT.RESIZE_RULE_TEST": "letterbox",
                "INPUT.SQUARE_SIZE": resize.longest,
            }
            shown = f"long side {resize.longest} px, padded to a square"
            why += f"; images differ in shape ({self.facts.aspect_spread:.1f} times)"
        return Decision(title="input", values=values, shown=shown, reason=why)

    def levels(self) -> Decision:
        strides, bounds, shares = self.level_choice
        values = bodies.model_keys(self.body, strides, bounds, self.start.settings)
        each = zip(strides, shares, strict=True)
        shown = ", ".join(f"P{s.bit_length() - 1} learns {share(x)}" for s, x in each)
        limits = " and ".join(map(str, bounds))
        reason = (
            f"divided at {limits} px by the sizes of the objects" if bounds else "one is enough"
        )
        if strides[0] == 4:
            reason += "; P2 is for objects below 8 px"
        return Decision(title="levels", values=values, shown=shown, reason=reason)

    def batch_decision(self) -> Decision:
        parts = self.parts
        shown, reason = count(self.batch, "image"), "fits into the memory"
        if parts > 1:
            shown += f", {self.batch // parts} at a time"
            reason = "all at once would not fit into the memory"
        return Decision(
            title="batch",
            values={"SOLVER.IMS_PER_BATCH": self.batch, "SOLVER.ACCUMULATE_STEPS": parts},
            shown=shown,
            reason=reason,
        )

    def length(self) -> Decision:
        values: dict[str, object] = {
            "SOLVER.MAX_ITER": self.iterations,
            "SOLVER.WARMUP_ITERS": rules.warmup(self.iterations),
            "SOLVER.LR_SCHEDULER_NAME": "WarmupCosineLR",
        }
        shown = f"about {count(self.iterations, 'iteration')} ({epochs_in_words(self.epochs)})"
        each = f"{self.step_seconds:.2f} s a step"
        each += " measured here" if self.step_cost.measured else " assumed"
        if self.wanted.budget is None:
            takes = duration(self.iterations * self.step_seconds)
            return Decision(title="length", values=values, shown=shown, reason=f"{each}: {takes}")
        reason = f"{each}, {duration(self.wanted.budget)} in all; the clock decides in the end"
        if self.wanted.by_default:
            reason += "; no --budget was given"
        return Decision(title="length", values=values, shown=shown, reason=reason)

    def rate(self) -> Decision:
        optimizer = str(self._given("SOLVER.OPTIMIZER", "AdamW"))
        rate = rules.learning_rate(self.start.name, self.batch, optimizer)
        values = {
            "SOLVER.OPTIMIZER": optimizer,
            "SOLVER.BASE_LR": rate,
            "SOLVER.WEIGHT_DECAY": rules.WEIGHT_DECAY,
        }
        return Decision(
            title="learning",
            values=values,
            shown=f"{optimizer}, rate {rate:g}, half a cosine down to 0",
            reason=f"for a batch of {self.batch}, and this start",
        )

    def average(self) -> Decision:
        decay = rules.ema_decay(self.iterations)
        half_life = max(round(rules.EMA_HALF_LIFE * self.iterations), 1)
        return Decision(
            title="average",
            values={"SOLVER.EMA.ENABLED": True, "SOLVER.EMA.DECAY": decay},
            shown=f"of the weights, half-life {count(half_life, 'iteration')}",
            reason="steadier than the last weights, and does not lag",
        )

    def frozen(self) -> Decision:
        stages = rules.frozen_stages(self.start.name, self.facts.num_images)
        if not self.body.startswith("resnet"):
            stages = 0
        shown = f"the first {count(stages, 'stage')}" if stages else "nothing"
        reason = "few images do not teach better edges"
        if not stages:
            reason = "all of it learns"
        values = {"MODEL.BACKBONE.FREEZE_AT": stages}
        return Decision(title="frozen", values=values, shown=shown, reason=reason)

    def mirror(self) -> Decision:
        speaking = self.facts.with_a_side
        flip = not speaking if self.wanted.flip is None else self.wanted.flip
        reason = "no class name speaks of a side, of letters or of signs"
        if speaking:
            reason = f"{listed(speaking)}: mirrored, they are something else"
        if self.wanted.flip is not None:
            reason = "yours"
        values = {"INPUT.RANDOM_FLIP": "horizontal" if flip else "none"}
        shown = "half of the images" if flip else "none; --flip allows it"
        return Decision(title="mirrored", values=values, shown=shown, reason=reason)

    def colour(self) -> Decision:
        telling = self.facts.with_a_colour
        jitter, colour = rules.LIGHT_JITTER, 0.0 if telling else rules.COLOUR_JITTER
        values = {
            "INPUT.COLOR_JITTER.BRIGHTNESS": jitter,
            "INPUT.COLOR_JITTER.CONTRAST": jitter,
            "INPUT.COLOR_JITTER.SATURATION": colour,
        }
        shown = "brightness and contrast change" + (", saturation too" if colour else "")
        reason = "no class is named by a colour"
        if telling:
            reason = f"{listed(telling)} are told by their colour"
        return Decision(title="colours", values=values, shown=shown, reason=reason)

    def mixing(self) -> Decision:
        scratch = self.start.name == "scratch"
        values = {
            "INPUT.MIX.MOSAIC_PROB": rules.MOSAIC_FROM_SCRATCH if scratch else 0.0,
            "INPUT.MIX.CLOSE_SHARE": rules.MOSAIC_CLOSE_SHARE if scratch else 0.0,
        }
        shown = "Mosaic in half of the images" if scratch else "none"
        reason = "helps from random weights, not from good ones"
        return Decision(title="mixing", values=values, shown=shown, reason=reason)

    def loss(self) -> Decision:
        return Decision(
            title="",
            values=rules.BOX_LOSS,
            shown="every location counts the same, by the exact IoU",
            reason="found better on small sets",
        )

    def selection(self) -> Decision:
        most = self.facts.most_objects
        keep = rules.detections(most)
        counted = rules.detections(self.facts.most_of_a_class)
        candidates = max(rules.LEAST_CANDIDATES, rules.CANDIDATES_PER_DETECTION * keep)
        values = {
            "MODEL.FCOS.POST_NMS_TOPK_TEST": keep,
            "MODEL.FCOS.PRE_NMS_TOPK_TEST": candidates,
            "TEST.COCO_MAX_DETECTIONS": counted,
        }
        shown = f"at most {keep:,} in an image"
        reason = f"one holds {count(most, 'object')}"
        return Decision(title="detections", values=values, shown=shown, reason=reason)

    def pace(self) -> Decision:
        if self.wanted.budget is not None:
            values = {"SOLVER.BUDGET": self.wanted.budget, "TEST.EVAL_PERIOD": 0}
            shown = "about ten times, in at most a tenth of the time"
            reason = "the best weights are kept"
            return Decision(title="evaluated", values=values, shown=shown, reason=reason)
        every = max(round(self.iterations / rules.EVALUATIONS), 1)
        values = {"TEST.EVAL_PERIOD": every, "SOLVER.CHECKPOINT_PERIOD": every}
        shown = f"every {count(every, 'iteration')}, with a checkpoint"
        reason = f"{count(rules.EVALUATIONS, 'time')} in all; the best weights are kept"
        return Decision(title="evaluated", values=values, shown=shown, reason=reason)

    def loading(self) -> Decision:
        number = rules.workers(self.machine.cores, self.machine.is_cpu)
        return Decision(
            title="",
            values={"DATALOADER.NUM_WORKERS": number},
            shown=f"images are loaded by {count(number, 'process', 'processes')}",
            reason=f"{count(self.machine.cores, 'core')} are there",
        )

    def advice(self) -> list[str]:
        """What would bring more than this plan can."""
        px = self.facts.side(0.1) * self.resize.size
        if px < rules.SMALLEST_TENTH_LEAST and self.facts.native > 2 * self.resize.size:
            return [
                f"a tenth of the objects has less than {px:.0f} px at this size; tiles show them "
                "larger: fcos convert FOLDER --slice 640, then train on what it writes"
            ]
        return []
