"""The augmentations that a yaml config asks for."""

import math

from detectron2.config import CfgNode
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T

from ..choices import check_choice
from .augmentation import (
    FastResizeShortestEdge,
    ResizeScale,
    ResizeShortestEdge,
    TorchResizeShortestEdge,
)
from .augmentation_color import color_jitter
from .augmentation_geometry import RandomAffine, RandomCropWithBoxes
from .augmentation_square import CropOrPadToSquare
from .mixing import ImageMixing

TRAIN_RULES = ("short_edge", "letterbox", "large_scale_jitter")
TEST_RULES = ("short_edge", "letterbox")
# "both" is this project's: each in half of the images, so that all four views come equally often.
FLIPS = ("horizontal", "vertical", "both", "none")
# In training and at test time: what is published as results comes from Pillow's very pixels.
RESIZES = {
    "PIL": (FastResizeShortestEdge, ResizeShortestEdge),
    "torch": (TorchResizeShortestEdge, TorchResizeShortestEdge),
}


def build_augmentations(cfg: CfgNode, is_train: bool) -> list[T.Augmentation]:
    """Affine, crop, resize, flip and colour of INPUT, in this order.

    Raises:
        ValueError: a value that is not legal.
    """
    augmentations = []
    if is_train and cfg.INPUT.AFFINE.PROB > 0:
        augmentations.append(
            RandomAffine(
                prob=cfg.INPUT.AFFINE.PROB,
                degrees=cfg.INPUT.AFFINE.DEGREES,
                translate=cfg.INPUT.AFFINE.TRANSLATE,
                scale=cfg.INPUT.AFFINE.SCALE,
                shear=cfg.INPUT.AFFINE.SHEAR,
                perspective=cfg.INPUT.AFFINE.PERSPECTIVE,
                pad_value=cfg.INPUT.PAD_VALUE,
            )
        )
    if is_train and cfg.INPUT.CROP_WITH_BOXES.PROB > 0:
        augmentations.append(
            RandomCropWithBoxes(cfg.INPUT.CROP_WITH_BOXES.PROB, cfg.INPUT.CROP_WITH_BOXES.MIN_SCALE)
        )
    # detectron2's own: maybe a crop, the resize to a short side, maybe a flip.
    theirs = DatasetMapper.from_config(as_detectron2_knows_it(cfg), is_train)
    for augmentation in theirs["augmentations"]:
        if type(augmentation) is T.ResizeShortestEdge:
            augmentations += _resize(cfg, is_train, augmentation)
        elif cfg.INPUT.HFLIP_TRAIN or not isinstance(augmentation, T.RandomFlip):
            augmentations.append(augmentation)
            if cfg.INPUT.RANDOM_FLIP == "both" and isinstance(augmentation, T.RandomFlip):
                augmentations.append(T.RandomFlip(horizontal=False, vertical=True))
    if is_train:
        augmentations += color_jitter(
            brightness=cfg.INPUT.COLOR_JITTER.BRIGHTNESS,
            contrast=cfg.INPUT.COLOR_JITTER.CONTRAST,
            saturation=cfg.INPUT.COLOR_JITTER.SATURATION,
            hue=cfg.INPUT.COLOR_JITTER.HUE,
            image_format=cfg.INPUT.FORMAT,
        )
    return augmentations


def as_detectron2_knows_it(cfg: CfgNode) -> CfgNode:
    """A config with flips in one direction at most, which is all that detectron2 builds.

    Raises:
        ValueError: a value that is not legal.
    """
    check_choice("INPUT.RANDOM_FLIP", cfg.INPUT.RANDOM_FLIP, FLIPS)
    if cfg.INPUT.RANDOM_FLIP != "both":
        return cfg
    known = cfg.clone()
    known.defrost()
    known.INPUT.RANDOM_FLIP = "horizontal"
    return known


def _resize(cfg: CfgNode, is_train: bool, short_edge: T.Augmentation) -> list[T.Augmentation]:
    check_choice("INPUT.RESIZE", cfg.INPUT.RESIZE, RESIZES)
    key = "RESIZE_RULE_TRAIN" if is_train else "RESIZE_RULE_TEST"
    rule = cfg.INPUT.RESIZE_RULE_TRAIN if is_train else cfg.INPUT.RESIZE_RULE_TEST
    check_choice(f"INPUT.{key}", rule, TRAIN_RULES if is_train else TEST_RULES)
    kind = RESIZES[cfg.INPUT.RESIZE][0 if is_train else 1]
    if rule == "short_edge":
        return [kind.like(short_edge, is_train and cfg.INPUT.ONE_SIZE_PER_BATCH)]
    side = cfg.INPUT.SQUARE_SIZE
    square = CropOrPadToSquare(side, cfg.INPUT.PAD_VALUE)
    if rule == "large_scale_jitter":
        return [ResizeScale(*cfg.INPUT.LSJ_SCALES, side, side), square]
    # A short side that the limit on the long one always cuts down to.
    resize = kind((side, side), side)
    # At test time the batch is padded later: boxes are scaled back by the size without a border.
    return [resize, square] if is_train else [resize]


def build_mixing(cfg: CfgNode) -> ImageMixing | None:
    """The mixing of INPUT.MIX; None where it is off.

    Raises:
        ValueError: a value that is not legal, or masks that are not kept as bitmasks.
    """
    mix = cfg.INPUT.MIX
    if not _mixes(cfg):
        return None
    if cfg.MODEL.MASK_ON and cfg.INPUT.MASK_FORMAT != "bitmask":
        raise ValueError(
            "INPUT.MIX cuts masks at the borders of images: it needs INPUT.MASK_FORMAT bitmask, "
            f"got {cfg.INPUT.MASK_FORMAT}"
        )
    return ImageMixing(
        mosaic_prob=mix.MOSAIC_PROB,
        mosaic_images=mix.MOSAIC_IMAGES,
        mosaic_size=mix.MOSAIC_SIZE,
        mixup_prob=mix.MIXUP_PROB,
        copy_paste_prob=mix.COPY_PASTE_PROB,
        close_at_iteration=cfg.SOLVER.MAX_ITER - mix.CLOSE_ITERS if mix.CLOSE_ITERS else math.inf,
        close_share=mix.CLOSE_SHARE,
        max_iter=cfg.SOLVER.MAX_ITER,
        min_visible=cfg.INPUT.MIN_VISIBLE or mix.MIN_VISIBLE,
        pad_value=cfg.INPUT.PAD_VALUE,
        with_masks=cfg.MODEL.MASK_ON,
    )


def build_test_resize(cfg: CfgNode) -> T.Augmentation | None:
    """The resize at test time, which tells mixing how large objects are; None where it is off."""
    if not _mixes(cfg):
        return None
    resize, *_ = build_augmentations(cfg, is_train=False)
    return resize


def _mixes(cfg: CfgNode) -> bool:
    mix = cfg.INPUT.MIX
    return bool(mix.MOSAIC_PROB or mix.MIXUP_PROB or mix.COPY_PASTE_PROB)
