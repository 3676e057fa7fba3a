"""How large images become, and what a step on them costs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import rules
from .facts import Facts


@dataclass(frozen=True)
class StepCost:
    """Seconds of a step of training.

    Attributes:
        per_image: of each image, whatever its size.
        per_megapixel: of the network input.
        measured: on this machine; False: assumed.
        accumulate: batches that the images of a step have to come in, for lack of memory.
        bytes_per_megapixel: of memory; 0: not known.
    """

    per_image: float
    per_megapixel: float
    measured: bool = True
    accumulate: int = 1
    bytes_per_megapixel: float = 0.0

    def seconds(self, batch: int, pixels: float) -> float:
        """Of a step with a batch of images of so many pixels each."""
        return batch * (self.per_image + self.per_megapixel * pixels / 1e6)


@dataclass(frozen=True)
class Resize:
    """Attributes:
    size: short side of most images, px.
    longest: that long sides may have, px.
    letterbox: all long sides become `longest`, padded to a square.
    """

    size: int
    longest: int
    letterbox: bool

    @classmethod
    def of(cls, size: int, facts: Facts) -> "Resize":
        """The rule for a dataset, at a short side of `size`."""
        letterbox = facts.aspect_spread > rules.LETTERBOX_SPREAD
        if letterbox:
            aspect = min(facts.aspect, rules.LONGEST_ASPECT)
            return cls(size, rules.multiple(size * aspect), True)
        return cls(size, rules.long_side(size, facts.aspects), False)

    def short_sides(self, aspects: np.ndarray) -> np.ndarray:
        """(N,) of images with these quotients of long and short side, px."""
        most = self.longest / aspects
        return most if self.letterbox else np.minimum(self.size, most)

    def pixels(self, aspects: np.ndarray) -> float:
        """Of an image in training, on average."""
        if self.letterbox:
            return float(self.longest**2)
        return float((self.short_sides(aspects) ** 2 * aspects).mean())

    def boxes(self, facts: Facts) -> np.ndarray:
        """(M, 4) xyxy, px of the network input."""
        return facts.boxes * self.short_sides(facts.aspects)[facts.image_idxs, None]


def affordable(
    facts: Facts, cost: StepCost, seconds: float | None
) -> Callable[[Callable[[int], float]], int]:
    """The largest short side at which as many images as it wants fit into `seconds`; None: any."""
    sizes = range(rules.SIZE_STEP, rules.LARGEST_SIZE + 1, rules.SIZE_STEP)
    costs = {x: cost.seconds(1, Resize.of(x, facts).pixels(facts.aspects)) for x in sizes}

    def largest(images: Callable[[int], float]) -> int:
        if seconds is None:
            return sizes[-1]
        fitting = [size for size, each in costs.items() if images(size) * each <= seconds]
        return max(fitting, default=sizes[0])

    return largest
