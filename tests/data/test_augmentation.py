import numpy as np
import pytest
from detectron2.data import transforms as T

from fcos_d2 import model_zoo
from fcos_d2.data.augmentation import (
    FastResizeShortestEdge,
    ResizeShortestEdge,
    TorchResizeShortestEdge,
)
from fcos_d2.data.mapper import FCOSDatasetMapper


@pytest.mark.parametrize(
    ("given", "resized"),
    [
        # scale 224 / 100 = 2.24; 200 * 2.24 = 448 is too long, so 400 / 200 = 2 counts
        ((100, 200), (200, 400)),
        # 400 / 2000 = 0.2 px would be 0
        ((1, 2000), (1, 400)),
        ((2000, 1), (400, 1)),
    ],
)
def test_resize_keeps_a_pixel(given, resized):
    image = np.zeros((*given, 3), np.uint8)
    for kind in (ResizeShortestEdge, FastResizeShortestEdge):
        transform = kind(224, 400).get_transform(image)
        assert transform.apply_image(image).shape[:2] == resized


@pytest.mark.parametrize("size", [(50, 40), (300, 500), (97, 133)])
def test_evaluation_resizes_to_the_pixels_of_detectron2(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    ours = ResizeShortestEdge(120, 200).get_transform(image).apply_image(image)
    theirs = T.ResizeShortestEdge(120, 200).get_transform(image).apply_image(image)
    assert np.array_equal(ours, theirs)


def test_mappers_use_it_with_the_settings_of_the_config():
    cfg = model_zoo.get_config("FCOS-RT/R50")
    ours = FCOSDatasetMapper(cfg, is_train=True).augmentations.augs[0]
    theirs = T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, "choice")
    assert type(ours) is FastResizeShortestEdge
    assert vars(ours) == vars(theirs) | {"one_size_per_batch": False}
    assert type(FCOSDatasetMapper(cfg, is_train=False).augmentations.augs[0]) is ResizeShortestEdge
    lazy = model_zoo.get_config("lazy/FCOS-RT/R50").dataloader
    assert lazy.train.mapper.augmentations[0]._target_ is FastResizeShortestEdge
    assert lazy.test.mapper.augmentations[0]._target_ is ResizeShortestEdge


def test_torch_resize_on_paper():
    """2 x 1 px become 4 x 2: rows at -0.25, 0.25, 0.75, 1.25 of the old ones, cut to 0 and 1."""
    image = np.array([[[0, 40, 80]], [[100, 60, 80]]], np.uint8)
    transform = TorchResizeShortestEdge(2, 100).get_transform(image)
    resized = transform.apply_image(image)
    assert resized.dtype == np.float32 and resized.shape == (4, 2, 3)
    assert resized[:, 0].tolist() == [[0, 40, 80], [25, 45, 80], [75, 55, 80], [100, 60, 80]]
    assert resized[:, 0].tolist() == resized[:, 1].tolist()
    assert transform.apply_box(np.array([[0.0, 0.0, 1.0, 2.0]])).tolist() == [[0, 0, 2, 4]]


@pytest.mark.parametrize(
    ("given", "resized"),
    [
        # 100 * 2.24 = 224, 133 * 2.24 = 297.92; torchvision rounds down
        ((100, 133), (224, 297)),
        ((1, 2000), (1, 400)),
    ],
)
def test_torch_resize_rounds_down(given, resized):
    image = np.zeros((*given, 3), np.uint8)
    transform = TorchResizeShortestEdge(224, 400).get_transform(image)
    assert transform.apply_image(image).shape[:2] == resized


def test_the_config_chooses_the_resize_and_the_flip():
    cfg = model_zoo.get_config("Converted/TorchVision-R50")
    augmentations = FCOSDatasetMapper(cfg, is_train=True).augmentations.augs
    assert [type(a) for a in augmentations] == [TorchResizeShortestEdge, T.RandomFlip]
    cfg.INPUT.HFLIP_TRAIN = False
    augmentations = FCOSDatasetMapper(cfg, is_train=True).augmentations.augs
    assert [type(a) for a in augmentations] == [TorchResizeShortestEdge]
    cfg.INPUT.RESIZE = "cv2"
    with pytest.raises(ValueError, match="INPUT.RESIZE must be one of .*'torch'.*got 'cv2'"):
        FCOSDatasetMapper(cfg, is_train=True)
