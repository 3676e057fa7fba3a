"""FCOS as a detectron2 proposal generator: head, losses and selection put together.

This is the one place that unpacks and packs `Instances`. With the `FCOS` meta-architecture its
proposals are the final detections; with a `train_selection` it is the first stage of any two-stage
detector, and with one class a class-agnostic one.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import PROPOSAL_GENERATOR_REGISTRY
from detectron2.structures import ImageList, Instances
from torch import Tensor, nn

from ..choices import check_choice
from ..key_effects import say_at_model
from .assembly import assigner_from_config, criterion_from_config, selection_from_config
from .assignment import SizeRangeAssigner
from .criterion import Criterion, Targets
from .geometry import (
    LOCATION_RULES,
    LocationGrid,
    level_locations,
    level_sizes,
    location_grids,
)
from .head import FCOSHead, HeadOutputs, level_shapes
from .matching import Assigner
from .normalizers import LossNormalizers
from .packing import pack_detections, unpack_truth
from .selection import Predictions, Selection, select_detections


class FCOSProposalGenerator(nn.Module):
    """Trains the head on ground truth and turns its outputs into boxes."""

    @configurable
    def __init__(
        self,
        *,
        head: FCOSHead,
        in_features: list[str],
        strides: list[int],
        location_rule: str = "center",
        assigner: Assigner = SizeRangeAssigner(),
        criterion: Criterion = Criterion(),
        normalizer: LossNormalizers | None = None,
        train_selection: Selection | None = None,
        test_selection: Selection = Selection(),
        yield_box_features: bool = False,
    ) -> None:
        """
        Args:
            head: predicts for L levels; K classes, and a quality of each box or none.
            in_features: L names of backbone outputs, finest first.
            strides: L strides of these outputs, px.
            location_rule: the input pixel of a cell, "center" or "corner", see `location_grids`.
            assigner: which locations learn a box.
            criterion: the losses.
            normalizer: what they are divided by; None: the number of positives.
            train_selection: makes this the first stage of a two-stage detector: it also proposes in
                training, by this selection, and `Instances` have the fields of a first stage,
                proposal_boxes and objectness_logits. None: it is a detector.
            test_selection: of inference.
            yield_box_features: add the field box_features (D, C), the vector of the box branch at
                the location of each box.

        Raises:
            ValueError: unknown name, or parts that do not fit together.
        """
        super().__init__()
        check_choice("location_rule", location_rule, LOCATION_RULES)
        self.fcos_head = head
        self.in_features = list(in_features)
        self.strides = list(strides)
        self.location_rule = location_rule
        self.assigner = assigner
        self.criterion = criterion
        self.loss_normalizers = normalizer or LossNormalizers()
        self.train_selection = train_selection
        self.test_selection = test_selection
        self.yield_box_features = yield_box_features
        self._check_parts()

    def _check_parts(self) -> None:
        levels = len(self.in_features), len(self.strides), self.fcos_head.num_levels
        if len({*levels, self.assigner.num_levels or levels[0]}) > 1:
            raise ValueError(
                "in_features, strides, head and assigner must be for the same number of levels, "
                f"got {self.in_features}, {self.strides}, {self.fcos_head.num_levels} levels of "
                f"the head and {self.assigner}"
            )
        if self.assigner.needs_predictions and not self.criterion.cls_loss.soft_targets:
            raise ValueError(
                f"{self.assigner} gives soft class targets: it needs the cls_loss QualityFocalLoss "
                "or VarifocalLoss (MODEL.FCOS.CLS_LOSS 'quality_focal' or 'varifocal'), got "
                f"{self.criterion.cls_loss}"
            )
        if self.assigner.needs_predictions and self.loss_normalizers.kind != "fg":
            raise ValueError(
                f"{self.assigner} divides by the sum of its alignment: it needs the normalizer "
                f"'fg' (MODEL.FCOS.LOSS_NORMALIZER_CLS), got {self.loss_normalizers.kind!r}"
            )
        for selection in filter(None, (self.train_selection, self.test_selection)):
            if selection.thresh_with_quality and not self.fcos_head.quality_branch:
                raise ValueError("thresh_with_quality needs a head with a quality branch")
        if self.yield_proposals and self.yield_box_features:
            raise ValueError(
                "train_selection (YIELD_PROPOSAL) and yield_box_features exclude each other: "
                "detectron2's second stage takes proposals with their two fields only"
            )

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        fcos = cfg.MODEL.FCOS
        return {
            "head": FCOSHead(cfg, level_shapes(input_shape, fcos.IN_FEATURES, fcos.FPN_STRIDES)),
            "in_features": fcos.IN_FEATURES,
            "strides": fcos.FPN_STRIDES,
            "location_rule": fcos.LOCATION_RULE,
            "assigner": assigner_from_config(cfg),
            "criterion": criterion_from_config(cfg),
            "normalizer": LossNormalizers(kind=fcos.LOSS_NORMALIZER_CLS),
            "train_selection": (
                selection_from_config(cfg, training=True) if fcos.YIELD_PROPOSAL else None
            ),
            "test_selection": selection_from_config(cfg, training=False),
            "yield_box_features": fcos.YIELD_BOX_FEATURES,
        }

    @property
    def num_classes(self) -> int:
        """K."""
        return self.fcos_head.num_classes

    @property
    def yield_proposals(self) -> bool:
        """Whether this is a first stage."""
        return self.train_selection is not None

    @property
    def class_agnostic(self) -> bool:
        """Whether it is one that finds objects of all classes alike."""
        return self.yield_proposals and self.num_classes == 1

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        gt_instances: list[Instances] | None = None,
    ) -> tuple[list[Instances] | None, dict[str, Tensor]]:
        """
        Args:
            images: N images; only their sizes are read.
            features: backbone outputs by name.
            gt_instances: N `Instances` with gt_boxes and gt_classes; needed in training. On the
                CPU nothing waits for them.

        Returns:
            detections: N `Instances`, or None in training without a `train_selection`.
            losses: empty in inference.
        """
        grids, outputs = self.predict(images, features)
        # Losses and box arithmetic run in float32 under autocast, in float64 in a double model.
        with torch.autocast(images.tensor.device.type, enabled=False):
            if not self.training:
                return self.detect(images, grids, outputs, self.test_selection), {}
            if gt_instances is None:
                raise ValueError("training needs the ground truth of the images")
            losses = self.losses(grids, outputs, gt_instances)
            if self.train_selection is None:
                return None, losses
            return self.detect(images, grids, outputs, self.train_selection), losses

    def predict(
        self, images: ImageList, features: dict[str, Tensor]
    ) -> tuple[list[LocationGrid], HeadOutputs]:
        """What the head says of a batch, in float32 at least, and the locations it says it of.

        Args:
            images, features: as in `forward`.
        """
        outputs = self.fcos_head([features[name] for name in self.in_features]).at_least_float32()
        sizes = [tuple(x.shape[-2:]) for x in outputs.cls_logits]
        return self.grids(tuple(images.tensor.shape[-2:]), sizes), outputs

    def grids(
        self, padded_size: tuple[int, int], sizes: list[tuple[int, int]] | None = None
    ) -> list[LocationGrid]:
        """The locations of L levels.

        Args:
            padded_size: height and width of the batch, px.
            sizes: L pairs (Hi, Wi) of the levels; None: those that follow from the strides.
        """
        sizes = sizes or level_sizes(padded_size, self.strides)
        return location_grids(sizes, self.strides, padded_size, self.location_rule)

    def losses(
        self, grids: list[LocationGrid], outputs: HeadOutputs, gt_instances: list[Instances]
    ) -> dict[str, Tensor]:
        """The losses of a batch, see `Criterion.losses`.

        Args:
            grids: of the L levels.
            outputs: of the head.
            gt_instances: N, with gt_boxes and gt_classes.
        """
        predictions = outputs.flattened()
        targets = self._targets(grids, predictions, gt_instances)
        sums, aligned = self.criterion.target_sums(targets, grids), targets.alignment is not None
        normalizers = self.loss_normalizers(sums, self.in_features, aligned=aligned)
        return self.criterion.losses(*predictions, targets.to(predictions[0].device), normalizers)

    def _targets(
        self,
        grids: list[LocationGrid],
        predictions: tuple[Tensor, Tensor, Tensor | None],
        gt_instances: list[Instances],
    ) -> Targets:
        cls_logits, ltrb_in_strides, _ = predictions
        # While a GPU is busy with the head, the CPU makes the targets.
        device = cls_logits.device if self.assigner.needs_predictions else torch.device("cpu")
        like = torch.empty(0, dtype=cls_logits.dtype, device=device)
        truth = unpack_truth(gt_instances, like, self.class_agnostic)
        matches = self.assigner.assign(truth, grids, cls_logits, ltrb_in_strides)
        return Targets.of_matches(matches, truth, grids)

    def loss_sums(
        self, images: ImageList, features: dict[str, Tensor], gt_instances: list[Instances]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """As `forward`, but the losses are not divided; the sums (L + 2,) say by what."""
        grids, outputs = self.predict(images, features)
        predictions, one = outputs.flattened(), torch.ones(())
        targets = self._targets(grids, predictions, gt_instances)
        on_device = targets.to(predictions[0].device)
        losses = self.criterion.losses(*predictions, on_device, (one, one, one))
        return losses, self.criterion.target_sums(targets, grids)

    def target_sums(self, padded_size: tuple[int, int], gt_instances: list[Instances]) -> Tensor:
        """What the losses of a batch are divided by, without a look at its images.

        Args:
            padded_size: height and width of the batch, px.
            gt_instances: N, with gt_boxes and gt_classes.

        Returns:
            (L + 2,), see `Criterion.target_sums`.

        Raises:
            ValueError: the assigner needs predictions.
        """
        grids = self.grids(padded_size)
        truth = unpack_truth(gt_instances, gt_instances[0].gt_boxes.tensor, self.class_agnostic)
        targets = Targets.of_matches(self.assigner.assign(truth, grids), truth, grids)
        return self.criterion.target_sums(targets, grids)

    def shared_normalizers(self, sums: Tensor) -> AbstractContextManager:
        """Within it, the losses of all batches are divided by the same, see `LossNormalizers`.

        Args:
            sums: (L + 2,) of the `target_sums` of these batches.
        """
        return self.loss_normalizers.shared(sums, self.in_features)

    @torch.no_grad()
    def detect(
        self,
        images: ImageList,
        grids: list[LocationGrid],
        outputs: HeadOutputs,
        selection: Selection,
    ) -> list[Instances]:
        """Boxes of every image, in pixels of the network input, best first."""
        packed = []
        of_images = zip(images.image_sizes, self.selectable(grids, outputs), strict=True)
        for n, (image_size, predictions) in enumerate(of_images):
            found = select_detections(*predictions, selection, image_size, self.yield_proposals)
            kept = outputs.of_image(n).box_features if self.yield_box_features else None
            packed.append(pack_detections(found, image_size, self.yield_proposals, kept))
        return packed

    def selectable(self, grids: list[LocationGrid], outputs: HeadOutputs) -> Iterator[Predictions]:
        """What selection takes, image after image."""
        locations = [level_locations(grid, like=outputs.ltrb_in_strides[0]) for grid in grids]
        ltrb = [x * stride for x, stride in zip(outputs.ltrb_in_strides, self.strides, strict=True)]
        outputs = outputs._replace(ltrb_in_strides=ltrb)
        for n in range(len(ltrb[0])):
            yield Predictions(locations, *outputs.of_image(n)[:3])


@PROPOSAL_GENERATOR_REGISTRY.register()
def FCOS(cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> FCOSProposalGenerator:
    """The value "FCOS" of MODEL.PROPOSAL_GENERATOR.NAME: what every model from yaml is built by."""
    say_at_model(cfg)
    return FCOSProposalGenerator(cfg, input_shape)
