"""The names of what the evaluators of the trainers measure."""

from collections.abc import Sequence

from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator

from .coco import RESULT_KEYS, FastCOCOEvaluator
from .coco_limits import COCO_LIMIT
from .voc import VOCEvaluator

_VOC_KEYS = ("AP", "AP50", "AP50-11-point", "AP75")
_TASKS = ("bbox", "segm", "keypoints")


def build_evaluator(
    dataset_name: str,
    output_dir: str,
    *,
    max_dets_per_image: int = COCO_LIMIT,
    model_limit: int | None = None,
) -> DatasetEvaluator:
    """The metric of a dataset: PASCAL VOC's for its years, else COCO's, of boxes and masks.

    Detections are written into `output_dir` (COCO only). The limits are those of
    `FastCOCOEvaluator`; VOC's metric has none.
    """
    if max_dets_per_image < 1:
        raise ValueError(f"`max_dets_per_image` must be at least 1, got {max_dets_per_image}")
    if _is_voc(dataset_name):
        return VOCEvaluator(dataset_name)
    return FastCOCOEvaluator(
        dataset_name,
        output_dir=output_dir,
        max_dets_per_image=max_dets_per_image,
        model_limit=model_limit,
    )


def check_metric(metric: str, dataset_names: Sequence[str]) -> None:
    """Looks for a metric among those that `build_evaluator` can give, before a run starts.

    Args:
        metric: such as "bbox/AP", or "" for none.
        dataset_names: what is tested on. The name of a dataset may precede the metric.

    Raises:
        ValueError: no evaluation gives it.
    """
    if not metric or not dataset_names:
        return
    known = []
    for name in dataset_names:
        keys = _VOC_KEYS if _is_voc(name) else RESULT_KEYS
        per_class = "AP50" if _is_voc(name) else "AP"
        classes = MetadataCatalog.get(name).get("thing_classes")
        task, _, key = metric.removeprefix(f"{name}/").partition("/")
        of_a_class = key.startswith(f"{per_class}-") and (
            classes is None or key.removeprefix(f"{per_class}-") in classes
        )
        if task in _TASKS and (key in keys or of_a_class):
            return
        known += [f"bbox/{key}" for key in (*keys, f"{per_class}-<class>")]
    raise unknown_metric(metric, list(dict.fromkeys(known)))


def unknown_metric(metric: str, names: list[str]) -> ValueError:
    """The error of a metric that is not among `names`."""
    return ValueError(
        f"`best_metric` is {metric!r}, which the evaluation does not give; it gives "
        f"{', '.join(names)}"
    )


def _is_voc(dataset_name: str) -> bool:
    return MetadataCatalog.get(dataset_name).get("evaluator_type") == "pascal_voc"
