"""Faults of one of two ranks, each in real processes; and what the launcher says of them."""

from argparse import Namespace

import pytest
from fault_runs import run_with_fault

from fcos_d2.engine import ranks
from fcos_d2.engine.progress import Note

GO_ON = "the same command with --resume goes on from the last checkpoint"


def note(iteration, doing="reading images"):
    return Note(iteration, ticks=1, pid=1, takes_its_time=False, host="here", doing=doing)


def tell(exit_codes, notes, tmp_path):
    """Of ranks 4 and up, in the order in which they ended."""
    context = Namespace(error_files=[str(tmp_path / str(i)) for i in range(4)])
    return ranks._tell(context, exit_codes, 4, notes)


def test_the_killed_rank_is_named_not_those_that_lost_it(tmp_path, capsys):
    assert tell({0: ranks.LOST, 1: -9, 2: -6}, {5: note(37)}, tmp_path) == 137
    expected = "error: rank 5 was killed by SIGKILL (as the system does where memory runs out)"
    assert capsys.readouterr().err == f"{expected} after iteration 37; {GO_ON}\n"


def test_a_rank_that_never_trained_has_no_iteration(tmp_path, capsys):
    assert tell({1: -11}, {}, tmp_path) == 139
    assert capsys.readouterr().err == "error: rank 5 was killed by SIGSEGV\n"


def test_a_rank_that_has_said_why_counts_before_one_that_it_killed(tmp_path, capsys):
    assert tell({0: -9, 1: ranks.STUCK}, {}, tmp_path) == ranks.STUCK
    assert tell({0: ranks.LOST, 1: 1}, {}, tmp_path) == 1
    assert capsys.readouterr().err == ""


def test_only_lost_connections_are_lost_ranks():
    lost = RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:545] Read error")
    assert ranks.is_lost_rank(lost)
    assert ranks.is_lost_rank(ranks.dist.DistBackendError("NCCL error"))
    assert not ranks.is_lost_rank(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not ranks.is_lost_rank(ValueError("gloo"))


FAULTS = {
    "kill 1 5": (137, "error: rank 1 was killed by SIGKILL (as the system does where "),
    "segfault 0 5": (
        139,
        "error: rank 0 was killed by SIGSEGV after iteration 4; the same",
    ),
    "stop 1 5": (124, "error: rank 1 made no progress for 0.3 minutes, stopped by a signal "),
    "hang 0 5": (124, "error: rank 0 made no progress for 0.3 minutes after iteration 4, "),
    "raise 1 5": (1, "error: rank 1 failed after iteration 4 with the error above; the "),
    "value 1 5": (1, "error: a mistake"),
    "full 0 3": (1, "error: "),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_rank_ends_all_in_one_line(tmp_path, fault):
    overrides = {"SOLVER.CHECKPOINT_PERIOD": 2, "SOLVER.STALL_MINUTES": 0.3}
    code, errors = run_with_fault(tmp_path, fault, "--num-gpus", "2", **overrides)
    expected, line = FAULTS[fault]
    assert code == expected
    lines = [x for x in errors.splitlines() if x.startswith("error: ")]
    assert len(lines) == 1 and lines[0].startswith(line), errors
    assert fault.startswith("raise") or "Traceback" not in errors
    if fault.startswith("hang"):
        assert "4, reading images; the stack of rank 0 is in" in lines[0]
        assert "dataloader.py" in (tmp_path / "out" / "stack_of_rank_0.txt").read_text()
    if fault.startswith(("stop", "hang")):
        assert lines[0] in (tmp_path / "out" / "log.txt").read_text()
