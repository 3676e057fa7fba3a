"""A yaml config and a LazyConfig that ask for the same augmentations."""

import numpy as np
import pytest
from detectron2.config import LazyCall as L
from detectron2.config import instantiate
from detectron2.data import transforms as T

from fcos_d2.config import get_cfg
from fcos_d2.data.augmentation import FastResizeShortestEdge, ResizeScale
from fcos_d2.data.augmentation_color import (
    RandomBrightness,
    RandomContrast,
    RandomHueSaturation,
)
from fcos_d2.data.augmentation_geometry import RandomAffine, RandomCropWithBoxes
from fcos_d2.data.augmentation_square import CropOrPadToSquare
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.data.mixing import ImageMixing
from fcos_d2.data.pipeline import build_augmentations


def settings(value):
    """Type and attributes, of what it is made of, too."""
    if isinstance(value, (list, tuple)):
        return [settings(x) for x in value]
    if isinstance(value, (T.Augmentation, T.Transform, ImageMixing)):
        own = {key: settings(x) for key, x in vars(value).items()}
        # detectron2 keeps the local variables of some constructors.
        return type(value), {k: v for k, v in own.items() if k not in ("self", "__class__")}
    # A list of omegaconf is no list of Python.
    return [*value] if type(value).__name__ == "ListConfig" else value


def lazy_mapper(resize, **options):
    """Affine, crop, the given resize, flip and colour."""
    augmentations = [
        L(RandomAffine)(prob=0.5, degrees=10.0, translate=0.1, scale=(0.5, 1.5), shear=2.0),
        L(RandomCropWithBoxes)(prob=0.3, min_scale=0.3),
        *resize,
        L(T.RandomFlip)(),
        L(RandomBrightness)(intensity_min=0.6, intensity_max=1.4),
        L(RandomContrast)(intensity_min=0.7, intensity_max=1.3),
        L(RandomHueSaturation)(hue=0.1, saturation=0.5, image_format="BGR"),
    ]
    return instantiate(
        L(FCOSDatasetMapper)(
            is_train=True, augmentations=augmentations, image_format="BGR", **options
        )
    )


def yaml_mapper(*options):
    cfg = get_cfg()
    cfg.merge_from_list(
        [
            "INPUT.AFFINE.PROB",
            0.5,
            "INPUT.AFFINE.DEGREES",
            10.0,
            "INPUT.AFFINE.SHEAR",
            2.0,
            "INPUT.CROP_WITH_BOXES.PROB",
            0.3,
            "INPUT.SQUARE_SIZE",
            320,
            "INPUT.COLOR_JITTER.BRIGHTNESS",
            0.4,
            "INPUT.COLOR_JITTER.CONTRAST",
            0.3,
            "INPUT.COLOR_JITTER.SATURATION",
            0.5,
            "INPUT.COLOR_JITTER.HUE",
            0.1,
            *list(options),
        ]
    )
    return FCOSDatasetMapper(cfg, is_train=True)


def assert_equal(yaml, lazy):
    assert settings(yaml.augmentations.augs) == settings(lazy.augmentations.augs)
    assert settings(yaml.mixing) == settings(lazy.mixing)
    for name in ("min_visible", "use_crowd_boxes", "image_format", "use_instance_mask"):
        assert getattr(yaml, name) == getattr(lazy, name), name


def test_letterbox_with_mosaic_and_mixup():
    """The run ends after 1000 iterations, the last 100 of which are not mixed."""
    yaml = yaml_mapper(
        *["INPUT.RESIZE_RULE_TRAIN", "letterbox", "INPUT.MIN_VISIBLE", 0.2],
        *["INPUT.USE_CROWD_BOXES", True, "SOLVER.MAX_ITER", 1000, "INPUT.MIX.CLOSE_ITERS", 100],
        *["INPUT.MIX.MOSAIC_PROB", 0.5, "INPUT.MIX.MIXUP_PROB", 0.25],
        *["INPUT.MIX.MOSAIC_IMAGES", 9, "INPUT.MIX.MOSAIC_SIZE", 480],
    )
    lazy = lazy_mapper(
        [
            L(FastResizeShortestEdge)(short_edge_length=(320, 320), max_size=320),
            L(CropOrPadToSquare)(side=320),
        ],
        min_visible=0.2,
        use_crowd_boxes=True,
        mixing=L(ImageMixing)(
            mosaic_prob=0.5,
            mosaic_images=9,
            mosaic_size=480,
            mixup_prob=0.25,
            close_at_iteration=900,
            min_visible=0.2,
        ),
    )
    assert_equal(yaml, lazy)
    record = {"height": 60, "width": 90, "annotations": []}
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    mapped = []
    for mapper in (yaml, lazy):
        np.random.seed(3)
        mapped.append(mapper._map(record, image)["image"])
    assert mapped[0].shape == (3, 320, 320) and (mapped[0] == mapped[1]).all()


def test_large_scale_jitter_without_mixing():
    yaml = yaml_mapper("INPUT.RESIZE_RULE_TRAIN", "large_scale_jitter")
    lazy = lazy_mapper(
        [
            L(ResizeScale)(min_scale=0.1, max_scale=2.0, target_height=320, target_width=320),
            L(CropOrPadToSquare)(side=320),
        ]
    )
    assert_equal(yaml, lazy)
    assert yaml.mixing is None


def test_a_difference_is_seen():
    """The comparison of this file looks at the settings, not only at the types."""
    first, second = (RandomAffine(scale=(0.5, x)) for x in (1.5, 1.6))
    assert settings(first) != settings(second)


def test_flips_in_both_directions_show_all_four_views_equally_often():
    cfg = get_cfg()
    cfg.INPUT.RANDOM_FLIP = "both"
    cfg.INPUT.MIN_SIZE_TRAIN = (4,)
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    views = [image, image[:, ::-1], image[::-1], image[::-1, ::-1]]
    boxes = [[0, 0, 2, 1], [4, 0, 6, 1], [0, 3, 2, 4], [4, 3, 6, 4]]
    flips = FCOSDatasetMapper(cfg, is_train=True).augmentations
    counts = np.zeros(4)
    for _ in range(400):
        found = T.AugInput(image.copy(), boxes=np.array([[0.0, 0.0, 2.0, 1.0]]))
        flips(found)
        (view,) = (i for i, x in enumerate(views) if np.array_equal(found.image, x))
        assert found.boxes.tolist() == [boxes[view]]
        counts[view] += 1
    assert counts.min() > 60  # of 100; 4.6 standard deviations


def test_other_flips_are_detectron2s_and_a_wrong_word_is_named():
    cfg = get_cfg()
    flips = {}
    for word in ("horizontal", "vertical", "none"):
        cfg.INPUT.RANDOM_FLIP = word
        found = build_augmentations(cfg, is_train=True)
        flips[word] = [(x.horizontal, x.vertical) for x in found if isinstance(x, T.RandomFlip)]
    assert flips == {"horizontal": [(True, False)], "vertical": [(False, True)], "none": []}
    cfg.INPUT.RANDOM_FLIP = "sideways"
    with pytest.raises(ValueError, match=r"INPUT\.RANDOM_FLIP must be one of .*'both'.*sideways"):
        FCOSDatasetMapper(cfg, is_train=True)
