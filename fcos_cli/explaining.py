"""What `fcos why` does: explain one object, or all misses of a set."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from fcos_d2.datasets.folder import data_in
from fcos_d2.datasets.own_data import DataFiles
from fcos_d2.evaluation.why import (
    STEPS,
    Explanation,
    Judge,
    LabelledImages,
    SetResult,
    Variant,
    check_box,
    explain,
    explain_set,
    explanation,
    look,
    usual_variants,
)
from fcos_d2.predictor import Predictor
from fcos_d2.visualization import write_image
from fcos_deploy.text import say
from fcos_deploy.vision import read_image
from fcos_deploy.writing import write_text

from .model_choice import model_options, view_options


def load_predictor(arguments: argparse.Namespace) -> Predictor:
    """The detector of the command line."""
    return Predictor(**model_options(arguments), **view_options(arguments))


def explain_box(arguments: argparse.Namespace) -> None:
    """The object of a box."""
    image = read_image(arguments.image)
    box = check_box(box_of(arguments.box), image.shape[:2])  # before the model is loaded
    name, predictor = Path(arguments.image).name, load_predictor(arguments)
    say_one(explain(predictor, image, box, arguments.class_name, name=name), arguments)


def box_of(text: str) -> list[float]:
    """Raises ValueError for what is not four numbers."""
    try:
        values = [float(x) for x in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 4:
        raise ValueError(f"--box {text!r}: four numbers with commas between them, X1,Y1,X2,Y2 px")
    return values


def explain_annotation(arguments: argparse.Namespace) -> None:
    """One object of a set, beside the others of its image."""
    predictor, labelled = load(arguments)
    i, which = labelled.of_annotation(arguments.annotation)
    judge = Judge(
        seen=look(predictor, read_image(labelled.path(i))),
        selection=predictor.model.proposal_generator.test_selection,
        objects=labelled.objects(i),
    )
    say_one(explanation(judge, which, name=labelled.path(i).name), arguments)


def load(arguments: argparse.Namespace) -> tuple[Predictor, LabelledImages]:
    """The detector and the data of the command line."""
    given, form = DataFiles(arguments.data, arguments.images), arguments.data_format
    beside = [Path(arguments.weights).parent] if arguments.weights else []
    files, lines = data_in(given, "val", form, classes=arguments.classes, beside=beside)
    if lines and not arguments.json:
        say("\n".join(lines))
    read = files.read(classes=arguments.classes, format=form, usual_split="val")
    predictor = load_predictor(arguments)
    names = [category["name"] for category in read.coco["categories"]]
    if predictor.class_names == [f"class {k}" for k in range(len(names))]:
        predictor.class_names = names  # weights without names: those of the data, in their order
    return predictor, LabelledImages(read, predictor.class_names, arguments.data)


def say_one(explained: Explanation, arguments: argparse.Namespace) -> None:
    """Prints an explanation, and writes it with its picture."""
    content = json.dumps(explained.as_dict(), indent=1)
    say(content if arguments.json else f"{explained.paragraph}\n\n{explained.table()}")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write_image(arguments.output / "why.png", explained.draw())
        write_text(arguments.output / "why.json", content)
        if not arguments.json:
            say(f"\nwrote {arguments.output / 'why.png'} and why.json")


def explain_data(arguments: argparse.Namespace) -> None:
    """All misses of a set."""
    wanted = [Variant.parse(text) for text in arguments.what_if or ()]
    predictor, labelled = load(arguments)
    stage = predictor.model.proposal_generator
    variants = wanted or usual_variants(stage.test_selection)
    drawn: Counter = Counter()
    result = explain_set(
        predictor,
        labelled,
        variants,
        on_miss=partial(draw_miss, arguments.output, arguments.pictures, drawn),
        watch=partial(watch, len(labelled)),
    )
    content = json.dumps(result.as_dict(), indent=1)
    say(content if arguments.json else in_words(result))
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write_text(arguments.output / "why.json", content)
        if not arguments.json:
            say(f"\nwrote {arguments.output / 'why.json'} and {drawn.total()} pictures beside it")


def watch(number: int, images: Iterator[int]) -> Iterator[int]:
    """Progress on the terminal."""
    return iter(tqdm(images, total=number, unit="image", file=sys.stderr, disable=None))


def draw_miss(output: Path | None, most: int, drawn: Counter, explained: Explanation) -> None:
    """Writes the picture of a miss into the folder of its step, unless there are enough."""
    if output is None or drawn[explained.step] >= most:
        return
    folder = output / explained.step.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    number = drawn[explained.step]
    write_image(folder / f"{number:03d}-{Path(explained.image).stem}.png", explained.draw())
    drawn[explained.step] += 1


def in_words(result: SetResult) -> str:
    """The tables of a set."""
    missed = sum(result.steps.values())
    lines = [
        f"{result.images:,} images, {result.objects:,} objects: "
        f"{result.objects - missed:,} found, {missed:,} missed (IoU of at least 0.5)"
    ]
    if result.unreadable:
        lines.append(f"{result.unreadable:,} images could not be read and are left out")
    steps = [
        (step, count, f"{count / missed:.0%}", result.after[step], STEPS[step])
        for step, count in result.steps.items()
        if count
    ]
    if steps:
        headers = ("step", "misses", "share", "found without it", "what happened")
        lines += ["", tabulate(steps, headers, disable_numparse=True)]
    outcomes = [
        (str(x.variant), f"{x.ap:.2f}", f"{x.ap50:.2f}", f"{x.recall:.2f}", x.missed, x.false)
        for x in result.outcomes
    ]
    columns = ("settings", "AP", "AP50", "recall %", "missed", "false detections")
    return "\n".join([*lines, "", tabulate(outcomes, columns, disable_numparse=True)])
