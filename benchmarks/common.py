"""What several measurements share: memory, and rows of the suite."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch


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
