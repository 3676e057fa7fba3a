from pathlib import Path

import numpy as np
import pytest
from detectron2.data import transforms as T
from PIL import Image
from tiny_model import tiny_settings, write_coded_model, write_model

from fcos_d2.config import get_cfg
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_deploy import Detector
from fcos_deploy.detector import resized_size

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "exported")


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_boxes_are_scaled_to_the_image(folder: Path) -> None:
    # 64 x 96 is resized to 32 x 48, by a half; the box without width goes.
    found = Detector(folder)(picture(64, 96))

    assert found.boxes.tolist() == [[4, 8, 24, 48], [0, 0, 16, 16]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.3])
    assert found.classes.tolist() == [1, 0]


def test_boxes_end_at_the_border_of_the_image(folder: Path) -> None:
    # 320 x 16 is resized to 64 x 3: 12 px of the first box are 64 px of 16.
    found = Detector(folder)(picture(320, 16))

    assert found.boxes[0].tolist() == pytest.approx([2 * 16 / 3, 20, 16, 120])


def test_score_threshold(folder: Path) -> None:
    assert Detector(folder, score_threshold=0.5)(picture(40, 40)).classes.tolist() == [1]
    assert len(Detector(folder)(picture(40, 40)).above(0.95).scores) == 0


def test_only_images_of_one_canvas_go_together(folder: Path) -> None:
    """Resized to 32 x 48, 64 x 32, 32 x 64 and 32 x 43: all but the second on 32 x 64."""
    detector = Detector(folder)
    images = [picture(64, 96), picture(100, 50), picture(50, 100), picture(60, 80)]
    first, second = detector.preprocess(images)

    assert (first.positions, second.positions) == ([0, 2, 3], [1])
    canvas, sizes = first.inputs
    assert sizes.tolist() == [[32, 48], [32, 64], [32, 43]] and canvas.shape == (3, 32, 64, 3)
    assert (canvas[0, :, 48:] == 0).all() and (canvas[2, :, 43:] == 0).all()
    assert second.inputs[0].shape == (1, 64, 32, 3) and second.inputs[1].tolist() == [[64, 32]]
    assert detector.detect([]) == []


def test_unequal_images_find_together_what_each_finds_alone(tmp_path: Path) -> None:
    """A graph that feels its padding: it finds one box, and the canvas is its score."""
    detector = Detector(write_coded_model(tmp_path / "m"))
    images = [picture(64, 96), picture(100, 50), picture(50, 100), picture(9, 9), picture(60, 91)]
    together = detector.detect(images)

    # 32 x 64 but for the second, 64 x 32, and the fourth, 32 x 32; of all together 64 x 64.
    assert [found.scores.tolist() for found in together] == [
        [x / 256] for x in (96, 96, 96, 64, 96)
    ]
    for one, image in zip(together, images, strict=True):
        alone = detector(image)
        for field, wanted in zip(one, alone, strict=True):
            np.testing.assert_allclose(field, wanted, atol=1e-4)


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    graph = tiny_settings()["graph"] | {"batch": 3, "fixed_size": [32, 32]}
    detector = Detector(write_model(tmp_path / "m", graph=graph))

    ((positions, (canvas, sizes)),) = detector.preprocess([picture(64, 96), picture(9, 9)])
    assert canvas.shape == (3, 32, 32, 3) and positions == [0, 1]
    assert sizes.tolist() == [[21, 32], [32, 32], [1, 1]]  # 32 x 48 made to fit
    assert len(detector.detect([picture(64, 96), picture(5, 5)])) == 2
    with pytest.raises(ValueError, match="3 images at a time, got 4"):
        detector.detect([picture(9, 9)] * 4)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
def test_nothing_is_found_where_nothing_can_be(folder: Path, size: tuple[int, int]) -> None:
    found = Detector(folder).detect([picture(*size), picture(40, 60)])
    assert [len(x.scores) for x in found] == [0, 2]


def test_files_and_pillow_images(folder: Path, tmp_path: Path) -> None:
    path, image = tmp_path / "a.png", picture(64, 96)
    Image.fromarray(image[:, :, ::-1]).save(path)
    detector = Detector(write_coded_model(tmp_path / "m"))
    for given in (path, str(path), Image.open(path)):
        np.testing.assert_array_equal(detector(given).boxes, detector(image).boxes)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), "must be a BGR uint8 array .* for grey images"),
        (np.zeros((4, 4, 3)), "must be a BGR uint8 array .* got float64"),
        (np.zeros((4, 4, 4), np.uint8), "must be a BGR uint8 array .* with transparency"),
        (np.zeros((0, 4, 3), np.uint8), r"no pixels, got \(H, W\) = \(0, 4\): .* empty crops"),
    ],
    ids=["grey", "float", "alpha", "empty"],
)
def test_other_arrays_are_refused(folder: Path, image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Detector(folder)(image)


def test_sizes_are_those_of_training(folder: Path) -> None:
    settings = Detector(folder).settings
    rng = np.random.default_rng(1)
    for height, width in rng.integers(1, 3000, (2000, 2)).tolist():
        wanted = T.ResizeShortestEdge.get_output_shape(height, width, 32, 64)
        assert resized_size(height, width, settings) == tuple(max(x, 1) for x in wanted)


@pytest.mark.parametrize("image_format", ["BGR", "RGB"])
@pytest.mark.parametrize("size", [(60, 91), (17, 20), (32, 40), (200, 900)])
def test_pixels_are_those_of_training(
    tmp_path: Path, image_format: str, size: tuple[int, int]
) -> None:
    cfg = get_cfg()
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST, cfg.INPUT.FORMAT = 32, 64, image_format
    image = picture(*size)
    ordered = image[:, :, ::-1] if image_format == "RGB" else image
    wanted, _ = FCOSDatasetMapper(cfg, is_train=False).to_input(np.ascontiguousarray(ordered))

    graph = tiny_settings()["graph"] | {"image_format": image_format}
    (batch,) = Detector(write_model(tmp_path / "m", graph=graph)).preprocess([image])
    canvas, sizes = batch.inputs
    height, width = sizes[0]
    found = canvas[0, :height, :width].astype(int)
    assert found.shape == tuple(wanted.permute(1, 2, 0).shape)
    assert np.abs(found - wanted.permute(1, 2, 0).numpy()).max() <= 1
