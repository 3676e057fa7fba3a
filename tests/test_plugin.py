"""fcos_d2 as a plugin: detectron2's own trainers, loops and predictor with every config.

Imports are in the order of a user's script, which has detectron2's functions before fcos_d2 comes.
"""

import cv2
import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import LazyConfig, get_cfg, instantiate
from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_train_loader
from detectron2.engine import DefaultPredictor, DefaultTrainer, SimpleTrainer, hooks
from detectron2.engine.defaults import create_ddp_model
from detectron2.modeling import build_model
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.structures import BoxMode
from detectron2.utils import logger as detectron2_logger
from detectron2.utils.events import EventStorage
from omegaconf import OmegaConf

from fcos_d2 import add_fcos_config, model_zoo
from fcos_d2.engine import Trainer
from fcos_d2.key_effects import LAZY_KEYS
from fcos_d2.modeling import VoVNet

NAMES = [name for name in model_zoo.list_configs() if not name.startswith("lazy/")]
LAZY_NAMES = [name for name in model_zoo.list_configs() if name.startswith("lazy/")]
# One of each kind of solver, data and model; the others take their time in the slow suite.
TRAINED = (
    "Recipes/R18-Scratch",
    "Recipes/R50-Modern",
    "Recipes/R50-640",
    "TwoStage/FasterRCNN-R50-FCOS-1x",
)
LOOPED = ("Recipes/R18-Scratch", "Recipes/R50-Modern")
LAZILY_LOOPED = ("lazy/Recipes/R18-Scratch",)
# The same layers with fewer channels, and a machine without a GPU.
SMALL = {
    "MODEL.DEVICE": "cpu",
    "MODEL.WEIGHTS": "",
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 2,
    "MODEL.FPN.OUT_CHANNELS": 64,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 16,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 8,
    "INPUT.MIN_SIZE_TRAIN": (64,),
    "INPUT.MIN_SIZE_TEST": 64,
    "DATASETS.TRAIN": ("plugin_squares",),
    "DATASETS.TEST": ("plugin_squares",),
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.MAX_ITER": 3,
    "SOLVER.STEPS": (2,),
    "SOLVER.AMP.ENABLED": False,  # detectron2's needs a GPU
    "TEST.EVAL_PERIOD": 0,
    "MODEL.FCOS.BOX_BIAS_INIT": 2.0,  # boxes with an area from the start
    "MODEL.FCOS.INFERENCE_TH_TEST": 0.0,
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.0,
}


def record(path):
    """One square with its mask, of the first class."""
    annotation = {
        "bbox": [16, 16, 48, 48],
        "bbox_mode": BoxMode.XYXY_ABS,
        "category_id": 0,
        "segmentation": [[16, 16, 48, 16, 48, 48, 16, 48]],
    }
    sizes = {"height": 64, "width": 64}
    return {"file_name": str(path), "image_id": 1, "annotations": [annotation], **sizes}


@pytest.fixture(scope="module", autouse=True)
def squares(tmp_path_factory):
    path = tmp_path_factory.mktemp("squares") / "square.png"
    picture = np.full((64, 64, 3), 60, np.uint8)
    picture[16:48, 16:48] = 255
    cv2.imwrite(str(path), picture)
    DatasetCatalog.register("plugin_squares", lambda: [record(path)] * 4)
    MetadataCatalog.get("plugin_squares").thing_classes = [f"class {i}" for i in range(80)]
    yield picture
    DatasetCatalog.remove("plugin_squares")
    MetadataCatalog.remove("plugin_squares")


@pytest.fixture
def warnings(caplog, monkeypatch):
    """What fcos_d2 said, as if nothing had been said before."""
    monkeypatch.setattr(detectron2_logger, "_LOG_COUNTER", detectron2_logger.Counter())

    def said():
        return [r.getMessage() for r in caplog.records if r.name.startswith("fcos_d2")]

    return said


def small_config(name, output_dir, **changes):
    """As detectron2's `setup` makes it, with the keys of fcos_d2 added."""
    cfg = get_cfg()
    add_fcos_config(cfg)
    cfg.merge_from_file(model_zoo.get_config_file(name))
    settings = SMALL | {"OUTPUT_DIR": str(output_dir)} | changes
    if cfg.MODEL.RESNETS.DEPTH == 18 or "resnet" not in cfg.MODEL.BACKBONE.NAME:
        settings = {k: v for k, v in settings.items() if "RESNETS" not in k}
    elif cfg.MODEL.RESNETS.DEPTH == 101:
        settings["MODEL.RESNETS.DEPTH"] = 50
    if cfg.MODEL.META_ARCHITECTURE == "FCOS":
        settings = {k: v for k, v in settings.items() if "ROI" not in k}
    if "vovnet" in cfg.MODEL.BACKBONE.NAME:
        settings["MODEL.VOVNET.CONV_BODY"] = "V-19-slim-eSE"
    cfg.merge_from_list([x for item in settings.items() for x in item])
    return cfg


def slow_but(names, fast):
    return [x if x in fast else pytest.param(x, marks=pytest.mark.slow) for x in names]


def assert_trained(before, model):
    """The parameters of the head changed, and all are finite."""
    after = model.state_dict()
    changed = [key for key in before if not torch.equal(before[key], after[key])]
    assert any("fcos_head" in key for key in changed)
    assert all(torch.isfinite(value).all() for value in after.values() if value.is_floating_point())


def copied_state(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name", NAMES)
def test_solver_and_loader_of_detectron2_take_the_config(name, tmp_path):
    """What differs from config to config, with a model of one weight."""
    cfg = small_config(name, tmp_path)
    model = torch.nn.Linear(1, 1)
    optimizer = build_optimizer(cfg, model)
    scheduler = build_lr_scheduler(cfg, optimizer)
    model(torch.ones(1, 1)).backward()
    before = model.weight.item()
    optimizer.step()
    scheduler.step()
    assert model.weight.item() != before
    batch = next(iter(build_detection_train_loader(cfg)))
    assert [len(x["instances"]) for x in batch] == [1, 1]


@pytest.mark.parametrize("name", slow_but(NAMES, TRAINED))
def test_default_trainer_and_predictor(name, tmp_path, squares):
    cfg = small_config(name, tmp_path)
    trainer = DefaultTrainer(cfg)
    before = copied_state(trainer.model)
    trainer.resume_or_load(resume=False)
    trainer.train()
    assert_trained(before, trainer.model)
    cfg.MODEL.WEIGHTS = str(tmp_path / "model_final.pth")
    predictor = DefaultPredictor(cfg)
    found = predictor(squares)["instances"]
    assert found.image_size == (64, 64)
    # A random body drives the second stage to a probability of exactly 0.
    assert len(found) or name.startswith("TwoStage")
    assert torch.equal(
        predictor.model.state_dict()["proposal_generator.fcos_head.cls_logits.bias"],
        trainer.model.state_dict()["proposal_generator.fcos_head.cls_logits.bias"],
    )
    (tmp_path / "model_final.pth").unlink()


@pytest.mark.parametrize("name", slow_but(NAMES, LOOPED))
def test_plain_loop(name, tmp_path, squares):
    """The loop of detectron2's tools/plain_train_net.py."""
    cfg = small_config(name, tmp_path)
    model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    scheduler = build_lr_scheduler(cfg, optimizer)
    checkpointer = DetectionCheckpointer(
        model, cfg.OUTPUT_DIR, save_to_disk=False, optimizer=optimizer, scheduler=scheduler
    )
    checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=False)
    before = copied_state(model)
    with EventStorage(0) as storage:
        batches = zip(build_detection_train_loader(cfg), range(cfg.SOLVER.MAX_ITER), strict=False)
        for data, _iteration in batches:
            losses = sum(model(data).values())
            assert torch.isfinite(losses)
            optimizer.zero_grad()
            losses.backward()
            optimizer.step()
            scheduler.step()
            storage.step()
    assert_trained(before, model)


def small_lazy_config(name, output_dir):
    """As detectron2's tools/lazyconfig_train_net.py loads it."""
    cfg = LazyConfig.load(model_zoo.get_config_file(name))
    cfg.train.output_dir = str(output_dir)
    cfg.train.init_checkpoint = ""
    cfg.train.device = "cpu"
    cfg.train.max_iter = 3
    cfg.train.amp.enabled = False
    if cfg.model.backbone.bottom_up.get("_target_") is VoVNet:
        cfg.model.backbone.bottom_up.norm = "BN"  # so deep a random body overflows with frozen ones
    for split in ("train", "test"):
        loader = cfg.dataloader[split]
        loader.dataset.names = "plugin_squares"
        loader.num_workers = 0
    cfg.dataloader.train.total_batch_size = 2
    for augmentation in cfg.dataloader.train.mapper.augmentations:
        if "short_edge_length" in augmentation:
            augmentation.short_edge_length = [64, 64]
        for key in ("target_height", "target_width", "side"):
            if key in augmentation:
                augmentation[key] = 128
    return cfg


@pytest.mark.parametrize("name", slow_but(LAZY_NAMES, LAZILY_LOOPED))
def test_lazy_loop(name, tmp_path, squares):
    """The loop of detectron2's tools/lazyconfig_train_net.py."""
    cfg = small_lazy_config(name, tmp_path)
    model = instantiate(cfg.model)
    model.to(cfg.train.device)
    cfg.optimizer.params.model = model
    optimizer = instantiate(cfg.optimizer)
    train_loader = instantiate(cfg.dataloader.train)
    model = create_ddp_model(model, **cfg.train.ddp)
    trainer = SimpleTrainer(model, train_loader, optimizer)
    checkpointer = DetectionCheckpointer(
        model, cfg.train.output_dir, save_to_disk=False, trainer=trainer
    )
    trainer.register_hooks(
        [
            hooks.IterationTimer(),
            hooks.LRScheduler(scheduler=instantiate(cfg.lr_multiplier)),
            hooks.PeriodicCheckpointer(checkpointer, **cfg.train.checkpointer),
        ]
    )
    checkpointer.resume_or_load(cfg.train.init_checkpoint, resume=False)
    before = copied_state(model)
    trainer.train(0, cfg.train.max_iter)
    assert_trained(before, model)
    model.eval()
    batch = next(iter(instantiate(cfg.dataloader.test)))
    with torch.no_grad():
        found = model([{**batch[0], "image": batch[0]["image"][:, :64, :64]}])[0]["instances"]
    assert found.image_size == (64, 64)


def test_what_detectron2s_trainer_does_not_obey_is_said_once(tmp_path, warnings):
    changes = {"INPUT.RESIZE_RULE_TEST": "letterbox", "SOLVER.ACCUMULATE_STEPS": 2}
    cfg = small_config("Recipes/R18-Scratch", tmp_path, **changes)
    model = build_model(cfg)
    build_model(cfg)
    assert warnings() == [
        "only fcos_d2's own Predictor, Trainer and FCOSCheckpointer obey, detectron2's do not: "
        "INPUT.RESIZE_RULE_TEST 'letterbox'"
    ]
    build_optimizer(cfg, model)
    build_optimizer(cfg, model)
    (_, second) = warnings()
    for key in ("OPTIMIZER 'AdamW'", "ACCUMULATE_STEPS 2", "EMA.ENABLED True"):
        assert f"SOLVER.{key}" in second
    assert "INPUT.MIX.MOSAIC_PROB 0.5" in second and "fcos_d2.engine.Trainer" in second
    assert "CLIP_GRADIENTS" not in second  # it is obeyed


def test_nothing_is_said_where_everything_is_obeyed(tmp_path, warnings):
    cfg = small_config("FCOS/R50-1x", tmp_path)
    build_optimizer(cfg, build_model(cfg))
    cfg = small_config("Recipes/R18-Scratch", tmp_path)
    Trainer.build_optimizer(cfg, Trainer.build_model(cfg))
    build_optimizer(get_cfg(), torch.nn.Linear(1, 1))
    assert warnings() == []


def test_what_detectron2s_lazy_loop_does_not_obey_is_said(tmp_path, warnings):
    cfg = small_lazy_config("lazy/Recipes/R18-Scratch", tmp_path)
    cfg.optimizer.params.model = torch.nn.Linear(1, 1)
    instantiate(cfg.optimizer)
    assert warnings() == [
        "only fcos train obeys, detectron2's own loop does not: "
        "train.ema.enabled True, train.max_grad_norm 35.0"
    ]


def test_the_list_of_lazy_keys_is_whole(tmp_path):
    """Every setting of `train` is one that detectron2's loop obeys, or in the list."""
    obeyed = {"init_checkpoint", "output_dir", "max_iter", "amp", "ddp", "checkpointer", "device"}
    obeyed |= {"eval_period", "log_period", "seed", "cudnn_benchmark"}
    train = small_lazy_config("lazy/FCOS/R50-1x", tmp_path).train
    assert {key.split(".")[0] for key in LAZY_KEYS} - {"amp"} == set(train) - obeyed
    # Their defaults are those of the configs.
    train = LazyConfig.load(model_zoo.get_config_file("lazy/FCOS/R50-1x")).train
    assert {key: OmegaConf.select(train, key) for key in LAZY_KEYS} == LAZY_KEYS


def test_weights_that_detectron2_cannot_read_are_named(tmp_path, warnings):
    build_model(small_config("Recipes/R50-RT-FineTune", tmp_path, **{"MODEL.WEIGHTS": "zoo://x"}))
    assert "MODEL.WEIGHTS 'zoo://x'" in warnings()[0]
