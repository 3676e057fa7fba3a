"""One predictor for yaml and python configs, single images and batches."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances
from omegaconf import DictConfig

from fcos_deploy.thresholds import Thresholds, thresholds_of
from fcos_deploy.vision import GivenImage, bgr_images, shows_objects

from . import model_zoo
from .checkpoint import load_detector
from .class_names import dataset_class_names
from .detections import ImageDetections, suppress_across_classes
from .device import inference_dtype, resolve_device
from .engine.keys import adding_keys
from .engine.run_of import run_of
from .engine.run_parts import Run
from .evaluation.views import MultiViewModel, last_box_predictor
from .modeling import FCOSProposalGenerator
from .modeling.backbone import weights_come_later
from .modeling.folding import fold_batch_norms
from .modeling.half import halve_on_gpu
from .modeling.meta_arch import AnyDetector
from .modeling.winograd import use_winograd

# For all classes, or by name of the class: a mapping, or pairs, as names need not be unique.
ScoreThreshold: TypeAlias = float | Mapping[str, float] | Sequence[Sequence]


class Predictor:
    """Loads a detector once and runs it on images.

    Attributes:
        class_names: of the model, K.
        config_thresholds: lowest score of a detection of each class by the config; None: it says
            none.
        score_thresholds: the same as obeyed.
    """

    def __init__(
        self,
        config: str | Path | CfgNode | DictConfig | Run,
        weights: str | None = None,
        *,
        confidence_threshold: ScoreThreshold | None = None,
        slice_size: int | None = None,
        slice_overlap: float | None = None,
        tta: bool | None = None,
        agnostic_nms: bool = False,
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
            config: name in the model zoo, path of a .yaml or .py file, a config object or a run.
            weights: checkpoint; None takes the one that the config names.
            confidence_threshold: lowest score of a detection, in [0, 1], or that of each class by
                its name; None takes what the config says (TEST.SCORE_THRESH), which may be none.
                Besides, candidates need the class probability that the config asks for.
            slice_size: side of the tiles, px, in which large images are looked at, besides as a
                whole; 0: not in tiles; None keeps what the config says.
            slice_overlap: least share of its side that a tile has in common with the next, in
                [0, 0.9]; None keeps what the config says.
            tta: merge the detections of several sizes and of the mirror image, as the config
                describes them; None keeps what the config says.
            agnostic_nms: where boxes of several classes overlap as those of one class may not, keep
                the surest: an object gets one class.
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
        run = _run_of(config, opts, trust_config)
        given = {"slice_size": slice_size, "slice_overlap": slice_overlap, "tta": tta}
        chosen: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
        views = replace(run.view_options, **chosen).settings()
        with adding_keys(run.kind):
            run = run.on(resolve_device(device or run.device))
            with weights_come_later():
                model = run.build_model()
            device_type = next(model.parameters()).device.type
            self._dtype = inference_dtype(precision, device_type)
            checkpoint = load_detector(model, weights or run.weights, trust_checkpoint)
        self.model: AnyDetector = fold_batch_norms(model)
        self._dtype = halve_on_gpu(self.model, self._dtype)
        if winograd:
            use_winograd(self.model.proposal_generator.fcos_head)
        if compile:
            compile_network(self.model)
        mapper = run.build_test_mapper()
        self.mapper, self.detector = views.loader_mapper(mapper), views.wrap(self.model, mapper)
        self.iou_across_classes = self._suppression_iou() if agnostic_nms else None
        self.class_names: list[str] = _names_of(checkpoint, run, last_stage(self.model).num_classes)
        if last_stage(self.model) is not self.model.proposal_generator:
            second = last_box_predictor(self.model.roi_heads)
            self._bound_of_second_stage: float = second.test_score_thresh
        self.config_thresholds = self._thresholds_of(run)
        self.score_thresholds: Thresholds | None = None
        if confidence_threshold is not None:
            self.set_threshold(confidence_threshold)
        elif self.config_thresholds is not None:
            self._select_from(self.config_thresholds)

    def _thresholds_of(self, run: Run) -> Thresholds | None:
        if run.score_thresh is None:
            return None
        with adding_keys(run.kind):
            try:
                return thresholds_of(run.score_thresh, self.class_names)
            except ValueError as error:
                raise ValueError(f"`score_thresh`: {error}") from None

    def set_threshold(self, threshold: ScoreThreshold) -> None:
        """Changes the lowest score of a detection.

        Args:
            threshold: in [0, 1], or that of each class by its name.

        Raises:
            ValueError: another number, an unknown class, or one that is missing.
        """
        try:
            self._select_from(thresholds_of(threshold, self.class_names))
        except ValueError as error:
            raise ValueError(f"confidence_threshold: {error}") from None

    def _select_from(self, thresholds: Thresholds) -> None:
        self.score_thresholds = thresholds
        if isinstance(self.detector, MultiViewModel) and self.detector.averages:
            # The score is a mean over the views, which those below the threshold belong to.
            self.detector.min_scores = thresholds
        elif last_stage(self.model) is not self.model.proposal_generator:
            # detectron2 compares a row of scores, of all classes, with it; they must exceed it.
            lowest = torch.tensor(thresholds, device=next(self.model.parameters()).device)
            lowest = torch.nextafter(lowest, torch.full_like(lowest, -1))
            second = last_box_predictor(self.model.roi_heads)
            second.test_score_thresh = lowest.clamp(min=self._bound_of_second_stage)
        else:
            generator: FCOSProposalGenerator = self.model.proposal_generator
            selection = replace(generator.test_selection, min_scores=thresholds)
            generator.test_selection = selection

    def _suppression_iou(self) -> float:
        stage = last_stage(self.model)
        if stage is self.model.proposal_generator:
            iou = stage.test_selection.nms_thresh
        else:
            iou = last_box_predictor(stage).test_nms_thresh
        if iou <= 0:
            raise ValueError(f"agnostic_nms needs suppression, and its threshold is {iou}: off")
        return iou

    def __call__(self, image: GivenImage) -> Instances:
        """Detections on one image; see `predict_batch`."""
        return self.predict_batch([image])[0]

    def detect(self, image: GivenImage) -> ImageDetections:
        """The same as plain arrays, such as `supervision.Detections` takes."""
        return ImageDetections.of(self(image), self.class_names)

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
        batch = [self.inputs_of(image) for image in bgr_images(images)]
        with self.autocast():
            outputs = self.detector(batch)
        found = [output["instances"].to("cpu") for output in outputs]
        found = [x if shows_objects(*x.image_size) else x[:0] for x in found]
        if self.iou_across_classes is None:
            return found
        return [suppress_across_classes(x, self.iou_across_classes) for x in found]

    def autocast(self) -> torch.autocast:
        """Within it the network runs in the predictor's precision."""
        device_type = next(self.model.parameters()).device.type
        return torch.autocast(device_type, self._dtype, enabled=self._dtype is not None)

    def inputs_of(self, image: np.ndarray) -> dict:
        """What `detector` takes: the resized `image` of a BGR array, its `height` and `width`."""
        height, width = image.shape[:2]
        if self.mapper.image_format == "RGB":
            image = image[:, :, ::-1]
        tensor, _ = self.mapper.to_input(image)
        return {"image": tensor, "height": height, "width": width}


def compile_network(model: AnyDetector) -> None:
    """Has backbone and FCOS head compiled at their first call; boxes come and go in any number, so
    what makes them is left as it is.
    """
    model.backbone.compile()
    model.proposal_generator.fcos_head.compile()


def last_stage(model: AnyDetector) -> Any:
    """The part of a detector that gives the classes: FCOS, or the second stage after it."""
    return model.roi_heads if hasattr(model, "roi_heads") else model.proposal_generator


def _run_of(
    config: str | Path | CfgNode | DictConfig | Run, opts: list[str] | None, trust_config: bool
) -> Run:
    if isinstance(config, (str, Path)):
        return run_of(model_zoo.get_config(str(config), opts, trust_config))
    if opts:
        raise ValueError(f"opts {opts} are for a config by name or file: change the object")
    return run_of(config)


def _names_of(checkpoint: dict, run: Run, num_classes: int) -> list[str]:
    names = checkpoint.get("class_names")
    names = names or dataset_class_names((*run.test_datasets, *run.train_datasets)) or []
    # A checkpoint of another dataset than the config's must not borrow its names.
    return list(names) if len(names) == num_classes else [f"class {i}" for i in range(num_classes)]
