"""A plan: decisions with their reasons, and the config that they make together."""

import copy
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import getitem

from detectron2.config import CfgNode

from ..config import get_cfg
from ..config_files import merge_overrides

WIDTH = 100  # of lines for people


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Attributes:
    title: what is decided, for people.
    values: the yaml keys that say it.
    shown: the decision in words.
    reason: why.
    yours: the user decided it.
    """

    title: str
    values: Mapping[str, object]
    shown: str
    reason: str
    yours: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Attributes:
    decisions: in the order in which people read them.
    epochs: how often it shows each image.
    opts: overrides of the user, KEY VALUE.
    facts: what the data are, in lines for people.
    advice: what would give more than this plan can.
    """

    decisions: tuple[Decision, ...]
    epochs: float
    opts: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    advice: tuple[str, ...] = field(default=())

    def config(self) -> CfgNode:
        """The whole config.

        Raises:
            ValueError: an override that names no key, or has a value of another kind.
        """
        cfg = get_cfg()
        for decision in self.decisions:
            for key, value in decision.values.items():
                set_key(cfg, key, value)
        merge_overrides(cfg, list(self.opts), "the overrides")
        return cfg

    def reasons(self) -> dict[str, str]:
        """By yaml key: the decision and its reason, or that it is the user's."""
        yours = dict.fromkeys(self.opts[::2], "yours")
        made = {
            key: f"{decision.title}: {decision.shown}. {decision.reason}"
            for decision in self.decisions
            for key in decision.values
        }
        return made | yours

    def says(self) -> str:
        """About twenty lines for a terminal."""
        rows = [line for fact in self.facts for line in _wrapped("data", fact)]
        for decision in self.decisions:
            if decision.title:
                why = "yours" if decision.yours else decision.reason
                rows += _wrapped(decision.title, f"{decision.shown} ({why})")
        for line in self.advice:
            rows += _wrapped("more", line)
        return "\n".join(rows)

    def value(self, key: str) -> object:
        """Of a key, in the config."""
        return get_key(self.config(), key)


def with_yours(decisions: Iterable[Decision], given: Mapping[str, object]) -> list[Decision]:
    """Decisions in which the values of the user have replaced what was decided.

    Args:
        decisions: of the rules.
        given: the user's values, by key.
    """
    found, used = [], set[str]()
    for decision in decisions:
        mine = {key: given[key] for key in decision.values if key in given}
        used |= set(mine)
        if not mine:
            found.append(decision)
            continue
        words = ", ".join(f"{key} {value}" for key, value in mine.items())
        values = {**decision.values, **mine}
        all_mine = len(mine) == len(values)
        shown = words if all_mine else f"{decision.shown}; yours: {words}"
        found.append(replace(decision, values=values, shown=shown, yours=all_mine))
    rest = {key: value for key, value in given.items() if key not in used}
    if rest:
        shown = ", ".join(f"{key} {value}" for key, value in rest.items())
        found.append(Decision(title="also", values=rest, shown=shown, reason="yours", yours=True))
    return found


def get_key(cfg: CfgNode, key: str) -> object:
    """The value of a key such as "SOLVER.BASE_LR"."""
    return reduce(getitem, key.split("."), cfg)


def set_key(cfg: CfgNode, key: str, value: object) -> None:
    """Sets a key that there is; yacs checks the kind of the value."""
    cfg.merge_from_list([key, copy.deepcopy(value)])  # keys may share a list


def _wrapped(title: str, text: str) -> list[str]:
    indent = 14
    lines = textwrap.wrap(text, WIDTH - indent, break_long_words=False, break_on_hyphens=False)
    return [f"  {title if i == 0 else '':<11} {line}" for i, line in enumerate(lines)]
