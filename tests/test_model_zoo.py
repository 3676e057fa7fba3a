import subprocess
import sys
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode, LazyConfig, instantiate
from omegaconf import DictConfig

from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer, checkpointer
from fcos_d2.checkpoint.known_files import BACKBONES, DETECTORS, KNOWN_FILES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"


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


def test_what_a_run_of_a_python_config_writes(tmp_path):
    cfg = model_zoo.get_config("lazy/Recipes/R50-640", ["train.max_iter=7"])
    path = str(tmp_path / "config.yaml")
    LazyConfig.save(cfg, path)
    read = model_zoo.get_config(path, ["train.device=cpu"])
    assert read.train.max_iter == 7 and read.train.device == "cpu"
    mappers = [instantiate(x.dataloader.test.mapper) for x in (cfg, read)]
    assert str(mappers[0].augmentations) == str(mappers[1].augmentations)
    assert str(instantiate(read.model)) == str(instantiate(cfg.model))


@pytest.mark.parametrize(
    ("name", "opts", "message"),
    [
        ("FCOS-RT/R5000", None, "R5000: no such config; try .*FCOS-RT/R50.*; `fcos zoo` lists"),
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


def test_every_model_has_an_entry():
    names = {name for name in model_zoo.list_configs() if not name.startswith("lazy/")}
    assert set(model_zoo.MODELS) == names
    assert set(DETECTORS) <= names


def test_the_table_of_the_docs():
    """`fcos zoo --markdown` prints it; docs/models.md holds it between two comments.

    It is run as a module, which is the command, too.
    """
    command = [sys.executable, "-m", "fcos_d2", "zoo", "--markdown"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert printed.stderr == ""
    text = PAGE.read_text(encoding="utf-8")
    held = text.split("<!-- fcos zoo --markdown -->\n")[1].split("\n<!-- end -->")[0]
    assert held == printed.stdout.rstrip("\n")


def test_weights_of_the_configs_are_known_files():
    url = model_zoo.get_config("FCOS-RT/DLA34").MODEL.WEIGHTS
    assert KNOWN_FILES[url] is BACKBONES["DLA-34"] and BACKBONES["DLA-34"].sha256
    assert model_zoo.get_config("FCOS/MobileNetV2-1x").MODEL.WEIGHTS in KNOWN_FILES


@pytest.fixture
def download(tmp_path, monkeypatch):
    """Every URL leads to the file that the test puts there; the list tells which were asked for."""
    urls = []

    def local_copy(url: str) -> str:
        urls.append(url)
        return str(tmp_path / "download.pth")

    monkeypatch.setattr(checkpointer, "local_copy", local_copy)
    return urls, tmp_path / "download.pth"


def test_trained_models(download, caplog):
    urls, path = download
    donor = model_zoo.get_model("FCOS-RT/DLA34", ["MODEL.DEVICE", "cpu"])
    torch.save({"model": donor.state_dict()}, path)
    model = model_zoo.get_model("lazy/FCOS-RT/DLA34", ["train.device=cpu"], trained=True)
    assert urls == [DETECTORS["FCOS-RT/DLA34"].url]
    assert "non-commercial use only" in caplog.text
    torch.testing.assert_close(model.state_dict(), donor.state_dict(), rtol=0, atol=0)
    with pytest.raises(ValueError, match="no published weights are known for 'FCOS/V39-MS-3x'"):
        model_zoo.get_model("FCOS/V39-MS-3x", ["MODEL.DEVICE", "cpu"], trained=True)


def test_the_query_of_a_url_is_kept(download):
    urls, path = download
    torch.save({"weight": torch.ones(1, 1), "bias": torch.ones(1)}, path)
    FCOSCheckpointer(torch.nn.Linear(1, 1)).load("https://host/a.pth?dl=1")
    assert urls == ["https://host/a.pth?dl=1"]
