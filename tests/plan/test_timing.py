"""What a step costs, from measurements; and measured, on a tiny run."""

import pytest
import torch
from made_sets import CPU, SCRATCH, Kind, draw, make_set

from fcos_d2.datasets.formats import write_dataset
from fcos_d2.datasets.own_data import DataFiles, register_own_data
from fcos_d2.plan import facts_of, make_plan, timing
from fcos_d2.plan.amounts import Wanted
from fcos_d2.plan.sizes import StepCost
from fcos_d2.plan.timing import accumulation_on_gpu, cost_of, time_steps


def test_the_line_through_two():
    # 0.3 s at 0.1 megapixels and 0.5 s at 0.2: 2 s a megapixel, and 0.1 s for each image.
    cost = cost_of([(1e5, 0.3), (2e5, 0.5)])
    assert cost.per_megapixel == pytest.approx(2) and cost.per_image == pytest.approx(0.1)


@pytest.mark.parametrize(
    "measured", [[(2e5, 0.5)], [(1e5, 0.6), (2e5, 0.5)], [(1e5, 0.1), (2e5, 0.5)]]
)
def test_one_or_a_contradiction_is_proportional(measured):
    assert cost_of(measured) == StepCost(0.0, pytest.approx(2.5))


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timing")
    coco = make_set(Kind((64, 64), 1, (20, 20), (40, 40), num_images=4))
    draw(coco, folder)
    write_dataset(coco, folder, folder / "data.json", "coco")
    data = register_own_data(DataFiles(str(folder / "data.json")), None, folder / "out")
    facts = facts_of(coco)
    opts = ("SOLVER.IMS_PER_BATCH", "2", "DATALOADER.NUM_WORKERS", "0")
    cfg = make_plan(facts, CPU, Wanted(budget=60.0, opts=opts), SCRATCH).config()
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (data.train,), ()
    cfg.OUTPUT_DIR = str(folder / "out")
    return cfg, facts


def test_steps_of_the_very_run(planned, monkeypatch):
    before = planned[0].dump()
    cost = time_steps(*planned, seconds=0.01)
    assert cost.measured and cost.per_megapixel > 0 and cost.bytes_per_megapixel >= 0
    assert planned[0].dump() == before


def test_memory_is_tried(planned, monkeypatch):
    tried = []

    def seconds_at(self, size, facts, end):
        tried.append(self.cfg.SOLVER.ACCUMULATE_STEPS)
        if len(tried) < fails:
            raise torch.cuda.OutOfMemoryError
        return 1.0

    monkeypatch.setattr(timing._Steps, "seconds_at", seconds_at)
    fails = 2
    assert accumulation_on_gpu(*planned) == 2 and tried == [1, 2]
    tried, fails = [], 9
    with pytest.raises(ValueError, match="not one image of 64 px fits into the memory"):
        accumulation_on_gpu(*planned)
