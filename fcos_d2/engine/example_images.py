"""A few test images with what the model finds in them, drawn again at each evaluation."""

import os
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import HookBase
from detectron2.structures import Boxes, BoxMode, Instances
from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fcos_deploy.text import shown
from fcos_deploy.vision import contact_sheet, draw_detections

from ..class_names import only_in, positions
from ..modeling.modes import evaluating
from .cadence import Cadence

MAX_SIDE = 640  # px, of what is drawn
FRAME = 28  # px, which the title and the border of a picture on a sheet need at most


class ExampleImages(HookBase):
    """Puts images with predictions, and with ground truth beside them, into the event storage.

    They are "predictions/<file name>", uint8 RGB (3, H, W) of at most 640 px, at each evaluation
    and after the last iteration. Only the main process draws.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Sequence[dict],
        class_names: Sequence[str],
        cadence: Cadence,
        image_format: str = "BGR",
        score_thresh: float = 0.3,
    ) -> None:
        """
        Args:
            model: maybe distributed; returns detections as detectron2's detectors do.
            inputs: of the model: image (3, H', W') in grey levels, file_name, height and width (of
                the detections, px), and maybe instances with gt_boxes (px of `image`) and
                gt_classes.
            class_names: K names.
            cadence: of the evaluations before the last one.
            image_format: channel order of the inputs, "BGR" or "RGB".
            score_thresh: least score of what is drawn, in [0, 1].

        Raises:
            ValueError: another channel order.
        """
        if image_format not in ("BGR", "RGB"):
            raise ValueError(f"image_format must be BGR or RGB, got {image_format!r}")
        # On one process alone, the wrapper would wait for the others.
        self.model = model.module if isinstance(model, DistributedDataParallel) else model
        self.inputs = inputs
        self.class_names = class_names
        self.cadence = cadence
        self.image_format = image_format
        self.score_thresh = score_thresh

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done != self.trainer.max_iter and self.cadence.due(done):
            self._draw_all()

    def after_train(self) -> None:
        if self.trainer.iter + 1 >= self.trainer.max_iter:  # else the run broke off
            self._draw_all()

    def _draw_all(self) -> None:
        if not comm.is_main_process():
            return
        names = _own_names([shown(os.path.basename(entry["file_name"])) for entry in self.inputs])
        with evaluating(self.model), torch.no_grad():
            for name, entry in zip(names, self.inputs, strict=True):
                found = self.model([entry])[0]["instances"].to("cpu")
                picture = self.draw(entry, found[found.scores >= self.score_thresh])
                rgb = np.ascontiguousarray(picture[:, :, ::-1].transpose(2, 0, 1))
                self.trainer.storage.put_image(f"predictions/{name}", rgb)

    def draw(self, entry: dict, found: Instances) -> np.ndarray:
        """The predictions on the image, and the ground truth on another one if there is any.

        Args:
            entry: one of the inputs.
            found: pred_boxes in px of the entry's height and width, scores and pred_classes.

        Returns:
            uint8 BGR (H, W, 3), with the longer side at most 640 px.
        """
        image = entry["image"].cpu().permute(1, 2, 0).float().numpy()
        input_size = image.shape[:2]
        image = np.rint(image.clip(0, 255)).astype(np.uint8)
        if self.image_format == "RGB":
            image = np.ascontiguousarray(image[:, :, ::-1])
        truth = entry.get("instances")
        # Two pictures stand beside each other, or above if they are wide, to be as large as can be.
        wide = entry["width"] >= entry["height"]
        columns, rows = (1, 1) if truth is None else (1, 2) if wide else (2, 1)
        frame = 0 if truth is None else FRAME
        limit = MAX_SIDE // rows - frame, MAX_SIDE // columns - frame
        image = _shrunk(image, (entry["height"], entry["width"]), limit)
        scale = _xyxy_scale(image.shape[:2], found.image_size)
        boxes, classes = found.pred_boxes.tensor.numpy() * scale, found.pred_classes.numpy()
        drawn = draw_detections(image, boxes, classes, found.scores.numpy(), self.class_names)
        if truth is None:
            return drawn
        boxes = truth.gt_boxes.tensor.cpu().numpy() * _xyxy_scale(image.shape[:2], input_size)
        classes = truth.gt_classes.cpu().numpy()
        pair = [drawn, draw_detections(image, boxes, classes, None, self.class_names)]
        return contact_sheet(pair, columns, ["predictions", "ground truth"])


def example_images(
    model: nn.Module,
    dataset_names: Sequence[str],
    mapper: Callable[[dict], dict],
    image_format: str,
    num_images: int,
    cadence: Cadence,
    model_classes: Sequence[str] | None = None,
) -> list[HookBase]:
    """The hook for the first images of the first dataset; none where there is nothing to draw.

    Args:
        model, image_format, cadence: as in `ExampleImages`.
        dataset_names: registered ones, to test on.
        mapper: of the test loader.
        num_images: 0: none.
        model_classes: names of the model's classes; None: those of the dataset, in its order.

    Raises:
        ValueError: a negative number, or a dataset whose classes have no names.
    """
    if num_images < 0:
        raise ValueError(f"`images` must be 0 or more, got {num_images}")
    if isinstance(dataset_names, str):
        dataset_names = [dataset_names]
    if num_images == 0 or not dataset_names or not comm.is_main_process():
        return []
    records = DatasetCatalog.get(dataset_names[0])[:num_images]
    class_names = MetadataCatalog.get(dataset_names[0]).get("thing_classes")
    if class_names is None:
        raise ValueError(
            f"`images` is {num_images}, but the dataset {dataset_names[0]} has no thing_classes in "
            "its metadata; set it to 0"
        )
    if model_classes is None:
        model_classes = class_names
    # One list for both, so that a class has one colour.
    names = [*model_classes, *only_in(class_names, model_classes)]
    ids = positions(class_names, names)
    inputs = [with_ground_truth(mapper(record), record, ids) for record in records]
    return [ExampleImages(model, inputs, names, cadence, image_format)]


def with_ground_truth(entry: dict, record: dict, class_ids: Sequence[int] | None = None) -> dict:
    """A test input with the instances of its record, if that has annotations; no crowd regions.

    Args:
        entry: image (3, H', W') that is the record's in another size, height and width.
        record: in detectron2's dataset format.
        class_ids: what the classes of the record become; None: they stay.
    """
    if "annotations" not in record:
        return entry
    objects = [a for a in record["annotations"] if not a.get("iscrowd", 0)]
    corners = [BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS) for a in objects]
    boxes = np.array(corners, np.float32).reshape(-1, 4)
    size = tuple(entry["image"].shape[1:])
    boxes = boxes * _xyxy_scale(size, (entry["height"], entry["width"]))
    classes = [a["category_id"] for a in objects]
    if class_ids is not None:
        classes = [class_ids[i] for i in classes]
    gt_classes = torch.tensor(classes, dtype=torch.int64)
    instances = Instances(size, gt_boxes=Boxes(torch.from_numpy(boxes)), gt_classes=gt_classes)
    return {**entry, "instances": instances}


def _xyxy_scale(size: tuple[int, int], old_size: tuple[int, int]) -> np.ndarray:
    """The factors (4,) for xyxy boxes in an image that changes its (h, w)."""
    y, x = size[0] / old_size[0], size[1] / old_size[1]
    return np.array([x, y, x, y], np.float32)


def _shrunk(image: np.ndarray, size: tuple[int, int], limit: tuple[int, int]) -> np.ndarray:
    """The image in the shape of `size`, as large as that unless `limit` is smaller; (h, w) px."""
    ratio = min(1.0, limit[0] / size[0], limit[1] / size[1])
    height, width = (max(1, round(side * ratio)) for side in size)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _own_names(names: list[str]) -> list[str]:
    """a.jpg of several folders becomes a.jpg, a-2.jpg, ..."""
    own: list[str] = []
    for name in names:
        stem, extension = os.path.splitext(name)
        same = (f"{stem}-{n}{extension}" for n in range(2, len(names) + 2))
        own.append(next(new for new in (name, *same) if new not in own))
    return own
