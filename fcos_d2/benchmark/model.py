"""Time, memory, operations and parameters of whole detectors, side by side."""

import json
import multiprocessing
import statistics
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from fcos_deploy.writing import write_text

from .machine import describe_machine
from .subjects import Export, Recipe, Subject, TorchSubject, build
from .timing import markdown_list, markdown_table, spread, time_in_turns

EXPLANATION = """\
Median of {repeats} calls in turns, after {warmup} warm-up calls; the spread is the middle half. All
start from uint8 images of the network's size and end with boxes. Memory: what loading the
model and one call add to the resident memory of a fresh process (on a GPU: most of torch's
allocator). GFLOP: torch.utils.flop_counter on one call, 2 for each multiplication with its
addition, of convolutions and matrix products (deformable convolutions are not counted). Random
weights find nothing, so post-processing is then little more than the search for candidates."""


@dataclass(kw_only=True)
class Plan:
    """What to measure, and how."""

    recipes: list[Recipe]  # ratios refer to the first
    sizes: list[tuple[int, int]]  # height and width of the images, px
    batches: list[int]  # images of one call
    warmup: int
    repeats: int
    threads: int  # of torch


def run(plan: Plan, output: str | None) -> None:
    """Measures, prints Markdown, and writes it with the raw figures if asked to.

    Args:
        plan: of the measurements.
        output: folder that is made; None: nothing is written.

    Raises:
        ValueError: see `build`.
    """
    torch.set_num_threads(plan.threads)
    machine = describe_machine()
    print(markdown_list(machine) + "\n", flush=True)
    rows = []
    for size in plan.sizes:
        for batch in plan.batches:
            rows += measure(plan.recipes, size, batch, plan.warmup, plan.repeats)
    text = EXPLANATION.format(repeats=plan.repeats, warmup=plan.warmup)
    report = f"{text}\n\n{whole_table(rows)}\n\nMilliseconds of the parts:\n\n{parts_table(rows)}"
    print(report)
    if output:
        folder = Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        page = f"# Benchmark\n\n{markdown_list(machine)}\n\n{report}\n"
        write_text(folder / "benchmark.md", page)
        content = {"machine": machine, "rows": rows}
        write_text(folder / "benchmark.json", json.dumps(content, indent=1))


def measure(
    recipes: list[Recipe], size: tuple[int, int], batch: int, warmup: int, repeats: int
) -> list[dict]:
    """One row for each recipe, all measured in turns.

    Args:
        size: height and width of the images, px.
        batch: images of one call.
        warmup, repeats: calls of each.

    Raises:
        ValueError: see `build`.
    """
    subjects = [build(recipe, size) for recipe in recipes]
    images = random_images(size, batch)
    calls = {str(i): partial(s.detect, images) for i, s in enumerate(subjects)}
    times = list(time_in_turns(calls, warmup, repeats).values())
    parts = parts_in_turns(subjects, images, max(1, repeats // 3))
    first = statistics.median(times[0])
    rows = []
    for recipe, subject, milliseconds, steps in zip(recipes, subjects, times, parts, strict=True):
        median = statistics.median(milliseconds)
        rows.append(
            {
                "name": subject.name,
                "size": list(size),
                "batch": batch,
                "precision": None if recipe.builder is Export else recipe.precision,
                "median_ms": median,
                "spread_ms": spread(milliseconds),
                "images_per_second": batch * 1e3 / median,
                "ratio": median / first,
                "gflop": operations(subject, images),
                "parameters": subject.parameters,
                "parts_ms": steps,
                "memory_bytes": memory_apart(recipe, size, batch),
            }
        )
    return rows


def random_images(size: tuple[int, int], batch: int) -> list[np.ndarray]:
    """`batch` BGR uint8 (H, W, 3) images of noise, always the same."""
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(batch)]


def parts_in_turns(
    subjects: list[Subject], images: list[np.ndarray], repeats: int
) -> list[dict[str, float]]:
    """Median milliseconds of each part of each subject. Calls of their own: on a GPU each part
    waits for the last, which the whole does not.
    """
    turns = [[subject.parts(images) for subject in subjects] for _ in range(repeats)]
    return [
        {name: statistics.median(call[name] for call in calls) for name in calls[0]}
        for calls in zip(*turns, strict=True)
    ]


def operations(subject: Subject, images: list[np.ndarray]) -> float | None:
    """10^9 operations of one call, 2 for each multiplication with its addition; None where the
    engine does not tell.
    """
    if not isinstance(subject, TorchSubject):
        return None
    with FlopCounterMode(display=False) as counter:
        subject.detect(images)
    return counter.get_total_flops() / 1e9


def memory_apart(recipe: Recipe, size: tuple[int, int], batch: int) -> int | None:
    """`memory_of_first_call` in a process of its own; memory that others freed may hide here."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, torch.set_num_threads, (torch.get_num_threads(),)) as pool:
        return pool.apply(memory_of_first_call, (recipe, size, batch))


def memory_of_first_call(recipe: Recipe, size: tuple[int, int], batch: int) -> int | None:
    """Bytes that the model and one call take at most; None where the system does not tell."""
    before = resident_bytes("VmRSS")
    subject = build(recipe, size)
    subject.detect(random_images(size, batch))
    if recipe.device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    peak = resident_bytes("VmHWM")
    return None if before is None or peak is None else peak - before


def resident_bytes(field: str) -> int | None:
    """A memory field of this process in Linux's /proc; None on other systems."""
    path = Path("/proc/self/status")
    if not path.is_file():
        return None
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return None


def whole_table(rows: list[dict]) -> str:
    """A line for each measurement; "-" where there is nothing to tell."""
    header = ["", "size", "batch", "median ms", "spread ms", "images/s", "time, x first"]
    header += ["GFLOP", "GFLOP/s", "parameters M", "memory MB"]
    lines = []
    for row in rows:
        gflop, (low, high) = row["gflop"], row["spread_ms"]
        lines.append(
            [
                row["name"] + (f", {row['precision']}" if row["precision"] else ""),
                "x".join(map(str, row["size"])),
                str(row["batch"]),
                f"{row['median_ms']:.1f}",
                f"{low:.1f} - {high:.1f}",
                f"{row['images_per_second']:.2f}",
                f"{row['ratio']:.2f}",
                number(gflop),
                number(gflop and gflop * 1e3 / row["median_ms"]),
                number(row["parameters"] and row["parameters"] / 1e6),
                number(row["memory_bytes"] and row["memory_bytes"] / 1e6),
            ]
        )
    return markdown_table(header, lines)


def number(value: float | None) -> str:
    """With one decimal; "-" for none."""
    return "-" if value is None else f"{value:.1f}"


def parts_table(rows: list[dict]) -> str:
    """An export's engine is backbone, head and suppression in one."""
    names = ["preprocess", "backbone", "head", "engine", "post-process"]
    lines = [
        [
            row["name"],
            "x".join(map(str, row["size"])),
            str(row["batch"]),
            *(number(row["parts_ms"].get(name)) for name in names),
        ]
        for row in rows
    ]
    return markdown_table(["", "size", "batch", *names], lines)
