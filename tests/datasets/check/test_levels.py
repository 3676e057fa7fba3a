"""What the levels of a detector learn, against loops over all locations and boxes."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from detectron2.data import transforms as T
from detectron2.modeling import build_model

from fcos_d2 import model_zoo
from fcos_d2.data.augmentation import ResizeShortestEdge
from fcos_d2.data.input_size import sizes_after
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.datasets.check import level_statistics
from fcos_d2.modeling import FCOSProposalGenerator

LETTERBOX = ["INPUT.RESIZE_RULE_TRAIN", "letterbox", "INPUT.SQUARE_SIZE", "160"]


def generator_of(*opts: str, config: str = "Recipes/R18-Scratch") -> FCOSProposalGenerator:
    with torch.device("meta"):
        cfg = model_zoo.get_config(config, ["MODEL.DEVICE", "meta", *opts])
        return build_model(cfg).proposal_generator


def mapper_of(*opts: str, config: str = "Recipes/R18-Scratch") -> FCOSDatasetMapper:
    return FCOSDatasetMapper(model_zoo.get_config(config, list(opts)), is_train=True)


def sizes_of(mapper: FCOSDatasetMapper) -> partial:
    return partial(sizes_after, mapper.input_size.resize)


def coco_of(boxes: list, height: int, width: int) -> dict:
    annotations = [{"image_id": 7, "bbox": box, "iscrowd": 0} for box in boxes]
    return {"images": [{"id": 7, "height": height, "width": width}], "annotations": annotations}


def positives_by_loops(boxes: list, padded: tuple[int, int], generator: object) -> list[int]:
    """Pairs of a location and a box xywh that it may learn, of each level."""
    assigner, counts = generator.assigner, []
    for (low, high), stride in zip(assigner.size_ranges, generator.strides, strict=True):
        count = 0
        rows, columns = (-(-side // stride) for side in padded)
        for row in range(rows):
            for column in range(columns):
                x, y = column * stride + stride // 2, row * stride + stride // 2
                if generator.location_rule == "corner":
                    x, y = column * (padded[1] // columns), row * (padded[0] // rows)
                for left, top, width, height in boxes:
                    sides = x - left, y - top, left + width - x, top + height - y
                    off = abs(x - left - width / 2), abs(y - top - height / 2)
                    near = max(off) < 1.5 * stride and min(sides) > 0
                    limits = [low <= max(sides) <= high, low < max(sides) < high]
                    count += near and limits[not assigner.inclusive_size_ranges]
        counts.append(count)
    return counts


@pytest.mark.parametrize("inclusive", ["True", "False"])
@pytest.mark.parametrize("rule", ["center", "corner"])
def test_the_rules_of_the_detector_count(rule, inclusive):
    """Distances of whole px, so that some lie on the limits 32 and 64."""
    options = "MODEL.FCOS.LOCATION_RULE", rule, "MODEL.FCOS.INCLUSIVE_SIZE_RANGES", inclusive
    generator = generator_of(*options)
    rng = np.random.default_rng(0)
    boxes = [
        [*rng.integers(0, 60, 2).tolist(), *rng.integers(4, 130, 2).tolist()] for _ in range(40)
    ]
    boxes += [[0, 0, 64, 64], [4, 4, 64, 64], [16, 16, 32, 128]]
    found = level_statistics(coco_of(boxes, 190, 190), generator, partial(sizes_after, None))
    assert found.positives == positives_by_loops(boxes, (192, 192), generator)


def test_sizes_are_those_of_the_resize_in_training():
    """A box of 40 x 40 px in 240 x 448, whose long side becomes 160: 86 px short, box 14.3 px.

    A short edge of 224 px would make it 37.3 px.
    """
    coco, generator = coco_of([[100, 100, 40, 40]], 240, 448), generator_of()
    found = level_statistics(coco, generator, sizes_of(mapper_of(*LETTERBOX)))
    assert found.short_side == 86
    # Both sides are rounded to whole px.
    assert found.sides.tolist() == pytest.approx([40 * (86 / 240 * 160 / 448) ** 0.5])
    found = level_statistics(coco, generator, partial(sizes_after, ResizeShortestEdge(224, 999)))
    assert found.short_side == 224 and found.sides.tolist() == pytest.approx([37.33], abs=0.05)


def test_random_sizes_all_count_and_are_the_same_again():
    coco = coco_of([[0, 0, 50, 50]], 100, 100)
    coco["images"] = [coco["images"][0] | {"id": i} for i in range(40)]
    coco["annotations"] = [coco["annotations"][0] | {"image_id": i} for i in range(40)]
    resize = T.ResizeScale(0.5, 1.5, 100, 100)
    first, again = (
        level_statistics(coco, generator_of(), partial(sizes_after, resize)) for _ in range(2)
    )
    assert first.sides.min() < 35 and first.sides.max() > 65
    assert first.sides.tolist() == again.sides.tolist()


def shares(coco: dict, config: str) -> list[float]:
    mapper, generator = mapper_of(config=config), generator_of(config=config)
    counts = level_statistics(coco, generator, sizes_of(mapper)).positives
    return [count / sum(counts) for count in counts]


def test_every_level_of_the_recipe_learns_blood_cells(shared_dir):
    """With the published ranges 97, 3 and 0 %."""
    path = shared_dir / "data" / "bccd" / "coco" / "instances_train.json"
    assert min(shares(json.loads(path.read_text()), "Recipes/R18-Scratch")) > 0.02
