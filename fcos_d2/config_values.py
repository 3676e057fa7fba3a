"""Values of a yaml config, or of the command line, in the types that their keys have."""

from ast import literal_eval

from detectron2.config import CfgNode

MOST_LETTERS = 60  # of a value in a message

# By the type of a key's value, what else it may be.
_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    tuple: "a list",
    CfgNode: "a section with keys of its own",
}


def fitted_section(content: dict, section: CfgNode, prefix: str = "") -> dict:
    """The values of a config file as `fitted` makes them.

    Args:
        content: of the file, or of a section of it. Keys that there are not stay as they are.
        section: what the values will replace.
        prefix: of the names in messages, such as "MODEL.".

    Raises:
        ValueError: a value of another type.
    """
    return {
        key: fitted(f"{prefix}{key}", value, section[key]) if key in section else value
        for key, value in content.items()
    }


def fitted(key: str, value: object, present: object) -> object:
    """A value in the type of the one that it replaces, for yacs, which reads texts as Python.

    A whole number is right where a number belongs, as is 9e4 where a whole one does, and a text
    that looks like a number where text belongs. A key that is None so far takes anything.

    Args:
        key: its full name.
        value: from a file or from the command line, where all values are texts.
        present: what the key holds.

    Raises:
        ValueError: the value is of another type; names the key, the value and what is expected.
    """
    if isinstance(present, CfgNode) and isinstance(value, dict):
        return fitted_section(value, present, f"{key}.")
    meant = _meant(value)
    if type(present) not in _WORDS or type(meant) is type(present):
        return value
    if isinstance(present, str) and isinstance(value, str) and meant is not None:
        return repr(value)  # yacs reads it back
    if isinstance(present, float) and type(meant) is int:
        return float(meant)
    if type(present) is int and isinstance(meant, float) and meant.is_integer():
        return int(meant)
    if isinstance(present, (list, tuple)) and isinstance(meant, (list, tuple)):
        return value
    raise ValueError(f"{key} is {_short(value)}, but must be {_expected(present)}")


def _meant(value: object) -> object:
    """What yacs takes a value for."""
    if not isinstance(value, str):
        return value
    try:
        return literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def _expected(present: object) -> str:
    """In words, with an example."""
    if isinstance(present, (bool, CfgNode)):
        return _WORDS[type(present)]
    if isinstance(present, (list, tuple)) and not present:
        return "a list, such as (1, 2)"
    return f"{_WORDS[type(present)]}, such as {_short(present)}"
