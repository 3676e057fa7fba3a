"""One predictor for yaml and python configs, single images and batches."""

import copy
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from detectron2.config import CfgNode, instantiate
from detectron2.structures import Instances
from omegaconf import DictConfig, OmegaConf
from torch import nn

from fcos_deploy.vision import GivenImage, bgr_images, shows_objects

from . import model_zoo
from .building import build_detector
from .checkpoint import load_detector
from .data.mapper import FCOSDatasetMapper
from .engine.distributed import resolve_device
from .engine.step import PRECISIONS, cpu_has_bf16
from .engine.trainer import class_names
from .evaluation.views import MultiViewModel, ViewSettings, last_box_predictor
from .modeling.backbone import weights_come_later
from .modeling.folding import fold_batch_norms
from .modeling.winograd import use_winograd

logger = logging.getLogger(__name__)


class Predictor:
    """Loads a detector once and runs it on images."""

    def __init__(
        self,
        config: str | CfgNode | DictConfig,
        weights: str | None = None,
        *,
        confidence_threshold: float | None = None,
        slice_size: int | None = None,
        slice_overlap: float | None = None,
        tta: bool | None = None,
        device: str | None = None,
        precision: str = "fp32",
        compile: bool = False,
        winograd: bool = False,
        opts: list[str] | None = None,
        trust_checkpoint: str | None = None,
        trust_config: bool = False,
    ) -> None:
        """
        Args:
            config: name in the model zoo, path of a .yaml or .py file, or a config object.
            weights: checkpoint; None takes the one that the config names.
            confidence_threshold: lowest score of a detection, in [0, 1); None keeps what the
                config says, a threshold on the class probability alone.
            slice_size: side of the tiles, px, in which large images are looked at, besides as a
                whole; 0: not in tiles; None keeps what the config says.
            slice_overlap: least share of its side that a tile has in common with the next, in
                [0, 0.9]; None keeps what the config says.
            tta: merge the detections of several sizes and of the mirror image, as the config
                describes them; None keeps what the config says.
            device: "cpu", "cuda", ...; None takes the config's, or the CPU where there is no GPU.
            precision: "fp32"; "bf16" or "fp16" for convolutions in half precision, on GPUs (bf16
                also on CPUs that have it; others compute in fp32).
            compile: have torch.compile make the network faster, which takes minutes in the first
                call, and again where images come in several sizes.
            winograd: faster towers on CPUs, outputs within 1e-4; in fp32 and without `compile`.
            opts: overrides of the config, see `model_zoo.get_config`.
            trust_checkpoint: the one file that may run code, see `read_checkpoint`.
            trust_config: also build what a config.yaml may not by itself, see
                `model_zoo.get_config`.

        Raises:
            ValueError: bad config, weights, threshold, slices or precision, or a model or options
                that `winograd` is not for; names it.
        """
        if winograd and (compile or precision != "fp32"):
            raise ValueError(
                "winograd needs precision 'fp32' and compile off, got precision "
                f"{precision!r} and compile {compile}: drop one of them"
            )
        if confidence_threshold is not None and not 0 <= confidence_threshold < 1:
            raise ValueError(f"confidence_threshold must be in [0, 1), got {confidence_threshold}")
        if isinstance(config, (str, Path)):
            config = model_zoo.get_config(str(config), opts, trust_config)
        elif opts:
            raise ValueError(f"opts {opts} are for a config by name or file: change the object")
        config = with_views(config, slice_size, slice_overlap, tta)
        is_yaml = isinstance(config, CfgNode)
        views = (ViewSettings.from_config if is_yaml else ViewSettings.from_lazy)(config)
        build = _from_yaml if is_yaml else _from_lazy
        with weights_come_later():
            model, mapper, config_weights, dataset_names = build(config, device)
        self._dtype = inference_dtype(precision, next(model.parameters()).device.type)
        checkpoint = load_detector(model, weights or config_weights, trust_checkpoint)
        self.model = fold_batch_norms(model)
        if winograd:
            use_winograd(self.model.proposal_generator.fcos_head)
        if compile:
            compile_network(self.model)
        self.mapper, self._detector = views.loader_mapper(mapper), views.wrap(self.model, mapper)
        self._select_above(confidence_threshold)
        names = checkpoint.get("class_names") or class_names(dataset_names) or []
        num_classes = last_stage(self.model).num_classes
        # A checkpoint of another dataset than the config's must not borrow its names.
        if len(names) != num_classes:
            names = [f"class {i}" for i in range(num_classes)]
        self.class_names: list[str] = list(names)

    def _select_above(self, confidence_threshold: float | None) -> None:
        if confidence_threshold is None:
            return
        if isinstance(self._detector, MultiViewModel) and self._detector.averages:
            # The score is a mean over the views, which those below the threshold belong to.
            self._detector.min_score = confidence_threshold
            return
        if last_stage(self.model) is not self.model.proposal_generator:
            last_box_predictor(self.model.roi_heads).test_score_thresh = confidence_threshold
            return
        # FCOS itself applies the threshold, before suppression. The score is the square root of
        # class x quality probability, so a bound on it is the squared bound on the product; without
        # a quality branch it is the class probability.
        generator = self.model.proposal_generator
        with_quality = generator.fcos_head.quality_branch
        generator.test_selection = replace(
            generator.test_selection,
            score_thresh=confidence_threshold**2 if with_quality else confidence_threshold,
            thresh_with_quality=with_quality,
        )

    def __call__(self, image: GivenImage) -> Instances:
        """Detections on one image; see `predict_batch`."""
        return self.predict_batch([image])[0]

    @torch.inference_mode()
    def predict_batch(self, images: Iterable[GivenImage]) -> list[Instances]:
        """Detections on several images: what is found on each alone.

        Images that the network gets in one padded size go through it together.

        Args:
            images: BGR uint8 (H, W, 3) arrays, paths or Pillow images, of any sizes.

        Returns:
            For each image an `Instances` on the CPU with pred_boxes in pixels of that image,
            scores and pred_classes, best first.

        Raises:
            ImageError: a file cannot be read; names it.
            ValueError: an array of another shape or type, or without pixels; one image instead of
                a list.
        """
        batch = [self._prepare(image) for image in bgr_images(images)]
        device_type = next(self.model.parameters()).device.type
        with torch.autocast(device_type, self._dtype, enabled=self._dtype is not None):
            outputs = self._detector(batch)
        found = [output["instances"].to("cpu") for output in outputs]
        return [x if shows_objects(*x.image_size) else x[:0] for x in found]

    def _prepare(self, image: np.ndarray) -> dict:
        height, width = image.shape[:2]
        if self.mapper.image_format == "RGB":
            image = image[:, :, ::-1]
        tensor, _ = self.mapper.to_input(image)
        return {"image": tensor, "height": height, "width": width}


def with_views(
    config: CfgNode | DictConfig,
    slice_size: int | None,
    slice_overlap: float | None,
    tta: bool | None,
) -> CfgNode | DictConfig:
    """A copy of the config with slices and test-time augmentation as given, where not None."""
    config = copy.deepcopy(config)
    if isinstance(config, CfgNode):
        config.defrost()
    for yaml_key, lazy_key, value in (
        ("SLICE.SIZE", "slice.size", slice_size),
        ("SLICE.OVERLAP", "slice.overlap", slice_overlap),
        ("AUG.ENABLED", "tta.enabled", tta),
    ):
        if value is not None and isinstance(config, CfgNode):
            section, key = yaml_key.split(".")
            config.TEST[section][key] = value
        elif value is not None:
            OmegaConf.update(config, f"train.{lazy_key}", value)
    return config


def inference_dtype(precision: str, device_type: str) -> torch.dtype | None:
    """What to run convolutions in; None: in float32.

    Args:
        precision: "fp32", "bf16" or "fp16".
        device_type: "cpu", "cuda", ...

    Raises:
        ValueError: another precision, or fp16 on a CPU.
    """
    if precision not in ("fp32", *PRECISIONS):
        raise ValueError(f"precision must be one of {['fp32', *PRECISIONS]}, got {precision!r}")
    if device_type == "cpu" and precision == "fp16":
        raise ValueError("precision 'fp16' needs a GPU; on a CPU take 'fp32' or 'bf16'")
    if device_type == "cpu" and precision == "bf16" and not cpu_has_bf16():
        logger.warning("this CPU cannot compute in bf16: detecting in float32")
        return None
    return PRECISIONS.get(precision)


def compile_network(model: nn.Module) -> None:
    """Has backbone and FCOS head compiled at their first call; boxes come and go in any number, so
    what makes them is left as it is."""
    model.backbone.compile()
    model.proposal_generator.fcos_head.compile()


def last_stage(model: nn.Module) -> nn.Module:
    """The part of a detector that gives the classes: FCOS, or the second stage after it."""
    return model.roi_heads if hasattr(model, "roi_heads") else model.proposal_generator


def _from_yaml(cfg: CfgNode, device: str | None) -> tuple:
    """Model, test mapper, checkpoint and the datasets that may know the class names."""
    cfg.MODEL.DEVICE = resolve_device(device or cfg.MODEL.DEVICE)
    mapper = FCOSDatasetMapper(cfg, is_train=False)
    return build_detector(cfg), mapper, cfg.MODEL.WEIGHTS, (*cfg.DATASETS.TEST, *cfg.DATASETS.TRAIN)


def _from_lazy(cfg: DictConfig, device: str | None) -> tuple:
    """As `_from_yaml`."""
    model = build_detector(cfg, device=resolve_device(device or cfg.train.device))
    mapper = instantiate(cfg.dataloader.test.mapper)
    return model, mapper, cfg.train.init_checkpoint, cfg.dataloader.test.dataset.names
