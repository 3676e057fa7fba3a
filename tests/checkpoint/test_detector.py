import pytest
import torch
from stand_ins import TinyBackbone, three_class_detector

from fcos_d2.checkpoint import FCOSCheckpointer, load_detector, stored_class_names
from fcos_d2.engine.keys import with_keys

LOGITS = "proposal_generator.fcos_head.cls_logits"


@pytest.fixture
def path(tmp_path):
    model = three_class_detector(TinyBackbone())
    FCOSCheckpointer(model, str(tmp_path), class_names=["a", "b", "c"]).save("model")
    return tmp_path / "model.pth"


def test_whole_detectors_load(path):
    assert load_detector(three_class_detector(TinyBackbone()), str(path))["class_names"]
    assert stored_class_names(str(path)) == ["a", "b", "c"]


def test_a_file_without_names(path):
    torch.save(torch.load(path)["model"], path)
    assert stored_class_names(str(path)) is None


def test_a_head_larger_than_its_dataset(path):
    """Three outputs, two names: those cannot tell how many classes there are."""
    torch.save({**torch.load(path), "class_names": ["a", "b"]}, path)
    assert stored_class_names(str(path)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop(f"{LOGITS}.bias"), f"1 parts .*: {LOGITS}.bias; is it"),
        (
            lambda state: state.update({f"{LOGITS}.bias": torch.zeros(2)}),
            rf"1 parts .*: {LOGITS}.bias \(\(2,\) in the file, \(3,\) in the model\)",
        ),
    ],
)
def test_untrained_parts_are_named(path, change, message):
    saved = torch.load(path)
    change(saved["model"])
    torch.save(saved, path)
    with pytest.raises(ValueError, match=f"model.pth: {message}"):
        load_detector(three_class_detector(TinyBackbone()), str(path))


def test_no_weights_are_named():
    with pytest.raises(ValueError, match="no weights given") as caught:
        load_detector(three_class_detector(TinyBackbone()), "")
    assert "MODEL.WEIGHTS model.pth" in with_keys(str(caught.value), "yaml")
    assert "train.init_checkpoint=model.pth" in with_keys(str(caught.value), "lazy")
