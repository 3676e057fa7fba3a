"""`fcos compare-recipes`."""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from .. import flags
from ..exit_codes import WrongUse

SUMMARY = "train variants of a recipe with several seeds, and table what each gives"

EXAMPLES = """\
fcos compare-recipes --output output/compare --seeds 1 2 3 --jobs 2 \
  --variant "baseline" --variant "EMA: SOLVER.EMA.ENABLED True" \
  --variant "CIoU: MODEL.FCOS.LOC_LOSS_TYPE ciou" \
  -- --config Recipes/R18-Scratch --train-data train.json --val-data val.json

All that follows -- goes to fcos train in every run. A run that is done is not done again, so that a
stopped comparison goes on with the same command. Variants differ in what is said here alone:
images, their order and the first weights are those of the seed."""


class Run(NamedTuple):
    """One training."""

    variant: str
    opts: list[str]  # overrides of the config
    seed: int
    folder: Path


def parse_variant(text: str) -> tuple[str, list[str]]:
    """The name and the overrides of "NAME: KEY VALUE KEY VALUE ..."."""
    name, _, opts = text.partition(":")
    return name.strip(), shlex.split(opts)


def planned_runs(variants: list[str], seeds: list[int], output: Path) -> list[Run]:
    """All runs, seed after seed, so that a stopped comparison has all variants of some seeds.

    Raises:
        WrongUse: two variants of one name.
    """
    parsed = [parse_variant(text) for text in variants]
    names = [name for name, _ in parsed]
    if len(set(names)) < len(names):
        raise WrongUse(f"two variants have the same name: {', '.join(names)}")
    return [
        Run(name, opts, seed, output / name.replace(" ", "-").replace("/", "-") / str(seed))
        for seed in seeds
        for name, opts in parsed
    ]


def metrics_of(folder: Path, metric: str) -> float | None:
    """The last value of a metric in the log of a finished run; None for a run to be done."""
    if not (folder / "model_final.pth").exists():
        return None
    lines = (folder / "metrics.json").read_text().splitlines()
    values = [record[metric] for record in map(json.loads, lines) if metric in record]
    return values[-1] if values else None


def train(run: Run, arguments: list[str], threads: int) -> int:
    """Runs `fcos train`; returns its exit code. What it prints goes into run.log."""
    run.folder.mkdir(parents=True, exist_ok=True)
    fcos = [sys.executable, "-m", "fcos_cli", "train"]
    opts = ["OUTPUT_DIR", str(run.folder), "SEED", str(run.seed), *run.opts]
    command = [*fcos, "--resume", *arguments, *opts]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with (run.folder / "run.log").open("a") as log:
        return subprocess.run(command, stdout=log, stderr=log, env=environment).returncode


def table(runs: list[Run], metrics: list[str]) -> str:
    """Markdown: mean and standard deviation of each metric over the seeds, a row for a variant."""
    import statistics

    lines = [
        f"| variant | seeds | {' | '.join(metrics)} |",
        f"|---|---|{'---|' * len(metrics)}",
    ]
    for name in dict.fromkeys(run.variant for run in runs):
        cells, count = [], 0
        for metric in metrics:
            found = [metrics_of(run.folder, metric) for run in runs if run.variant == name]
            values = [value for value in found if value is not None]
            count = len(values)
            spread = f" ± {statistics.stdev(values):.1f}" if count > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}" if values else "")
        lines.append(f"| {name} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument(
        "--variant",
        action="append",
        required=True,
        metavar='"NAME: KEY VALUE"',
        help="a name and overrides of the config; repeatable",
    )
    seeds = [1, 2, 3]
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=seeds, metavar="N", help="default: 1 2 3"
    )
    flags.add(parser, "--output", required=True, type=Path, note="a folder for all runs")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time")
    flags.add(parser, "--threads", note="in each run; default: all over --jobs")
    metrics = ["bbox/AP", "bbox/AP50", "bbox/AP75"]
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=metrics,
        metavar="NAME",
        help=f"default: {' '.join(metrics)}",
    )
    parser.add_argument("arguments", nargs="*", metavar="...", help="of fcos train, after --")


def run(arguments: argparse.Namespace) -> int:
    """Returns the exit code: 1 when a run failed."""
    from concurrent.futures import ThreadPoolExecutor

    from fcos_deploy.writing import write_text

    runs = planned_runs(arguments.variant, arguments.seeds, arguments.output)
    threads = arguments.threads or max(1, (os.cpu_count() or 1) // arguments.jobs)

    def do(run: Run) -> bool:
        if metrics_of(run.folder, arguments.metrics[0]) is not None:
            return True
        code = train(run, arguments.arguments, threads)
        done = "done" if code == 0 else f"failed, see {run.folder / 'run.log'}"
        print(f"{run.variant}, seed {run.seed}: {done}", flush=True)
        return code == 0

    with ThreadPoolExecutor(arguments.jobs) as pool:
        succeeded = list(pool.map(do, runs))
    text = table(runs, arguments.metrics)
    write_text(arguments.output / "table.md", f"{text}\n")
    print(text)
    return 0 if all(succeeded) else 1
