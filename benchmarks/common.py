"""What every measurement shares: turns, memory, tables, and what the figures depend on."""

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import detectron2
import torch

VERSIONED = ("torch", "torchvision", "onnxruntime", "openvino", "opencv-python", "fcos_d2")


def time_in_turns(
    functions: dict[str, Callable[[], object]],
    warmup: int,
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Milliseconds of each call. The functions take turns (A B C, A B C, ...), so that whatever
    else the machine does meanwhile falls on all of them; `clock` gives seconds."""
    milliseconds = {name: [] for name in functions}
    for i in range(warmup + repeats):
        for name, function in functions.items():
            start = clock()
            function()
            if i >= warmup:
                milliseconds[name].append((clock() - start) * 1e3)
    return milliseconds


def peak_memory(function: Callable[[], object]) -> int:
    """Most bytes that torch's CPU allocator held at one moment of the call beyond those before it.

    The profiler reports every allocation and release, those inside of an operator too.
    """
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profiler:
        result = function()
    # Held up to here, so that the result counts as well.
    del result
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    changes = [event for event in events if event.get("name") == "[memory]"]
    held = peak = 0
    for event in sorted(changes, key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak


def describe_machine() -> dict[str, str]:
    """What the figures depend on, by name."""
    machine = {
        "CPU": f"{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads of torch",
    }
    if hasattr(os, "sysconf"):
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        machine["memory"] = f"{size / 2**30:.0f} GiB"
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        machine["GPU"] = (
            f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
        )
    machine["versions"] = ", ".join(f"{name} {number}" for name, number in versions().items())
    return machine


def versions() -> dict[str, str]:
    # detectron2 is not always there as a distribution.
    found = {"Python": platform.python_version(), "detectron2": detectron2.__version__}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # not installed: nothing was measured with it
    return found


def cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def markdown_list(items: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {text}" for name, text in items.items())


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """First column left, the others right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: list[float]) -> tuple[float, float]:
    """First and third quartile; of a single value that value."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def row_beside_peers(
    name: str, values: dict[str, float], unit: str, target: float | None
) -> dict[str, str | float | None]:
    """A row of the suite.

    Args:
        values: of "ours" and of each peer; less is better.
        target: what the ratio shall reach; None where none is set.

    Returns:
        See `suite_row`; the peer is the best one, and the note names all with their values.
    """
    peers = {peer: value for peer, value in values.items() if peer != "ours"}
    note = ", ".join(f"{peer} {significant(value)}" for peer, value in peers.items())
    return suite_row(name, values["ours"], min(peers.values()), unit, target, note)


def suite_row(
    name: str,
    ours: float,
    peer: float,
    unit: str,
    target: float | None,
    note: str,
    more_is_better: bool = False,
) -> dict[str, str | float | None]:
    """What the suite prints as a line; the ratio is above 1 where ours is better."""
    ratio = ours / peer if more_is_better else peer / ours
    return {
        "name": name,
        "ours": ours,
        "peer": peer,
        "unit": unit,
        "ratio": ratio,
        "target": target,
        "note": note,
    }


def significant(value: float | None) -> str:
    """Three significant digits, without an exponent; "-" for no value."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
