"""One run from either kind of config."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog

from fcos_d2 import Predictor, model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine import Trainer, run_of


def both(name):
    return [run_of(model_zoo.get_config(f"{kind}{name}")) for kind in ("", "lazy/")]


@pytest.mark.parametrize("name", ["FCOS/R50-1x", "FCOS-RT/R50", "Recipes/R50-Modern"])
def test_twins_are_the_same_run(name):
    yaml, lazy = both(name)
    assert (yaml.kind, lazy.kind) == ("yaml", "lazy")
    for what in ("output_dir", "device", "weights", "seed", "cudnn_benchmark", "image_format"):
        assert getattr(yaml, what) == getattr(lazy, what), what
    for what in ("train_datasets", "test_datasets", "view_options", "views", "masks"):
        assert getattr(yaml, what) == getattr(lazy, what), what
    numbers = [asdict(run.training()) for run in (yaml, lazy)]
    for each in numbers:
        del each["logging"]["settings"], each["max_to_keep"]  # yaml keeps all checkpoints
        each["logging"]["backends"] = list(each["logging"]["backends"])
    assert numbers[0] == numbers[1]


def test_a_run_is_its_own_run():
    run, _ = both("FCOS-RT/R50")
    assert run_of(run) is run
    assert run_of(replace(run, seed=7)).seed == 7


def test_keys_of_the_number_of_classes():
    assert [x.num_classes_key for x in both("FCOS-RT/R50")] == [
        "MODEL.FCOS.NUM_CLASSES",
        "model.proposal_generator.head.num_classes",
    ]
    assert [x.num_classes_key for x in both("TwoStage/FasterRCNN-R50-FCOS-1x")] == [
        "MODEL.ROI_HEADS.NUM_CLASSES",
        "model.roi_heads.num_classes",
    ]


@pytest.mark.parametrize("kind", ["", "lazy/"])
def test_a_predictor_builds_nothing_for_training(tmp_path, monkeypatch, kind):
    """No optimiser, and no dataset is opened."""

    def fail(*args):
        raise AssertionError("built for training")

    run = run_of(model_zoo.get_config(f"{kind}Recipes/R18-Scratch")).on("cpu")
    FCOSCheckpointer(run.build_model(), str(tmp_path)).save("model")
    training = ("training", "make_optimizer", "make_scheduler", "make_train_loader")
    run = replace(run, **dict.fromkeys((*training, "make_test_loader", "make_evaluator"), fail))
    monkeypatch.setattr(DatasetCatalog, "get", fail)
    predictor = Predictor(run, str(tmp_path / "model.pth"))
    found = predictor.detect(np.zeros((64, 64, 3), np.uint8))
    assert len(predictor.class_names) == 80 and found.boxes.shape == (len(found), 4)


@pytest.mark.parametrize("kind", ["", "lazy/"])
def test_the_config_of_the_caller_stays(kind):
    config = model_zoo.get_config(f"{kind}FCOS-RT/R50")
    run = run_of(config)
    with torch.device("meta"):
        model = run.on("meta").build_model()
    assert next(model.parameters()).device.type == "meta"
    assert run.device == run_of(config).device == "cuda"


@pytest.mark.parametrize("kind", ["", "lazy/"])
def test_parts_of_a_subclass_are_asked_with_what_the_trainer_was_given(kind):
    """The way in which detectron2's trainer is subclassed; the same with both kinds of config."""
    asked = []

    class MyTrainer(Trainer):
        @classmethod
        def build_evaluator(cls, cfg, dataset_name):
            asked.append((cfg, dataset_name))
            raise LookupError("asked")

    config = model_zoo.get_config(f"{kind}FCOS-RT/R50")
    for given in (config, run_of(config)):
        with pytest.raises(LookupError):
            MyTrainer.test(given, torch.nn.Identity())
        cfg, name = asked.pop()
        assert cfg is given and name == "coco_2017_val"
