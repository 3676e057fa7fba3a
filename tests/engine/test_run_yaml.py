import pytest
from detectron2.config import instantiate

from fcos_d2 import model_zoo
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.engine.run_lazy import scale_lazy
from fcos_d2.engine.run_yaml import scale_yaml


def test_scaling_a_yaml_config_to_a_quarter_batch():
    cfg = model_zoo.get_config("FCOS/R50-1x", ["SOLVER.IMS_PER_BATCH", "4"])
    scale_yaml(cfg, 4 / 16, given=[])
    assert cfg.SOLVER.BASE_LR == 0.0025
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS) == (360000, (240000, 320000))
    assert (cfg.SOLVER.WARMUP_ITERS, cfg.SOLVER.CHECKPOINT_PERIOD) == (4000, 20000)


def test_values_given_by_hand_stay():
    cfg = model_zoo.get_config("FCOS/R50-1x")
    scale_yaml(cfg, 0.5, given=["SOLVER.BASE_LR", "0.01", "SOLVER.MAX_ITER", "90000"])
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER) == (0.01, 90000)
    assert cfg.SOLVER.STEPS == (120000, 160000)


def test_scaling_a_python_config_agrees_with_yaml():
    yaml, lazy = model_zoo.get_config("FCOS-RT/R50"), model_zoo.get_config("lazy/FCOS-RT/R50")
    scale_yaml(yaml, 0.125, given=[])
    scale_lazy(lazy, 0.125, given=[])
    assert lazy.optimizer.lr == pytest.approx(yaml.SOLVER.BASE_LR)
    assert lazy.train.max_iter == yaml.SOLVER.MAX_ITER == 2880000
    assert lazy.train.checkpointer.period == yaml.SOLVER.CHECKPOINT_PERIOD == 40000
    assert lazy.train.eval_period == yaml.TEST.EVAL_PERIOD == 80000
    scale_lazy(lazy, 0.5, given=["optimizer.lr=1", "train.max_iter=5"])
    assert lazy.train.max_iter == 2880000


def test_mixing_closes_at_the_same_share_of_a_scaled_run():
    yaml, lazy = (model_zoo.get_config(f"{x}Recipes/R50-640") for x in ("", "lazy/"))
    scale_yaml(yaml, 0.25, given=[])
    scale_lazy(lazy, 0.25, given=[])
    mappers = FCOSDatasetMapper(yaml, is_train=True), instantiate(lazy.dataloader.train.mapper)
    # 0.0833 of 176000 is 14661.
    assert [mapper.mixing.close_at_iteration for mapper in mappers] == [176000 - 14661] * 2
    # Iterations are scaled, too.
    yaml.INPUT.MIX.CLOSE_ITERS, lazy.dataloader.train.mapper.mixing.close_at_iteration = 800, 9200
    scale_yaml(yaml, 0.5, given=[])
    scale_lazy(lazy, 0.5, given=[])
    assert yaml.INPUT.MIX.CLOSE_ITERS == 1600
    assert lazy.dataloader.train.mapper.mixing.close_at_iteration == 18400
