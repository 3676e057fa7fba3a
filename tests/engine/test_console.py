"""What a terminal gets of a log, and what log.txt does."""

import io
import logging

import pytest

from fcos_d2.engine.console import FIRST_LINES, LOGGERS, LogFile, Terminal, setup_logging


@pytest.fixture
def log(tmp_path, capsys):
    """Starts logging; returns what the terminal and the file have got."""
    before = {name: [*logging.getLogger(name).handlers] for name in LOGGERS}

    def start(verbose=False, **settings):
        setup_logging(str(tmp_path), verbose, **settings)
        return lambda: (capsys.readouterr().out, (tmp_path / "log.txt").read_text())

    yield start
    for name, handlers in before.items():
        logging.getLogger(name).handlers[:] = handlers


def test_a_person_gets_the_gist(log):
    read = log()
    logging.getLogger("detectron2.data.build").info("samplers")
    logging.getLogger("fcos_d2.engine.summary").info("training")
    logging.getLogger("detectron2.utils.events").info("\x1b[32meta\x1b[0m: 0:00:02")
    logging.getLogger("fcos_d2.checkpoint").warning("a file is old\nand here is why")
    logging.getLogger("fcos_d2.engine.command").error("bad", extra={"only_in_file": True})
    shown, file = read()
    assert shown == "training\neta: 0:00:02\nwarning: a file is old\nand here is why\n"
    messages = [line.split("] ", 1)[-1] for line in file.splitlines()]
    assert messages == [
        "detectron2.data.build INFO: samplers",
        "fcos_d2.engine.summary INFO: training",
        "detectron2.utils.events INFO: eta: 0:00:02",
        "fcos_d2.checkpoint WARNING: a file is old",
        "and here is why",
        "fcos_d2.engine.command ERROR: bad",
    ]


def test_verbose_shows_everything(log):
    read = log(verbose=True)
    logging.getLogger("detectron2.data.build").info("samplers")
    logging.getLogger("fcos_d2").warning("a\nb\nc\nd\ne")
    shown, _ = read()
    assert "detectron2.data.build]: samplers\n" in shown and shown.endswith("a\nb\nc\nd\ne\n")
    assert shown.count("warning: ") == 1


def test_of_many_warnings_the_first_are_shown(log):
    read = log()
    logger = logging.getLogger("fcos_d2")
    logger.warning("\n".join("abcdef"))
    for i in range(FIRST_LINES):
        logger.warning("warning %d", i)
    logging.getLogger("detectron2.utils.events").info("iter: 19")
    logger.warning("later")
    shown, file = read()
    lines = shown.splitlines()
    assert lines[:3] == ["warning: a", "b", "c ... (3 more lines in log.txt)"]
    assert lines[FIRST_LINES - 1 :] == [
        f"warning: warning {FIRST_LINES - 4}",
        "warning: there are more of these: see log.txt",
        "iter: 19",
        "warning: later",
    ]
    assert f"warning {FIRST_LINES - 1}" in file and "\nf\n" in file


def test_messages_name_keys(log):
    read = log(kind="lazy")
    logging.getLogger("fcos_d2").warning("`max_iter` is %d", 3)
    shown, file = read()
    assert shown == "warning: max_iter (train.max_iter) is 3\n"
    assert "max_iter (train.max_iter) is 3" in file


def test_a_second_run_ends_the_log_of_the_first(log, tmp_path):
    read = log()
    setup_logging(str(tmp_path / "second"))
    logging.getLogger("fcos_d2").warning("once")
    shown, first = read()
    assert shown == "warning: once\n" and first == ""
    assert (tmp_path / "second" / "log.txt").read_text().count("once") == 1
    kinds = [type(x) for x in logging.getLogger("detectron2").handlers]
    assert kinds.count(LogFile) == kinds.count(Terminal) == 1


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "colours"),
    [
        (Screen, {}, True),
        (Screen, {"NO_COLOR": "1"}, False),
        (Screen, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colours_are_for_terminals(monkeypatch, stream, environment, colours):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    handler = Terminal(stream())
    record = logging.LogRecord("fcos_d2", logging.WARNING, "", 1, "\x1b[36mtable", (), None)
    handler.handle(record)
    text = handler.stream.getvalue()
    assert text.replace("\x1b[33m", "").replace("\x1b[0m", "").replace("\x1b[36m", "") == (
        "warning: table\n"
    )
    assert ("\x1b[" in text) is colours
