"""`fcos export` from the command line to its exit code."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from random_detector import confident

from fcos_cli.main import main
from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.export import verify

OPTS = ["MODEL.FCOS.NUM_CLASSES", "2", "INPUT.MIN_SIZE_TEST", "96", "INPUT.MAX_SIZE_TEST", "128"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    torch.manual_seed(0)
    model = model_zoo.get_model("Recipes/R18-Scratch", [*OPTS, "MODEL.DEVICE", "cpu"])
    folder = tmp_path_factory.mktemp("weights")
    FCOSCheckpointer(confident(model), str(folder), class_names=["cat", "dog"]).save("model")
    return str(folder / "model.pth")


@pytest.fixture
def images(tmp_path: Path) -> str:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        cells = rng.integers(0, 256, (6, 8 + i, 3), np.uint8)
        picture = cv2.resize(cells, None, fx=20, fy=20, interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    return str(folder)


def run(tmp_path: Path, weights: str, images: str, *options: str) -> int:
    return main(
        [
            *("export", "--config", "Recipes/R18-Scratch", "--weights", weights),
            *(
                "--images",
                images,
                "--output",
                str(tmp_path / "exported"),
                "--format",
                "torchscript",
            ),
            *options,
            *("--opts", *OPTS),
        ]
    )


def test_exports_and_says_how_equal_it_is(tmp_path, weights, images, capsys) -> None:
    assert run(tmp_path, weights, images) == 0
    out = capsys.readouterr().out
    assert "model.pt: " in out and "3 images in " in out and " 0 without a partner" in out
    settings = (tmp_path / "exported" / "infer.yaml").read_text()
    assert "name: cat" in settings and "short_side: 96" in settings


def test_another_model_is_noticed(tmp_path, weights, images, capsys, monkeypatch) -> None:
    loaded = verify.load_exported

    def load_wrong(*arguments: object) -> verify.Run:
        right = loaded(*arguments)

        def wrong(canvas: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
            boxes, scores, classes = right(canvas, sizes)
            return [boxes + np.float32(0.1), scores, classes]

        return wrong

    monkeypatch.setattr(verify, "load_exported", load_wrong)
    assert run(tmp_path, weights, images) == 1
    assert "error: the exported model differs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--int8"], 2, "--int8 needs --format onnx"),
        (["--val-data", "x.json"], 2, "--val-data and --val-images go together"),
        (["--val-data", "x", "--val-images", "y"], 2, "--val-data needs a model that"),
        (["--verify-images", "0"], 2, "must be at least 1"),
        (["--size", "100x128"], 1, "must be multiples of 32, got (100, 128)"),
        (["--fp16"], 1, "need format onnx or openvino"),
        (["--images", "nowhere"], 1, "nowhere: no such file or folder"),
    ],
)
def test_wrong_use_gets_one_line(tmp_path, weights, images, capsys, options, code, message):
    assert run(tmp_path, weights, images, *options) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert message in line
