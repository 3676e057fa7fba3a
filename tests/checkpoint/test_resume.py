import pytest
import torch
from detectron2.engine import SimpleTrainer
from stand_ins import TinyBackbone, three_class_detector
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.checkpoint.resume import obstacle
from fcos_d2.engine.keys import with_keys

CLASSES = ["cat", "dog", "cow"]


def trainer_of(make, parts=1):
    """A loop with an optimiser of so many groups, after one step."""
    model = nn.ModuleList(nn.Linear(1, 1) for _ in range(parts))
    optimizer = make([{"params": part.parameters()} for part in model], lr=0.1)
    sum(part(torch.ones(1)) for part in model).backward()
    optimizer.step()
    return SimpleTrainer(model, [], optimizer)


def found(before, now):
    return obstacle({"trainer": before}, None, now)


@pytest.mark.parametrize("make", [SGD, Adam, AdamW, RMSprop])
def test_the_same_optimiser_goes_on(make):
    assert found(trainer_of(make).state_dict(), trainer_of(make).state_dict()) == ""


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (SGD, AdamW, "was SGD, now it is AdamW"),
        (AdamW, SGD, "was AdamW, now it is SGD"),
        (Adam, AdamW, "was Adam, now it is AdamW"),
        (SGD, RMSprop, "was SGD, now it is one with alpha, centered, eps, momentum, weight_decay"),
    ],
)
def test_another_optimiser_is_named(before, now, words):
    assert words in found(trainer_of(before).state_dict(), trainer_of(now).state_dict())


def test_options_of_another_torch_do_not_matter():
    """Its versions add switches, which an optimiser of before does not have."""
    before = trainer_of(AdamW).state_dict()
    for group in before["optimizer"]["param_groups"]:
        for name in ("decoupled_weight_decay", "fused", "foreach", "differentiable"):
            del group[name]
    assert found(before, trainer_of(AdamW).state_dict()) == ""


def test_other_parameters_are_named():
    one, two = trainer_of(SGD).state_dict(), trainer_of(SGD, 2).state_dict()
    assert "learned other parameters" in found(one, two)


def test_the_state_of_a_lazy_run_before_version_02_is_known():
    """It lay beside the iteration; now runs of both kinds have it under "_trainer"."""
    one, two = trainer_of(SGD).state_dict(), trainer_of(AdamW).state_dict()
    assert found(one, {"_trainer": one}) == ""
    assert "was SGD, now it is AdamW" in found(one, {"_trainer": two})


def saved(folder, class_names):
    folder.mkdir(exist_ok=True)
    model = three_class_detector(TinyBackbone())
    FCOSCheckpointer(model, str(folder), class_names=class_names).save("model_0000003")


def resume(folder, class_names, model=None):
    model = model or three_class_detector(TinyBackbone())
    return FCOSCheckpointer(model, str(folder), class_names=class_names).resume_or_load("")


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (["cat", "dog", "cow", "bird"], "new: bird"),
        (["cat", "dog"], "gone: cow"),
        (["cow", "cat", "dog"], "in another order: cat, dog, cow became cow, cat, dog"),
        (["cat", "dog", "Cow"], "new: Cow; gone: cow"),
    ],
)
def test_other_classes_are_named_with_the_way_on(tmp_path, now, words):
    saved(tmp_path / "run", CLASSES)
    with pytest.raises(ValueError) as caught:
        resume(tmp_path / "run", now)
    path = tmp_path / "run" / "model_0000003.pth"
    assert f"{path}: --resume cannot go on from it, because the classes" in str(caught.value)
    assert words in str(caught.value)
    folder = f"{tmp_path}/run-anew"
    for kind, anew in (
        ("yaml", f"MODEL.WEIGHTS {path} OUTPUT_DIR {folder}"),
        ("lazy", f"train.init_checkpoint={path} train.output_dir={folder}"),
    ):
        said = with_keys(str(caught.value), kind)
        assert f"without --resume, ending in {anew}" in said
    assert "\n" not in str(caught.value)


def test_another_model_is_named_before_anything_is_loaded(tmp_path):
    saved(tmp_path, None)
    model = three_class_detector(TinyBackbone(), {"num_share_convs": 1})
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"the model has changed \(\d+ parts: .*share_tower"):
        resume(tmp_path, None, model)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_the_same_run_goes_on(tmp_path):
    saved(tmp_path, CLASSES)
    assert resume(tmp_path, CLASSES)["class_names"] == CLASSES
    assert resume(tmp_path, None)["class_names"] == CLASSES
