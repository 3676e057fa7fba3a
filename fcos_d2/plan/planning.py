"""From what is asked for to a plan, and to its config in the output folder."""

import os
import time
from dataclasses import replace
from typing import Any, NamedTuple

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from fcos_deploy.text import read_json

from ..checkpoint.starts import Start, choose_start
from ..config import get_cfg
from ..datasets.own_data import OwnData
from ..device import resolve_device
from ..engine.data import own_data
from ..engine.request import Request
from . import rules
from .amounts import Wanted
from .decisions import Plan
from .facts import Facts, facts_of
from .machine import Machine, this_machine
from .making import make_plan
from .mirrored import one_sided_classes
from .names import names_with_a_side
from .timing import accumulation_on_gpu, time_steps
from .upright import same_upside_down
from .write import write_config


class Planned(NamedTuple):
    """A plan and the whole config of its run."""

    plan: Plan
    cfg: CfgNode


def plan_request(request: Request, output_dir: str, timing: bool = True) -> Planned:
    """Looks at the data and the machine, times some steps, and decides.

    Args:
        request: names data of one's own, and what is wanted.
        output_dir: gets the repaired annotations.
        timing: measure steps; False: assume what they cost.

    Raises:
        ValueError: bad data, overrides or device; names it and the cure.
    """
    begun = request.begun if request.begun is not None else time.monotonic()
    os.makedirs(output_dir, exist_ok=True)
    data = own_data(request, output_dir, compare=False)  # training does, and says so
    if data is None or data.train is None:
        raise ValueError("a plan needs data: a folder, or --train-data")
    wanted = _wanted(request)
    facts = _facts(data, look=wanted.leaves_flips_open)
    if wanted.budget is not None and wanted.epochs is not None:
        raise ValueError("--budget and --epochs are two lengths of one run; leave one out")
    machine = this_machine(_device(request, wanted))
    start = _start(request, wanted, machine)
    if not (wanted.budget or wanted.epochs or "SOLVER.MAX_ITER" in wanted.given):
        wanted = replace(wanted, budget=rules.default_budget(machine.is_cpu), by_default=True)
    draft = make_plan(facts, machine, wanted, start)
    cost = None
    if timing:
        cfg = _whole_config(draft, request, data, output_dir)
        budget = wanted.budget or rules.default_budget(machine.is_cpu)
        cost = time_steps(cfg, facts, rules.timing_seconds(budget))
    wanted = replace(wanted, spent=time.monotonic() - begun)
    plan = make_plan(facts, machine, wanted, start, cost)
    if _may_turn(plan, wanted, start):
        facts = replace(facts, same_upside_down=_same_upside_down(data, start, machine.device))
        wanted = replace(wanted, spent=time.monotonic() - begun)
        plan = make_plan(facts, machine, wanted, start, cost)
    cfg = _whole_config(plan, request, data, output_dir)
    if cost and not machine.is_cpu and "SOLVER.ACCUMULATE_STEPS" not in wanted.given:
        cost = replace(cost, accumulate=accumulation_on_gpu(cfg, facts))
        plan = make_plan(facts, machine, wanted, start, cost)
        cfg = _whole_config(plan, request, data, output_dir)
    return Planned(plan, cfg)


def write_plan(planned: Planned) -> str:
    """Writes config.yaml with the reasons into the output folder; returns its path."""
    path = os.path.join(planned.cfg.OUTPUT_DIR, "config.yaml")
    write_config(path, *planned)
    return path


def _may_turn(plan: Plan, wanted: Wanted, start: Start) -> bool:
    """Whether it is worth a look at the images if they may be turned upside down."""
    often = plan.epochs >= rules.UPSIDE_DOWN_FROM_EPOCHS
    mirrored = plan.value("INPUT.RANDOM_FLIP") == "horizontal"
    return wanted.leaves_flips_open and often and mirrored and start.name == "imagenet"


def _same_upside_down(data: OwnData, start: Start, device: str) -> bool:
    metadata = MetadataCatalog.get(data.train)
    coco: Any = read_json(metadata.json_file)
    return same_upside_down(coco, metadata.image_root, start, device)


def _facts(data: OwnData, look: bool) -> Facts:
    """Of the repaired annotations, as they are registered; `look` at the images, too."""
    metadata = MetadataCatalog.get(data.train)
    coco: Any = read_json(metadata.json_file)
    look = look and not names_with_a_side(metadata.thing_classes)  # else the names decide
    return facts_of(coco, one_sided_classes(coco, metadata.image_root) if look else ())


def _wanted(request: Request) -> Wanted:
    return Wanted(
        budget=request.budget, epochs=request.epochs, flip=request.flip, opts=tuple(request.opts)
    )


def _start(request: Request, wanted: Wanted, machine: Machine) -> Start:
    """What --weights, MODEL.WEIGHTS or --start say."""
    asked = request.start or "auto"
    if "MODEL.WEIGHTS" in wanted.given:
        asked = str(wanted.given["MODEL.WEIGHTS"]) or "scratch"
    if request.weights is not None:
        asked = request.weights or "scratch"
    light = machine.is_cpu and asked != "coco"  # whose detector is a strong one
    return choose_start(
        asked,
        prefer="light" if light else "strong",
        accept_noncommercial=request.accept_noncommercial,
    )


def _device(request: Request, wanted: Wanted) -> str:
    asked = request.device or wanted.given.get("MODEL.DEVICE") or get_cfg().MODEL.DEVICE
    return resolve_device(str(asked), request.num_gpus)


def _whole_config(plan: Plan, request: Request, data: OwnData, output_dir: str) -> CfgNode:
    """The plan's, with data and folder."""
    cfg = plan.config()
    cfg.DATASETS.TRAIN = (data.train,)
    cfg.DATASETS.TEST = (data.val,) if data.val else ()
    for key in cfg.DATASETS.OWN:
        if value := getattr(request, key.lower()):
            is_path = key != "DATA_FORMAT"
            cfg.DATASETS.OWN[key] = os.path.abspath(value) if is_path else value
    cfg.OUTPUT_DIR = output_dir
    return cfg
