import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tiny_model import tiny_settings

from fcos_deploy.engines import load_engine
from fcos_deploy.settings import read_settings


def write(folder: Path, settings: object, model: bytes = b"not a model") -> Path:
    (folder / "infer.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (folder / "model.onnx").write_bytes(model)
    return folder


def test_values(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, tiny_settings()))

    assert (settings.short_side, settings.long_side) == (32, 64)
    assert (settings.class_probability, settings.nms_iou) == (0.05, 0.6)
    assert (settings.score, settings.draw) == ((0.0, 0.0), 0.5)
    assert settings.class_names == ["cat", "dog"]
    assert settings.class_colors == [(0, 0, 255), (0, 255, 0)]  # BGR
    assert settings.pixel_mean == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("score", [{"dog": 0.3, "cat": 0.4}, [["cat", 0.4], ["dog", 0.3]]])
def test_a_threshold_for_each_class(tmp_path: Path, score: object) -> None:
    settings = tiny_settings()
    settings["thresholds"]["score"] = score
    assert read_settings(write(tmp_path, settings)).score == (0.4, 0.3)


def changed(*keys: str, value: object = None) -> Callable[[dict], None]:
    def change(settings: dict) -> None:
        for key in keys[:-1]:
            settings = settings[key]
        settings[keys[-1]] = value

    return change


WRONG = {
    "version": (changed("format_version", value=2), "format_version is 2"),
    "format": (changed("format", value="torchscript"), "torchscript needs torch"),
    "no model": (changed("model", value="x.onnx"), "there is no file"),
    "sides": (changed("resize", "short_side", value=65), "short_side <= long_side"),
    "fraction of a pixel": (changed("resize", "short_side", value=1.5), "whole numbers"),
    "threshold": (changed("thresholds", "draw", value=1), r"draw must be in \[0, 1\), got 1"),
    "score": (
        changed("thresholds", "score", value={"cat": 0.3}),
        "thresholds: score: no score threshold for 'dog'",
    ),
    "word": (changed("thresholds", "draw", value="high"), "draw must be in"),
    "std": (changed("pixel_std", value=[1, 0, 1]), "pixel_std must be three numbers above 0"),
    "mean": (changed("pixel_mean", value=[1, 1]), "pixel_mean must be three numbers, got"),
    "colour": (changed("classes", 0, "color_rgb", value=[0, 0, 256]), "color_rgb of 'cat'"),
    "classes": (changed("classes", value=3), "infer.yaml"),
    "name": (changed("classes", 0, "name", value=False), "name False must be text; write it in"),
    "missing": (lambda settings: settings["thresholds"].pop("nms_iou"), "'nms_iou' is missing"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_wrong_values_are_named(tmp_path: Path, change: Callable, message: str) -> None:
    settings = tiny_settings()
    change(settings)
    with pytest.raises(ValueError, match=message) as error:
        read_settings(write(tmp_path, settings))
    assert str(tmp_path / "infer.yaml") in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file; the model is a folder"):
        read_settings(tmp_path)
    (tmp_path / "infer.yaml").write_text("a: [1")
    with pytest.raises(ValueError, match="not a yaml file"):
        read_settings(tmp_path)
    (tmp_path / "infer.yaml").write_text("- 1")
    with pytest.raises(ValueError, match="not the settings of an exported model"):
        read_settings(tmp_path)


def test_damaged_models_and_threads_are_named(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    settings = read_settings(write(tmp_path, tiny_settings()))
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path))}.*cannot be loaded: "):
        load_engine(settings)
    with pytest.raises(ValueError, match="threads must be between 1 and"):
        load_engine(settings, 0)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_every_encoding(tmp_path: Path, encoding: str) -> None:
    settings = tiny_settings()
    settings["classes"][0]["name"] = "猫"
    path = write(tmp_path, settings) / "infer.yaml"
    path.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding=encoding)
    assert read_settings(tmp_path).class_names[0] == "猫"
    path.write_bytes("names: 狗".encode("gbk"))
    with pytest.raises(ValueError, match="infer.yaml: byte 7 .* is not UTF-8; save the file as"):
        read_settings(tmp_path)
