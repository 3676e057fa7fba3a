"""Files, opened again and run, against the detector; with the options of the tool."""

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from random_detector import pictures, tiny_detector

from fcos_d2.config import get_cfg
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.export import ExportOptions, export
from fcos_d2.export.onnx_format import halve_weights
from fcos_d2.export.verify import (
    FULL_PRECISION,
    HALF_WEIGHTS,
    Tolerance,
    batches_of,
    compare,
    compare_raw,
    load_exported,
)
from fcos_deploy import Detector

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

NAMES = ["a", "b", "c"]
SIZES = [(64, 96), (40, 50), (29, 90), (64, 64), (128, 70)]


def make_mapper() -> FCOSDatasetMapper:
    cfg = get_cfg()
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 64, 96
    return FCOSDatasetMapper(cfg, is_train=False)


@pytest.fixture(scope="module")
def onnx_folder(tmp_path_factory) -> Path:
    """One export for several tests, because it takes seconds."""
    folder = tmp_path_factory.mktemp("onnx")
    export(tiny_detector(), make_mapper(), NAMES, folder, ExportOptions())
    return folder


def assert_equal(folder: Path, options: ExportOptions, tolerance: Tolerance) -> None:
    """What lies in the folder finds what the tiny detector finds."""
    run = load_exported(folder, options.format, options.model_file)
    groups = batches_of(pictures(*SIZES), options.batch, options.size)
    model = tiny_detector()
    worst = compare(model, run, groups, options.size, tolerance)
    assert worst.detections >= 200 and worst.within(tolerance)


def test_onnx(onnx_folder: Path) -> None:
    import onnx

    assert_equal(onnx_folder, ExportOptions(), FULL_PRECISION)
    graph = onnx.load(onnx_folder / "model.onnx")
    # Standard operators only.
    assert {node.domain for node in graph.graph.node} == {""}
    assert {entry.domain for entry in graph.opset_import} == {""}
    assert "NonMaxSuppression" in {node.op_type for node in graph.graph.node}


def test_weights_of_half_precision(onnx_folder: Path, tmp_path: Path) -> None:
    import onnx

    graph = onnx.load(onnx_folder / "model.onnx")
    before = len(graph.SerializeToString())
    halve_weights(graph)
    onnx.save(graph, tmp_path / "model.onnx")
    shutil.copy(onnx_folder / "infer.yaml", tmp_path)

    assert_equal(tmp_path, ExportOptions(), HALF_WEIGHTS)
    rounded = sum(p.numel() for p in tiny_detector().parameters() if p.numel() > 999)
    assert before - len(graph.SerializeToString()) == pytest.approx(2 * rounded, rel=0.02)
    inputs = [onnx_folder, tmp_path]
    image = pictures((64, 96))[0].permute(1, 2, 0).numpy()
    whole, half = (Detector(folder)(image).scores for folder in inputs)
    assert not np.array_equal(whole, half)  # it did round


CASES = {
    "torchscript": ExportOptions(format="torchscript"),
    "torch-export": ExportOptions(format="torch-export"),
    "onnx fixed": ExportOptions(size=(64, 96), batch=2),
    "openvino": ExportOptions(format="openvino"),
}
FAST = ("torchscript",)


@pytest.mark.parametrize(
    "options",
    [pytest.param(x, id=k, marks=() if k in FAST else pytest.mark.slow) for k, x in CASES.items()],
)
def test_other_formats(tmp_path: Path, options: ExportOptions) -> None:
    if options.format == "openvino":
        pytest.importorskip("openvino")
    export(tiny_detector(), make_mapper(), NAMES, tmp_path, options)
    assert_equal(tmp_path, options, FULL_PRECISION)


@pytest.mark.parametrize("format", ["torchscript", pytest.param("onnx", marks=pytest.mark.slow)])
def test_raw_heads(tmp_path: Path, format: str) -> None:
    options = ExportOptions(format=format, raw_heads=True)
    model = tiny_detector()
    detector = export(model, make_mapper(), NAMES, tmp_path, options)
    run = load_exported(tmp_path, format, options.model_file)
    worst = compare_raw(detector, run, batches_of(pictures(*SIZES), None, None), None)

    assert worst.detections >= 200 and worst.within(FULL_PRECISION)


@pytest.mark.parametrize("format", ["onnx", pytest.param("openvino", marks=pytest.mark.slow)])
def test_edited_settings_are_taken_up(onnx_folder: Path, tmp_path: Path, format: str) -> None:
    if format == "onnx":
        shutil.copytree(onnx_folder, tmp_path, dirs_exist_ok=True)
    else:
        pytest.importorskip("openvino")
        options = ExportOptions(format=format)
        export(tiny_detector(), make_mapper(), NAMES, tmp_path, options)
    file = tmp_path / "infer.yaml"
    settings = yaml.safe_load(file.read_text())
    assert [x["name"] for x in settings["classes"]] == NAMES
    settings["thresholds"] |= {"class_probability": 0.1, "nms_iou": 0.2}
    settings |= {"pixel_mean": [90.0, 80.0, 70.0], "resize": {"short_side": 96, "long_side": 144}}
    file.write_text(yaml.safe_dump(settings))

    image = pictures((96, 144))[0].permute(1, 2, 0).numpy()
    found = Detector(tmp_path)(image)  # of a size that needs no resize now
    other = tiny_detector(score_thresh=0.1, nms_thresh=0.2)
    other.pixel_mean.copy_(torch.tensor([90.0, 80.0, 70.0]).view(3, 1, 1))
    (wanted,) = other([{"image": torch.from_numpy(image.transpose(2, 0, 1).copy())}])
    wanted = wanted["instances"]
    np.testing.assert_allclose(found.scores, wanted.scores.detach(), atol=1e-5)
    np.testing.assert_allclose(found.boxes, wanted.pred_boxes.tensor.detach(), atol=1e-3)
    assert found.classes.tolist() == wanted.pred_classes.tolist() and len(found.scores) >= 5


def test_what_cannot_be_exported(tmp_path: Path, monkeypatch) -> None:
    detector = tiny_detector()

    def refused(message: str, model=detector, mapper=None, **options) -> None:
        mapper = mapper or make_mapper()
        with pytest.raises(ValueError, match=message):
            export(model, mapper, NAMES, tmp_path, ExportOptions(**options))

    refused(r"multiples of 16, got \(64, 90\)", size=(64, 90))
    refused("batch must be at least 1, got 0", batch=0)
    refused("format must be one of", format="caffe")
    refused("need format onnx or openvino", format="torchscript", half_weights=True)
    refused("winograd needs format onnx or openvino", format="torchscript", winograd=True)
    refused(r"368 or more cells, and at a size of \(64, 64\) px", winograd=True)
    refused("192 or more channels", winograd=True, size=(160, 160))
    refused("only the FCOS meta-architecture", model=detector.backbone)
    cfg = get_cfg()
    cfg.INPUT.RESIZE = "torch"
    refused("Pillow's resize to a short side", mapper=FCOSDatasetMapper(cfg, is_train=False))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused(r'onnx, which is not installed: pip install "\.\[export\]"')


def test_an_export_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "model.pt").write_bytes(b"the old one")
    (tmp_path / "infer.yaml").write_bytes(b"its settings")

    def full(detector, example, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fcos_d2.export.export_torchscript", full)
    with pytest.raises(OSError, match="model.pt") as caught:
        options = ExportOptions(format="torchscript")
        export(tiny_detector(), make_mapper(), NAMES, tmp_path, options)
    assert "free" in caught.value.strerror
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == {"model.pt": b"the old one", "infer.yaml": b"its settings"}
