"""Halved weights predict what float32 predicts, up to the rounding of half precision."""

import copy

import pytest
import torch

from fcos_d2 import model_zoo
from fcos_d2.modeling.half import halve_on_gpu, halve_weights


@pytest.fixture
def detector():
    model = model_zoo.get_model(
        "Recipes/R18-Scratch", ["MODEL.DEVICE", "cpu", "MODEL.FCOS.INFERENCE_TH_TEST", "0.0"]
    ).eval()
    head = model.proposal_generator.fcos_head
    torch.nn.init.normal_(head.cls_logits.weight, std=0.3)
    torch.nn.init.constant_(head.bbox_pred.bias, 2.0)
    return model


def predictions(model, images):
    """The head's outputs, each flattened, and the detections."""
    kept = []
    hook = model.proposal_generator.fcos_head.register_forward_hook(
        lambda module, inputs, outputs: kept.append(outputs)
    )
    with torch.no_grad():
        found = [x["instances"] for x in model(images)]
    hook.remove()
    return [torch.cat([x.flatten() for x in levels]) for levels in kept[0][:3]], found


def test_predictions_are_those_of_float32(detector):
    images = [{"image": torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8)} for _ in range(2)]
    expected, _ = predictions(detector, images)
    half = copy.deepcopy(detector)
    halve_weights(half, torch.bfloat16)
    actual, found = predictions(half, images)
    for ours, exact in zip(actual, expected, strict=True):
        assert ours.dtype == torch.bfloat16
        # bfloat16 has 8 bits: 0.4 % in each of some twenty layers, which partly cancel.
        assert (ours.float() - exact).norm() < 0.03 * exact.norm()
        assert not torch.equal(ours.float(), exact)  # it was rounded at all
    for each in found:
        assert each.pred_boxes.tensor.dtype == each.scores.dtype == torch.float32
        assert len(each) > 0


def test_autocast_keeps_what_is_not_halved():
    """On a CPU, and without a precision."""
    model = torch.nn.Linear(2, 2)
    assert halve_on_gpu(model, torch.bfloat16) == torch.bfloat16
    assert halve_on_gpu(model, None) is None
    assert model.weight.dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_predictor_on_a_gpu(tmp_path, detector, precision):
    from fcos_d2 import Predictor
    from fcos_d2.checkpoint import FCOSCheckpointer

    FCOSCheckpointer(detector, str(tmp_path)).save("model")
    weights = str(tmp_path / "model.pth")
    predictor = Predictor("Recipes/R18-Scratch", weights, device="cuda", precision=precision)
    head = predictor.model.proposal_generator.fcos_head
    assert (
        head.cls_logits.weight.dtype == {"fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    )
    image = torch.randint(0, 256, (120, 160, 3), dtype=torch.uint8).numpy()
    found = predictor(image)
    exact = Predictor("Recipes/R18-Scratch", weights, device="cuda")(image)
    assert len(found) > 0 and found.scores.dtype == torch.float32
    # The surest object of both is the same.
    torch.testing.assert_close(
        found.pred_boxes.tensor[0], exact.pred_boxes.tensor[0], rtol=0.05, atol=3.0
    )
    assert found.scores[0].item() == pytest.approx(exact.scores[0].item(), abs=0.03)
