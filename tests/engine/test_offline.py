"""A finished checkpoint of a timm body needs no network, however it is used."""

import numpy as np
import pytest
import torch
from detectron2.config import LazyCall as L
from tiny_run import tiny_command, train_request

from fcos_d2 import Predictor, model_zoo
from fcos_d2.building import build_detector
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine import run
from fcos_d2.modeling import TimmBackbone

timm = pytest.importorskip("timm")
BODY = {
    "MODEL.BACKBONE.NAME": "build_fcos_timm_fpn_backbone",
    "MODEL.TIMM.NAME": "mobilenetv3_small_050",
    "MODEL.TIMM.NORM": "FrozenBN",
    "MODEL.TIMM.PRETRAINED": True,
    "MODEL.WEIGHTS": "",
}


@pytest.fixture
def network(monkeypatch) -> list[str]:
    """What was asked for; weights come (random ones) only where the list holds "up"."""
    log, create_model = [], timm.create_model

    def create(name, pretrained=False, **options):
        if pretrained and "up" not in log:
            raise ConnectionError("no network")
        model = create_model(name, **options)
        if pretrained:
            log.append(name)
        return model

    monkeypatch.setattr(timm, "create_model", create)
    return log


def test_runs_from_a_yaml_config(tmp_path, network):
    """Training fetches; resuming, evaluating, fine-tuning and detecting do not."""
    checkpoint = tmp_path / "out" / "model_final.pth"

    def start(output, max_iter, *flags, **overrides):
        words = tiny_command(tmp_path / "data", tmp_path / output, max_iter, *flags, **overrides)
        return run(train_request(words))

    with pytest.raises(ValueError, match="weights of mobilenetv3_small_050 cannot be had"):
        start("nothing", 1, "--resume", **BODY)
    network.append("up")
    start("out", 1, **BODY)
    assert network == ["up", "mobilenetv3_small_050"]
    # They are weights: nothing is random, so the frozen norms stay.
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "would stay frozen" not in log
    assert "MODEL.PIXEL_MEAN (model.pixel_mean) is [103.53, 116.28, 123.675]" in log

    network.clear()
    start("out", 2, "--resume", **BODY)
    weights = BODY | {"MODEL.WEIGHTS": checkpoint}
    start("eval", 0, "--eval-only", **weights)
    start("tuned", 1, **weights)
    predictor = Predictor(str(tmp_path / "out" / "config.yaml"), str(checkpoint))
    assert predictor(np.zeros((64, 64, 3), np.uint8)).image_size == (64, 64)
    assert network == []
    for folder in ("out", "eval", "tuned"):
        assert "would stay frozen" not in (tmp_path / folder / "log.txt").read_text()


def test_detecting_with_a_python_config(tmp_path, network, caplog):
    cfg = model_zoo.get_config("lazy/FCOS-RT/R50", ["train.device=cpu"])
    cfg.model.backbone.bottom_up = L(TimmBackbone)(
        name="mobilenetv3_small_050", out_features=["res3", "res4", "res5"], pretrained=True
    )
    with pytest.raises(ValueError, match="cannot be had"):
        build_detector(cfg)
    network.append("up")
    model = build_detector(cfg)
    said = [x.getMessage() for x in caplog.records if "timm's weights were made" in x.getMessage()]
    assert len(said) == 3 and said[2].startswith(
        "INPUT.FORMAT (image_format of the mappers) is BGR"
    )
    assert model.input_format == "BGR"
    FCOSCheckpointer(model, str(tmp_path)).save("model")

    network.clear()
    predictor = Predictor(cfg, str(tmp_path / "model.pth"))
    body = predictor.model.backbone.bottom_up
    assert network == [] and body.statistics is None
    torch.testing.assert_close(
        body.model.conv_stem.weight, model.backbone.bottom_up.model.conv_stem.weight
    )
