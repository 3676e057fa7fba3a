"""Where to compute and in which precision: what was asked for, and what this machine has."""

import logging

import torch

logger = logging.getLogger(__name__)

PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16}


def resolve_device(asked: str, num_gpus: int = 1) -> str:
    """The device to run on; says so where it is not the one asked for.

    Args:
        asked: "cuda", "cuda:1", "cpu", ...
        num_gpus: 0 asks for the CPU.

    Raises:
        ValueError: no such device, or none in this machine.
    """
    check_device(asked)
    if asked.startswith("cuda") and num_gpus == 0:
        logger.info("--num-gpus 0: running on the CPU")
        return "cpu"
    if asked.startswith("cuda") and not torch.cuda.is_available():
        logger.warning("no CUDA device found: running on the CPU")
        return "cpu"
    return asked


def check_device(asked: str) -> None:
    """Raises ValueError for what is no device; a GPU without CUDA is left to `resolve_device`."""
    try:
        device = torch.device(asked)
        if device.type not in ("cpu", "cuda", "meta"):
            torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        first = str(error).split("\n")[0]
        raise ValueError(f"`device` {asked!r} cannot be used: {first}") from None
    found = torch.cuda.device_count()
    if device.type == "cuda" and found and (device.index or 0) >= found:
        raise ValueError(f"`device` is {asked!r}, but this machine has {found} GPUs")


def cpu_has_bf16() -> bool:
    """Whether this CPU computes in bfloat16, or has the AVX-512 that emulates it fast enough."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def check_precision(precision: str | None, device: str) -> None:
    """Raises ValueError for a precision of training that there is not, or not on this device."""
    if precision is not None and precision not in PRECISIONS:
        raise ValueError(f"`precision` must be one of {[*PRECISIONS]}, got {precision!r}")
    if precision == "fp16" and device == "cpu":
        raise ValueError(
            "mixed precision in fp16 needs a CUDA device; on the CPU, `precision` must be bf16"
        )


def inference_dtype(precision: str, device_type: str) -> torch.dtype | None:
    """What to run convolutions in; None: in float32.

    Args:
        precision: "fp32", "bf16" or "fp16".
        device_type: "cpu", "cuda", ...

    Raises:
        ValueError: another precision, or fp16 on a CPU.
    """
    if precision not in ("fp32", *PRECISIONS):
        raise ValueError(f"precision must be one of {['fp32', *PRECISIONS]}, got {precision!r}")
    if device_type == "cpu" and precision == "fp16":
        raise ValueError("precision 'fp16' needs a GPU; on a CPU take 'fp32' or 'bf16'")
    if device_type == "cpu" and precision == "bf16" and not cpu_has_bf16():
        logger.warning("this CPU cannot compute in bf16: detecting in float32")
        return None
    return PRECISIONS.get(precision)
