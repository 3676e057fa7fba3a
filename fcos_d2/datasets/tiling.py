"""A dataset of large images cut into overlapping tiles, which are a dataset of their own."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fcos_deploy.files import find_file
from fcos_deploy.vision import read_image, write_image

from .formats.trees import Tree, written_whole

Coco = dict[str, list[dict]]
Corners = Sequence[int]  # x0, y0, x1, y1 in px
Regions = Callable[[tuple[int, int]], Sequence[Corners]]  # of an image (h, w), px

MIN_VISIBLE = 0.3  # share of a box that a tile must show
EMPTY_SHARE = 0.1  # of the tiles without any box
_KEPT_FORMATS = (".jpg", ".jpeg", ".png")
ANNOTATIONS = "annotations.json"


class Tiles(NamedTuple):
    """How many there are."""

    images: int  # that were cut
    tiles: int  # that were written
    empty: int  # of these, without box
    left_out: int  # tiles without box that were not written
    boxes: int
    lost: int  # boxes of the images that no tile shows enough of

    def __str__(self) -> str:
        lost = f"; {self.lost} boxes are too large for any tile" if self.lost else ""
        return (
            f"{self.images} images became {self.tiles} tiles with {self.boxes} boxes; {self.empty} "
            f"of them have none, {self.left_out} more without boxes are left out{lost}"
        )


def write_tiles(
    coco: Coco,
    images: str | Path,
    output: str | Path,
    regions: Regions,
    *,
    min_visible: float = MIN_VISIBLE,
    empty_share: float = EMPTY_SHARE,
) -> Tiles:
    """Writes the tiles and annotations.json, a COCO file, into a folder.

    A box is in each tile that shows enough of it, cut by the tile's edge. Only boxes are kept, no
    masks or key points.

    Args:
        coco: a repaired dataset.
        images: folder of its images.
        output: the folder.
        regions: the parts of an image.
        min_visible: least share of the area of a box that a tile shows, in (0, 1].
        empty_share: of the tiles without any box, how many are kept, in [0, 1]; which ones, their
            names decide.

    Raises:
        ValueError: a share outside of its range. ImageError: an image that cannot be read.
    """
    if not 0 < min_visible <= 1:
        raise ValueError(f"the visible share of a box must be in (0, 1], got {min_visible}")
    if not 0 <= empty_share <= 1:
        raise ValueError(f"the share of tiles without boxes must be in [0, 1], got {empty_share}")
    boxes: dict[int, list[dict]] = {x["id"]: [] for x in coco["images"]}
    for annotation in coco["annotations"]:
        boxes[annotation["image_id"]].append(annotation)
    with written_whole(Path(output), ANNOTATIONS) as tree:
        cut = partial(_cut, Path(images), tree, regions, boxes, min_visible, empty_share)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV works without Python's lock
            pieces = [*pool.map(cut, coco["images"])]
        tiles = [tile for made, _ in pieces for tile in made]
        written = _numbered(tiles, coco["categories"])
        tree.write(ANNOTATIONS, json.dumps(written))
    shown = {id(source) for _, kept in tiles for source, _ in kept}
    return Tiles(
        len(coco["images"]),
        len(tiles),
        sum(not kept for _, kept in tiles),
        sum(left_out for _, left_out in pieces),
        len(written["annotations"]),
        sum(id(annotation) not in shown for annotation in coco["annotations"]),
    )


Kept = list[tuple[dict, list[float]]]  # annotations with their boxes xywh in a tile, px


def _cut(
    images: Path,
    tree: Tree,
    regions: Regions,
    boxes: dict[int, list[dict]],
    min_visible: float,
    empty_share: float,
    image: dict,
) -> tuple[list[tuple[dict, Kept]], int]:
    """The tiles of one image with their boxes, and how many empty ones are left out."""
    picture, tiles, left_out = None, [], 0
    for x0, y0, x1, y1 in regions((image["height"], image["width"])):
        seen = ((a, _visible(a, (x0, y0, x1, y1), min_visible)) for a in boxes[image["id"]])
        kept = [(annotation, box) for annotation, box in seen if box]
        name = _tile_name(image["file_name"], x0, y0)
        if not kept and not _is_chosen(name, empty_share):
            left_out += 1
            continue
        if picture is None:
            picture = read_image(find_file(images, image["file_name"]))
        write_image(tree.file("", name), picture[y0:y1, x0:x1])
        tiles.append(({"file_name": name, "height": y1 - y0, "width": x1 - x0}, kept))
    return tiles, left_out


def _visible(annotation: dict, region: Corners, min_visible: float) -> list[float] | None:
    """The box in the tile, xywh; None where too little of it is there."""
    x, y, width, height = annotation["bbox"]
    x0, y0, x1, y1 = region
    left, top = max(x, x0), max(y, y0)
    right, bottom = min(x + width, x1), min(y + height, y1)
    if right <= left or bottom <= top:
        return None
    share = (right - left) * (bottom - top) / (width * height)
    # What a crowd covers is no object, so any part of it counts.
    if share < min_visible and not annotation.get("iscrowd"):
        return None
    return [left - x0, top - y0, right - left, bottom - top]


def _tile_name(name: str, x0: int, y0: int) -> str:
    """A file name below images/; with the image's own ending in it where two could be the same."""
    path = PurePosixPath(name.replace("\\", "/"))
    parent = path.parent if not path.is_absolute() else PurePosixPath()
    is_kept = path.suffix.lower() in _KEPT_FORMATS
    file = f"{path.stem}_{x0}_{y0}{path.suffix}" if is_kept else f"{path.name}_{x0}_{y0}.png"
    return (PurePosixPath("images") / parent / file).as_posix()


def _is_chosen(name: str, share: float) -> bool:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=4).digest()
    return int.from_bytes(digest, "big") < share * 2**32


def _numbered(tiles: list[tuple[dict, Kept]], categories: list[dict]) -> Coco:
    images: list[dict] = []
    annotations: list[dict] = []
    for number, (image, kept) in enumerate(tiles, start=1):
        images.append({"id": number, **image})
        for source, box in kept:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": source["category_id"],
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": source.get("iscrowd", 0),
                }
            )
    return {"images": images, "annotations": annotations, "categories": categories}
