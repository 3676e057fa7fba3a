import pytest
import torch
from detectron2.structures import Boxes, Instances

from fcos_d2 import model_zoo

TWINS = [n.removeprefix("lazy/") for n in model_zoo.list_configs() if n.startswith("lazy/")]


@pytest.mark.parametrize("name", TWINS)
def test_twins_have_the_same_model_and_losses(name):
    """The same weights and the same batch give the same losses, bit by bit."""
    torch.manual_seed(0)
    from_yaml = model_zoo.get_model(name, ["MODEL.DEVICE", "cpu"]).train()
    from_lazy = model_zoo.get_model(f"lazy/{name}", ["train.device=cpu"]).train()
    from_lazy.load_state_dict(from_yaml.state_dict())
    frozen = [
        {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        for model in (from_yaml, from_lazy)
    ]
    assert frozen[0] == frozen[1] != set()
    instances = Instances((64, 96))
    instances.gt_boxes = Boxes([[8, 8, 56, 40]])
    instances.gt_classes = torch.tensor([3])
    batch = [{"image": torch.randint(0, 256, (3, 64, 96)), "instances": instances}]
    torch.testing.assert_close(from_lazy(batch), from_yaml(batch), rtol=0, atol=0)


@pytest.mark.parametrize("name", TWINS)
def test_twins_have_the_same_recipe(name):
    yaml, lazy = model_zoo.get_config(name), model_zoo.get_config(f"lazy/{name}")
    resize, _ = lazy.dataloader.train.mapper.augmentations
    assert list(yaml.INPUT.MIN_SIZE_TRAIN) == list(resize.short_edge_length)
    assert resize.max_size == yaml.INPUT.MAX_SIZE_TRAIN
    resize = lazy.dataloader.test.mapper.augmentations[0]
    assert yaml.INPUT.MIN_SIZE_TEST == resize.short_edge_length
    assert yaml.INPUT.MAX_SIZE_TEST == resize.max_size
    assert yaml.SOLVER.IMS_PER_BATCH == lazy.dataloader.train.total_batch_size
    assert yaml.SOLVER.BASE_LR == lazy.optimizer.lr
    assert yaml.SOLVER.MAX_ITER == lazy.train.max_iter
    assert yaml.TEST.EVAL_PERIOD == lazy.train.eval_period
    assert yaml.SOLVER.CHECKPOINT_PERIOD == lazy.train.checkpointer.period
    schedule = lazy.lr_multiplier.scheduler
    assert list(yaml.SOLVER.STEPS) == list(schedule.milestones)
    assert schedule.num_updates == lazy.train.max_iter
    warmup = lazy.lr_multiplier.warmup_length * lazy.train.max_iter
    assert warmup == pytest.approx(yaml.SOLVER.WARMUP_ITERS)
    assert yaml.MODEL.WEIGHTS == lazy.train.init_checkpoint
    assert not yaml.SOLVER.CLIP_GRADIENTS.ENABLED and lazy.train.max_grad_norm == float("inf")
