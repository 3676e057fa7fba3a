"""Ground truth, and results of detectors that are as good as one likes, without any image."""

import numpy as np

NAMES = ["cat", "dog", "cow"]


def made_truth(images: int = 60, seed: int = 0) -> dict:
    """A COCO dict: two to six boxes in each image of 200 x 200 px, of three classes."""
    random = np.random.default_rng(seed)
    annotations = []
    for image in range(1, images + 1):
        for _ in range(random.integers(2, 7)):
            w, h = random.uniform(10, 60, 2)
            x, y = random.uniform(0, 200 - w), random.uniform(0, 200 - h)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(random.integers(1, 4)),
                    "bbox": [float(v) for v in (x, y, w, h)],
                    "area": float(w * h),
                    "iscrowd": 0,
                }
            )
    return {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 200}
            for i in range(1, images + 1)
        ],
        "annotations": annotations,
        "categories": [{"id": k, "name": name} for k, name in enumerate(NAMES, start=1)],
    }


def made_results(truth: dict, seed: int = 1, missed: float = 0.1, noise: float = 2.0) -> list[dict]:
    """Rows of a results file: the boxes less some, `noise` px off, and a false one in each image.

    Args:
        truth: COCO dict.
        seed: of all that is random.
        missed: share of the objects that have no detection.
        noise: standard deviation of each side, px.
    """
    random = np.random.default_rng(seed)
    rows = []
    for box in truth["annotations"]:
        moved = np.array(box["bbox"]) + random.normal(0, noise, 4)
        score = random.uniform(0.3, 1)
        if random.uniform() >= missed:
            rows.append(_row(box["image_id"], box["category_id"], moved, score))
    for image in truth["images"]:
        bbox = random.uniform(0, 100, 4)
        rows.append(_row(image["id"], random.integers(1, 4), bbox, random.uniform(0, 0.6)))
    return rows


def dropped(rows: list[dict], share: float = 0.05, seed: int = 2) -> list[dict]:
    """Without a share of the rows, at random."""
    random = np.random.default_rng(seed)
    gone = set(random.choice(len(rows), round(share * len(rows)), replace=False).tolist())
    return [row for i, row in enumerate(rows) if i not in gone]


def _row(image: int, label: int, bbox: np.ndarray, score: float) -> dict:
    bbox = [*bbox[:2].tolist(), *np.maximum(bbox[2:], 1).tolist()]
    return {
        "image_id": int(image),
        "category_id": int(label),
        "bbox": bbox,
        "score": float(score),
    }
