import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from made_up_time import MadeUpTime, train

from fcos_d2.engine.label_forecast import _part_of, earlier_results, in_words


@pytest.fixture
def made_up(monkeypatch):
    return MadeUpTime(monkeypatch)


def test_short_trainings_come_out_of_the_budget(tmp_path, made_up):
    """Three of 16 s each, of 200 s; the evaluations give 20, 21, 22, ..."""
    made_up.ap = iter(range(20, 99))
    train(tmp_path, made_up, "--budget", "200s", "--forecast")
    assert 190 < made_up.now - 100 <= 200
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "20.0 from 2 images, 21.0 from 3 images, 22.0 from 6 images" in log
    assert "  2x time" in log
    assert earlier_results(str(tmp_path / "out")) == [(2, 20.0), (3, 21.0), (6, 22.0)]
    assert not (tmp_path / "out" / "forecast").exists()


def test_parts_are_nested_and_the_same_each_time():
    DatasetCatalog.register("whole", lambda: [{"n": i} for i in range(40)])
    MetadataCatalog.get("whole").thing_classes = ["cat"]
    try:
        quarter, half = (
            {x["n"] for x in DatasetCatalog.get(_part_of("whole", p))} for p in (0.25, 0.5)
        )
        assert len(quarter) == 10 and len(half) == 20 and quarter < half
        assert _part_of("whole", 1.0) == "whole"
        assert MetadataCatalog.get("whole_0.5").thing_classes == ["cat"]
    finally:
        for name in ("whole", "whole_0.25", "whole_0.5"):
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)


def test_what_cannot_be_told():
    assert "the budget is too short" in in_words([(10, 30.0)])
    assert "were too short" in in_words([(10, 0.0), (20, 0.0), (40, 10.0)])
    assert "earlier" not in in_words([(10, 30.0), (20, 33.0), (40, 35.0)])


def test_a_forecast_needs_a_budget(tmp_path, made_up):
    with pytest.raises(ValueError, match="--forecast trains within a budget: give --budget, too"):
        train(tmp_path, made_up, "--forecast")
