"""Source and licence of the weights that a training started from, and of those before them."""

import pytest
import torch
import torchvision

from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer, checkpointer
from fcos_d2.checkpoint.known_files import DETECTORS
from fcos_d2.checkpoint.origins import fetched_origins, origins_in_words
from fcos_d2.modeling import TimmBackbone

ZOO = "zoo://FCOS-RT/R50"
URL = DETECTORS["FCOS-RT/R50"].url
NON_COMMERCIAL = "non-commercial use only (AdelaiDet)"


def model():
    return model_zoo.get_model("Recipes/R18-Scratch", ["MODEL.DEVICE", "cpu"])


@pytest.fixture
def resnet(tmp_path) -> str:
    path = tmp_path / "resnet18.pth"
    torch.save(torchvision.models.resnet18().state_dict(), path)
    return str(path)


@pytest.fixture
def adelaidet(tmp_path, monkeypatch):
    """What the address of the zoo gives; which addresses were fetched."""
    path, fetched = tmp_path / "FCOS_RT.pth", []
    torch.save({"model": model().state_dict()}, path)

    def local_copy(url):
        fetched.append(url)
        return path

    monkeypatch.setattr(checkpointer, "local_copy", local_copy)
    return fetched


def test_kept_by_a_training_its_resumption_and_what_is_trained_from_it(tmp_path, resnet):
    first = FCOSCheckpointer(model(), str(tmp_path / "first"))
    (tmp_path / "first").mkdir()
    first.load(resnet)
    origin = {"weights": resnet, "source": "torchvision ResNet", "licence": "not stated"}
    assert first.origins == [origin]
    first.save("model_0000001")
    file = tmp_path / "first" / "model_0000001.pth"
    assert torch.load(file, weights_only=True)["origins"] == [origin]

    resumed = FCOSCheckpointer(model(), str(tmp_path / "first"))
    resumed.resume_or_load("", resume=True)
    assert resumed.origins == [origin]
    finer = FCOSCheckpointer(model())
    finer.load(str(file))
    assert finer.origins == [origin]
    assert origins_in_words(finer.origins) == (
        f"{resnet} (torchvision ResNet); licence: not stated"
    )


def test_random_weights_have_none(tmp_path):
    scratch = FCOSCheckpointer(model(), str(tmp_path))
    scratch.load("")
    scratch.save("model_final")
    finer = FCOSCheckpointer(model())
    finer.load(str(tmp_path / "model_final.pth"))
    assert finer.origins == [] and origins_in_words(finer.origins) == "random weights"


def test_a_training_is_asked_before_it_fetches(adelaidet):
    training = FCOSCheckpointer(model(), accept_noncommercial=False)
    with pytest.raises(ValueError, match="non-commercial .*Add --accept-noncommercial"):
        training.load(ZOO)
    assert adelaidet == []


def test_what_is_trained_from_them_is_no_freer(tmp_path, adelaidet):
    accepted = FCOSCheckpointer(model(), str(tmp_path), class_names=["cell"] * 80)
    accepted.load(ZOO)
    assert adelaidet == [URL]
    assert accepted.origins[0]["licence"] == NON_COMMERCIAL
    accepted.save("model_0000009")
    file = tmp_path / "model_0000009.pth"
    finer = FCOSCheckpointer(model(), accept_noncommercial=False)
    with pytest.raises(ValueError, match=f"{URL}: non-commercial .*--accept-noncommercial"):
        finer.load(str(file))
    # It was asked when the run began.
    resumed = FCOSCheckpointer(model(), str(tmp_path), accept_noncommercial=False)
    resumed.resume_or_load("", resume=True)
    assert resumed.origins == accepted.origins
    # To evaluate is no use of that kind.
    FCOSCheckpointer(model()).load(str(file))


def test_a_bare_file_with_our_names_may_be_adelaidets(tmp_path):
    torch.save(model().state_dict(), tmp_path / "fcos.pth")
    training = FCOSCheckpointer(model(), accept_noncommercial=False)
    training.load(str(tmp_path / "fcos.pth"))
    assert "AdelaiDet's own files, which look the same" in training.origins[0]["licence"]


def test_weights_that_timm_fetches(monkeypatch):
    pytest.importorskip("timm")
    body = TimmBackbone(name="resnet18", out_features=["res5"])
    assert fetched_origins(body) == []
    body.pretrained, body.statistics = True, object()  # as after a download
    assert fetched_origins(body) == [
        {"weights": "timm/resnet18.a1_in1k", "source": "timm's hub", "licence": "apache-2.0"}
    ]
