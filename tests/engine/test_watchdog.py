import os
import threading
from argparse import Namespace

import pytest
from detectron2.utils import comm

from fcos_d2.engine import watchdog
from fcos_d2.engine.progress import COMPUTES, Note, OwnNote
from fcos_d2.engine.watchdog import Watchdog, ranks_behind

READS = "reading images"


def note(iteration, doing=COMPUTES, ticks=1, takes_its_time=False):
    return Note(iteration, ticks, os.getpid(), takes_its_time, "elsewhere", doing)


def test_the_rank_that_the_others_wait_for():
    assert ranks_behind({0: note(7), 1: note(6), 2: note(7, READS)}) == [1]
    assert ranks_behind({0: note(7), 1: note(7, READS), 2: note(7)}) == [1]
    assert ranks_behind({0: note(7), 1: note(7)}) == [0, 1]


class Ended(Exception):
    pass


@pytest.fixture
def rank_0(tmp_path, monkeypatch):
    """The watchdog of rank 0 of 2, which ends its thread instead of the process."""
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)
    monkeypatch.delenv(watchdog.FOLDER, raising=False)
    dog = Watchdog(str(tmp_path), minutes=0.001)
    dog.note = OwnNote(dog.folder, 0, iteration=4)
    monkeypatch.setattr(dog.note, "read", lambda: note(4, ticks=dog.note._ticks))

    def end(code):
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", end)
    return dog


def give_notes(monkeypatch, *of_rank_1):
    """What the watchdog reads, one after the other; the last one again and again."""
    left = [{0: note(4), 1: x} for x in of_rank_1]
    read = lambda folder: left.pop(0) if len(left) > 1 else left[0]  # noqa: E731
    monkeypatch.setattr(watchdog, "read_notes", read)
    return left


def test_a_rank_that_reads_images_for_too_long(rank_0, monkeypatch, capfd, tmp_path):
    give_notes(monkeypatch, note(4, READS, ticks=1), note(4, READS, ticks=2))
    with pytest.raises(Ended, match="124"):
        rank_0._watch()
    line = (
        "error: rank 1 made no progress for 0.001 minutes after iteration 4, reading images; the "
        "same command with --resume goes on from the last checkpoint\n"
    )
    assert capfd.readouterr().err == line == (tmp_path / "log.txt").read_text()
    assert not (tmp_path / "stack_of_rank_0.txt").exists()


def test_the_culprit_leaves_its_stack(rank_0, monkeypatch, capfd, tmp_path):
    left = give_notes(monkeypatch, note(5, ticks=1), note(5, ticks=2))
    assert left[0][0].iteration == 4
    with pytest.raises(Ended):
        rank_0._watch()
    stack = tmp_path / "stack_of_rank_0.txt"
    assert (
        f"rank 0 made no progress for 0.001 minutes after iteration 4, {COMPUTES}; the stack "
        in (capfd.readouterr().err)
    )
    assert "test_the_culprit_leaves_its_stack" in stack.read_text()


def test_a_process_that_does_not_run_counts_in_evaluation_too(rank_0, monkeypatch, capfd):
    give_notes(monkeypatch, note(3, "evaluating", takes_its_time=True))
    with pytest.raises(Ended):
        rank_0._watch()
    line = "error: rank 1 made no progress for 0.001 minutes, not running any more after iteration "
    assert capfd.readouterr().err.startswith(f"{line}3, evaluating; ")


def test_evaluation_and_checkpoints_take_their_time(rank_0, monkeypatch):
    """Until rank 1 has finished, and a little later is stuck."""
    busy = [note(4, "evaluating", ticks=i, takes_its_time=True) for i in range(20)]
    left = give_notes(monkeypatch, *busy, note(4, READS, ticks=99), note(4, READS, ticks=100))
    with pytest.raises(Ended):
        rank_0._watch()
    assert len(left) == 1


def test_progress_and_the_end_of_training_end_nothing(rank_0, monkeypatch):
    give_notes(monkeypatch, note(4, ticks=1), note(4, ticks=2))
    thread = threading.Thread(target=rank_0._watch)
    thread.start()
    for i in range(200):
        rank_0.note.finish(i)
        thread.join(rank_0.period)
        assert thread.is_alive()
    rank_0.trainer = Namespace(iter=3, max_iter=9)
    rank_0.after_train()
    thread.join(20)
    assert not thread.is_alive()


def test_ranks_that_start_apart_are_named(rank_0, monkeypatch):
    monkeypatch.setattr(comm, "all_gather", lambda start: [start, 0])
    rank_0.trainer = Namespace(iter=5)
    with pytest.raises(ValueError, match="rank 0 starts at iteration 5, but rank 1 at 0: .* share"):
        rank_0.before_train()


def test_one_process_is_not_watched(tmp_path):
    dog = Watchdog(str(tmp_path), minutes=10)
    dog.trainer = Namespace(iter=0)
    dog.before_train()
    dog.after_step()
    dog.after_train()
    assert dog.note is None and not any(tmp_path.iterdir())
    assert (dog.period, dog.limit) == (5, 120)  # 10 min in ticks of 5 s
    with pytest.raises(ValueError, match="`stall_minutes` must be 0 or more, got -1"):
        Watchdog(str(tmp_path), minutes=-1)
