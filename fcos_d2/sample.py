"""An image with its annotations, as the mixing of images handles it."""

from typing import Any, NamedTuple

import numpy as np
from detectron2.data import transforms as T
from detectron2.structures import BoxMode
from pycocotools import mask as coco_mask


class Sample(NamedTuple):
    """An image and what is in it."""

    image: np.ndarray  # (H, W, 3) uint8
    annotations: list[dict]  # in detectron2's format; boxes XYXY_ABS, segmentations encoded
    reduction: int = 1  # px of the file, along a side, that one of the image stands for
    scale: float = 1.0  # px of the network input, along a side, for one of the image

    @classmethod
    def of_record(cls, record: dict, image: np.ndarray, with_masks: bool) -> "Sample":
        """A record of detectron2's format with its image; its annotations stay as they are.

        The image may be reduced by a whole factor, see `read_reduced`; with masks it is not.
        """
        reduction = record["width"] // image.shape[1]
        annotations = []
        for given in record.get("annotations", []):
            annotation = {k: v for k, v in given.items() if k not in ("segmentation", "keypoints")}
            box = BoxMode.convert(given["bbox"], given["bbox_mode"], BoxMode.XYXY_ABS)
            box = np.array(box, dtype=float) / reduction
            annotation |= {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS}
            if with_masks and given.get("segmentation"):
                annotation["segmentation"] = encoded(given["segmentation"], image.shape[:2])
            annotations.append(annotation)
        return cls(image, annotations, reduction)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.image.shape[:2]

    def transformed(self, transforms: T.Transform, min_visible: float) -> "Sample":
        """After `transforms`, without boxes that keep less than a share of their area."""
        image = transforms.apply_image(self.image)
        size = image.shape[:2]
        annotations = []
        for annotation in self.annotations:
            box = transforms.apply_box(annotation["bbox"][None])
            share = visible_share(box, size)[0]
            if share <= 0 or share < min_visible:
                continue
            clipped = np.clip(box[0], 0, [size[1], size[0]] * 2)
            annotations.append({**annotation, "bbox": clipped})
            if "segmentation" in annotation:
                moved = transforms.apply_segmentation(decoded(annotation["segmentation"]))
                annotations[-1]["segmentation"] = encode(moved)
        return Sample(image, annotations)

    def annotations_within(self, size: tuple[int, int], top: int, left: int) -> list[dict]:
        """Those of a larger image, of `size` (height, width), that shows this one at a place."""
        height, width = self.size
        right, bottom = size[1] - left - width, size[0] - top - height
        shift = T.PadTransform(left, top, right, bottom, width, height)
        annotations = []
        for annotation in self.annotations:
            shifted = {**annotation, "bbox": annotation["bbox"] + [left, top, left, top]}
            if "segmentation" in annotation:
                mask = shift.apply_segmentation(decoded(annotation["segmentation"]))
                shifted["segmentation"] = encode(mask)
            annotations.append(shifted)
        return annotations


def boxes_of(annotations: list[dict]) -> np.ndarray:
    """(M, 4) xyxy, px, of annotations in detectron2's format."""
    boxes = np.array([a["bbox"] for a in annotations], dtype=float).reshape(-1, 4)
    modes = np.array([a["bbox_mode"] for a in annotations], dtype=int)
    boxes[modes == BoxMode.XYWH_ABS, 2:] += boxes[modes == BoxMode.XYWH_ABS, :2]
    for mode in {*modes.tolist()} - {BoxMode.XYWH_ABS, BoxMode.XYXY_ABS}:
        chosen = modes == mode
        boxes[chosen] = BoxMode.convert(boxes[chosen], BoxMode(mode), BoxMode.XYXY_ABS)
    return boxes


def visible_share(
    boxes: np.ndarray, size: tuple[int, int], shown: np.ndarray | None = None
) -> np.ndarray:
    """The part of the area of each box that lies within an image.

    Args:
        boxes: (M, 4) xyxy, px.
        size: height and width, px.
        shown: (M, 4), the boxes as borders inside the image have cut them; None for no borders.

    Returns:
        (M,) in [0, 1]; 0 for a box without area.
    """
    height, width = size
    clipped = np.clip(boxes if shown is None else shown, 0, [width, height, width, height])
    areas, clipped_areas = (np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (boxes, clipped))
    return clipped_areas / np.maximum(areas, np.finfo(np.float64).tiny)


def encoded(segmentation: Any, size: tuple[int, int]) -> Any:
    """Polygons or run lengths of COCO as compressed run lengths of one mask (height, width)."""
    if isinstance(segmentation, dict) and isinstance(segmentation["counts"], (bytes, str)):
        return segmentation
    parts = coco_mask.frPyObjects(segmentation, *size)
    return coco_mask.merge(parts) if isinstance(parts, list) else parts


def encode(mask: np.ndarray) -> Any:
    """(H, W) of 0 and 1 as compressed run lengths."""
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def decoded(segmentation: Any) -> np.ndarray:
    """(H, W) uint8 of 0 and 1."""
    return coco_mask.decode(segmentation)


def box_of_mask(mask: np.ndarray) -> np.ndarray:
    """The box xyxy, px, around the pixels of a mask (H, W) that has some."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=float)
