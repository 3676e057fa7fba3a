"""Files, opened again and run, against the detector; with the options of the tool."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from random_detector import pictures, tiny_detector

from fcos_d2.config import get_cfg
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.export import ExportOptions, export
from fcos_d2.export.verify import (
    FULL_PRECISION,
    HALF_WEIGHTS,
    batches_of,
    compare,
    compare_raw,
    load_exported,
)
from fcos_deploy import Detector

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

NAMES = ["a", "b", "c"]
SIZES = [(64, 96), (40, 50), (17, 90), (64, 64), (128, 70)]


@pytest.fixture
def mapper() -> FCOSDatasetMapper:
    cfg = get_cfg()
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 64, 96
    return FCOSDatasetMapper(cfg, is_train=False)


CASES = {
    "onnx": {},
    "onnx fp16": {"half_weights": True},
    "onnx fixed": {"size": (64, 96), "batch": 2},
    "openvino": {"format": "openvino"},
    "torchscript": {"format": "torchscript"},
    "torch-export": {"format": "torch-export"},
    "torch-export fixed": {"format": "torch-export", "size": (64, 96), "batch": 1},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_finds_what_the_detector_finds(tiny_backbone, mapper, tmp_path: Path, case) -> None:
    if case.get("format") == "openvino":
        pytest.importorskip("openvino")
    model, options = tiny_detector(tiny_backbone), ExportOptions(**case)
    export(model, mapper, NAMES, tmp_path, options)
    run = load_exported(tmp_path, options.format, options.model_file)
    groups = batches_of(pictures(*SIZES), options.batch, options.size)
    tolerance = HALF_WEIGHTS if options.half_weights else FULL_PRECISION
    worst = compare(model, run, groups, options.size, tolerance)

    assert worst.detections >= 200 and worst.within(tolerance)


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_raw_heads(tiny_backbone, mapper, tmp_path: Path, format: str) -> None:
    options = ExportOptions(format=format, raw_heads=True)
    detector = export(tiny_detector(tiny_backbone), mapper, NAMES, tmp_path, options)
    run = load_exported(tmp_path, format, options.model_file)
    worst = compare_raw(detector, run, batches_of(pictures(*SIZES), None, None), None)

    assert worst.detections >= 200 and worst.within(FULL_PRECISION)


def test_onnx_has_standard_operators_and_no_batch_norm(tmp_path: Path, mapper) -> None:
    import onnx

    from fcos_d2.model_zoo import get_model

    cfg = ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "MODEL.FPN.OUT_CHANNELS", "32"]
    model = get_model("Quickstart/Shapes-R18", cfg).eval()
    export(model, mapper, ["x"] * 5, tmp_path, ExportOptions())
    graph = onnx.load(tmp_path / "model.onnx")

    assert {node.domain for node in graph.graph.node} == {""}
    assert {entry.domain for entry in graph.opset_import} == {""}
    operators = {node.op_type for node in graph.graph.node}
    assert "BatchNormalization" not in operators and "NonMaxSuppression" in operators
    # Weights of half precision take half of the place.
    whole = (tmp_path / "model.onnx").stat().st_size
    export(model, mapper, ["x"] * 5, tmp_path, ExportOptions(half_weights=True))
    assert (tmp_path / "model.onnx").stat().st_size == pytest.approx(whole / 2, rel=0.05)


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_edited_settings_are_taken_up(tiny_backbone, mapper, tmp_path: Path, format: str) -> None:
    pytest.importorskip("onnxruntime" if format == "onnx" else "openvino")
    export(tiny_detector(tiny_backbone), mapper, NAMES, tmp_path, ExportOptions(format=format))
    file = tmp_path / "infer.yaml"
    settings = yaml.safe_load(file.read_text())
    assert [x["name"] for x in settings["classes"]] == NAMES
    settings["thresholds"] |= {"class_probability": 0.3, "nms_iou": 0.2}
    settings |= {"pixel_mean": [90.0, 80.0, 70.0], "resize": {"short_side": 48, "long_side": 72}}
    file.write_text(yaml.safe_dump(settings))

    image = pictures((48, 72))[0].permute(1, 2, 0).numpy()
    found = Detector(tmp_path)(image)  # of a size that needs no resize now
    other = tiny_detector(tiny_backbone, score_thresh_test=0.3, nms_thresh=0.2)
    other.pixel_mean.copy_(torch.tensor([90.0, 80.0, 70.0]).view(3, 1, 1))
    (wanted,) = other([{"image": torch.from_numpy(image.transpose(2, 0, 1).copy())}])
    wanted = wanted["instances"]
    np.testing.assert_allclose(found.scores, wanted.scores.detach(), atol=1e-5)
    np.testing.assert_allclose(found.boxes, wanted.pred_boxes.tensor.detach(), atol=1e-3)
    assert found.classes.tolist() == wanted.pred_classes.tolist() and len(found.scores) >= 5


def test_what_cannot_be_exported(tiny_backbone, mapper, tmp_path: Path, monkeypatch) -> None:
    model = tiny_detector(tiny_backbone)

    def refused(message: str, model=model, mapper=mapper, **options) -> None:
        with pytest.raises(ValueError, match=message):
            export(model, mapper, NAMES, tmp_path, ExportOptions(**options))

    refused(r"multiples of 16, got \(64, 90\)", size=(64, 90))
    refused("batch must be at least 1, got 0", batch=0)
    refused("format must be one of", format="caffe")
    refused("need format onnx or openvino", format="torchscript", half_weights=True)
    refused("only the FCOS meta-architecture", model=tiny_backbone)
    cfg = get_cfg()
    cfg.INPUT.RESIZE = "torch"
    refused("Pillow's resize to a short side", mapper=FCOSDatasetMapper(cfg, is_train=False))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused(r'onnx, which is not installed: pip install "\.\[export\]"')
