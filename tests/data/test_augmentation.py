import numpy as np
import pytest
from detectron2.data import transforms as T

from fcos_d2 import model_zoo
from fcos_d2.data.augmentation import ResizeShortestEdge
from fcos_d2.data.mapper import FCOSDatasetMapper


@pytest.mark.parametrize(
    "given, resized",
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
    transform = ResizeShortestEdge(224, 400).get_transform(image)
    assert transform.apply_image(image).shape[:2] == resized


def test_mappers_use_it_with_the_settings_of_the_config():
    cfg = model_zoo.get_config("FCOS-RT/R50")
    ours = FCOSDatasetMapper(cfg, is_train=True).augmentations.augs[0]
    theirs = T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, "choice")
    assert type(ours) is ResizeShortestEdge and vars(ours) == vars(theirs)
    lazy = model_zoo.get_config("lazy/FCOS-RT/R50").dataloader.test.mapper.augmentations[0]
    assert lazy._target_ is ResizeShortestEdge
