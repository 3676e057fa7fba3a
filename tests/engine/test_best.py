"""Keeping the best weights and stopping early, in a loop whose evaluation is written down."""

import pytest
import torch
from detectron2.engine import TrainerBase
from detectron2.engine.hooks import EvalHook
from torch import nn

from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine.best import EarlyStop, KeepBest
from fcos_d2.engine.cadence import Every


class Loop(TrainerBase):
    """The weight is the iteration; every second one is evaluated, and gives the next value."""

    def __init__(self, folder, values, patience=0, metric="bbox/AP"):
        super().__init__()
        self.model = nn.Linear(1, 1, bias=False)
        self.checkpointer = FCOSCheckpointer(self.model, str(folder), trainer=self)
        values = iter(values)
        self.best = KeepBest(self.checkpointer, Every(2), metric, patience)

        def evaluate():
            value = next(values)
            return value if isinstance(value, dict) else {"bbox": {"AP": value}}

        self.register_hooks([EvalHook(2, evaluate), self.best])

    def run_step(self):
        nn.init.constant_(self.model.weight, self.iter)


def best_weight(folder):
    return torch.load(folder / "model_best.pth")["model"]["weight"].item()


def test_the_best_is_kept(tmp_path):
    """Evaluations after iterations 1, 3, 5, 7 and 9: the fourth is best, and NaN is not."""
    loop = Loop(tmp_path, [10.0, float("nan"), 20.0, 30.0, 25.0])
    loop.train(0, 10)
    assert best_weight(tmp_path) == 7
    assert (loop.best.best, loop.best.best_iteration, loop.best.waited) == (30, 7, 1)
    # --resume goes on from the last checkpoint, not from the best.
    assert not (tmp_path / "last_checkpoint").exists()


def test_the_detections_of_the_best_weights_are_kept(tmp_path):
    """So that a report on them needs no second look at the images."""
    values = iter([10.0, 30.0, 20.0])
    loop = Loop(tmp_path, values)
    (tmp_path / "inference").mkdir()
    results = tmp_path / "inference" / "coco_instances_results.json"

    def evaluate():
        value = next(values)
        results.write_text(str(value))
        return {"bbox": {"AP": value}}

    loop._hooks[0]._func = evaluate
    loop.train(0, 6)
    kept = tmp_path / "inference" / "model_best_results.json"
    assert (kept.read_text(), results.read_text()) == ("30.0", "20.0")


def test_detections_of_other_weights_do_not_stay(tmp_path):
    kept = tmp_path / "inference" / "model_best_results.json"
    kept.parent.mkdir()
    kept.write_text("of an earlier run")
    Loop(tmp_path, [10.0]).train(0, 2)
    assert not kept.exists()


def test_a_last_evaluation_can_be_best(tmp_path):
    Loop(tmp_path, [10.0, 20.0]).train(0, 4)
    assert best_weight(tmp_path) == 3


def test_early_stop(tmp_path):
    """Best after iteration 3; two worse (an equal one is no better) end the run at iteration 7."""
    loop = Loop(tmp_path, [10.0, 20.0, 20.0, 15.0, 30.0], patience=2)
    with pytest.raises(EarlyStop):
        loop.train(0, 100)
    assert loop.iter == 7
    assert best_weight(tmp_path) == 3
    final = torch.load(tmp_path / "model_final.pth")
    assert (final["model"]["weight"].item(), final["iteration"]) == (7, 7)


def test_a_resumed_run_knows_the_best(tmp_path):
    """The checkpoint of iteration 1 is older than the best one, of iteration 3."""
    first = Loop(tmp_path, [10.0, 20.0])
    first.train(0, 4)
    first.iter = 1
    first.checkpointer.save("model_0000001")
    second = Loop(tmp_path, [19.0, 18.0])
    second.checkpointer.resume_or_load("")
    second.train(2, 6)
    assert best_weight(tmp_path) == 3
    assert (second.best.best, second.best.best_iteration, second.best.waited) == (20, 3, 2)


def saved_and_killed(tmp_path, patience):
    """A checkpoint of iteration 1, where 10 was best; then 20 of iteration 3, and no checkpoint."""
    first = Loop(tmp_path, [10.0], patience)
    first.train(0, 2)
    first.iter = 1
    first.checkpointer.save("model_0000001")
    lost = Loop(tmp_path, [20.0], patience)
    lost.checkpointer.resume_or_load("")
    lost.train(2, 4)
    assert best_weight(tmp_path) == 3


def test_a_repeated_evaluation_is_no_wait(tmp_path):
    """What is evaluated again is no better than model_best.pth, but than what the run knew."""
    saved_and_killed(tmp_path, patience=1)
    again = Loop(tmp_path, [20.0, 30.0], patience=1)
    again.checkpointer.resume_or_load("")
    again.train(2, 6)
    assert (again.best.best, again.best.best_iteration, again.best.waited) == (30, 5, 0)


def test_a_better_best_file_stays(tmp_path):
    """The run goes on differently and gets 19: better than its 10, but not than the file's 20."""
    saved_and_killed(tmp_path, patience=0)
    again = Loop(tmp_path, [19.0, 18.0])
    again.checkpointer.resume_or_load("")
    again.train(2, 6)
    assert (again.best.best, again.best.best_iteration, again.best.waited) == (19, 3, 1)
    assert torch.load(tmp_path / "model_best.pth")["best"] == 20


def test_a_damaged_best_file_stops_nothing(tmp_path, caplog):
    first = Loop(tmp_path, [10.0])
    first.train(0, 2)
    first.iter = 1
    first.checkpointer.save("model_0000001")
    (tmp_path / "model_best.pth").write_bytes(b"PK\x03\x04 cut")
    second = Loop(tmp_path, [9.0])
    second.checkpointer.resume_or_load("")
    assert "model_best.pth cannot be read" in caplog.text
    assert (second.best.best, second.best.in_file) == (10, None)
    second.train(2, 4)
    assert best_weight(tmp_path) == 3, "of the weights that are left, the best are on disk"


def test_an_unknown_metric_ends_the_run_at_the_first_evaluation(tmp_path):
    loop = Loop(tmp_path, [10.0, 20.0], metric="bbox/AP05")
    with pytest.raises(ValueError, match="'bbox/AP05', which .* does not give; it gives bbox/AP$"):
        loop.train(0, 100)
    assert loop.iter == 1


def two_sets(values):
    """Results of "voc_val" and, running against it, "voc_test"."""
    return [{"voc_val": {"bbox": {"AP": v}}, "voc_test": {"bbox": {"AP": -v}}} for v in values]


@pytest.mark.parametrize(("metric", "best"), [("bbox/AP", 3), ("voc_test/bbox/AP", 5)])
def test_of_several_sets_the_first_counts(tmp_path, metric, best):
    """voc_val is best after iteration 3, voc_test after iteration 5."""
    loop = Loop(tmp_path, two_sets([10.0, 20.0, 5.0, 15.0]), metric=metric)
    loop.train(0, 8)
    assert best_weight(tmp_path) == best


def test_an_improving_run_of_several_sets_is_not_stopped(tmp_path):
    Loop(tmp_path, two_sets([1.0, 2.0, 3.0, 4.0]), patience=1).train(0, 8)
    assert best_weight(tmp_path) == 7


def test_without_any_ap_nothing_is_kept_and_nothing_stops(tmp_path, caplog):
    """As where the test set has no boxes."""
    loop = Loop(tmp_path, [{}, {}, {}, {}], patience=1)
    loop.train(0, 8)
    assert loop.iter == 8 and not (tmp_path / "model_best.pth").exists()
    assert caplog.text.count("the evaluation gives no AP") == 1


def test_patience_needs_evaluations(tmp_path):
    with pytest.raises(ValueError, match="is 3; it needs evaluations"):
        KeepBest(None, Every(0), "bbox/AP", 3)
