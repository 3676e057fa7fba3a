"""Ranks that torchrun starts again."""

import os
import sys
import threading

import pytest
import torch
import torch.distributed as dist
from fault_runs import run_with_fault

from fcos_d2.engine import restarts


@pytest.fixture
def torchrun(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")


def meet(store, world_size, monkeypatch):
    """The parts of the store that ranks find, which are threads here, in one life."""
    ranks = {}
    monkeypatch.setattr(dist, "rendezvous", lambda url: iter([ranks[threading.get_ident()]]))
    found = [None] * world_size

    def one(rank):
        ranks[threading.get_ident()] = (store, rank, world_size)
        found[rank] = restarts.meeting_place(timeout=20)

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(world_size)]
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join()
    assert [x["rank"] for x in found] == list(range(world_size))
    return [x["store"] for x in found]


def test_ranks_meet_where_no_earlier_life_has_written(monkeypatch, torchrun):
    store = dist.HashStore()
    for life in range(3):
        parts = meet(store, 3, monkeypatch)
        assert not parts[2].check(["address"])
        parts[1].set("address", str(life))
        assert parts[0].get("address") == parts[2].get("address") == str(life).encode()


def test_a_rank_that_is_alone_gives_up(monkeypatch, torchrun):
    monkeypatch.setattr(dist, "rendezvous", lambda url: iter([(dist.HashStore(), 1, 2)]))
    with pytest.raises(ValueError, match="rank 1 waited 0 s for the others"):
        restarts.meeting_place(timeout=0.1)


def test_without_torchrun_nothing_changes(monkeypatch, tmp_path):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert restarts.meeting_place() == {"init_method": "env://"}
    assert not restarts.is_restart(str(tmp_path)) and not any(tmp_path.iterdir())


def test_a_restart_goes_on_from_its_own_checkpoint_only(monkeypatch, torchrun, tmp_path):
    mark = tmp_path / "last_checkpoint"
    mark.write_text("model_0000009.pth")  # of an earlier run in the same folder
    os.utime(mark, (1, 1))
    assert [restarts.is_restart(str(tmp_path)) for _ in range(2)] == [False, False]
    mark.write_text("model_0000001.pth")
    os.utime(mark, (2**32, 2**32))
    assert restarts.is_restart(str(tmp_path))
    monkeypatch.setattr(os, "getppid", lambda: 1)  # another torchrun
    assert not restarts.is_restart(str(tmp_path))


def torchrun_command():
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *rendezvous]
    return [*torchrun, "--nproc-per-node", "2", "--max-restarts", "1"]


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(10))
def test_a_killed_rank_is_restarted_and_the_run_goes_on(tmp_path, attempt):
    overrides = {"SOLVER.CHECKPOINT_PERIOD": 2}
    code, errors = run_with_fault(tmp_path, "kill 1 5", launcher=torchrun_command(), **overrides)
    assert code == 0, errors
    log = (tmp_path / "out" / "log.txt").read_text()
    assert log.count("Starting training from iteration 4") == 1
    assert log.count("restarted by torchrun: going on from the last checkpoint") == 1
    assert torch.load(tmp_path / "out" / "model_final.pth")["iteration"] == 8
