"""The page against the detector itself."""

import cv2
import numpy as np
import pytest
from random_weights import write_detector

from fcos_d2 import Predictor
from fcos_d2.ui import Looker

OPTS = ["MODEL.FCOS.NUM_CLASSES", "2", "MODEL.DEVICE", "cpu", "INPUT.MIN_SIZE_TEST", "64"]


@pytest.fixture(scope="module")
def looker(tmp_path_factory):
    """Of a detector whose random head gives a spread of scores."""
    weights = write_detector(tmp_path_factory.mktemp("weights"))
    return Looker(Predictor("Recipes/R18-Scratch", weights, opts=OPTS), "model")


@pytest.fixture(scope="module")
def content():
    image = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    file = cv2.imencode(".png", image)[1].tobytes()
    return lambda: file


def test_the_threshold_of_the_page_is_that_of_the_detector(looker, content):
    """What the page drops is what the detector drops: nothing below changes what is above."""
    objects = looker.detect(content)["objects"]
    scores = [x["score"] for x in objects]
    assert len(set(scores)) > 10
    predictor = looker._predictor
    for threshold in (0.05, *np.quantile(scores, [0.3, 0.6, 0.9]).tolist()):
        predictor.set_threshold({"cat": threshold, "dog": threshold + 0.02})
        found = predictor.detect(cv2.imdecode(np.frombuffer(content(), np.uint8), 1))
        shown = [x for x in objects if x["score"] >= threshold + 0.02 * x["class"]]
        assert [x["score"] for x in shown] == found.scores.tolist()
        assert [x["box"] for x in shown] == found.boxes.tolist()


def test_why_follows_the_thresholds_of_the_page(looker, content):
    best = looker.detect(content)["objects"][0]
    name = ["cat", "dog"][best["class"]]
    answer = looker.why(content, best["box"], name, [0.05, 0.05])
    assert answer["step"] == "found" and name in answer["paragraph"]
    assert answer["picture"].startswith("data:image/jpeg")
    assert {len(row) for row in answer["rows"]} == {len(answer["columns"])}
    answer = looker.why(content, best["box"], name, [0.999, 0.999])
    assert answer["step"] == "score threshold"
    # The next image is looked at above the floor again.
    assert len(looker.detect(content)["objects"]) > 10


def test_a_box_of_no_class(looker, content):
    with pytest.raises(ValueError, match="'bird' is unknown"):
        looker.why(content, [1, 2, 30, 40], "bird", [0.5, 0.5])
    with pytest.raises(ValueError, match="outside the image"):
        looker.why(content, [1001, 2, 1030, 40], None, [0.5, 0.5])
    with pytest.raises(ValueError, match="must be in"):
        looker.why(content, [1, 2, 30, 40], None, [0.5, 2])


def test_two_classes_of_one_name(looker, content, monkeypatch):
    monkeypatch.setattr(looker._predictor, "class_names", ["cat", "cat"])
    assert looker.why(content, [1, 2, 30, 40], None, [0.1, 0.2])["paragraph"]
    assert looker._predictor.score_thresholds == (0.1, 0.2)
