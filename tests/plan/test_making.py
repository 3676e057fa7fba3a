"""Plans of training sets as different as they come: possible, different, and the user's."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.layers import ShapeSpec
from made_sets import CPU, KINDS, LITE, SCRATCH, Kind, draw, make_set

from fcos_d2.data.input_size import sizes_after
from fcos_d2.datasets.check.levels import level_statistics
from fcos_d2.datasets.formats import write_dataset
from fcos_d2.datasets.own_data import DataFiles, register_own_data
from fcos_d2.engine import Trainer, run_of
from fcos_d2.modeling.head import FCOSHead
from fcos_d2.plan import Machine, facts_of, make_plan
from fcos_d2.plan.amounts import Wanted
from fcos_d2.plan.sizes import StepCost

COST = StepCost(0.02, 1.5)
GPU = Machine(device="cuda", cores=16, memory=80 << 30, has_bf16=True, name="a GPU")


def plan_of(kind, *opts, machine=CPU, start=LITE, cost=COST, **wanted):
    wanted = {"budget": 1200.0} | wanted
    facts = facts_of(make_set(kind))
    return make_plan(facts, machine, Wanted(opts=opts, **wanted), start, cost)


def value(plan, key):
    return plan.value(key)


@pytest.fixture(scope="module")
def plans():
    return {kind: plan_of(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_every_level_learns(kind, plans):
    """Counted by the check of data sets, with the assigner and the resize of training."""
    cfg = plans[kind].config()
    cfg.merge_from_list(["MODEL.FCOS.ASSIGNER", "size_ranges"])  # the levels are for sizes
    run = run_of(cfg)
    with torch.device("meta"):
        generator = run.on("meta").build_model().proposal_generator
    resize = run.build_train_mapper().input_size.resize
    statistics = level_statistics(make_set(kind), generator, lambda x: sizes_after(resize, x))
    if kind == "tiny objects in large pictures":
        assert statistics.names[0] == "p2" and plans[kind].advice
    else:
        assert statistics.unlearned_share < 0.01
    assert min(statistics.positives) > 0 and statistics.idle_levels() == ""


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow] if KINDS[kind].size[0] > 100 else [])
        for kind in KINDS
    ],
)
def test_each_trains(kind, tmp_path):
    few = KINDS[kind]._replace(num_images=min(KINDS[kind].num_images, 2))
    coco = make_set(few)
    draw(coco, tmp_path)
    write_dataset(coco, tmp_path, tmp_path / "data.json", "coco")
    data = register_own_data(DataFiles(str(tmp_path / "data.json")), None, tmp_path / "out")
    tiny = ("SOLVER.MAX_ITER", 2, "SOLVER.IMS_PER_BATCH", 1, "DATALOADER.NUM_WORKERS", 0)
    tiny += ("SOLVER.BUDGET", 0.0)  # else it would train for its 20 minutes
    plan = plan_of(few, *tiny, start=SCRATCH)
    cfg = plan.config()
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (data.train,), ()
    cfg.OUTPUT_DIR = str(tmp_path / "out")
    cfg.LOGGING.BACKENDS = ()
    trainer = Trainer(cfg)
    trainer.train()
    assert trainer.iter == 2 and (tmp_path / "out" / "model_final.pth").is_file()
    DatasetCatalog.remove(data.train)
    MetadataCatalog.remove(data.train)


def test_they_differ(plans):
    keys = ("INPUT.MIN_SIZE_TEST", "INPUT.MAX_SIZE_TEST", "MODEL.FCOS.IN_FEATURES")
    keys += ("MODEL.FCOS.SIZES_OF_INTEREST", "INPUT.RANDOM_FLIP", "SOLVER.MAX_ITER")
    made = {kind: tuple(map(str, (plans[kind].value(key) for key in keys))) for kind in plans}
    assert len(set(made.values())) == len(made), made


def test_what_each_is_known_for(plans):
    assert value(plans["tiny objects in large pictures"], "MODEL.FCOS.IN_FEATURES")[0] == "p2"
    wide = plans["wide"]
    assert value(wide, "INPUT.MAX_SIZE_TEST") == 4 * value(wide, "INPUT.MIN_SIZE_TEST")
    assert value(wide, "INPUT.RANDOM_FLIP") == "none"
    assert value(plans["small pictures"], "INPUT.MIN_SIZE_TEST") <= 3 * 64
    assert value(plans["small pictures"], "INPUT.RANDOM_FLIP") == "none"
    dense = plans["dense"]
    assert value(dense, "MODEL.FCOS.POST_NMS_TOPK_TEST") == 1500
    assert value(dense, "TEST.COCO_MAX_DETECTIONS") == 800  # 500 of each of the two
    assert value(dense, "INPUT.COLOR_JITTER.SATURATION") == 0
    assert value(plans["as large as the image"], "MODEL.FCOS.IN_FEATURES") == ["p5"]
    assert value(plans["one class"], "MODEL.FCOS.NUM_CLASSES") == 1
    assert value(plans["one image"], "INPUT.RANDOM_FLIP") == "horizontal"


def test_the_same_for_the_same_arguments():
    assert plan_of("wide") == plan_of("wide")


def test_more_time_gives_larger_images_or_longer_runs():
    def made(minutes):
        plan = plan_of("one class", budget=60.0 * minutes)
        return value(plan, "INPUT.MIN_SIZE_TEST"), value(plan, "SOLVER.MAX_ITER")

    found = [made(x) for x in (1, 3, 10, 40, 200)]
    sizes = [size for size, _ in found]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] <= 480
    assert all(later > earlier for earlier, later in itertools.pairwise(found))


def test_epochs_need_no_clock():
    plan = plan_of("one class", budget=None, epochs=40)
    assert value(plan, "SOLVER.MAX_ITER") == 400  # 40 x 20 images, 2 at a time
    assert value(plan, "INPUT.MIN_SIZE_TEST") == 480


def test_letterbox():
    facts = facts_of(make_set("one class"))
    sizes = facts.sizes.copy()
    sizes[::2] = [200, 800]
    plan = make_plan(replace(facts, sizes=sizes), CPU, Wanted(budget=1200.0), LITE, COST)
    assert value(plan, "INPUT.RESIZE_RULE_TRAIN") == value(plan, "INPUT.RESIZE_RULE_TEST")
    assert value(plan, "INPUT.RESIZE_RULE_TEST") == "letterbox"


def test_model_and_mixing_by_start_and_device():
    light, scratch = plan_of("wide"), plan_of("wide", start=SCRATCH)
    assert value(light, "MODEL.TIMM.NAME") == "tf_efficientnet_lite0"
    assert value(light, "INPUT.FORMAT") == "RGB" and value(light, "MODEL.PIXEL_STD") == [128.0] * 3
    assert value(scratch, "MODEL.RESNETS.DEPTH") == 18
    for plan in (light, scratch):  # measured from both
        assert value(plan, "INPUT.MIX.MOSAIC_PROB") == 0.5
        assert 0 < value(plan, "INPUT.MIX.CLOSE_SHARE") < 0.5
    on_gpu = plan_of("wide", machine=GPU, start=SCRATCH, cost=replace(COST, accumulate=4))
    assert value(on_gpu, "MODEL.RESNETS.DEPTH") == 50
    assert value(on_gpu, "SOLVER.IMS_PER_BATCH") == 16
    share = "SOLVER.FIXED_STATISTICS_SHARE"
    assert value(on_gpu, share) == 0
    assert value(on_gpu, "SOLVER.ACCUMULATE_STEPS") == 4


def test_norms_keep_their_statistics_the_longer_the_fewer_epochs_there_are():
    share = "SOLVER.FIXED_STATISTICS_SHARE"
    for minutes, expected in ((1, 0.5), (60, 0.2)):
        plan = plan_of("wide", budget=60.0 * minutes)
        assert value(plan, share) == expected


def test_assignment_by_start():
    light, scratch = plan_of("wide"), plan_of("wide", start=SCRATCH)
    assert value(light, "MODEL.FCOS.ASSIGNER") == "task_aligned"
    assert value(scratch, "MODEL.FCOS.ASSIGNER") == "size_ranges"
    for plan in (light, scratch):  # what belongs together is built
        with torch.device("meta"):
            run_of(plan.config()).on("meta").build_model()


def test_untrained_boxes_have_sides_that_learn(plans):
    """ReLU passes no gradient where a distance is 0; about half of them are, without a bias."""
    torch.manual_seed(0)
    cfg = plans["one class"].config()
    features = [torch.rand(1, 64, 20, 20) for _ in cfg.MODEL.FCOS.IN_FEATURES]
    cut = {}
    for bias in (cfg.MODEL.FCOS.BOX_BIAS_INIT, 0.0):
        cfg.MODEL.FCOS.BOX_BIAS_INIT = bias
        head = FCOSHead(cfg, [ShapeSpec(channels=64)] * len(features))
        distances = torch.cat([x.flatten() for x in head(features).ltrb_in_strides])
        cut[bias] = float((distances == 0).float().mean())
    assert cut[2.0] == 0 and 0.2 < cut[0.0] < 0.8


def test_little_memory_divides_the_batch():
    small = replace(CPU, memory=300 << 20)
    plan = plan_of("one class", machine=small)
    assert value(plan, "SOLVER.IMS_PER_BATCH") == 2 and value(plan, "SOLVER.ACCUMULATE_STEPS") > 1
    assert "at a time" in plan.says()


def test_yours_win_and_the_rest_follows():
    opts = ("INPUT.MIN_SIZE_TEST", "96", "SOLVER.IMS_PER_BATCH", "1", "SEED", "5")
    plan, usual = plan_of("one class", *opts), plan_of("one class")
    cfg = plan.config()
    assert (cfg.INPUT.MIN_SIZE_TEST, cfg.SOLVER.IMS_PER_BATCH, cfg.SEED) == (96, 1, 5)
    assert cfg.INPUT.MAX_SIZE_TEST == 128  # 4:3
    assert value(usual, "SOLVER.BASE_LR") == 1e-3 and cfg.SOLVER.BASE_LR == 7.07e-4  # by the root
    assert value(usual, "SOLVER.MAX_ITER") < cfg.SOLVER.MAX_ITER
    bounds = value(usual, "MODEL.FCOS.SIZES_OF_INTEREST")
    assert max(cfg.MODEL.FCOS.SIZES_OF_INTEREST, default=0) < max(bounds)
    assert plan.reasons()["SOLVER.IMS_PER_BATCH"] == "yours"
    lines = plan.says()
    assert "yours: INPUT.MIN_SIZE_TEST 96" in lines and "SEED 5 (yours)" in lines


def test_flips_can_be_asked_for():
    assert value(plan_of("wide", flip=True), "INPUT.RANDOM_FLIP") == "horizontal"
    assert value(plan_of("one class", flip=False), "INPUT.RANDOM_FLIP") == "none"


def plan_with_empty(number, *opts):
    """20 images of one object, and some without."""
    coco = make_set(KINDS["as large as the image"])
    coco["images"] += [{**coco["images"][0], "id": 100 + i} for i in range(number)]
    wanted = Wanted(epochs=3, opts=opts)
    return make_plan(facts_of(coco), CPU, wanted, LITE, COST)


@pytest.mark.parametrize(
    ("number", "opts", "left_out", "iterations"),
    [
        (0, (), True, 30),  # 3 times 20 images, 2 at a time
        (20, (), True, 30),
        (20, ("DATALOADER.FILTER_EMPTY_ANNOTATIONS", "False"), False, 60),
    ],
)
def test_images_without_objects(number, opts, left_out, iterations):
    """They are left out, and said; epochs count what is learned from."""
    plan = plan_with_empty(number, *opts)
    assert value(plan, "DATALOADER.FILTER_EMPTY_ANNOTATIONS") == left_out
    assert value(plan, "SOLVER.MAX_ITER") == iterations
    said = f"{number} of {20 + number} images, which have no object, are left out" in plan.says()
    assert said == (number > 0 and not opts)


@pytest.mark.parametrize("opts", [("NO.SUCH_KEY", "1"), ("SOLVER.MAX_ITER", "many")])
def test_wrong_overrides(opts):
    with pytest.raises(ValueError, match="the overrides: "):
        plan_of("one class", *opts)


@pytest.mark.parametrize("kind", KINDS)
def test_people_can_read_it(kind, plans):
    lines = plans[kind].says().splitlines()
    assert 14 <= len(lines) <= 26 and max(map(len, lines)) <= 100
    titles = [line[2:13].strip() for line in lines if line[2] != " "]
    for title in ("data", "model", "start", "input", "levels", "batch", "length", "learning"):
        assert title in titles
    assert " 1 iterations" not in plans[kind].says() and "1 classes" not in plans[kind].says()


def test_boxes_of_every_size_have_a_level():
    """On random sets: no size range is out of order, and no level is empty."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        height, width = rng.integers(50, 1500, 2)
        low, high = sorted(rng.uniform(2, min(height, width), 2))
        kind = Kind((int(height), int(width)), 3, (low, low), (high, high), num_images=5)
        plan = plan_of(kind, budget=float(rng.uniform(60, 5000)))
        bounds = value(plan, "MODEL.FCOS.SIZES_OF_INTEREST")
        assert bounds == sorted(set(bounds))
        assert len(bounds) + 1 == len(value(plan, "MODEL.FCOS.IN_FEATURES"))
        assert value(plan, "INPUT.MIN_SIZE_TEST") % 32 == 0
