"""What names of classes say about mirror images and colours."""

import re
from collections.abc import Iterable

# Mirrored, these become something else.
_SIDES = {
    "left",
    "right",
    "leftward",
    "rightward",
    "clockwise",
    "counterclockwise",
    "anticlockwise",
}
_WRITING = {
    *("arrow", "arrows", "digit", "digits", "letter", "letters", "number", "numbers", "text"),
    *("sign", "signs", "word", "words", "character", "characters", "license", "licence", "plate"),
    *("logo", "barcode", "qrcode", "speedlimit", "turn", "uturn", "road sign", "traffic sign"),
}
_DIGIT_WORDS = {
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
}
# Mirrored they look the same.
_SYMMETRIC = {"0", "8", "stop"}
_COLOURS = {
    *("red", "green", "blue", "yellow", "orange", "purple", "violet", "pink", "brown", "black"),
    *("white", "grey", "gray", "cyan", "magenta", "golden", "silver", "beige", "turquoise"),
    *("colour", "color", "ripe", "unripe", "overripe", "rotten", "amber", "rust", "rusty"),
}


def words_of(name: str) -> list[str]:
    """The words of a name: "TurnLeft_2" is turn, left and 2."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+|\d+", spaced.lower())


def names_with_a_side(class_names: Iterable[str]) -> list[str]:
    """Classes that a mirror image would turn into others, or into nothing."""
    names = list(class_names)
    found = [name for name in names if _has_a_side(words_of(name), name)]
    # A lone "8", "one" or "A" may be anything; several are digits or letters.
    single = [name for name in names if _is_a_sign(name)]
    if len(single) > 1:
        found += [name for name in single if name not in found and name not in _SYMMETRIC]
    return found


def names_with_a_colour(class_names: Iterable[str]) -> list[str]:
    """Classes that a colour tells from others; none where only one class names one."""
    found = [name for name in class_names if _COLOURS & set(words_of(name))]
    # One white thing among others need not be told by its colour, but two of a kind are.
    return found if len(found) > 1 else []


def _has_a_side(words: list[str], name: str) -> bool:
    return bool((_SIDES | _WRITING) & set(words)) and name.lower() not in _SYMMETRIC


def _is_a_sign(name: str) -> bool:
    """A letter, a digit, or the word for one."""
    stripped = name.strip().lower()
    is_short = len(stripped) == 1 and stripped.isalnum()
    return is_short or stripped.isdigit() or stripped in _DIGIT_WORDS
