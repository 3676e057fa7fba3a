"""Times of calls that take turns, and tables of them."""

import statistics
import time
from collections.abc import Callable, Mapping


def time_in_turns(
    functions: Mapping[str, Callable[[], object]],
    warmup: int,
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Milliseconds of each call. The functions take turns (A B C, A B C, ...), so that whatever
    else the machine does meanwhile falls on all of them; `clock` gives seconds.
    """
    milliseconds: dict[str, list[float]] = {name: [] for name in functions}
    for i in range(warmup + repeats):
        for name, function in functions.items():
            start = clock()
            function()
            if i >= warmup:
                milliseconds[name].append((clock() - start) * 1e3)
    return milliseconds


def spread(values: list[float]) -> tuple[float, float]:
    """First and third quartile; of a single value that value."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def markdown_list(items: dict[str, str]) -> str:
    """A line for each name and its text."""
    return "\n".join(f"- {name}: {text}" for name, text in items.items())


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """First column left, the others right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
