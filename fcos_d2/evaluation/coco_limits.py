"""Images that hold more objects than the metric, or the model, lets through."""

import logging

from detectron2.utils.logger import log_first_n
from torch import nn

from .coco_truth import Truth

TOGETHER = 8  # images
COCO_LIMIT = 100  # detections of a class in an image, in COCO's metric


def detections_limit(model: nn.Module) -> int | None:
    """How many detections of an image the model returns at most; None where it does not tell."""
    heads = getattr(model, "roi_heads", None)
    if heads is None:
        selection = getattr(getattr(model, "proposal_generator", None), "test_selection", None)
        limit = getattr(selection, "max_detections", 0)
    else:
        predictor = getattr(heads, "box_predictor", None)
        last = predictor[-1] if isinstance(predictor, nn.ModuleList) else predictor  # of a cascade
        limit = getattr(last, "test_topk_per_image", 0)
    return limit if limit > 0 else None


def warn_of_limits(
    truth: Truth, dataset_name: str, metric_limit: int, model_limit: int | None
) -> None:
    """Says once which limits are lower than the number of objects in some images.

    Args:
        truth: the annotations; crowd regions do not count.
        dataset_name: for the message.
        metric_limit: on the detections of a class in an image that count.
        model_limit: on all detections of an image; None for none, or unknown.
    """
    least = min(metric_limit, model_limit or metric_limit)
    objects, of_a_class = {}, {}
    for image_id in _images_of_more(truth, least):
        counts = [
            len(truth.coco.get_ann_ids(img_ids=[image_id], cat_ids=[category], iscrowd=False))
            for category in truth.coco.get_cat_ids()
        ]
        objects[image_id], of_a_class[image_id] = sum(counts), max(counts)
    over_metric = [n for n in of_a_class.values() if n > metric_limit]
    over_model = [n for n in objects.values() if n > (model_limit or n)]
    lines = []
    if over_metric:
        lines.append(
            f"{len(over_metric)} images have up to {max(over_metric)} objects of a class, and the "
            f"metric counts the best {metric_limit} detections of a class; "
            "`max_dets_per_image` raises that"
        )
    if over_model:
        lines.append(
            f"{len(over_model)} images have up to {max(over_model)} objects, and the model returns "
            f"at most {model_limit}; `max_detections`, of a two-stage model "
            "`max_detections_of_two_stages`, raises that"
        )
    if lines:
        text = f"{dataset_name}: AP cannot reach 100: {'; '.join(lines)}"
        log_first_n(logging.WARNING, text, name=__name__, key="message")


def _images_of_more(truth: Truth, number: int) -> list[int]:
    """The images of more annotations than `number`; several are asked for at once, for speed."""
    image_ids, found = truth.coco.get_img_ids(), []
    for start in range(0, len(image_ids), TOGETHER):
        some = image_ids[start : start + TOGETHER]
        if len(truth.coco.get_ann_ids(img_ids=some)) > number:
            found += [x for x in some if len(truth.coco.get_ann_ids(img_ids=[x])) > number]
    return found
