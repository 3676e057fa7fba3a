"""What an evaluation of a training gives."""

from types import SimpleNamespace

import pytest
from torch import nn

from fcos_d2.engine import measuring
from fcos_d2.engine.best import value_of
from fcos_d2.engine.measuring import Measuring

KEPT, RAW = nn.Identity(), nn.Identity()


@pytest.fixture
def clock(monkeypatch):
    """Testing takes 3 s, losses 1 s."""
    now = SimpleNamespace(now=0.0)
    monkeypatch.setattr(measuring, "time", SimpleNamespace(monotonic=lambda: now.now))
    return now


def parts(clock, names):
    def test(model):
        clock.now += 3
        result = {"bbox": {"AP": 40.0 if model is KEPT else 60.0}}
        return dict.fromkeys(names, result) if len(names) > 1 else result

    def losses(model, name):
        clock.now += 1
        return {"total_loss": (1.0 if model is KEPT else 2.0) + names.index(name)}

    return test, losses


def test_alone_it_is_the_test(clock):
    test, _ = parts(clock, ["a"])
    measured = Measuring(test, ["a"], KEPT)
    assert measured() == {"bbox": {"AP": 40.0}} and measured.plain_share == 1


def test_all_of_one_set(clock):
    test, losses = parts(clock, ["a"])
    measured = Measuring(test, ["a"], KEPT, raw=RAW, losses=losses)
    assert measured.plain_share == 1 / 4
    kept = {"bbox": {"AP": 40.0}, "validation": {"total_loss": 1.0}}
    raw = {"bbox": {"AP": 60.0}, "validation": {"total_loss": 2.0}}
    assert measured() == kept | {"raw": raw}
    assert measured.plain_share == 3 / 8


def test_the_weights_that_are_kept_are_tested_last(clock):
    """The files that a test leaves are those that the report is made of."""
    test, _ = parts(clock, ["a"])
    tested = []
    Measuring(lambda model: tested.append(model) or test(model), ["a"], KEPT, raw=RAW)()
    assert [model is KEPT for model in tested] == [False, True]


def test_all_of_two_sets(clock):
    test, losses = parts(clock, ["a", "b"])
    found = Measuring(test, ["a", "b"], KEPT, raw=RAW, losses=losses)()
    assert [*found] == ["a", "b", "raw"] and [*found["raw"]] == ["a", "b"]
    assert found["b"] == {"bbox": {"AP": 40.0}, "validation": {"total_loss": 2.0}}
    assert found["raw"]["b"] == {"bbox": {"AP": 60.0}, "validation": {"total_loss": 3.0}}


def test_the_best_is_chosen_among_the_weights_that_are_kept():
    """Whatever comes first; raw weights are in no model_best.pth."""
    stored = {"raw/a/bbox/AP": (60.0, 9), "raw/bbox/AP": (50.0, 9), "a/bbox/AP": (40.0, 9)}
    assert value_of("bbox/AP", stored) == 40.0
    with pytest.raises(ValueError, match="does not give; it gives a/bbox/AP$"):
        value_of("bbox/AP51", stored)
