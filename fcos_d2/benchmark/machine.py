"""What figures depend on: the machine and the versions."""

import os
import platform
from importlib import metadata
from pathlib import Path

import detectron2
import torch

VERSIONED = ("torch", "torchvision", "onnxruntime", "openvino", "opencv-python", "fcos_d2")


def describe_machine() -> dict[str, str]:
    """What the figures depend on, by name."""
    machine = {
        "CPU": f"{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads of torch",
    }
    if hasattr(os, "sysconf"):
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        machine["memory"] = f"{size / 2**30:.0f} GiB"
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        machine["GPU"] = (
            f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
        )
    machine["versions"] = ", ".join(f"{name} {number}" for name, number in versions().items())
    return machine


def versions() -> dict[str, str]:
    """Of what a measurement depends on, by name."""
    # detectron2 is not always there as a distribution.
    found = {"Python": platform.python_version(), "detectron2": detectron2.__version__}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # not installed: nothing was measured with it
    return found


def cpu_name() -> str:
    """As Linux tells it, else the architecture."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
