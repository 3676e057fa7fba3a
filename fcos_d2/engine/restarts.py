"""What a restart by torchrun (`--max-restarts`) needs: only the living meet, and the run goes on.

torchrun starts all ranks anew, but keeps the store in which they leave their addresses.
"""

import logging
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Any

import torch.distributed as dist
from detectron2.utils import comm

logger = logging.getLogger(__name__)

_PAUSE = 0.05  # s


def under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def meeting_place(timeout: float = 600) -> dict[str, Any]:
    """Where the ranks that the environment describes meet: arguments of `init_process_group`.

    Under torchrun it is a part of its store in which no earlier life of these ranks has written:
    there, a rank would find the addresses of ranks that are dead, and call them in vain. How often
    torchrun has restarted is no name for the part: its agents on several machines count apart.

    Args:
        timeout: s; torchrun starts the ranks of a life together.

    Raises:
        ValueError: another rank did not come.
    """
    if not under_torchrun():
        return {"init_method": "env://"}
    store, rank, world_size = next(dist.rendezvous("env://"))
    word = uuid.uuid4().hex  # which no rank of an earlier life has used
    common = dist.PrefixStore("fcos_d2/meeting", store)
    meet = _gather_ranks if rank == 0 else _find_rank_0
    deadline = time.monotonic() + timeout
    while not (name := meet(common, word, rank, world_size)):
        if time.monotonic() > deadline:
            raise ValueError(f"rank {rank} waited {timeout:.0f} s for the others to start")
        time.sleep(_PAUSE)
    part = dist.PrefixStore(f"fcos_d2/{name}", store)
    return {"store": part, "rank": rank, "world_size": world_size}


def _gather_ranks(store: dist.Store, word: str, rank: int, world_size: int) -> str:
    """Rank 0 repeats the words of all: a rank that finds its own knows that rank 0 is alive."""
    words = [_read(store, f"rank {i}") for i in range(1, world_size)]
    store.set("life", " ".join([word, *words]))
    seen = [_read(store, f"{word} seen by {i}") for i in range(1, world_size)]
    return word if all(seen) else ""


def _find_rank_0(store: dist.Store, word: str, rank: int, world_size: int) -> str:
    store.set(f"rank {rank}", word)
    name, *words = _read(store, "life").split() or [""]
    if word not in words:
        return ""
    store.set(f"{name} seen by {rank}", "yes")
    return name


def _read(store: dist.Store, key: str) -> str:
    return store.get(key).decode() if store.check([key]) else ""


def is_restart(output_dir: str) -> bool:
    """Whether torchrun has restarted this run after its first checkpoint; the same on all ranks.

    Checkpoints that lay in the folder before the run are not its own: only --resume takes these.

    Args:
        output_dir: of the run.
    """
    if not under_torchrun():
        return False
    return comm.all_gather(comm.is_main_process() and _has_own_checkpoint(Path(output_dir)))[0]


def _has_own_checkpoint(folder: Path) -> bool:
    begun, last = folder / "ranks" / "torchrun_job", folder / "last_checkpoint"
    job = f"{os.environ['TORCHELASTIC_RUN_ID']} {socket.gethostname()} {os.getppid()}"
    if not begun.is_file() or begun.read_text(encoding="utf-8") != job:
        begun.parent.mkdir(exist_ok=True)
        begun.write_text(job, encoding="utf-8")
        return False
    if not last.is_file() or last.stat().st_mtime_ns <= begun.stat().st_mtime_ns:
        return False
    logger.info("restarted by torchrun: going on from the last checkpoint")
    return True
