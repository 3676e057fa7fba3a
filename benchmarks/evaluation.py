"""COCO's metric of drawn detections: our evaluator beside detectron2's."""

import contextlib
import io
import json
import logging
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator
from detectron2.structures import Boxes, Instances
from torch import Tensor

from benchmarks.common import suite_row
from fcos_d2.benchmark.timing import time_in_turns
from fcos_d2.evaluation.coco import FastCOCOEvaluator

NUM_CLASSES = 80
SIZE = (480, 640)  # height and width of the images, px
BOXES_PER_IMAGE = 7  # as in COCO
TARGET = 10.0
DATASET = "benchmark_drawn_boxes"


def measure_evaluation(images: int, detections: int, repeats: int) -> list[dict]:
    """From the `Instances` of all images to the dict of results, on boxes drawn at random.

    Args:
        images: of the dataset.
        detections: of each image.
        repeats: calls of each evaluator, in turns, without a warm-up: they take minutes.

    Returns:
        One row of the suite; the ratio is their time over ours.
    """
    generator = torch.Generator().manual_seed(0)
    truth = [random_boxes(BOXES_PER_IMAGE, generator) for _ in range(images)]
    predictions = [random_detections(*x, detections, generator) for x in truth]
    results: dict[str, dict[str, float]] = {}

    def call(name: str, evaluator: type[DatasetEvaluator]) -> Callable[[], None]:
        def run() -> None:
            results[name] = evaluate(evaluator, predictions)

        return run

    subjects = {
        "ours": call("ours", FastCOCOEvaluator),
        "detectron2": call("detectron2", COCOEvaluator),
    }
    with tempfile.TemporaryDirectory() as folder, quiet():
        register(Path(folder) / "truth.json", truth)
        try:
            times = time_in_turns(subjects, warmup=0, repeats=repeats)
        finally:
            DatasetCatalog.remove(DATASET)
            MetadataCatalog.remove(DATASET)
    ours, peer = (statistics.median(times[name]) / 1e3 for name in subjects)
    name = f"COCO metric, {images} images x {detections} detections"
    note = f"numbers differ by {worst_difference(**results):.1e} at most"
    return [suite_row(name, ours, peer, "s", TARGET, note)]


def random_boxes(num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Boxes (num, 4) xyxy of 8 to 300 px inside of the image, and classes (num,)."""
    image = torch.tensor([SIZE[1], SIZE[0]])
    sides = 8 * (300 / 8) ** torch.rand(num, 2, generator=generator)
    corners = torch.rand(num, 2, generator=generator) * (image - sides)
    classes = torch.randint(NUM_CLASSES, (num,), generator=generator)
    return torch.cat((corners, corners + sides), dim=1), classes


def random_detections(
    boxes: Tensor, classes: Tensor, num: int, generator: torch.Generator
) -> Instances:
    """`num` detections: one a little beside each true box, with its class; the others anywhere.

    Args:
        boxes, classes: the truth, see `random_boxes`.
    """
    extra_boxes, extra_classes = random_boxes(num, generator)
    shifts = torch.randn(boxes.shape, generator=generator) * 4
    scores = torch.rand(num, generator=generator).sort(descending=True).values
    instances = Instances(SIZE)
    instances.pred_boxes = Boxes(torch.cat((boxes + shifts, extra_boxes))[:num])
    instances.pred_classes = torch.cat((classes, extra_classes))[:num]
    instances.scores = scores
    return instances


def register(path: Path, truth: list[tuple[Tensor, Tensor]]) -> None:
    """Writes the truth as a COCO file and enters it into detectron2's catalogue as DATASET."""
    annotations = []
    for image_id, (boxes, classes) in enumerate(truth, start=1):
        for (x0, y0, x1, y1), label in zip(boxes.tolist(), classes.tolist(), strict=True):
            box = [x0, y0, x1 - x0, y1 - y0]
            annotation = {"id": len(annotations) + 1, "image_id": image_id, "bbox": box}
            annotation |= {"category_id": label + 1, "area": box[2] * box[3], "iscrowd": 0}
            annotations.append(annotation)
    size = {"height": SIZE[0], "width": SIZE[1]}
    content = {
        "info": {},
        "images": [{"id": i + 1, "file_name": f"{i + 1}.jpg"} | size for i in range(len(truth))],
        "categories": [{"id": i + 1, "name": f"class {i}"} for i in range(NUM_CLASSES)],
        "annotations": annotations,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    DatasetCatalog.register(DATASET, lambda: [])
    MetadataCatalog.get(DATASET).set(
        json_file=str(path),
        thing_classes=[category["name"] for category in content["categories"]],
        thing_dataset_id_to_contiguous_id={i + 1: i for i in range(NUM_CLASSES)},
    )


def evaluate(
    evaluator_class: type[DatasetEvaluator], predictions: list[Instances]
) -> dict[str, float]:
    """Results by detectron2's names, of an evaluator that reads the truth anew."""
    evaluator = evaluator_class(DATASET, tasks=("bbox",), distributed=False)
    evaluator.reset()
    for image_id, instances in enumerate(predictions, start=1):
        evaluator.process([{"image_id": image_id}], [{"instances": instances}])
    return evaluator.evaluate()["bbox"]


def worst_difference(ours: dict[str, float], detectron2: dict[str, float]) -> float:
    """The largest difference of a number, in points of AP.

    Raises:
        ValueError: other numbers, or one of them is missing on one side only.
    """
    if ours.keys() != detectron2.keys():
        raise ValueError(f"results differ in their names: {ours.keys() ^ detectron2.keys()}")
    pairs = torch.tensor([[ours[name], detectron2[name]] for name in ours], dtype=torch.float64)
    absent = pairs.isnan()
    if (absent[:, 0] != absent[:, 1]).any():
        raise ValueError("one evaluator has no value where the other has one")
    return pairs[~absent[:, 0]].diff(dim=1).abs().max().item()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """pycocotools prints, and detectron2 logs, what the suite has no use for."""
    logger = logging.getLogger("detectron2")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
