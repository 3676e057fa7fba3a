"""Inputs as damage and ill will make them, each a function of its seed."""

import copy
import math
import random

# What a value may be replaced by: other kinds, limits, paths that lead away, code, terminal codes.
HOSTILE = (
    *(None, True, "", " ", 0, -1, 3.5, -0.0, 2**31, 2**63, 2**70, 1e308, math.nan, math.inf),
    *([], {}, [[]], {"a": 1}, "a" * 5000, "\x00", "\x1b[2J\x1b]0;owned\x07", "\udcff", "名前"),
    *("../../../outside", "/tmp/outside", "..\\..\\outside", "~/outside", "CON", "a/../../b"),
    *("$(touch canary)", "`touch canary`", "<script>touch('canary')</script>", "%s%n{0.__class__}"),
    *("!!python/object/apply:os.system ['touch canary']", "os.system", "builtins.eval"),
)
_TOKENS = (
    b"\x00",
    b"\xff" * 8,
    b"\n",
    b"<",
    b"&a;",
    b"[" * 2000,
    b"{",
    b"}",
    b"-1",
    b"1e999",
    b"..",
)


def mutated_bytes(data: bytes, draw: random.Random) -> bytes:
    """`data` with one to four places flipped, cut out, doubled, zeroed or filled."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        start = draw.randrange(len(changed) + 1)
        end = min(len(changed), start + draw.choice((1, 4, 64, 4096)))
        kind = draw.randrange(6)
        if kind == 0 and start < len(changed):
            changed[start] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del changed[start:end]
        elif kind == 2:
            changed[start:start] = changed[start:end]
        elif kind == 3:
            changed[start:end] = bytes(end - start)
        elif kind == 4:
            changed[start:end] = draw.randbytes(end - start)
        else:
            changed[start:start] = draw.choice(_TOKENS)
    return bytes(changed[: draw.randrange(len(changed) + 1)] if draw.random() < 0.1 else changed)


def mutated_tree(tree: object, draw: random.Random) -> object:
    """A copy of dicts and lists with one to three entries replaced, removed, renamed or doubled."""
    root = [copy.deepcopy(tree)]
    for _ in range(draw.randint(1, 3)):
        places = [*_places(root)]
        container, key = draw.choice(places)
        kind = draw.randrange(5)
        if kind <= 2 or container is root:
            container[key] = copy.deepcopy(draw.choice(HOSTILE))
        elif kind == 3:
            del container[key]
        elif isinstance(container, dict):
            container[draw.choice(("", "id", 7, "../x", "\x1b[1m"))] = container.pop(key)
        else:
            container.append(copy.deepcopy(container[key]))
    return root[0]


def _places(container: object) -> list[tuple]:
    items = [*container.items()] if isinstance(container, dict) else [*enumerate(container)]
    for key, value in items:
        yield container, key
        if isinstance(value, (dict, list)):
            yield from _places(value)
