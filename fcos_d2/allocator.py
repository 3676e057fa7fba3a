"""How the C library deals with the memory that a network frees."""

import ctypes
import os
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h of glibc
_CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Lets this process keep the memory that it frees, for the next tensor, until it ends.

    By default glibc gives large blocks back to Linux, which clears each page again at the next
    step: seen to take 10 to 15 % of a training step on a CPU, and a quarter of the time of a light
    body on one image. Kept, the process stays as large as it was at its peak. The `fcos` commands
    call this; importing fcos_d2 does not change the process that it is in.

    Returns:
        Whether it was done: not with another C library, nor where the environment already says how
        malloc behaves.

    Source: mallopt(3), and "Memory allocator" in PyTorch's performance tuning guide.
    """
    tuned = any(name in os.environ for name in _CHOSEN)
    if tuned or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # No block of its own for a large tensor, and nothing given back from the end of the heap.
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))
