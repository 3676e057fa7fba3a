"""A dataset and a config small enough to train on in a test."""

import json

import cv2
import numpy as np

from fcos_cli import train_net
from fcos_cli.training import request_of

TINY_MODEL = {
    "MODEL.DEVICE": "cpu",
    "MODEL.FPN.OUT_CHANNELS": 32,
    "MODEL.FCOS.NUM_CLS_CONVS": 1,
    "MODEL.FCOS.NUM_BOX_CONVS": 1,
    "INPUT.MIN_SIZE_TRAIN": (64,),
    "INPUT.MIN_SIZE_TEST": 64,
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.EMA.ENABLED": False,
    "INPUT.MIX.MOSAIC_PROB": 0.0,
    "TEST.EVAL_PERIOD": 0,
    "SEED": 1,
}


def make_tiny_coco(folder, num_images=6):
    """Gray pictures with one white rectangle each; returns the json file and the image folder."""
    images, annotations = [], []
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(1, num_images + 1):
        picture = np.full((64, 64, 3), 60, np.uint8)
        x, y, w, h = 4 * i, 3 * i, 24, 20
        picture[y : y + h, x : x + w] = 255
        cv2.imwrite(str(folder / f"{i}.png"), picture)
        images.append({"id": i, "file_name": f"{i}.png", "height": 64, "width": 64})
        box = {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0, "category_id": 5}
        annotations.append({"id": i, "image_id": i, **box})
    data = {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 5, "name": "white thing"}],
    }
    (folder / "annotations.json").write_text(json.dumps(data))
    return str(folder / "annotations.json"), str(folder)


def tiny_command(folder, output, max_iter, *flags, num_images=6, **overrides):
    """Arguments of train_net.py for a run on `make_tiny_coco`."""
    json_file, images = make_tiny_coco(folder, num_images)
    settings = TINY_MODEL | {"OUTPUT_DIR": str(output), "SOLVER.MAX_ITER": max_iter} | overrides
    opts = [str(word) for item in settings.items() for word in item]
    data = ["--train-json", json_file, "--train-images", images]
    data += ["--val-json", json_file, "--val-images", images]
    return ["--config-file", "Recipes/R18-Scratch", *data, *flags, *opts]


def train_request(words):
    """What the engine is asked to do by these arguments of train_net.py."""
    arguments = train_net.parser().parse_args(words)
    return request_of(arguments, output_dir=None, eval_only=arguments.eval_only)
