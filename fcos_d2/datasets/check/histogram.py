"""Shares of the boxes by size, as numbers and as a drawing."""

import itertools

import numpy as np

from .levels import LevelStatistics

BINS = (0, 4, 8, 16, 32, 64, 128, 256, 512, np.inf)  # px, square root of the area


def size_shares(levels: LevelStatistics) -> list[tuple[str, float, float]]:
    """Each bin of sizes: its name, the shares of boxes by root of area and by longer side."""
    counts = [np.histogram(values, BINS)[0] for values in (levels.sides, levels.longest)]
    shares = np.stack(counts, axis=1) / max(len(levels.sides), 1)
    labels = [f"{low:g} - {high:g} px" for low, high in itertools.pairwise(BINS[:-1])]
    labels.append(f"over {BINS[-2]:g} px")
    return [(label, *pair) for label, pair in zip(labels, shares.tolist(), strict=True)]


def histogram_svg(levels: LevelStatistics) -> str:
    """The bins as pairs of bars, above the ranges of the levels on the same scale."""
    step, height = 84, 160  # px: a bin, which its label fills, and the bars
    parts = []
    for i, (label, share, longest) in enumerate(size_shares(levels)):
        for shift, value, color in ((14, share, "#4878d0"), (42, longest, "#ee854a")):
            tall = height * value
            parts.append(
                f"<rect x='{i * step + shift}' y='{height - tall + 20:.1f}' width='28' "
                f"height='{tall:.1f}' fill='{color}'><title>{label}: {value:.1%}</title></rect>"
            )
        parts.append(f"<text x='{i * step + step // 2}' y='{height + 36}'>{label}</text>")
    for row, (name, (low, high)) in enumerate(zip(levels.names, levels.ranges, strict=True)):
        left, right = (_bin_position(side) * step for side in (low, high))
        y = height + 48 + 18 * row
        parts.append(
            f"<rect x='{left:.1f}' y='{y}' width='{right - left:.1f}' height='15' fill='#8885'/>"
            f"<text x='{(left + right) / 2:.1f}' y='{y + 12}'>{name}</text>"
        )
    size = (len(BINS) - 1) * step, height + 52 + 18 * len(levels.names)
    return (
        f"<svg width='{size[0]}' height='{size[1]}' font-size='11' text-anchor='middle'>"
        f"{''.join(parts)}</svg><p>Shares of the boxes by root of the area (blue) and longer side "
        "(orange). Grey: the farthest side that a location of each level learns, which lies "
        "between half and all of the longer side.</p>"
    )


def _bin_position(side: float) -> float:
    """Where a size in px lies on an axis on which each bin has the length 1."""
    return float(np.interp(np.log2(max(side, 1)), [0, *np.log2(BINS[1:-1]), 10], range(len(BINS))))
