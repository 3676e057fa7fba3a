from pathlib import Path

import numpy as np
import pytest
from detectron2.data import transforms as T
from tiny_model import tiny_settings, write_model

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


def test_images_of_several_sizes_go_together(folder: Path) -> None:
    detector = Detector(folder)
    images = [picture(64, 96), picture(100, 50)]
    canvas, sizes = detector.preprocess(images)

    assert sizes.tolist() == [[32, 48], [64, 32]]
    assert canvas.shape == (2, 64, 64, 3)  # multiples of 32
    assert (canvas[0, 32:] == 0).all() and (canvas[0, :, 48:] == 0).all()
    alone = [detector(image) for image in images]
    for one, other in zip(alone, detector.detect(images), strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    graph = tiny_settings()["graph"] | {"batch": 3, "fixed_size": [32, 32]}
    detector = Detector(write_model(tmp_path / "m", graph=graph))

    canvas, sizes = detector.preprocess([picture(64, 96)])
    assert canvas.shape == (3, 32, 32, 3)
    assert sizes[0].tolist() == [21, 32]  # 32 x 48 made to fit
    assert len(detector.detect([picture(64, 96), picture(5, 5)])) == 2
    with pytest.raises(ValueError, match="3 images at a time, got 4"):
        detector.detect([picture(9, 9)] * 4)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)],
    ids=["grey", "float", "alpha"],
)
def test_other_arrays_are_refused(folder: Path, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be a BGR uint8 array"):
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
    canvas, sizes = Detector(write_model(tmp_path / "m", graph=graph)).preprocess([image])
    height, width = sizes[0]
    found = canvas[0, :height, :width].astype(int)
    assert found.shape == tuple(wanted.permute(1, 2, 0).shape)
    assert np.abs(found - wanted.permute(1, 2, 0).numpy()).max() <= 1
