"""What a machine offers to a training."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from ..device import cpu_has_bf16


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Attributes:
    device: "cpu", "cuda" or another name of torch.
    cores: that this process may use.
    memory: bytes that it may still take, of the device.
    has_bf16: whether the device computes in bf16 by itself.
    name: for people.
    """

    device: str
    cores: int
    memory: int
    has_bf16: bool = False
    name: str = ""

    @property
    def kind(self) -> str:
        return torch.device(self.device).type

    @property
    def is_cpu(self) -> bool:
        return self.kind == "cpu"


def this_machine(device: str) -> Machine:
    """The machine that this runs on; `device` exists on it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    kind = torch.device(device).type
    if kind == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        bf16 = torch.cuda.is_bf16_supported()
        name = torch.cuda.get_device_name(device)
        return Machine(device=device, cores=cores, memory=free, has_bf16=bf16, name=name)
    words = "1 core" if cores == 1 else f"{cores} cores"
    bf16 = kind == "cpu" and cpu_has_bf16()
    return Machine(
        device=device, cores=cores, memory=free_memory(), has_bf16=bf16, name=f"{kind}, {words}"
    )


def free_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may still take, the limits of a container included.

    Args:
        proc, cgroup: where Linux says it; without them, 4 GiB are assumed.
    """
    free = [_available(proc / "meminfo")]
    for limit, used in (
        ("memory.max", "memory.current"),  # version 2
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most = (cgroup / limit).read_text().strip()
            if most != "max":
                free.append(int(most) - int((cgroup / used).read_text()))
        except (OSError, ValueError):
            continue
    return max(min(free), 0)


def _available(meminfo: Path) -> int:
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return 4 << 30
