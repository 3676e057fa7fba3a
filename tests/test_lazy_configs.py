import pytest
import torch
from detectron2.config import instantiate
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from omegaconf import ListConfig, OmegaConf
from torch import nn

from fcos_d2 import model_zoo
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.engine.optimizer import build_lr_scheduler, build_optimizer, full_model_clip_value

TWINS = [n.removeprefix("lazy/") for n in model_zoo.list_configs() if n.startswith("lazy/")]
# Those that are run; the others differ from them in parts of which the settings are compared.
RUN = ("FCOS/R50-1x", "FCOS-RT/R50")


def test_every_published_model_has_a_twin():
    folders = ("FCOS/", "FCOS-RT/", "Recipes/", "TwoStage/")
    assert set(TWINS) == {n for n in model_zoo.list_configs() if n.startswith(folders)}


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
    assert list(lazy.model.pixel_mean) == yaml.MODEL.PIXEL_MEAN
    assert list(lazy.model.pixel_std) == yaml.MODEL.PIXEL_STD


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


def description(value: object) -> object:
    """Types and attributes all the way down, with lists for all kinds of sequences."""
    if isinstance(value, (list, tuple, ListConfig)):
        return [description(x) for x in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    attributes = {k: description(v) for k, v in vars(value).items() if k not in STATE}
    if len(set(attributes.get("short_edge_length", ()))) == 1:
        # One size is the same as a choice, a list and a range.
        attributes |= {"short_edge_length": attributes["short_edge_length"][:1]}
        attributes |= {"is_range": None, "sample_style": None}
    return type(value).__name__, attributes


# What a mapper counts or gets from the run, and names of no consequence.
STATE = (
    "counter",
    "records",
    "_last_readable",
    "keypoint_hflip_indices",
    "proposal_topk",
    "tfm_or_aug",
)


@pytest.mark.parametrize("name", TWINS)
def test_twins_see_the_same_images(name):
    """Augmentations, mixing and their settings, built by both routes."""
    yaml, lazy = model_zoo.get_config(name), model_zoo.get_config(f"lazy/{name}")
    for split in ("train", "test"):
        from_yaml = FCOSDatasetMapper(yaml, is_train=split == "train")
        from_lazy = instantiate(lazy.dataloader[split].mapper)
        found, expected = (description(mapper)[1] for mapper in (from_lazy, from_yaml))
        if split == "test":  # it has no use for the others
            names = ("augmentations", "image_format", "is_train")
            found, expected = ([x[name] for name in names] for x in (found, expected))
        assert found == expected
    assert lazy.dataloader.train.total_batch_size == yaml.SOLVER.IMS_PER_BATCH
    for split, names in (("train", yaml.DATASETS.TRAIN), ("test", yaml.DATASETS.TEST)):
        given = lazy.dataloader[split].dataset.names
        assert list(names) == ([given] if isinstance(given, str) else list(given))
    assert lazy.dataloader.train.dataset.filter_empty == yaml.DATALOADER.FILTER_EMPTY_ANNOTATIONS


@pytest.mark.parametrize("name", TWINS)
def test_twins_train_alike(name):
    """Optimiser, learning rates over the run, and everything around the steps."""
    yaml, lazy = model_zoo.get_config(name), model_zoo.get_config(f"lazy/{name}")
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    lazy.optimizer.params.model = model
    optimizers = build_optimizer(yaml, model), instantiate(lazy.optimizer)
    groups = [[{**group, "params": 0} for group in x.param_groups] for x in optimizers]
    assert type(optimizers[0]) is type(optimizers[1]) and groups[0] == groups[1]

    yaml_schedule = build_lr_scheduler(yaml, optimizers[0])._multiplier
    lazy_schedule = instantiate(lazy.lr_multiplier)
    last = yaml.SOLVER.MAX_ITER - 1
    steps = {0, 1, 100, 1000, *yaml.SOLVER.STEPS, *range(0, last, last // 50), last}
    shares = [step / yaml.SOLVER.MAX_ITER for step in sorted(steps) if step <= last]
    factors = [[schedule(x) for x in shares] for schedule in (yaml_schedule, lazy_schedule)]
    assert factors[1] == pytest.approx(factors[0], rel=1e-6, abs=1e-12)

    solver, train = yaml.SOLVER, lazy.train
    assert train.init_checkpoint == yaml.MODEL.WEIGHTS
    assert full_model_clip_value(yaml) == train.max_grad_norm
    assert (
        train.max_iter,
        train.checkpointer.period,
    ) == (solver.MAX_ITER, solver.CHECKPOINT_PERIOD)
    assert (train.ema.enabled, train.ema.decay) == (solver.EMA.ENABLED, solver.EMA.DECAY)
    assert (train.amp.enabled, train.amp.precision) == (solver.AMP.ENABLED, solver.AMP.PRECISION)
    assert train.accumulate_steps == solver.ACCUMULATE_STEPS
    assert train.stall_minutes == solver.STALL_MINUTES
    assert train.eval_period == yaml.TEST.EVAL_PERIOD
    assert train.best_metric == yaml.TEST.BEST_METRIC
    assert train.early_stop_patience == yaml.TEST.EARLY_STOP_PATIENCE
    logging = {key.lower(): plain(value) for key, value in yaml.LOGGING.items()}
    assert logging == plain(train.logging)
