"""What is written into a config and into an export is obeyed by all that detect."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from random_detector import pictures, tiny_detector

from fcos_cli.main import main
from fcos_d2 import Predictor, model_zoo, predictor
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.chosen_thresholds import write_to_config, write_to_export
from fcos_d2.config import get_cfg
from fcos_d2.engine import run_of
from fcos_d2.export import ExportOptions, export
from fcos_d2.export.settings import infer_settings
from fcos_deploy import Detector
from fcos_deploy.service import Service

NAMES = ["a", "b", "c"]
CAP = 12
THRESHOLDS = {"all": (0.7, 0.7, 0.7), "by class": (0.3, 1.0, 0.5)}


def detector_with_cap(cap: int = CAP) -> torch.nn.Module:
    return tiny_detector(max_detections=cap)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, their config.yaml, an image, and an export."""
    folder = tmp_path_factory.mktemp("model")
    cfg = get_cfg()
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 64, 96
    cfg.MODEL.FCOS.NUM_CLASSES, cfg.MODEL.DEVICE = 3, "cpu"
    (folder / "config.yaml").write_text(cfg.dump())
    FCOSCheckpointer(detector_with_cap(), str(folder), class_names=NAMES).save("model")
    Image.fromarray(the_image()[:, :, ::-1]).save(folder / "image.png")
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs give the tiny detector, which none of them describes."""

    def run(config: str, opts: list[str] | None, trust_config: bool) -> object:
        made = run_of(model_zoo.get_config(str(config), opts, trust_config))
        return replace(made, make_model=lambda device: detector_with_cap())

    monkeypatch.setattr(predictor, "_run_of", run)


def the_image() -> np.ndarray:
    return pictures((64, 96))[0].permute(1, 2, 0).numpy().copy()


def wanted_of(thresholds: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    """Worked out from all that the detector finds: filtered, then cut off."""
    with torch.no_grad():
        images = [{"image": pictures((64, 96))[0]}]
        (found,) = detector_with_cap(0)(images)
    found = found["instances"]
    lowest = torch.tensor(thresholds)[found.pred_classes]
    good = found[found.scores >= lowest][:CAP]
    first = found[:CAP]
    assert (first.scores < torch.tensor(thresholds)[first.pred_classes]).any() or len(good) < CAP
    return tuple(x.numpy() for x in (good.pred_boxes.tensor, good.scores, good.pred_classes))


def assert_found(found: tuple[np.ndarray, ...], wanted: tuple[np.ndarray, ...]) -> None:
    assert found[2].tolist() == wanted[2].tolist()
    np.testing.assert_allclose(found[0], wanted[0], atol=0.01)
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-4)


async def parts(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.mark.parametrize("thresholds", THRESHOLDS.values(), ids=THRESHOLDS)
def test_predictor_and_predict(
    folder: Path,
    tiny: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    thresholds: tuple[float, ...],
) -> None:
    write_to_config(folder / "config.yaml", thresholds, NAMES)
    weights, image = str(folder / "model.pth"), str(folder / "image.png")
    wanted = wanted_of(thresholds)
    found = Predictor(folder / "config.yaml", weights)(image)
    fields = found.pred_boxes.tensor.numpy(), found.scores.numpy(), found.pred_classes.numpy()
    assert_found(fields, wanted)

    drawn: list = []

    def draw(image: np.ndarray, boxes: object, classes: object, scores: object, names: list):
        drawn.append((boxes, scores, classes))
        return image

    monkeypatch.setattr("fcos_cli.drawing.draw_detections", draw)
    target = str(tmp_path / "drawn.png")
    assert main(["predict", image, "--weights", weights, "--output", target]) == 0
    assert_found(drawn.pop(), wanted)
    given = ["--threshold", "0.8"]  # it wins
    assert main(["predict", image, "--weights", weights, "--output", target, *given]) == 0
    assert_found(drawn.pop(), wanted_of((0.8,) * 3))


@pytest.fixture(scope="module", params=["onnx", pytest.param("openvino", marks=pytest.mark.slow)])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that knows of no thresholds yet; once for all tests, because it takes seconds."""
    pytest.importorskip("onnxscript")
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}[request.param])
    folder = tmp_path_factory.mktemp(request.param)
    options = ExportOptions(format=request.param)
    export(detector_with_cap(), mapper(), NAMES, folder, options)
    return folder


def mapper() -> object:
    cfg = get_cfg()
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 64, 96
    return run_of(cfg).build_test_mapper()


@pytest.mark.parametrize("thresholds", THRESHOLDS.values(), ids=THRESHOLDS)
def test_exported(exported: Path, folder: Path, thresholds: tuple[float, ...]) -> None:
    write_to_export(exported, thresholds, NAMES)
    detector = Detector(exported)
    wanted = wanted_of(thresholds)
    assert_found(tuple(detector(the_image())), wanted)
    assert detector.settings.draw == 0.0  # pictures show them, too

    service = Service(detector, workers=1)
    answer = asyncio.run(service.answer(parts((folder / "image.png").read_bytes())))
    service.close()
    assert [x["class"] for x in answer["objects"]] == [NAMES[i] for i in wanted[2]]
    boxes = [x["box_xyxy"] for x in answer["objects"]]
    np.testing.assert_allclose(boxes, wanted[0], atol=0.01)

    assert_found(tuple(Detector(exported, score_threshold=0.8)(the_image())), wanted_of((0.8,) * 3))
    by_class = dict(zip(NAMES, thresholds, strict=True))
    write_to_export(exported, (0.9,) * 3, NAMES)
    found = Detector(exported, score_threshold=by_class)(the_image())
    assert_found(tuple(found), wanted)


def test_an_export_gets_those_of_its_detector() -> None:
    model = detector_with_cap()
    rest = {"model_file": "m", "format": "onnx", "fixed_size": None, "batch": None}
    rest |= {"raw_heads": False}
    settings = infer_settings(model, mapper(), NAMES, **rest)
    assert (settings["thresholds"]["score"], settings["thresholds"]["draw"]) == (0.0, 0.5)
    generator = model.proposal_generator
    generator.test_selection = replace(generator.test_selection, min_scores=(0.3, 1.0, 0.5))
    settings = infer_settings(model, mapper(), NAMES, **rest)
    assert settings["thresholds"]["score"] == [["a", 0.3], ["b", 1.0], ["c", 0.5]]
    assert settings["thresholds"]["draw"] == 0.0


def test_the_rest_of_the_files_stays(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("# mine\nTEST: # of tests\n  EVAL_PERIOD: 7\n")
    write_to_config(config, (0.3, 1.0, 0.5), NAMES)
    assert config.read_text() == (
        "# mine\nTEST: # of tests\n  SCORE_THRESH: [[a, 0.3], [b, 1.0], [c, 0.5]]\n"
        "  EVAL_PERIOD: 7\n"
    )
    write_to_config(config, (0.3, 0.3, 0.3), NAMES)
    assert model_zoo.get_config(str(config)).TEST.SCORE_THRESH == 0.3
    for other in ("0.4", "[['a', 0.3], ['b', 1], ['c', 1]]", "None", "1"):
        cfg = model_zoo.get_config(str(config), ["TEST.SCORE_THRESH", other])
        wanted = yaml.safe_load(other.replace("None", "null"))
        assert wanted == cfg.TEST.SCORE_THRESH

    from detectron2.config import LazyConfig

    lazy = str(tmp_path / "lazy.yaml")
    cfg = model_zoo.get_config("lazy/Recipes/R18-Scratch")
    LazyConfig.save(cfg, lazy)
    write_to_config(lazy, (0.3, 1.0, 0.5), NAMES)
    read = model_zoo.get_config(lazy)
    assert run_of(read).score_thresh == [["a", 0.3], ["b", 1.0], ["c", 0.5]]
    cfg.train.score_thresh = read.train.score_thresh
    LazyConfig.save(cfg, str(tmp_path / "wanted.yaml"))
    written, wanted = (
        yaml.safe_load((tmp_path / x).read_text()) for x in ("lazy.yaml", "wanted.yaml")
    )
    assert written == wanted


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda x: write_to_config(x / "a.py", (0.1,) * 3, NAMES), "a.py is code, .* train.score"),
        (
            lambda x: write_to_config(model_zoo.get_config_file("FCOS-RT/R50"), (0.1,) * 3, NAMES),
            "R50.yaml belongs to fcos_d2 and to all weights of its kind",
        ),
        (lambda x: write_to_config(x / "list.yaml", (0.1,) * 3, NAMES), "list.yaml: holds a"),
        (lambda x: write_to_config(x / "text.yaml", (0.1,) * 3, NAMES), "text.yaml: TEST.SCORE"),
        (lambda x: write_to_export(x, (0.1,) * 3, NAMES), "infer.yaml: no such file; an export is"),
        (
            lambda x: write_to_export(x / "export", (0.1,) * 3, NAMES),
            "an export of the classes a, b, and the thresholds are for a, b, c",
        ),
    ],
)
def test_where_they_have_no_place(tmp_path: Path, write: Callable, message: str) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "text.yaml").write_text("TEST: 3\n")
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "infer.yaml").write_text("classes: [{name: a}, {name: b}]\n")
    with pytest.raises(ValueError, match=message) as error:
        write(tmp_path)
    assert "\n" not in str(error.value)
