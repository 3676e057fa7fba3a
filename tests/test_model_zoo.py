import pytest
import torch
from detectron2.config import CfgNode
from omegaconf import DictConfig

from fcos_d2 import model_zoo


def test_names_lead_to_configs():
    assert "FCOS-RT/R50" in model_zoo.list_configs()
    assert isinstance(model_zoo.get_config("FCOS-RT/R50"), CfgNode)
    assert isinstance(model_zoo.get_config("lazy/FCOS-RT/R50"), DictConfig)
    path = model_zoo.config_root() / "FCOS-RT" / "R50.yaml"
    for name in (str(path), "FCOS-RT/R50.yaml"):
        assert model_zoo.get_config(name) == model_zoo.get_config("FCOS-RT/R50")


def test_overrides():
    cfg = model_zoo.get_config("FCOS-RT/R50", ["MODEL.FCOS.NMS_TH", "0.5"])
    assert cfg.MODEL.FCOS.NMS_TH == 0.5
    cfg = model_zoo.get_config("lazy/FCOS-RT/R50", ["train.max_iter=7"])
    assert cfg.train.max_iter == 7


@pytest.mark.parametrize(
    "name, opts, message",
    [
        ("FCOS-RT/R5000", None, "FCOS-RT/R5000: no such config; known names are .*FCOS-RT/R50"),
        ("FCOS-RT/R50", ["MODEL.FCOS.NMS_TRESH", "0.5"], "R50.yaml: .*NMS_TRESH"),
        ("FCOS-RT/R50", ["MODEL.FCOS.NMS_TH"], "R50.yaml"),
        ("FCOS-RT/R50", ["MODEL.FCOS.NMS_TH", "[1]"], "R50.yaml: .*NMS_TH"),
    ],
)
def test_mistakes_are_named(name, opts, message):
    with pytest.raises(ValueError, match=message):
        model_zoo.get_config(name, opts)


@pytest.mark.parametrize("name", model_zoo.list_configs())
def test_every_config_builds(name):
    device = "train.device=meta" if name.startswith("lazy/") else "MODEL.DEVICE meta"
    with torch.device("meta"):  # without memory behind the tensors
        model = model_zoo.get_model(name, device.split())
    assert sum(p.numel() for p in model.parameters()) > 1e6
