"""The COCO metric of box detections, fast: arrays instead of a dict per box, matched by hotcoco."""

import json
import logging
import os
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import create_small_table, log_first_n
from tabulate import tabulate

from fcos_deploy.writing import replacing

from ..datasets.ids import Id
from .coco_boxes import (
    box_rows,
    check_detections,
    coco_statistics,
    mean_percent,
    stack_rows,
    to_dataset_ids,
    write_results,
)
from .coco_limits import COCO_LIMIT, warn_of_limits
from .coco_truth import Truth, annotation_file, hotcoco, load_truth

logger = logging.getLogger(__name__)

RESULT_KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl")


class FastCOCOEvaluator(DatasetEvaluator):
    """detectron2's COCOEvaluator for boxes, with its results, many times faster.

    The numbers are those of pycocotools to the last digit, apart from files whose annotations are
    numbered wrongly: pycocotools never finds a box with the id 0, and counts boxes that share an
    id as copies of the last of them.

    What has masks, keypoints or proposals goes to detectron2's COCOEvaluator, and so does
    everything where hotcoco is not installed or cannot read the annotations; the log says so.
    """

    def __init__(
        self,
        dataset_name: str,
        tasks: tuple[str, ...] | None = None,
        distributed: bool = True,
        output_dir: str | None = None,
        *,
        max_dets_per_image: int = COCO_LIMIT,
        model_limit: int | None = None,
    ) -> None:
        """
        Args:
            dataset_name: a dataset of the catalogue, with `json_file` in its metadata or in
                detectron2's format.
            tasks: of "bbox", "segm" and "keypoints"; by default what the detections have.
            distributed: gather the detections of all processes on the first.
            output_dir: where coco_instances_results.json goes; None writes nothing. A dataset
                without `json_file` needs it.
            max_dets_per_image: the best so many detections of a class count in each image; under
                10, ten do, as in detectron2.
            model_limit: detections of an image that the model returns at most, if known. It
                changes nothing but a warning where images hold more objects.

        Raises:
            ValueError: a dataset without `json_file`, and no `output_dir`.
        """
        self._dataset_name = dataset_name
        self._tasks = tasks
        self._distributed = distributed
        self._output_dir = output_dir
        self.max_dets_per_image = max_dets_per_image
        self.model_limit = model_limit
        self._metadata = MetadataCatalog.get(dataset_name)
        self._predictions: list[tuple[int, np.ndarray]] = []
        self._json_file = annotation_file(dataset_name, self._metadata, output_dir)
        self._truth = load_truth(self._json_file)
        only_boxes = tasks is None or set(tasks) == {"bbox"}
        self._detectron2: COCOEvaluator | None = None
        if self._truth is None or not only_boxes:
            self._detectron2 = self._build_detectron2()

    def reset(self) -> None:
        self._predictions = []
        if self._detectron2:
            self._detectron2.reset()

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """
        Args:
            inputs: records with `image_id`.
            outputs: for each, `instances` with boxes in pixels of the original image.

        Raises:
            ValueError: masks, keypoints or proposals after images that had boxes alone.
        """
        if self._detectron2 is None and not all(map(self._has_boxes_alone, outputs)):
            if self._predictions:
                raise ValueError(
                    f"{self._dataset_name}: image {inputs[0]['image_id']} has masks, keypoints or "
                    'proposals, earlier ones had boxes alone; evaluate boxes with tasks=("bbox",)'
                )
            self._detectron2 = self._build_detectron2()
        if self._detectron2:
            self._detectron2.process(inputs, outputs)
            return
        for record, output in zip(inputs, outputs, strict=True):
            if "instances" in output:
                image_id = self._arrays.image_id(record["image_id"], self._json_file)
                self._predictions.append((image_id, box_rows(output["instances"])))

    def evaluate(self, img_ids: list[int] | None = None) -> dict[str, dict[str, float]]:
        """
        Args:
            img_ids: the images that count; all of the dataset by default.

        Returns:
            {"bbox": ...} with AP, AP50, AP75, APs, APm, APl, and AP-<class> where there are more
            classes than one; in percent, NaN where there is nothing to measure. {} on other
            processes than the first, without images, and for a dataset without boxes.
        """
        if self._distributed:
            comm.synchronize()
            # A process that got no images has not seen what the model detects.
            if any(comm.all_gather(self._detectron2 is not None)) and self._detectron2 is None:
                self._detectron2 = self._build_detectron2()
        if self._truth and comm.is_main_process():
            limit = max(10, self.max_dets_per_image)
            warn_of_limits(self._truth, self._dataset_name, limit, self.model_limit)
        if self._detectron2:
            results = self._detectron2.evaluate(img_ids)
            self._restore_ids_of_results()
            return results if self._has_boxes() else {}
        gathered = [(len(self._predictions), stack_rows(self._predictions))]
        if self._distributed:
            gathered = comm.gather(gathered[0], dst=0)
            if not comm.is_main_process():
                return {}
        if sum(images for images, _ in gathered) == 0:
            logger.warning("%s: no image was evaluated", self._dataset_name)
            return {}
        return self._evaluate_boxes(np.concatenate([rows for _, rows in gathered]), img_ids)

    @property
    def _arrays(self) -> Truth:
        """The truth, where the boxes are not detectron2's business."""
        assert self._truth is not None, "detectron2 evaluates what hotcoco cannot read"
        return self._truth

    def _has_boxes_alone(self, output: dict) -> bool:
        if "proposals" in output:
            return False
        if self._tasks or "instances" not in output:
            return True
        return not any(output["instances"].has(name) for name in ("pred_masks", "pred_keypoints"))

    def _has_boxes(self) -> bool:
        """Whether there is anything to find; where there is not, the log says so once."""
        if self._truth:
            found = bool(self._truth.coco.get_ann_ids(iscrowd=False))
        else:
            evaluator: Any = self._detectron2
            objects = evaluator._coco_api.anns.values()
            found = any(not annotation.get("iscrowd", 0) for annotation in objects)
        if not found:
            source = self._metadata.get("source", self._json_file)
            text = f"{source}: there are no boxes to find (crowds do not count), so there is no AP"
            log_first_n(logging.WARNING, text, key="message")
        return found

    def _build_detectron2(self) -> COCOEvaluator:
        evaluator = COCOEvaluator(
            self._dataset_name,
            self._tasks,
            self._distributed,
            self._output_dir,
            max_dets_per_image=self.max_dets_per_image,
            use_fast_impl=False,  # compiled code, which may be absent
        )
        evaluator.reset()
        return evaluator

    def _evaluate_boxes(
        self, detections: np.ndarray, img_ids: list[int] | None
    ) -> dict[str, dict[str, float]]:
        """The results of all detections, (N, 7) with class numbers; writes them, too."""
        image_names, category_names = self._names()
        if ids := self._ids_of_classes():
            detections = to_dataset_ids(detections, ids, image_names)
        coco_gt = self._arrays.coco
        check_detections(detections, coco_gt.get_img_ids(), self._json_file, image_names)
        if self._output_dir:
            PathManager.mkdirs(self._output_dir)
            path = self._results_file(self._output_dir)
            with replacing(path, durable=False) as temporary, temporary.open("w") as file:
                write_results(detections, file, image_names, category_names)
        if not self._has_boxes():
            return {}
        if len(detections) == 0:
            logger.warning("%s: the model detected nothing", self._dataset_name)
            return {"bbox": dict.fromkeys(RESULT_KEYS, float("nan"))}
        limits = sorted((1, 10, self.max_dets_per_image))
        if img_ids is not None:
            img_ids = [self._arrays.image_id(x, self._json_file) for x in img_ids]
        precision, recall = match_boxes(coco_gt, detections, limits, img_ids)
        statistics = coco_statistics(precision, recall)
        logger.info("COCO's numbers for boxes:\n%s", create_small_table(statistics))
        class_aps = per_class(self._by_class(precision), self._metadata.get("thing_classes"))
        bbox = {key: statistics[key] for key in RESULT_KEYS}
        return {"bbox": {**bbox, **{f"AP-{name}": ap for name, ap in class_aps.items()}}}

    def _ids_of_classes(self) -> dict[int, int]:
        """The category id in the truth of each class number; known once the dataset is loaded."""
        class_of_id = self._metadata.get("thing_dataset_id_to_contiguous_id") or {}
        ids = self._arrays.category_ids
        return {c: i if ids is None else ids.get(i, i) for i, c in class_of_id.items()}

    def _by_class(self, precision: np.ndarray) -> np.ndarray:
        """(T, R, K, A, M) by category id of the truth -> by class number."""
        position = {i: k for k, i in enumerate(sorted(self._arrays.coco.get_cat_ids()))}
        ids = [i for _, i in sorted(self._ids_of_classes().items())]
        if sorted(ids) != [*position] or ids == [*position]:
            return precision
        return precision[:, :, [position[i] for i in ids]]

    def _names(self) -> tuple[dict[int, Id], dict[int, Id]]:
        """What the user's file calls ids of the truth: images, and categories."""
        images, categories = self._arrays.image_ids or {}, self._arrays.category_ids or {}
        return (
            {number: given for given, number in images.items()} | self._source_ids("image"),
            {number: given for given, number in categories.items()} | self._source_ids("category"),
        )

    def _source_ids(self, kind: str) -> dict[int, Id]:
        """Of own data, which get other ids than in the user's file; see `register_own_data`."""
        return self._metadata.get(f"source_{kind}_ids") or {}

    @staticmethod
    def _results_file(output_dir: str) -> str:
        return os.path.join(output_dir, "coco_instances_results.json")

    def _restore_ids_of_results(self) -> None:
        """Writes detectron2's file anew, with the ids of the user's."""
        names = {f"{kind}_id": self._source_ids(kind) for kind in ("image", "category")}
        if not self._output_dir or not any(names.values()) or not comm.is_main_process():
            return
        path = self._results_file(self._output_dir)
        if not os.path.exists(path):  # nothing was evaluated
            return
        with open(path) as file:
            rows = json.load(file)
        for row in rows:
            row |= {key: ids.get(row[key], row[key]) for key, ids in names.items()}
        with open(path, "w") as file:
            json.dump(rows, file)


def match_boxes(
    coco_gt: "hotcoco.COCO", detections: np.ndarray, limits: list[int], img_ids: list[int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Precision (T, R, K, A, M) and recall (T, K, A, M) as in `coco_statistics`.

    Args:
        coco_gt: the ground truth.
        detections: (N, 7) with ids of the dataset, N > 0.
        limits: on the detections of an image, rising.
        img_ids: the images that count; None for all.
    """
    evaluation = hotcoco.COCOeval(coco_gt, coco_gt.load_res(detections), "bbox")
    evaluation.params.max_dets = limits
    if img_ids is not None:
        evaluation.params.img_ids = img_ids
    evaluation.evaluate()
    evaluation.accumulate()
    curves: Any = evaluation.eval
    return curves["precision"], curves["recall"]


def per_class(precision: np.ndarray, class_names: list[str] | None) -> dict[str, float]:
    """The AP of each class, logged as a table; {} for a single class or classes without names.

    Raises:
        ValueError: other than one name for each category of the annotations.
    """
    if class_names is None or len(class_names) <= 1:
        return {}
    if len(class_names) != precision.shape[2]:
        raise ValueError(
            f"the dataset's metadata names {len(class_names)} classes, its annotations "
            f"{precision.shape[2]}; name as many in both"
        )
    aps = {name: mean_percent(precision[:, :, k, 0, 2]) for k, name in enumerate(class_names)}
    logger.info("AP of each class:\n%s", tabulate(aps.items(), ("class", "AP"), floatfmt=".2f"))
    return aps
