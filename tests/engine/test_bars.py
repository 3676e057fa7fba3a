"""Bars in a real terminal, beside the lines of a log."""

import io
import logging
import sys
import time

import pytest
from detectron2.utils import comm
from terminal import PseudoTerminal, lines_of

from fcos_d2.engine.bars import Bar, WatchedBatches, has_bars
from fcos_d2.engine.console import (
    LOGGERS,
    PROGRESS,
    Terminal,
    setup_logging,
    stream_for_bars,
    watched,
)


@pytest.fixture(autouse=True)
def somebody_in_front(monkeypatch):
    """A machine of the tests may itself be one that nobody looks at."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("CI", "TQDM_DISABLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def logging_to(monkeypatch):
    """Starts a terminal's log."""
    before = {name: [*logging.getLogger(name).handlers] for name in LOGGERS}

    def start(stream, verbose=False):
        handler = Terminal(stream, verbose)
        for name in LOGGERS:
            logger = logging.getLogger(name)
            monkeypatch.setattr(logger, "propagate", False)
            logger.setLevel(logging.DEBUG)
            logger.handlers[:] = [handler]
        return handler

    yield start
    for name, handlers in before.items():
        logging.getLogger(name).handlers[:] = handlers


def test_the_screen_of_these_tests():
    assert lines_of("abc\rx\r\n\x1b[33mtwo\x1b[0m\r\n\x1b[A\x1b[A!") == ["!bc", "two"]


@pytest.mark.parametrize(
    ("environment", "bars"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, True),
        ({"CI": "false"}, True),
        ({"TERM": "dumb"}, False),
        ({"CI": "true"}, False),
        ({"TQDM_DISABLE": "1"}, False),
    ],
)
def test_bars_are_for_terminals_with_somebody_in_front(monkeypatch, environment, bars):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with PseudoTerminal() as terminal:
        assert has_bars(terminal.stream) is bars
    assert not has_bars(io.StringIO())


def test_lines_of_a_log_stand_above_two_bars_and_nothing_is_left(logging_to):
    with PseudoTerminal(60) as terminal:
        logging_to(terminal.stream)
        log = logging.getLogger("fcos_d2.engine.summary")
        log.info("begins")
        with Bar(total=4, file=terminal.stream, leave=False, desc="training") as bar:
            bar.update(1)
            seen = []
            for number in watched([1, 2], "evaluating"):
                log.info("line %d", number)
                seen.append(terminal.screen())
            log.info("over")
            after = terminal.screen()
        assert seen[1][:3] == ["begins", "line 1", "line 2"]
        assert [line.split("%")[0][:-2] for line in seen[1][3:]] == ["training:  ", "evaluating  "]
        assert after[:-1] == ["begins", "line 1", "line 2", "over"]
        assert after[-1].startswith("training:  25%")
        assert terminal.screen() == ["begins", "line 1", "line 2", "over"]


def test_the_lines_of_progress_give_way_but_not_with_verbose(logging_to):
    for verbose, shown in ((False, ["results"]), (True, ["eta", "results"])):
        with PseudoTerminal() as terminal:
            logging_to(terminal.stream, verbose)
            logging.getLogger(PROGRESS).info("eta")
            logging.getLogger("fcos_d2.engine.summary").info("results")
            assert [line.split(": ")[-1] for line in terminal.screen()] == shown
            assert (stream_for_bars() is None) is verbose


def test_only_the_first_rank_has_bars(tmp_path, monkeypatch, logging_to):
    with PseudoTerminal() as terminal:
        logging_to(terminal.stream)  # what it changes is put back
        monkeypatch.setattr(sys, "stdout", terminal.stream)
        for rank in (0, 1):
            monkeypatch.setattr(comm, "get_rank", lambda rank=rank: rank)
            setup_logging(str(tmp_path))
            assert (stream_for_bars() is terminal.stream) == (rank == 0)


def test_elsewhere_the_batches_are_as_they_were(logging_to):
    pipe = io.StringIO()
    logging_to(pipe)
    batches = [1, 2]
    assert watched(batches, "evaluating") is batches
    logging.getLogger(PROGRESS).info("eta")
    assert pipe.getvalue() == "eta\n"


@pytest.mark.parametrize("columns", [20, 39, 80, 200])
def test_no_line_is_wider_than_the_terminal_also_when_that_changes(columns):
    with PseudoTerminal(120) as terminal:
        batches = WatchedBatches(range(3), "evaluating", terminal.stream)
        for number in batches:
            time.sleep(0.11)  # no picture comes sooner after another
            if number == 0:
                assert len(terminal.screen()[0]) <= 120
                terminal.resize(columns)
                terminal.text = ""
            elif number == 2:
                (line,) = terminal.screen()
                assert line.startswith("evaluating  67%") and len(line) <= columns
        assert terminal.screen() == []


def test_watched_batches_have_their_length_and_end_early_without_a_trace():
    with PseudoTerminal() as terminal:
        batches = WatchedBatches([1, 2, 3], "evaluating", terminal.stream)
        assert len(batches) == 3 and [*batches] == [1, 2, 3]
        for _ in (looked := iter(batches)):
            break
        looked.close()
        assert terminal.screen() == []
