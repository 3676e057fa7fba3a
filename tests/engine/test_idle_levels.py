"""Training says when a level of the detector learns nothing."""

import logging

import torch
from detectron2.modeling import build_model
from detectron2.structures import BoxMode
from torch import nn

from fcos_d2 import model_zoo
from fcos_d2.data.loader import SeededRecords
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.engine.idle_levels import warn_of_idle_levels
from fcos_d2.modeling import FCOSProposalGenerator

CONFIG = "Recipes/R18-Scratch"


def generator_of(*opts: str) -> FCOSProposalGenerator:
    with torch.device("meta"):
        cfg = model_zoo.get_config(CONFIG, ["MODEL.DEVICE", "meta", *opts])
        return build_model(cfg).proposal_generator


def loader_of(*sides: int) -> object:
    """Three images of 224 x 224 px with squares of some sides."""
    box = {"bbox_mode": BoxMode.XYWH_ABS, "category_id": 0, "iscrowd": 0}
    annotations = [box | {"bbox": [10, 10, side, side]} for side in sides]
    record = {"file_name": "a.jpg", "height": 224, "width": 224, "annotations": annotations}
    cfg = model_zoo.get_config(CONFIG, ["INPUT.MIN_SIZE_TRAIN", "(224,)"])
    mapper = FCOSDatasetMapper(cfg, is_train=True)
    records = SeededRecords([record] * 3, mapper)
    return torch.utils.data.DataLoader(records)


def test_training_warns_of_a_level_that_learns_nothing(caplog):
    model = nn.Module()
    model.proposal_generator = generator_of("MODEL.FCOS.SIZES_OF_INTEREST", "[64,128]")
    with caplog.at_level(logging.WARNING):
        warn_of_idle_levels(model, loader_of(40, 80, 120))
    # Another test may have switched on what is said below a warning.
    (record,) = [x for x in caplog.records if x.levelno >= logging.WARNING]
    assert "p5 (128 to inf px: 0.0%)" in record.message and "short side of 224" in record.message
    # Of halves of 20, 40 and 60 px a third lies below 33.3, two thirds below 46.7; in steps of 4.
    assert "SIZES_OF_INTEREST (size_bounds) [32, 48]" in record.message
    caplog.clear()
    model.proposal_generator = generator_of("MODEL.FCOS.SIZES_OF_INTEREST", "[32,48]")
    warn_of_idle_levels(model, loader_of(40, 80, 120))
    warn_of_idle_levels(model, loader_of())
    warn_of_idle_levels(nn.Module(), loader_of(40))
    model.proposal_generator = generator_of("MODEL.FCOS.ASSIGNER", "atss")
    warn_of_idle_levels(model, loader_of(40))
    assert not [x for x in caplog.records if x.levelno >= logging.WARNING]
