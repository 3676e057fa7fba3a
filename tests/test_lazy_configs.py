import pytest
import torch
from detectron2.config import instantiate
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from omegaconf import OmegaConf
from torch import nn

from fcos_d2 import model_zoo

TWINS = [n.removeprefix("lazy/") for n in model_zoo.list_configs() if n.startswith("lazy/")]
# Those that are run; the others differ from them in parts of which the settings are compared.
RUN = ("FCOS/R50-1x", "FCOS-RT/R50")


def test_every_published_model_has_a_twin():
    names = {
        n for n in model_zoo.list_configs() if n.startswith(("FCOS/", "FCOS-RT/", "TwoStage/"))
    }
    assert set(TWINS) == names


def plain(value: object) -> object:
    """`value` with lists for all kinds of sequences; None for what is not numbers and names."""
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value)
    if isinstance(value, (list, tuple)):
        return [plain(x) for x in value]
    if isinstance(value, dict):
        return {key: plain(x) for key, x in value.items()}
    return value if isinstance(value, (bool, int, float, str)) else None


def plain_settings(model: nn.Module) -> dict[str, dict]:
    """The attributes of every module that are made of numbers and names."""
    settings = {name: plain(vars(module)) for name, module in model.named_modules()}
    # Names of channels for pictures, and a weight of 1 that one route of detectron2 leaves out.
    settings[""].pop("input_format", None)
    settings.get("roi_heads.box_predictor", {}).get("loss_weight", {}).pop("loss_cls", None)
    return settings


@pytest.mark.parametrize("name", TWINS)
def test_twins_have_the_same_model(name):
    yaml, lazy = model_zoo.get_config(name), model_zoo.get_config(f"lazy/{name}")
    yaml.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        from_yaml, from_lazy = build_model(yaml), instantiate(lazy.model)
    assert list(from_yaml.state_dict()) == list(from_lazy.state_dict())
    # As text: types, shapes, strides and norms of all layers.
    assert repr(from_yaml) == repr(from_lazy)
    frozen = [
        {key for key, parameter in model.named_parameters() if not parameter.requires_grad}
        for model in (from_yaml, from_lazy)
    ]
    assert frozen[0] == frozen[1]
    assert plain_settings(from_lazy) == plain_settings(from_yaml)
    assert yaml.MODEL.PIXEL_MEAN == list(lazy.model.pixel_mean)
    assert yaml.MODEL.PIXEL_STD == list(lazy.model.pixel_std)


@pytest.mark.parametrize("name", RUN)
def test_twins_have_the_same_losses(name):
    """The same weights and the same batch give the same losses, bit by bit."""
    torch.manual_seed(0)
    from_yaml = model_zoo.get_model(name, ["MODEL.DEVICE", "cpu"]).train()
    from_lazy = model_zoo.get_model(f"lazy/{name}", ["train.device=cpu"]).train()
    from_lazy.load_state_dict(from_yaml.state_dict())
    instances = Instances((64, 96))
    instances.gt_boxes = Boxes([[8, 8, 56, 40]])
    instances.gt_classes = torch.tensor([3])
    batch = [{"image": torch.randint(0, 256, (3, 64, 96)), "instances": instances}]
    torch.testing.assert_close(from_lazy(batch), from_yaml(batch), rtol=0, atol=0)


@pytest.mark.parametrize("name", TWINS)
def test_twins_have_the_same_recipe(name):
    yaml, lazy = model_zoo.get_config(name), model_zoo.get_config(f"lazy/{name}")
    train, test = lazy.dataloader.train.mapper, lazy.dataloader.test.mapper
    resize, _ = train.augmentations
    assert list(yaml.INPUT.MIN_SIZE_TRAIN) == list(resize.short_edge_length)
    assert resize.max_size == yaml.INPUT.MAX_SIZE_TRAIN
    resize = test.augmentations[0]
    assert yaml.INPUT.MIN_SIZE_TEST == resize.short_edge_length
    assert yaml.INPUT.MAX_SIZE_TEST == resize.max_size
    assert yaml.INPUT.FORMAT == train.image_format == test.image_format
    assert yaml.MODEL.MASK_ON == train.get("use_instance_mask", False)
    assert yaml.SOLVER.IMS_PER_BATCH == lazy.dataloader.train.total_batch_size
    for split, names in (("train", yaml.DATASETS.TRAIN), ("test", yaml.DATASETS.TEST)):
        assert list(names) == [lazy.dataloader[split].dataset.names]
    assert yaml.SOLVER.BASE_LR == lazy.optimizer.lr
    assert yaml.SOLVER.MOMENTUM == lazy.optimizer.momentum
    assert yaml.SOLVER.WEIGHT_DECAY == lazy.optimizer.weight_decay
    assert yaml.SOLVER.WEIGHT_DECAY_NORM == lazy.optimizer.params.weight_decay_norm
    assert yaml.SOLVER.MAX_ITER == lazy.train.max_iter
    assert yaml.TEST.EVAL_PERIOD == lazy.train.eval_period
    assert yaml.SOLVER.CHECKPOINT_PERIOD == lazy.train.checkpointer.period
    schedule = lazy.lr_multiplier.scheduler
    assert list(yaml.SOLVER.STEPS) == list(schedule.milestones)
    assert schedule.num_updates == lazy.train.max_iter
    factors = [yaml.SOLVER.GAMMA**i for i in range(len(yaml.SOLVER.STEPS) + 1)]
    assert list(schedule["values"]) == pytest.approx(factors)
    assert lazy.lr_multiplier.warmup_factor == yaml.SOLVER.WARMUP_FACTOR
    warmup = lazy.lr_multiplier.warmup_length * lazy.train.max_iter
    assert warmup == pytest.approx(yaml.SOLVER.WARMUP_ITERS)
    assert yaml.MODEL.WEIGHTS == lazy.train.init_checkpoint
    assert not yaml.SOLVER.CLIP_GRADIENTS.ENABLED and lazy.train.max_grad_norm == float("inf")
