"""Means over seeds, with their intervals."""

import math
import statistics
from collections.abc import Sequence

# Student's t that 2.5 % exceed, for 1, 2, ... degrees of freedom.
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
MOST = len(T_975) + 1


def half_width(values: Sequence[float]) -> float:
    """Of the 95 % interval of the mean, by Student's t; nan for one value.

    Args:
        values: at most MOST.
    """
    if len(values) < 2:
        return math.nan
    spread = statistics.stdev(values) / math.sqrt(len(values))
    return T_975[len(values) - 2] * spread


def mean_and_interval(values: Sequence[float]) -> str:
    """As "52.1 ± 0.8"; "52.1" for one value, "-" for none."""
    if not values:
        return "-"
    width = half_width(values)
    return f"{statistics.mean(values):.1f}" + ("" if math.isnan(width) else f" ± {width:.1f}")
