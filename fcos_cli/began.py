"""When the command began: before Python imported anything."""

import os
import time


def process_began() -> float:
    """The start of this process on the clock of `time.monotonic`; now, where nobody can tell."""
    now = time.monotonic()
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            # After the name, which may hold anything: "state ppid ... starttime" is the 20th word.
            ticks = int(file.read().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return now
    return now - max(age, 0.0)
