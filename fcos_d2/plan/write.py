"""A plan as a yaml config that says why."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from detectron2.config import CfgNode

from fcos_deploy.writing import write_text

from .. import __version__
from .decisions import WIDTH, Plan


def write_config(path: str | Path, plan: Plan, cfg: CfgNode) -> None:
    """Writes a complete config whose decided keys carry their reasons as comments.

    Args:
        path: of the file.
        plan: has the reasons.
        cfg: its config, and what the run adds to it.
    """
    write_text(path, commented(plan, cfg))


def commented(plan: Plan, cfg: CfgNode) -> str:
    """The text of `write_config`."""
    head = [
        f"Planned by fcos_d2 {__version__}; `fcos train --config` this file gives the same run.",
        "Edit it freely: the reasons are comments. Keys without one have their default.",
        "",
        *(line[2:] for line in plan.says().splitlines()),
    ]
    lines = [f"# {line}".rstrip() for line in head]
    return "\n".join([*lines, *_lines(cfg, plan.reasons(), ()), ""])


def _lines(section: CfgNode, reasons: Mapping[str, str], path: tuple[str, ...]) -> Iterator[str]:
    indent = "  " * len(path)
    said = ""
    for key in sorted(section):
        value, here = section[key], (*path, key)
        if isinstance(value, CfgNode):
            if value:
                yield f"{indent}{key}:"
                yield from _lines(value, reasons, here)
            else:
                yield f"{indent}{key}: {{}}"
            continue
        reason = reasons.get(".".join(here), "").removeprefix(": ")
        if reason and reason != said:  # neighbours of one decision share its comment
            width = max(WIDTH - len(indent) - 2, 40)
            yield from (f"{indent}# {line}" for line in textwrap.wrap(reason, width))
        said = reason
        # Of its own, each value, so that none refers to another (anchors).
        flow = yaml.safe_dump({key: _plain(value)}, default_flow_style=True, width=float("inf"))
        yield f"{indent}{flow.strip()[1:-1]}"


def _plain(value: object) -> object:
    """Without tuples, and without lists that are the same object."""
    if isinstance(value, (list, tuple)):
        return [_plain(x) for x in value]
    return value
