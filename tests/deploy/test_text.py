"""Text in every encoding, and names for terminals."""

import io
import sys
from pathlib import Path

import pytest

from fcos_deploy.text import (
    read_json,
    read_lines,
    read_text,
    read_yaml,
    say,
    shown,
    shown_lines,
)

CAT = "猫\nkočka\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "names.txt"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_that_is_read(file, encoding, end):
    file.write_bytes(CAT.replace("\n", end).encode(encoding))
    assert read_text(file) == CAT


def test_utf_16_from_big_endian_machines(file):
    file.write_bytes(b"\xfe\xff" + CAT.encode("utf-16-be"))
    assert read_text(file) == CAT


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a\n狗".encode("gbk"), r"byte 2 \(0xb9, in line 2\) is not UTF-8; save the file as UTF-8"),
        ("é".encode("latin-1"), r"byte 0 \(0xe9, in line 1\) is not UTF-8"),
        (b"\xef\xbb\xbfa\xe9", r"byte 4 \(0xe9, in line 1\) is not UTF-8"),
        ("a\nb".encode("utf-16") + b"\0", r"byte 8 \(0x00, in line 2\) is not UTF-16-LE"),
        ("a\nb".encode("utf-16-le"), "a zero byte in line 1, as in UTF-16 without byte order mark"),
        (b"\x89PNG\r\n\x1a\n", r"byte 0 \(0x89, in line 1\) is not UTF-8"),
    ],
)
def test_what_is_no_text_is_named(file, content, words):
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{file}: {words}") as refusal:
        read_text(file)
    assert "\n" not in str(refusal.value)


def test_files_that_cannot_be_read(tmp_path):
    for name in ("absent.txt", "a\0b", "x" * 300, ""):
        with pytest.raises(ValueError, match="cannot be read"):
            read_text(tmp_path / name)


def test_lines_split_at_line_ends_only(file):
    file.write_text("  a\x85b.jpg \n\n\nc\u2028d.jpg\x0c\n", encoding="utf-8")
    assert read_lines(file) == [(1, "a\x85b.jpg"), (4, "c\u2028d.jpg")]


@pytest.mark.parametrize(("read", "level"), [(read_json, "["), (read_yaml, "- ")])
def test_nested_too_deeply(file, read, level):
    file.write_text(level * 100_000)
    with pytest.raises(ValueError, match=f"^{file}: not .* too deeply"):
        read(file)


def test_json_and_yaml(file):
    file.write_text('{"a": [1, null]}', encoding="utf-16")
    assert read_json(file) == read_yaml(file) == {"a": [1, None]}
    for content in ("{", "a: [2020-13-01]", "a: !!python/object:os.system {}", "\x07"):
        file.write_text(content)
        for read in (read_json, read_yaml):
            with pytest.raises(
                ValueError, match=f"^{file}: not (valid JSON|a yaml file) "
            ) as refusal:
                read(file)
            assert "\n" not in str(refusal.value)


def test_names_for_a_terminal():
    assert shown("a\n\x1b[2J\x9b\x7f\t.jpg") == r"a\n\x1b[2J\x9b\x7f\t.jpg"
    assert shown(b"caf\xe9.jpg".decode("utf-8", "surrogateescape")) == r"caf\xe9.jpg"
    assert shown("\ud800 \u202egpj.exe") == r"\ud800 \u202egpj.exe"
    for plain in ("猫 é ü.jpg", "👩\u200d🚀", "می\u200cخواهم", "a\\b.jpg"):  # noqa: RUF001 - Persian
        assert shown(plain) == plain
    assert shown_lines("a\nb\x1b") == "a\nb\\x1b"


def test_an_output_that_lacks_letters(monkeypatch):
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii"))
    say("猫\n\x1b\udcff")
    sys.stdout.flush()
    assert output.getvalue() == b"\\u732b\n\\x1b\\xff\n"
