"""Detections of a model's classes, evaluated as those of the dataset with the same names."""

import logging
from collections.abc import Sequence

import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils.logger import log_first_n
from torch import Tensor

from ..class_names import listed, only_in, positions


class EvaluatorByName(DatasetEvaluator):
    """Hands another evaluator the detections with the dataset's class indices.

    A class that the dataset lacks is not evaluated.
    """

    def __init__(
        self, evaluator: DatasetEvaluator, dataset_name: str, class_names: Sequence[str]
    ) -> None:
        """
        Args:
            evaluator: of the dataset.
            dataset_name: in detectron2's catalogue.
            class_names: of the model, in the order of its class indices.
        """
        self._evaluator = evaluator
        self._dataset_name = dataset_name
        self._class_names = class_names
        self._indices: Tensor | None = None

    def reset(self) -> None:
        """Raises ValueError as `dataset_indices`; only now are the names of the dataset known."""
        self._indices = dataset_indices(self._class_names, self._dataset_name)
        self._evaluator.reset()

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        if self._indices is not None:
            outputs = [self._translated(output) for output in outputs]
        self._evaluator.process(inputs, outputs)

    def evaluate(self) -> dict | None:
        return self._evaluator.evaluate()

    def _translated(self, output: dict) -> dict:
        if "instances" not in output:
            return output
        assert self._indices is not None, "classes are not translated"
        instances = output["instances"].to("cpu")
        classes = instances.pred_classes
        if len(classes) and classes.max() >= len(self._class_names):
            raise ValueError(
                f"the model detects class {int(classes.max())}, but has names for "
                f"{len(self._class_names)}: {listed(self._class_names)}; set its number of "
                "classes to that"
            )
        indices = self._indices[classes]
        known = indices >= 0
        instances = instances[known]
        instances.pred_classes = indices[known]
        return {**output, "instances": instances}


def evaluate_by_name(
    evaluator: DatasetEvaluator, dataset_name: str, class_names: Sequence[str] | None
) -> DatasetEvaluator:
    """The evaluator for a model with these classes; None: those of the dataset, in its order."""
    if class_names is None:
        return evaluator
    return EvaluatorByName(evaluator, dataset_name, class_names)


def dataset_indices(class_names: Sequence[str], dataset_name: str) -> Tensor | None:
    """The dataset's index of each class of a model; -1 for one that the dataset lacks.

    Args:
        class_names: of the model.
        dataset_name: in detectron2's catalogue.

    Returns:
        (K,) int64; None where both have the same classes in the same order, or where the dataset
        names none.

    Raises:
        ValueError: the dataset has boxes of a class that the model lacks.
    """
    metadata = MetadataCatalog.get(dataset_name)
    names = metadata.get("thing_classes")
    if names is None or list(names) == list(class_names):
        return None
    source = metadata.get("source", dataset_name)
    if unknown := only_in(names, class_names):
        unknown = [name for name in unknown if name in _classes_with_boxes(dataset_name)]
    if unknown:
        raise ValueError(
            f"{source} has boxes of classes that the model does not know: {listed(unknown)}; its "
            f"classes are {listed(class_names)}. Give a class that has only been renamed its old "
            "name in the annotations, or leave out the boxes of new ones"
        )
    absent = only_in(class_names, names)
    rest = f"; classes of the model that it lacks are not counted: {listed(absent)}"
    text = f"{source}: classes are matched by name{rest if absent else ''}"
    log_first_n(logging.INFO, text, key="message")  # not at every evaluation of a training
    return torch.tensor(positions(class_names, names))


def check_test_classes(class_names: Sequence[str] | None, dataset_names: Sequence[str]) -> None:
    """Raises the ValueError of `dataset_indices` before a run, for sets that name their classes."""
    if class_names is None:
        return
    for name in dataset_names:
        dataset_indices(class_names, name)


def _classes_with_boxes(dataset_name: str) -> set[str]:
    names = MetadataCatalog.get(dataset_name).thing_classes
    records = DatasetCatalog.get(dataset_name)
    objects = (a for record in records for a in record.get("annotations", ()))
    return {names[a["category_id"]] for a in objects if not a.get("iscrowd", 0)}
