"""All measurements against their targets, into the tables of docs/benchmarks.md."""

import argparse
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.common import significant
from fcos_d2.benchmark.machine import describe_machine
from fcos_d2.benchmark.timing import markdown_list, markdown_table

DEFAULT_PAGE = str(Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md")


class Section(NamedTuple):
    """One table: rows are what the function returns, one dict each with the keys name, ours, peer
    (both in `unit`), unit, ratio, target and note.
    """

    module: str
    function: str
    arguments: tuple
    needs_gpu: bool = False


SECTIONS = {
    "losses": Section("losses", "measure", ([10, 100, 500, 2000], 3)),
    "folding": Section(
        "inference",
        "measure_folding",
        (["FCOS-RT/R50", "FCOS-RT/DLA34"], (512, 736), 15),
    ),
    "winograd": Section("inference", "measure_winograd", (["FCOS-RT/R50"], (512, 736), 15)),
    "peers": Section("inference", "measure_peers", ((800, 1088), 5)),
    "mapper": Section("data", "measure_mapper", (5,)),
    "drawing": Section("data", "measure_drawing", (11,)),
    "video": Section("data", "measure_video", (3,)),
    "deploy": Section(
        "deploy", "measure_deploy", (["FCOS-RT/DLA34", "FCOS-RT/R50"], (512, 736), 7)
    ),
    "evaluation": Section("evaluation", "measure_evaluation", (5000, 100, 1)),
    "gpu": Section("gpu", "measure_gpu", ((800, 1088), 21), needs_gpu=True),
}


def run_suite(arguments: argparse.Namespace) -> None:
    """The command: each section in turn; the page is written after each, so none is lost.

    Raises:
        ValueError: the page lacks a section's marks; or a section could not be measured, which is
            said at the end, when the others are.
    """
    torch.set_num_threads(arguments.threads)
    page = Path(arguments.output)
    for name in arguments.sections:  # before minutes of measuring
        replace_between(page.read_text(encoding="utf-8"), name, "", page)
    absent = []
    for name in arguments.sections:
        if SECTIONS[name].needs_gpu and not torch.cuda.is_available():
            print(f"## {name}\n\nleft out: torch finds no GPU\n", flush=True)
            continue
        print(f"## {name}\n", flush=True)
        try:
            text = measure_section(SECTIONS[name])
        except ImportError as error:
            print(f"not measured: {error}\n", flush=True)
            absent.append(name)
            continue
        print(f"{text}\n", flush=True)
        content = replace_between(page.read_text(encoding="utf-8"), name, text, page)
        page.write_text(content, encoding="utf-8")
    if absent:
        raise ValueError(f"not measured: {', '.join(absent)}; the lines above say why")


def measure_section(section: Section) -> str:
    """The table, and below it what the figures depend on.

    Raises:
        ImportError: the module, or something that it needs, is not there.
    """
    start = time.perf_counter()
    measure = load(section)
    table = ratio_table(measure(*section.arguments))
    seconds = f"{time.perf_counter() - start:.0f} s"
    return f"{table}\n\n{markdown_list(describe_machine() | {'measuring took': seconds})}"


def load(section: Section) -> Callable[..., list[dict]]:
    """The measuring function of a section.

    Raises:
        ImportError: the module, its function, or something that it needs, is not there.
    """
    module = importlib.import_module(f"benchmarks.{section.module}")
    if not hasattr(module, section.function):
        raise ImportError(f"{section.module} has no function {section.function}")
    return getattr(module, section.function)


def ratio_table(rows: list[dict]) -> str:
    """Each ratio with its target beside it, and whether it is reached."""
    header = ["", "fcos_d2", "other", "unit", "ratio", "target", "reached", "note"]
    lines = []
    for row in rows:
        ratio, target = row["ratio"], row["target"]
        reached = "-" if target is None else "yes" if ratio >= target else "**no**"
        lines.append(
            [
                row["name"],
                significant(row["ours"]),
                significant(row["peer"]),
                row["unit"],
                f"{ratio:.2f}",
                "-" if target is None else f"{target:g}",
                reached,
                row["note"],
            ]
        )
    return markdown_table(header, lines)


def replace_between(content: str, name: str, text: str, page: Path) -> str:
    """
    Args:
        content: has the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->`, once each.
        text: what shall be between them.
        page: named in the error.

    Raises:
        ValueError: the marks are not there, not once or not in this order.
    """
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    before, found_begin, rest = content.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end) or begin in after or end in after:
        raise ValueError(f"{page}: needs the lines {begin.strip()} and {end} once, in this order")
    return f"{before}{begin}\n{text}\n\n{end}{after}"
