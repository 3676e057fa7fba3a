"""Ground truth, and detections as a detector of known faults would make them."""

import numpy as np

from fcos_d2.evaluation.results import DetectionSet

SIZE = (480, 640)


def detection_set(objects: list[tuple], found: list[tuple], images: int = 1, classes: str = "ab"):
    """A set of a few boxes: `objects` (image, class, xywh), or with True at the end for a crowd;
    `found` (image, class, xywh, score). Images and classes count from 0; image 0 has the id 1,
    class 0 the id 1.
    """
    annotations = [
        {
            "id": i,  # from 0, which pycocotools takes for no annotation
            "image_id": image + 1,
            "category_id": label + 1,
            "bbox": list(box),
            "area": box[2] * box[3],
            "iscrowd": int(any(crowd)),
        }
        for i, (image, label, box, *crowd) in enumerate(objects)
    ]
    detections = [
        {"image_id": image + 1, "category_id": label + 1, "bbox": list(box), "score": score}
        for image, label, box, score in found
    ]
    truth = {
        "images": [
            {"id": i + 1, "file_name": f"{i}.jpg", "height": SIZE[0], "width": SIZE[1]}
            for i in range(images)
        ],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(classes)],
        "annotations": annotations,
    }
    return DetectionSet(truth=truth, detections=detections)


def noisy_results(truth: dict, seed: int = 0, good: float = 0.8) -> list[dict]:
    """Results on any ground truth: moved, lost, repeated, mixed up and invented boxes.

    Scores have three decimals, so that some are equal.

    Args:
        truth: COCO dict.
        good: share of the objects that are found.
    """
    rng = np.random.default_rng(seed)
    ids = [category["id"] for category in truth["categories"]]
    rows = []
    for annotation in truth["annotations"]:
        for chance in (good, 0.15):
            if rng.random() > chance:
                continue
            x, y, w, h = annotation["bbox"]
            x, y = x + rng.normal(0, w / 12), y + rng.normal(0, h / 12)
            w, h = w * rng.uniform(0.85, 1.2), h * rng.uniform(0.85, 1.2)
            other = rng.random() < 0.1
            category = int(rng.choice(ids)) if other else annotation["category_id"]
            score = rng.beta(5, 2) if chance == good and not other else rng.beta(2, 3)
            rows.append(_row(annotation["image_id"], category, [x, y, w, h], score))
    for image in truth["images"]:
        for _ in range(rng.poisson(4)):
            x, y = rng.uniform(0, 400, 2)
            w, h = np.exp(rng.uniform(1, 5, 2))
            category = int(rng.choice(ids))
            rows.append(_row(image["id"], category, [x, y, w, h], rng.beta(1.2, 5)))
    return rows


def _row(image_id, category_id, box: list, score: float) -> dict:
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [round(float(x), 2) for x in box],
        "score": round(float(score), 3),
    }


def drawn_truth(seed: int, images: int = 12, classes: int = 3) -> dict:
    """Random boxes with crowds, areas that are not those of the boxes, and images without any."""
    rng = np.random.default_rng(seed)
    objects = []
    for i in range(images):
        for _ in range(rng.integers(1, 9) if i % 5 else 0):
            x, y = rng.uniform(0, 400, 2).tolist()
            w, h = np.exp(rng.uniform(1.5, 5.3, 2)).tolist()
            label = int(rng.integers(classes))
            box = (round(x, 1), round(y, 1), round(w, 1), round(h, 1))
            objects.append((i, label, box, rng.random() < 0.1))
    truth = detection_set(objects, [], images, "abcdefgh"[: classes + 1]).truth  # one has no box
    for annotation in truth["annotations"]:
        annotation["area"] *= rng.uniform(0.5, 1)
        annotation["id"] += 1
    return truth
