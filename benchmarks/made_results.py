"""A made set of many images with results of a detector, to time `fcos report`.

python -m benchmarks.made_results FOLDER --images 5000 --detections 100
fcos report --results FOLDER/results.json --data FOLDER/data.json --images FOLDER
"""

import argparse
import json
from pathlib import Path

import numpy as np

SIDE = (480, 640)
CLASSES = 10
OBJECTS = 7  # in an image, on average


def main() -> None:
    """Writes data.json and results.json; without image files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="in each image")
    arguments = parser.parse_args()
    truth, rows = made(arguments.images, arguments.detections)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    (arguments.folder / "data.json").write_text(json.dumps(truth))
    (arguments.folder / "results.json").write_text(json.dumps(rows))


def made(images: int, detections: int, seed: int = 0) -> tuple[dict, list[dict]]:
    """COCO dict and results: most objects are found, the other detections are on nothing."""
    rng = np.random.default_rng(seed)
    objects, found = [], []
    for i in range(1, images + 1):
        count = min(int(rng.poisson(OBJECTS)), detections)
        boxes = _boxes(rng, detections)
        labels = rng.integers(1, CLASSES + 1, detections)
        objects += [(i, label, box) for label, box in zip(labels, boxes[:count], strict=False)]
        moved = boxes + boxes[:, [2, 3, 2, 3]] * rng.normal(0, 0.06, boxes.shape)
        scores = np.where(np.arange(detections) < count, rng.beta(4, 2, detections), 0)
        scores = np.where(scores > 0, scores, 0.05 + 0.9 * rng.beta(0.6, 6, detections))
        found += list(zip([i] * detections, labels, moved, scores, strict=True))
    truth = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "height": SIDE[0], "width": SIDE[1]}
            for i in range(1, images + 1)
        ],
        "categories": [{"id": k, "name": f"class {k}"} for k in range(1, CLASSES + 1)],
        "annotations": [
            {
                "id": number,
                "image_id": i,
                "category_id": int(label),
                "bbox": box.round(1).tolist(),
                "area": float(box[2] * box[3]),
                "iscrowd": 0,
            }
            for number, (i, label, box) in enumerate(objects, start=1)
        ],
    }
    rows = [
        {
            "image_id": i,
            "category_id": int(label),
            "bbox": box.round(2).tolist(),
            "score": round(float(score), 6),
        }
        for i, label, box, score in found
    ]
    return truth, rows


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    sides = np.exp(rng.uniform(np.log(10), np.log(200), (count, 2)))
    return np.hstack((rng.uniform(0, 1, (count, 2)) * (np.array(SIDE[::-1]) - sides), sides))


if __name__ == "__main__":
    main()
