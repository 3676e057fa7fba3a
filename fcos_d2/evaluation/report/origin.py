"""What made the numbers: machine, versions, code, data and model, with their hashes."""

import datetime
import hashlib
import os
import shlex
import statistics
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import fcos_d2

from ...benchmark.machine import describe_machine, versions
from ...benchmark.model import operations, random_images
from ...benchmark.subjects import Recipe, build, detector
from ...benchmark.timing import spread, time_in_turns
from ...checkpoint import read_checkpoint
from ...checkpoint.origins import ORIGINS
from ...checkpoint.reading import sha256_of
from ..coco_truth import hotcoco

if TYPE_CHECKING:
    from ...engine import Run

WARMUP, REPEATS = 2, 7  # calls


def made_by(command: Sequence[str]) -> dict[str, Any]:
    """When, by which command, code, libraries and machine.

    Args:
        command: words of the command line.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "made": {
            "time": now.isoformat(timespec="seconds"),
            "command": shlex.join(command),
            "code": {"version": fcos_d2.__version__, "sha256": _sha256_of_code()},
        },
        "versions": {**versions(), "hotcoco": hotcoco.__version__},
        "machine": {k: v for k, v in describe_machine().items() if k != "versions"},
    }


@cache
def _sha256_of_code() -> str:
    """Of all Python files of the package, by their names."""
    root, digest = Path(fcos_d2.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def hash_of(path: str | Path) -> str | None:
    """SHA-256 of a file; None for a folder, or what is not there."""
    return sha256_of(path) if os.path.isfile(path) else None


def model_facts(run: "Run", trust_checkpoint: str | None = None) -> dict[str, Any]:
    """Of the model that a run evaluates.

    Args:
        run: with its weights.
        trust_checkpoint: the one file that may run code, see `read_checkpoint`.
    """
    with torch.device("meta"):  # without memory behind the tensors
        model = run.on("meta").build_model()
    config = Path(run.output_dir, "config.yaml")
    facts: dict[str, Any] = {
        "weights": run.weights,
        "parameters": sum(x.numel() for x in model.parameters()),
        "config": config.read_text(encoding="utf-8"),
        "config_file": str(config),
        "sha256": hash_of(run.weights),
        "bytes": os.path.getsize(run.weights) if os.path.isfile(run.weights) else None,
        "classes": None,
        "iteration": None,
        "origins": [],
    }
    if facts["sha256"]:
        content = read_checkpoint(run.weights, trust_checkpoint)
        facts |= {
            "classes": content.get("class_names"),
            "iteration": content.get("iteration"),
            "origins": [dict(x) for x in content.get(ORIGINS) or ()],
        }
    return facts


def speed(run: "Run", size: tuple[int, int]) -> dict[str, Any]:
    """Time of one image on this machine, from pixels to boxes, and the operations it takes.

    Args:
        run: of the model, with its weights.
        size: (h, w) px of the network's input.

    Raises:
        ValueError: see `benchmark.subjects.build`.
    """
    config = str(Path(run.output_dir, "config.yaml"))
    subject = build(Recipe(detector, config, run.weights, device=run.device), size)
    images = random_images(size, 1)
    times = time_in_turns({"": partial(subject.detect, images)}, WARMUP, REPEATS)[""]
    return {
        "size": list(size),
        "device": run.device,
        "threads": torch.get_num_threads(),
        "median_ms": statistics.median(times),
        "spread_ms": list(spread(times)),
        "gflop": operations(subject, images),
    }
