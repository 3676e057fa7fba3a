"""Numbers and facts in words."""

from collections.abc import Sequence

from .facts import CROWDED, Facts

MOST_NAMES = 4


def count(number: int, word: str, plural: str | None = None) -> str:
    """Such as "1 image" and "2 images"."""
    return f"{number:,} {word if number == 1 else plural or f'{word}s'}"


def share(value: float) -> str:
    """A share in per cent, without making little nothing."""
    return f"{value:.0%}" if value >= 0.01 else "under 1%"


def epochs_in_words(epochs: float) -> str:
    """Such as "12 epochs"."""
    return count(round(epochs), "epoch") if epochs >= 0.95 else f"{epochs:.1f} epochs"


def listed(names: Sequence[str]) -> str:
    """Such as "left, right and 3 more"."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES} more"


def facts_in_words(facts: Facts) -> tuple[str, ...]:
    """What the data are, in two or three sentences."""
    height, width = (int(x) for x in sorted_middle(facts))
    classes = count(len(facts.class_names), "class", "classes")
    first = (
        f"{count(facts.num_images, 'image')}, mostly {width} x {height} px; "
        f"{count(facts.num_boxes, 'object')} of {classes} ({listed(facts.class_names)})"
    )
    middle = [100 * facts.side(x) for x in (0.1, 0.5, 0.9)]
    second = (
        f"objects measure {middle[1]:.3g} % of the short side, the smallest tenth below "
        f"{middle[0]:.3g} %, the largest above {middle[2]:.3g} %; up to {facts.most_objects:,} in "
        "an image"
    )
    if facts.crowded_share >= 0.01:
        second += f", over {CROWDED} in {share(facts.crowded_share)} of them"
    return first, second


def sorted_middle(facts: Facts) -> tuple[float, float]:
    """Height and width of the image in the middle, by area."""
    areas = facts.sizes.prod(axis=1)
    middle = facts.sizes[areas.argsort(kind="stable")[len(areas) // 2]]
    return middle[0], middle[1]
