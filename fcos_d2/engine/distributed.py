"""Processes: how many, and who starts them."""

import os
import subprocess
from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from detectron2.utils import comm

from .ranks import run_as_rank, start_ranks
from .request import Request
from .restarts import meeting_place
from .stopping import handing_on_signals

_FIRST_RESERVED_STEP = 0xFFFFFFF0  # slurm.h: SLURM_INTERACTIVE_STEP, SLURM_BATCH_SCRIPT, ...


def launch(main: Callable[[Request], object], request: Request) -> object:
    """Runs `main(request)` in as many processes as asked for.

    Under torchrun or SLURM the processes exist already and take their ranks from the environment.
    Otherwise `request.num_gpus` processes are started on this machine; without CUDA they run on the
    CPU over gloo.

    Args:
        main: a function that the started processes can import.
        request: its num_gpus, num_machines, machine_rank and dist_url say how many, and where.

    Returns:
        What `main` returned, or None where processes had to be started.

    Raises:
        ValueError: more GPUs asked for than there are, or tasks of SLURM that nobody started.
        SystemExit: a process ended with an error, or lost the others.
    """
    processes = max(request.num_gpus, 1)
    if "RANK" in os.environ or _is_slurm_task(processes):
        return run_as_rank(partial(_join_and_run, main, request))
    if torch.cuda.is_available() and request.num_gpus > torch.cuda.device_count():
        raise ValueError(
            f"--num-gpus {request.num_gpus}, but this machine has {torch.cuda.device_count()}"
        )
    if processes * request.num_machines == 1:
        return main(request)
    threads = os.environ.get("OMP_NUM_THREADS")
    if not torch.cuda.is_available() and threads is None:
        # Two processes with all cores each would be slower than one.
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // processes))
    with handing_on_signals():
        start_ranks(main, request, processes)
    return None


def _is_slurm_task(processes: int) -> bool:
    """Whether srun has started this process as one of several.

    Args:
        processes: asked for; several are started here where srun has started none.

    Raises:
        ValueError: SLURM has several tasks for this job, but srun has not started them.
    """
    env = os.environ
    if int(env.get("SLURM_NTASKS", 1)) == 1:
        return False
    # A batch script has no step, and the shell of salloc none or one of the reserved ones.
    step = env.get("SLURM_STEP_ID") or env.get("SLURM_STEPID")
    if step is not None and int(step) < _FIRST_RESERVED_STEP and "SLURM_PROCID" in env:
        return True
    if processes > 1:
        return False
    raise ValueError(
        f"SLURM has {env['SLURM_NTASKS']} tasks for this job, but this process was not started by "
        "srun and would wait for the others: write `srun` before the command "
        "(srun fcos train ...), or `env -u SLURM_NTASKS` to train in this process alone"
    )


def _join_and_run(main: Callable[[Request], object], request: Request) -> object:
    names = ("WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if "RANK" in os.environ and (missing := [x for x in names if x not in os.environ]):
        raise ValueError(
            f"RANK is in the environment, but not {', '.join(missing)}: torchrun sets them all; "
            "without RANK this process trains alone"
        )
    _join_process_group()
    return main(request)


def _join_process_group() -> None:
    """Joins the group that torchrun or SLURM describes in the environment."""
    env = os.environ
    if "RANK" not in env:
        env["RANK"], env["WORLD_SIZE"] = env["SLURM_PROCID"], env["SLURM_NTASKS"]
        env["LOCAL_RANK"] = env["SLURM_LOCALID"]
        env["LOCAL_WORLD_SIZE"] = str(_slurm_tasks_on_this_node())
        env.setdefault("MASTER_ADDR", _first_slurm_host())
        # Jobs that share a node need different ports.
        env.setdefault("MASTER_PORT", str(20000 + int(env["SLURM_JOB_ID"]) % 20000))
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.set_device(_own_gpu(int(env["LOCAL_RANK"]), int(env["LOCAL_WORLD_SIZE"])))
    dist.init_process_group("nccl" if has_gpu else "gloo", **meeting_place())
    comm.create_local_process_group(int(env["LOCAL_WORLD_SIZE"]))
    comm.synchronize()


def _own_gpu(local_rank: int, num_tasks: int) -> int:
    """The GPU of a process: the only one that it sees, if it is bound to one, or that of its rank.

    Raises:
        ValueError: there are several, but not one for each of the node's `num_tasks`.
    """
    visible = torch.cuda.device_count()
    if visible == 1:
        return 0
    if local_rank >= visible:
        raise ValueError(
            f"{num_tasks} processes on this node, but each sees {visible} GPUs: start one for each "
            "GPU (srun --ntasks-per-node, torchrun --nproc-per-node), or bind one GPU to each "
            "(srun --gpus-per-task 1)"
        )
    return local_rank


def _slurm_tasks_on_this_node() -> int:
    """The first number of e.g. "8(x2)": detectron2's groups want the same count on all nodes."""
    tasks = os.environ.get("SLURM_NTASKS_PER_NODE") or os.environ["SLURM_TASKS_PER_NODE"]
    return int(tasks.split("(")[0])


def _first_slurm_host() -> str:
    nodes = os.environ["SLURM_JOB_NODELIST"]
    command = ["scontrol", "show", "hostnames", nodes]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:  # e.g. in a container
        raise ValueError(
            f"scontrol cannot tell the first of the machines {nodes} ({error}): give its name or "
            "address in MASTER_ADDR"
        ) from None
    return listed.split()[0]
