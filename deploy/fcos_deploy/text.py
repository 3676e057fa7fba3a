"""Text files as users have them, and names that a terminal can show."""

import codecs
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from .safe_yaml import LimitedLoader

# PyYAML's own errors, and those for values that do not fit their tag: 2020-13-01 is not a date.
_YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, OverflowError)
# UTF-32 before UTF-16, because its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CURE = "save the file as UTF-8 (of a Chinese one: iconv -f GBK -t UTF-8 OLD > NEW)"
# Control characters, except those of Unicode that letters need, and those that reverse a line.
_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def read_text(path: str | Path) -> str:
    """The text of a file; its lines end in a line feed whatever program wrote it.

    UTF-8, with or without a byte order mark, or UTF-16 or UTF-32 with one.

    Raises:
        ValueError: no such file, or other bytes; names the file, the place and the cure.
    """
    text = decode_text(read_bytes(path), path)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: str | Path) -> bytes:
    """The content of a file.

    Raises:
        ValueError: it cannot be read; names it.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # a zero byte in the name
        raise ValueError(f"{path}: cannot be read ({error})") from None


def decode_text(content: bytes, source: str | Path, encoding: str = "utf-8") -> str:
    """Bytes as text.

    Args:
        content: of a file.
        source: what the error calls it.
        encoding: of bytes without a byte order mark; one that Python knows.

    Raises:
        ValueError: as `read_text`.
    """
    mark, encoding = next(
        ((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", encoding)
    )
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        start = error.start + len(mark)
        line = content[len(mark) : start].decode(encoding, "ignore").count("\n") + 1
        raise ValueError(
            f"{source}: byte {start} (0x{content[start]:02x}, in line {line}) is not "
            f"{encoding.upper()}; {_CURE}"
        ) from None
    except UnicodeError as error:
        raise ValueError(f"{source}: not {encoding} ({error}); {_CURE}") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(
            f"{source}: a zero byte in line {line}, as in UTF-16 without byte order mark or in a "
            f"file that is not text; {_CURE}"
        )
    return text


def read_lines(path: str | Path) -> list[tuple[int, str]]:
    """The lines that are not empty, without the space around them, with their numbers from 1.

    Raises:
        ValueError: as `read_text`.
    """
    # Not splitlines(), which also splits at letters that file names may hold.
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def read_json(path: str | Path) -> object:
    """The content of a JSON file.

    Raises:
        ValueError: as `read_text`, or not JSON; names the file.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"{path}: not valid JSON (nested too deeply)") from None
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from None


def read_yaml(path: str | Path) -> object:
    """The content of a yaml file.

    Raises:
        ValueError: as `read_text`, or not yaml; names the file.
    """
    return parse_yaml(read_text(path), path)


def parse_yaml(text: str, source: str | Path) -> object:
    """The content of a text in yaml.

    Args:
        text: a whole document.
        source: what the error calls it.

    Raises:
        ValueError: not yaml, or more than `LimitedLoader` takes.
    """
    try:
        return yaml.load(text, Loader=LimitedLoader)
    except _YAML_ERRORS as error:
        raise ValueError(f"{source}: not a yaml file ({' '.join(str(error).split())})") from None


def shown(name: object) -> str:
    r"""A name, or a message with names in it, as one line that a terminal can take.

    Names of files and classes may hold bytes that are not UTF-8, line feeds and escape sequences;
    they come out as \xff, \n and \x1b.
    """
    return _UNSHOWABLE.sub(_escape, str(name))


def shown_lines(text: object) -> str:
    """As `shown`, of a text that has lines of its own."""
    return "\n".join(map(shown, str(text).split("\n")))


def _escape(match: re.Match) -> str:
    letter = match.group()
    if "\udc80" <= letter <= "\udcff":  # how Python keeps a byte of a file name that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


def say(text: object, write: Callable[[str], object] = print) -> None:
    """Prints a text as `shown_lines` gives it; letters that the output lacks are escaped, too."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    write(shown_lines(text).encode(encoding, "backslashreplace").decode(encoding))
