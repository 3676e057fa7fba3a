import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import two_ranks
from torch import nn

from fcos_d2.engine import distributed, wrapping

FULL = [3, 5, 2, 4]
ONE_RANK_EMPTY = [3, 5, 0, 0]
CUDA_0 = torch.device("cuda", 0)


def one_process(tmp_path, boxes_per_image):
    output = str(tmp_path / "one.pth")
    two_ranks.main(two_ranks.arguments(1, output, boxes_per_image))
    return torch.load(output)


def assert_same_step(actual, expected):
    """Issue bound: 1e-5; in float64 only the order of the sums differs."""
    torch.testing.assert_close(actual["losses"], expected["losses"], rtol=1e-9, atol=1e-9)
    # Convolutions before a batch norm have gradients that are rounding noise around 0.
    torch.testing.assert_close(actual["gradients"], expected["gradients"], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "boxes_per_image",
    [
        pytest.param(FULL, marks=pytest.mark.slow),
        ONE_RANK_EMPTY,
        pytest.param([0, 0, 0, 0], marks=pytest.mark.slow),
    ],
    ids=["all_ranks_have_boxes", "one_rank_empty", "no_boxes"],
)
def test_two_processes_equal_one(tmp_path, boxes_per_image, without_gpus):
    output = str(tmp_path / "two.pth")
    distributed.launch(two_ranks.main, two_ranks.arguments(2, output, boxes_per_image))
    assert_same_step(torch.load(output), one_process(tmp_path, boxes_per_image))


@pytest.mark.slow
def test_torchrun_equals_one_process(tmp_path):
    output = str(tmp_path / "two.pth")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = [str(Path(two_ranks.__file__)), output, ",".join(map(str, ONE_RANK_EMPTY))]
    root = str(Path(__file__).parents[2])
    subprocess.run([*command, *script], check=True, env=os.environ | {"PYTHONPATH": root})
    assert_same_step(torch.load(output), one_process(tmp_path, ONE_RANK_EMPTY))


def test_slurm_environment(monkeypatch):
    """Task 5 of 8, the second one of four on its node."""
    joined = {}
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda *a, **k: joined.update(k))
    monkeypatch.setattr(distributed.comm, "create_local_process_group", joined.setdefault)
    monkeypatch.setattr(distributed.comm, "synchronize", lambda: None)
    monkeypatch.setattr(distributed, "_first_slurm_host", lambda: "node1")
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR"):
        # Set first, so that what launch() puts there is undone after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.delenv("MASTER_PORT")
    for name, value in {
        "SLURM_PROCID": "5",
        "SLURM_STEP_ID": "0",
        "SLURM_NTASKS": "8",
        "SLURM_LOCALID": "1",
        "SLURM_TASKS_PER_NODE": "4(x2)",
        "SLURM_JOB_ID": "61234",
    }.items():
        monkeypatch.setenv(name, value)
    assert distributed.launch(lambda args: "ran", two_ranks.arguments(1, "", [])) == "ran"
    assert (os.environ["RANK"], os.environ["WORLD_SIZE"]) == ("5", "8")
    assert (os.environ["LOCAL_RANK"], os.environ["LOCAL_WORLD_SIZE"]) == ("1", "4")
    # 61234 % 20000 = 1234
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("node1", "21234")
    assert 4 in joined  # the size of the local group


def join_with_gpus(monkeypatch, visible: int, local_rank: int) -> list[int]:
    """The GPUs that a process takes where it sees so many."""
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: visible)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda *args, **kwargs: None)
    monkeypatch.setattr(distributed.comm, "create_local_process_group", lambda size: None)
    monkeypatch.setattr(distributed.comm, "synchronize", lambda: None)
    environment = {"RANK": local_rank, "WORLD_SIZE": 4, "LOCAL_RANK": local_rank}
    environment |= {"LOCAL_WORLD_SIZE": 4, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    distributed.launch(lambda args: None, two_ranks.arguments(1, "", []))
    return taken


def test_gpu_of_a_process(monkeypatch):
    """With four visible that of its rank; the only visible one, as SLURM binds it to a task."""
    assert [join_with_gpus(monkeypatch, 4, rank) for rank in range(4)] == [[0], [1], [2], [3]]
    assert [join_with_gpus(monkeypatch, 1, rank) for rank in range(4)] == [[0], [0], [0], [0]]
    with pytest.raises(ValueError, match="4 processes on this node, but each sees 2 GPUs: "):
        join_with_gpus(monkeypatch, 2, 3)


def test_ddp_gets_the_number_of_the_device(monkeypatch):
    """Process 3 of a node may run on cuda:0, the only one that it sees."""
    given = {}
    model = nn.Linear(1, 1)
    monkeypatch.setattr(distributed.comm, "get_world_size", lambda: 4)
    monkeypatch.setattr(distributed.comm, "get_local_rank", lambda: 3)
    monkeypatch.setattr(wrapping, "DistributedDataParallel", lambda model, **x: given.update(x))
    monkeypatch.setattr(model, "parameters", lambda: iter([SimpleNamespace(device=CUDA_0)]))
    wrapping.wrap_distributed(model)
    assert given == {"device_ids": [0]}


NOT_BY_SRUN = {
    "batch script": {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
    "its step has a reserved number": {"SLURM_PROCID": "0", "SLURM_STEP_ID": "4294967291"},
    "shell of salloc": {},
    "interactive step": {"SLURM_PROCID": "0", "SLURM_STEP_ID": "4294967290"},
}


@pytest.fixture
def no_launcher(monkeypatch):
    for name in [x for x in os.environ if x.startswith("SLURM_") or x == "RANK"]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("variables", NOT_BY_SRUN.values(), ids=NOT_BY_SRUN)
def test_tasks_that_srun_has_not_started(no_launcher, variables):
    for name, value in ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"} | variables).items():
        no_launcher.setenv(name, value)
    with pytest.raises(ValueError, match="SLURM has 2 tasks .* write `srun` before the command"):
        distributed.launch(lambda args: "ran", two_ranks.arguments(1, "", []))
    # With --num-gpus 2, launch starts them itself; with one task there is nothing to start.
    assert not distributed._is_slurm_task(2)
    no_launcher.setenv("SLURM_NTASKS", "1")
    assert distributed.launch(lambda args: "ran", two_ranks.arguments(1, "", [])) == "ran"


def test_a_rank_without_the_rest_of_torchruns_environment(no_launcher):
    no_launcher.setenv("RANK", "0")
    no_launcher.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ValueError, match="RANK is in the environment, but not WORLD_SIZE"):
        distributed.launch(lambda args: "ran", two_ranks.arguments(1, "", []))


def test_the_first_machine_of_a_container_without_scontrol(no_launcher):
    no_launcher.setenv("SLURM_JOB_NODELIST", "n[1-2]")
    no_launcher.setenv("PATH", "")
    with pytest.raises(ValueError, match=r"of the machines n\[1-2\] .* in MASTER_ADDR"):
        distributed._first_slurm_host()


def test_sync_batchnorm_becomes_batchnorm_in_one_process():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SyncBatchNorm(4))
    nn.init.normal_(model[1].weight)
    model[1].running_mean.fill_(3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adapted = wrapping.adapt_sync_batchnorm(model)
    assert type(adapted[1]) is nn.BatchNorm2d
    torch.testing.assert_close(dict(adapted.state_dict()), before)
