"""Test images with what the model finds in them, at each evaluation."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import HookBase
from detectron2.evaluation.evaluator import inference_context
from detectron2.utils import comm
from torch import nn

from ..visualization.draw import draw_detections

LONG_SIDE = 640  # px of the pictures


class ExampleImages(HookBase):
    """Puts drawn predictions into the event storage, for the writers that show images."""

    def __init__(
        self,
        model: nn.Module,
        inputs: list[dict],
        class_names: list[str],
        period: int,
        *,
        image_format: str = "BGR",
        score_thresh: float = 0.3,
    ) -> None:
        """
        Args:
            model: gives "instances" for each input in evaluation mode.
            inputs: mapped images: image (3, H, W), file_name, height and width.
            class_names: in the order of the class indices.
            period: iterations; 0: at the end only.
            image_format: channel order of the inputs, "BGR" or "RGB".
            score_thresh: least score of a box that is drawn.
        """
        self.model = model
        self.inputs = inputs
        self.class_names = class_names
        self.period = period
        self.image_format = image_format
        self.score_thresh = score_thresh

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if self.period > 0 and done % self.period == 0 and done != self.trainer.max_iter:
            self._draw()

    def after_train(self) -> None:
        if self.trainer.iter + 1 >= self.trainer.max_iter:
            self._draw()

    def _draw(self) -> None:
        with inference_context(self.model), torch.no_grad():
            for inputs in self.inputs:
                picture = self.picture(inputs)
                name = f"predictions/{inputs['file_name'].rsplit('/', 1)[-1]}"
                self.trainer.storage.put_image(name, picture.transpose(2, 0, 1))

    def picture(self, inputs: dict) -> np.ndarray:
        """(H, W, 3) uint8 RGB, at most LONG_SIDE px long, of one mapped image."""
        (result,) = self.model([inputs])
        found = result["instances"].to("cpu")
        found = found[found.scores >= self.score_thresh]
        image = inputs["image"].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
        image = image if self.image_format == "BGR" else image[..., ::-1]
        height, width = inputs["height"], inputs["width"]
        scale = min(1, LONG_SIDE / max(height, width))
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        image = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
        found.pred_boxes.scale(size[0] / width, size[1] / height)
        drawn = draw_detections(
            image,
            found.pred_boxes.tensor.numpy(),
            found.pred_classes.numpy(),
            found.scores.numpy(),
            self.class_names,
        )
        return np.ascontiguousarray(drawn[..., ::-1])


def example_images(
    model: nn.Module,
    dataset_names: str | list[str],
    mapper: Callable[[dict], dict],
    image_format: str,
    count: int,
    period: int,
) -> list[ExampleImages]:
    """The hook for the first images of a test set; none without images, or in other processes.

    Args:
        model: see `ExampleImages`.
        dataset_names: of the test sets; the first one counts.
        mapper: makes the inputs from its records.
        image_format: of the mapper.
        count: images.
        period: iterations.
    """
    names = [dataset_names] if isinstance(dataset_names, str) else list(dataset_names)
    if not count or not names or not comm.is_main_process():
        return []
    inputs = [mapper(record) for record in DatasetCatalog.get(names[0])[:count]]
    class_names = MetadataCatalog.get(names[0]).thing_classes
    return [ExampleImages(model, inputs, class_names, period, image_format=image_format)]
