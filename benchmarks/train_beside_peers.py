"""`fcos train` beside the FCOS of torchvision and of detectron2, in equal time, on one's own data.

Ours is the command itself, with all that it decides: its time runs from the command to its last
line, start-up and evaluations included. Each peer gets the body, the neck, the weights to start
from, the input size and the batches that ours has chosen; its time is that of its steps alone. The
last weights of each are evaluated, by the same metric.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from detectron2.data import DatasetCatalog

from benchmarks.intervals import MOST, mean_and_interval
from benchmarks.peer_models import MODELS, starting_model
from benchmarks.plain_training import Plain, train
from fcos_cli import flags
from fcos_cli.values import positive
from fcos_d2 import model_zoo
from fcos_d2.checkpoint import read_checkpoint
from fcos_d2.engine import Request
from fcos_d2.engine.evaluating import evaluate, evaluate_weights
from fcos_d2.engine.run_parts import Run
from fcos_d2.engine.setup import prepare
from fcos_d2.engine.wrapping import prepare_for_training
from fcos_deploy.writing import write_text

OURS = "fcos_d2"
# Also our detector without its recipe: in the loop of the peers.
PLAIN: dict[str, Callable] = MODELS | {"fcos_d2 in the plain loop": starting_model}
SETS = {"val": "own_val", "test": "own_test"}  # as `register_own_data` calls them
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
DATA = ("folder", "train_data", "train_images", "val_data", "val_images")  # of a Request


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `peers-training`."""
    parser.add_argument("--data", dest="folder", metavar="FOLDER", help="as `fcos train FOLDER`")
    flags.add(parser, "--train-data", "--train-images", "--val-data", "--val-images")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="of each training")
    length.add_argument("--iterations", type=positive, help="of each, instead of a time")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    subjects = [OURS, *PLAIN]
    parser.add_argument(
        "--subjects", nargs="+", choices=subjects, default=[OURS, *MODELS], help="in this order"
    )
    parser.add_argument("--size", type=positive, help="short side of the peers; default: ours'")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate of the peers")
    parser.add_argument("--peer-config", help="what the peers are made from; default: ours' plan")
    parser.add_argument("--threads", type=positive, default=os.cpu_count() or 1, help="torch's")
    parser.add_argument("--output", type=Path, default=Path("output/peers"), help="a folder")
    parser.add_argument(
        "words",
        nargs="*",
        metavar="...",
        help="of fcos train alone, after --; overrides follow --opts",
    )


def run_peers_training(arguments: argparse.Namespace) -> None:
    """Trains all subjects with all seeds; what is done already is not done again.

    Raises:
        ValueError: no data, too many seeds, or a training that failed.
    """
    if not (arguments.folder or arguments.train_data):
        raise ValueError("no data given: --data FOLDER, or --train-data and --val-data")
    if len(arguments.seeds) > MOST:
        raise ValueError(f"--seeds takes at most {MOST}, got {len(arguments.seeds)}")
    torch.set_num_threads(arguments.threads)
    results = []
    # Seed after seed, so that all subjects share what else the machine does.
    for seed in arguments.seeds:
        for subject in arguments.subjects:
            results.append(_result(arguments, subject, seed))
            text = table(results)
            write_text(arguments.output / "results.json", json.dumps(results, indent=1))
            write_text(arguments.output / "table.md", f"{text}\n")
    print(f"\n{text}")


def _result(arguments: argparse.Namespace, subject: str, seed: int) -> dict:
    folder = arguments.output / subject.replace(" ", "-") / str(seed)
    path = folder / "result.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    measure = _ours if subject == OURS else _peer
    result = {"subject": subject, "seed": seed, **measure(arguments, subject, seed, folder)}
    write_text(path, json.dumps(result))
    print(json.dumps(result), flush=True)
    return result


def _ours(arguments: argparse.Namespace, subject: str, seed: int, folder: Path) -> dict:
    """Runs the command, and evaluates its last weights."""
    output = folder / "run"
    command = [sys.executable, "-m", "fcos_cli", "train", *ours_words(arguments, output, seed)]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    begun = time.monotonic()
    with (folder / "run.log").open("w") as log:
        code = subprocess.run(command, stdout=log, stderr=log, env=environment).returncode
    seconds = time.monotonic() - begun
    if code:
        raise ValueError(f"fcos train ended with exit code {code}: see {folder / 'run.log'}")
    final = output / "model_final.pth"
    run = _run(arguments, folder, output / "config.yaml", [])
    run = replace(run, weights=str(final))
    found = {name: evaluate_weights(of_set) for name, of_set in _sets(run).items()}
    iterations = 1 + read_checkpoint(final)["iteration"]  # of the last step, from 0
    return {"iterations": iterations, "seconds": round(seconds, 1), **_numbers(found)}


def ours_words(arguments: argparse.Namespace, output: Path, seed: int) -> list[str]:
    """The arguments of `fcos train`."""
    words = [arguments.folder] if arguments.folder else []
    for name in DATA[1:]:
        if value := getattr(arguments, name):
            words += [f"--{name.replace('_', '-')}", value]
    words += ["--output", str(output)]
    opts = ["SEED", str(seed)]
    if arguments.minutes:
        words += ["--budget", f"{60 * arguments.minutes:g}s"]
    else:
        opts += ["SOLVER.MAX_ITER", str(arguments.iterations)]
    given = arguments.words
    return [*words, *given, *([] if "--opts" in given else ["--opts"]), *opts]


def _peer(arguments: argparse.Namespace, subject: str, seed: int, folder: Path) -> dict:
    """Trains one in the plain loop, and evaluates it."""
    of_ours = arguments.output / OURS / str(seed) / "run" / "config.yaml"
    config = Path(arguments.peer_config or of_ours)
    if not (arguments.peer_config or config.exists()):
        raise ValueError(f"{config} is not there: let {OURS} go first, or name a --peer-config")
    run = _run(arguments, folder, config, plain_settings(str(config), arguments.size, seed))
    model = prepare_for_training(PLAIN[subject](run)).to(run.device)
    seconds = 60 * arguments.minutes if arguments.minutes else None
    plain = Plain(seconds=seconds, iterations=arguments.iterations, rate=arguments.rate)
    trained = train(model, run.build_train_loader(), plain)
    found = {name: evaluate(of_set, model, run.class_names) for name, of_set in _sets(run).items()}
    return {
        "iterations": trained.iterations,
        "seconds": round(trained.seconds, 1),
        **_numbers(found),
    }


def _run(arguments: argparse.Namespace, folder: Path, config: Path | str, opts: list[str]) -> Run:
    """The run of a config on the data, seeded; what it writes goes into a folder of its own."""
    given = {name: value for name in DATA if (value := getattr(arguments, name))}
    output = str(folder / "measured")
    return prepare(Request(config_file=str(config), opts=opts, output_dir=output, **given))


def plain_settings(config: str, size: int | None, seed: int) -> list[str]:
    """Overrides that take from a config what is our recipe; its size, batch and flips stay."""
    given = model_zoo.get_config(config).INPUT
    short = size or given.MIN_SIZE_TEST
    settings = {
        "SEED": seed,
        "MODEL.BACKBONE.FREEZE_AT": 0,
        "SOLVER.ACCUMULATE_STEPS": 1,
        "INPUT.MIN_SIZE_TRAIN": (short,),
        "INPUT.MAX_SIZE_TRAIN": given.MAX_SIZE_TEST,
        "INPUT.MIN_SIZE_TEST": short,
        "INPUT.SQUARE_SIZE": size or given.SQUARE_SIZE,
        "INPUT.RESIZE_RULE_TRAIN": given.RESIZE_RULE_TEST,
        "INPUT.MIX.MOSAIC_PROB": 0.0,
        "INPUT.MIX.MIXUP_PROB": 0.0,
        "INPUT.MIX.COPY_PASTE_PROB": 0.0,
        "INPUT.AFFINE.PROB": 0.0,
        "INPUT.CROP_WITH_BOXES.PROB": 0.0,
        **{f"INPUT.COLOR_JITTER.{x}": 0.0 for x in given.COLOR_JITTER},
    }
    # They are looked at once, as what merges views knows no other detectors.
    settings |= {"TEST.SLICE.SIZE": 0, "TEST.AUG.ENABLED": False}
    return [str(word) for item in settings.items() for word in item]


def _sets(run: Run) -> dict[str, Run]:
    """A run for each set that there is to evaluate on."""
    there = set(DatasetCatalog.list())
    sets = {name: known for name, known in SETS.items() if known in there}
    return {name: replace(run, test_datasets=(known,)) for name, known in sets.items()}


def _numbers(found: dict[str, dict]) -> dict[str, dict[str, float | None]]:
    return {
        name: {metric: _number(metric, results["bbox"][metric]) for metric in METRICS}
        for name, results in found.items()
    }


def _number(metric: str, value: float) -> float | None:
    """Of a detector that finds nothing, the evaluator gives nan."""
    if math.isnan(value):
        return 0.0 if metric in METRICS[:3] else None  # None: there are no objects of this size
    return round(float(value), 2)


def table(results: list[dict]) -> str:
    """Markdown: means with 95 % intervals over the seeds; and ours minus each, seed by seed."""
    lines = [
        "| set | detector | seeds | iterations | AP | AP50 | AP75 | ours is ahead by, AP | wins |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in SETS:
        ours = {x["seed"]: x[name]["AP"] for x in results if x["subject"] == OURS and name in x}
        for subject in dict.fromkeys(x["subject"] for x in results):
            rows = [x for x in results if x["subject"] == subject and name in x]
            if not rows:
                continue
            ahead = [ours[x["seed"]] - x[name]["AP"] for x in rows if x["seed"] in ours]
            wins = f"{sum(x > 0 for x in ahead)} of {len(ahead)}"
            of_ours = [mean_and_interval(ahead), wins] if subject != OURS else ["", ""]
            cells = [mean_and_interval([x[name][metric] for x in rows]) for metric in METRICS[:3]]
            iterations = round(sum(x["iterations"] for x in rows) / len(rows))
            words = [name, subject, str(len(rows)), str(iterations), *cells, *of_ours]
            lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines)
