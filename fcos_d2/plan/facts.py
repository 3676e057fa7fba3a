"""What a training set looks like, in the numbers that a plan needs."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from .names import names_with_a_colour, names_with_a_side

CROWDED = 30  # objects in an image that make it crowded


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Of a training set; sides of boxes are shares of the short side of their image.

    Attributes:
        num_images: with and without objects.
        sizes: (N, 2) height and width of the images, px.
        class_names: in the order of the model.
        boxes: (M, 4) xyxy of the objects that count (no crowds), in shares of the short side.
        image_idxs: (M,) the image of each box.
        most_of_a_class: largest number of objects of one class in an image.
        one_sided: classes whose mirror images look like nothing that there is.
        same_upside_down: nothing shows what is up; False: not looked at, too.
    """

    num_images: int
    sizes: np.ndarray = field(repr=False)
    class_names: tuple[str, ...]
    boxes: np.ndarray = field(repr=False)
    image_idxs: np.ndarray = field(repr=False)
    most_of_a_class: int
    one_sided: tuple[str, ...] = ()
    same_upside_down: bool = False

    @property
    def num_boxes(self) -> int:
        return len(self.boxes)

    @property
    def native(self) -> int:
        """The short side that half of the images exceed, px."""
        return int(np.median(self.sizes.min(axis=1)))

    @property
    def aspects(self) -> np.ndarray:
        """(N,) long over short side of each image."""
        return self.sizes.max(axis=1) / self.sizes.min(axis=1)

    @property
    def aspect(self) -> float:
        """Their median."""
        return float(np.median(self.aspects))

    @property
    def aspect_spread(self) -> float:
        """How many times as long the longest images are as the shortest, one in twenty left out."""
        low, high = np.quantile(self.aspects, [0.05, 0.95])
        return float(high / low)

    @property
    def sides(self) -> np.ndarray:
        """(M,) square root of the area of each box."""
        return np.sqrt((self.boxes[:, 2:] - self.boxes[:, :2]).prod(axis=1))

    def side(self, share: float) -> float:
        """The side that `share` of the boxes fall short of; e.g. 0.1 for the smallest tenth."""
        return float(np.quantile(self.sides, share))

    @property
    def per_image(self) -> np.ndarray:
        """(N,) objects of each image."""
        return np.bincount(self.image_idxs, minlength=self.num_images)

    @property
    def num_empty(self) -> int:
        """Images without objects."""
        return int((self.per_image == 0).sum())

    @property
    def most_objects(self) -> int:
        """In one image."""
        return int(self.per_image.max())

    @property
    def crowded_share(self) -> float:
        """Share of the images that hold many objects."""
        return float((self.per_image > CROWDED).mean())

    @property
    def with_a_side(self) -> list[str]:
        """Classes that mirror images would change, by their names."""
        return names_with_a_side(self.class_names)

    @property
    def with_a_colour(self) -> list[str]:
        """Classes that their colour tells apart."""
        return names_with_a_colour(self.class_names)


def facts_of(coco: dict[str, list[dict]], one_sided: Iterable[str] = ()) -> Facts:
    """Measures a training set.

    Args:
        coco: repaired COCO dict, with the sizes of the images.
        one_sided: see `one_sided_classes`.

    Raises:
        ValueError: no image, or no box to learn.
    """
    images = coco["images"]
    kept = [a for a in coco["annotations"] if not a.get("iscrowd")]
    if not images or not kept:
        what = "image" if not images else "box of any class"
        raise ValueError(f"there is no {what} in the training data: nothing can be learned")
    number = {image["id"]: i for i, image in enumerate(images)}
    sizes = np.array([(x["height"], x["width"]) for x in images], dtype=np.float64)
    image_idxs = np.array([number[a["image_id"]] for a in kept])
    xywh = np.array([a["bbox"] for a in kept], dtype=np.float64).reshape(-1, 4)
    xyxy = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)
    of_a_class = Counter((a["image_id"], a["category_id"]) for a in kept)
    return Facts(
        num_images=len(images),
        sizes=sizes,
        class_names=tuple(x["name"] for x in coco["categories"]),
        boxes=xyxy / sizes.min(axis=1)[image_idxs, None],
        image_idxs=image_idxs,
        most_of_a_class=max(of_a_class.values()),
        one_sided=tuple(one_sided),
    )
