"""FCOS as a detectron2 proposal generator: head, losses and selection put together.

This is the one place that unpacks and packs `Instances`. With the `FCOS` meta-architecture its
proposals are the final detections; with `yield_proposals` it is the first stage of any two-stage
detector, and with one class a class-agnostic one.
"""

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import PROPOSAL_GENERATOR_REGISTRY
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import Tensor, nn

from .assignment import size_ranges_from_bounds
from .criterion import BOX_QUALITIES, CLS_LOSSES, Criterion, check_options
from .geometry import LOCATION_RULES, LocationGrid, level_locations, location_grids
from .head import FCOSHead, HeadOutputs, level_shapes
from .layers import at_least_float32
from .losses import LOC_LOSS_TYPES
from .normalizers import LOSS_NORMALIZERS, LossNormalizers, target_sums
from .selection import Detections, select_detections
from .targets import ASSIGNERS, TargetMaker, Targets

LOG_PERIOD = 20  # iterations between counts of the positives of each level


class FCOSProposalGenerator(nn.Module):
    """Trains the head on ground truth and turns its outputs into boxes."""

    @configurable
    def __init__(
        self,
        *,
        head: FCOSHead,
        num_classes: int,
        in_features: list[str],
        strides: list[int],
        size_bounds: list[float],
        location_rule: str = "center",
        assigner: str = "size_ranges",
        inclusive_size_ranges: bool = True,
        center_sampling: bool = True,
        center_sampling_radius: float = 1.5,
        atss_topk: int = 9,
        atss_anchor_scale: float = 8.0,
        tal_topk: int = 13,
        tal_alpha: float = 1.0,
        tal_beta: float = 6.0,
        cls_loss: str = "focal",
        box_quality: str = "ctrness",
        loc_loss_type: str = "giou",
        iou_smoothing: float = 1.0,
        centerness_weighted_loc: bool = True,
        loss_normalizer: str = "fg",
        loss_weight_cls: float = 1.0,
        loss_weight_loc: float = 1.0,
        loss_weight_quality: float = 1.0,
        focal_alpha: float = 0.25,
        focal_gamma: float = 2.0,
        thresh_with_quality: bool = False,
        nms_thresh: float = 0.6,
        clip_before_nms: bool = False,
        score_thresh_train: float = 0.05,
        score_thresh_test: float = 0.05,
        topk_candidates_train: int = 1000,
        topk_candidates_test: int = 1000,
        max_detections_train: int = 100,
        max_detections_test: int = 100,
        yield_proposals: bool = False,
        yield_box_features: bool = False,
    ) -> None:
        """
        Args:
            head: predicts for L levels.
            num_classes: K.
            in_features: L names of backbone outputs, finest first.
            strides: L strides of these outputs, px.
            size_bounds: L - 1 limits of max(ltrb) between the levels, px.
            location_rule: the input pixel of a cell, "center" or "corner", see `location_grids`.
            assigner: which locations learn a box: "size_ranges", the paper's rule; "atss" or
                "task_aligned", see `assign_atss` and `assign_task_aligned`.
            inclusive_size_ranges: a distance equal to a limit belongs to both levels; False: to
                none.
            center_sampling: only locations near the box centre are positive.
            center_sampling_radius: how near, in strides.
            atss_topk, atss_anchor_scale: of `assign_atss`.
            tal_topk, tal_alpha, tal_beta: of `assign_task_aligned`.
            cls_loss: "focal"; or "quality_focal" or "varifocal", whose targets are the IoU of the
                predicted box, or its alignment with the assigner "task_aligned".
            box_quality: what the quality branch learns, "ctrness" or "iou"; "none": there is none.
            loc_loss_type: "iou", "linear_iou", "giou", "diou" or "ciou".
            iou_smoothing: square strides added to intersection and union, see `smoothed_iou`.
            centerness_weighted_loc: weigh the box loss of a location by its centerness; never
                done with box_quality "iou", and with "task_aligned", which has weights of its own.
            loss_normalizer: the classification loss is divided by the number of positives ("fg"),
                its moving mean ("moving_fg", kept in the checkpoint) or of locations ("all");
                "moving_fg_shared" divides all three losses by the moving mean.
            loss_weight_cls, loss_weight_loc, loss_weight_quality: weights of the three losses.
            focal_alpha: of the focal loss.
            focal_gamma: exponent of the classification loss, whichever it is.
            thresh_with_quality, nms_thresh: see `select_detections`.
            clip_before_nms: clip boxes to the image before suppression.
            score_thresh_*, topk_candidates_*, max_detections_*: see `select_detections`; the train
                values hold for proposals that are made in training.
            yield_proposals: also propose in training, and return `Instances` with the fields of a
                first stage, proposal_boxes and objectness_logits.
            yield_box_features: add the field box_features (D, C), the vector of the box branch at
                the location of each box.

        Raises:
            ValueError: unknown name, options that exclude each other, or lists of other lengths.
        """
        super().__init__()
        _check_choice("assigner", assigner, ASSIGNERS)
        _check_choice("cls_loss", cls_loss, CLS_LOSSES)
        _check_choice("box_quality", box_quality, BOX_QUALITIES)
        _check_choice("loc_loss_type", loc_loss_type, LOC_LOSS_TYPES)
        _check_choice("loss_normalizer", loss_normalizer, LOSS_NORMALIZERS)
        _check_choice("location_rule", location_rule, LOCATION_RULES)
        check_options(
            assigner=assigner,
            cls_loss=cls_loss,
            box_quality=box_quality,
            loc_loss_type=loc_loss_type,
            iou_smoothing=iou_smoothing,
            loss_normalizer=loss_normalizer,
            thresh_with_quality=thresh_with_quality,
        )
        if not len(in_features) == len(strides) == len(size_bounds) + 1:
            raise ValueError(
                "in_features, strides and size_bounds must describe L, L and L - 1 levels, got "
                f"{in_features}, {strides} and {size_bounds}"
            )
        if yield_proposals and yield_box_features:
            raise ValueError(
                "yield_proposals and yield_box_features exclude each other: detectron2's second "
                "stage takes proposals with their two fields only"
            )
        if (head.num_classes, head.num_levels) != (num_classes, len(strides)):
            raise ValueError(
                f"head is for {head.num_classes} classes and {head.num_levels} levels, num_classes "
                f"and strides are for {num_classes} and {len(strides)}"
            )
        if head.quality_branch != (box_quality != "none"):
            raise ValueError(
                f"box_quality is {box_quality!r}, but the head was built with quality_branch="
                f"{head.quality_branch}"
            )
        self.fcos_head = head
        self.num_classes = num_classes
        self.in_features = list(in_features)
        self.strides = list(strides)
        self.location_rule = location_rule
        self.target_maker = TargetMaker(
            assigner=assigner,
            num_classes=num_classes,
            strides=self.strides,
            size_ranges=size_ranges_from_bounds(list(size_bounds)),
            inclusive_size_ranges=inclusive_size_ranges,
            center_sampling_radius=center_sampling_radius if center_sampling else None,
            atss_topk=atss_topk,
            atss_anchor_scale=atss_anchor_scale,
            tal_topk=tal_topk,
            tal_alpha=tal_alpha,
            tal_beta=tal_beta,
        )
        self.criterion = Criterion(
            num_classes=num_classes,
            cls_loss=cls_loss,
            focal_alpha=focal_alpha,
            focal_gamma=focal_gamma,
            box_quality=box_quality,
            loc_loss_type=loc_loss_type,
            iou_smoothing=iou_smoothing,
            centerness_weighted_loc=centerness_weighted_loc,
            loss_weight_cls=loss_weight_cls,
            loss_weight_loc=loss_weight_loc,
            loss_weight_quality=loss_weight_quality,
        )
        self.loss_normalizers = LossNormalizers(
            "alignment" if self.target_maker.needs_predictions else loss_normalizer
        )
        self.yield_proposals = yield_proposals
        self.yield_box_features = yield_box_features
        self.clip_before_nms = clip_before_nms
        shared = {"thresh_with_quality": thresh_with_quality, "nms_thresh": nms_thresh}
        self.train_selection = shared | {
            "score_thresh": score_thresh_train,
            "topk_candidates": topk_candidates_train,
            "max_detections": max_detections_train,
        }
        self.test_selection = shared | {
            "score_thresh": score_thresh_test,
            "topk_candidates": topk_candidates_test,
            "max_detections": max_detections_test,
        }

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        fcos = cfg.MODEL.FCOS
        return {
            "head": FCOSHead(cfg, level_shapes(input_shape, fcos.IN_FEATURES, fcos.FPN_STRIDES)),
            "num_classes": fcos.NUM_CLASSES,
            "in_features": fcos.IN_FEATURES,
            "strides": fcos.FPN_STRIDES,
            "size_bounds": fcos.SIZES_OF_INTEREST,
            "location_rule": fcos.LOCATION_RULE,
            "assigner": fcos.ASSIGNER,
            "inclusive_size_ranges": fcos.INCLUSIVE_SIZE_RANGES,
            "center_sampling": fcos.CENTER_SAMPLE,
            "center_sampling_radius": fcos.POS_RADIUS,
            "atss_topk": fcos.ATSS_TOPK,
            "atss_anchor_scale": fcos.ATSS_ANCHOR_SCALE,
            "tal_topk": fcos.TAL_TOPK,
            "tal_alpha": fcos.TAL_ALPHA,
            "tal_beta": fcos.TAL_BETA,
            "cls_loss": fcos.CLS_LOSS,
            "box_quality": fcos.BOX_QUALITY,
            "loc_loss_type": fcos.LOC_LOSS_TYPE,
            "iou_smoothing": fcos.IOU_SMOOTHING,
            "centerness_weighted_loc": fcos.CENTERNESS_WEIGHTED_LOC,
            "loss_normalizer": fcos.LOSS_NORMALIZER_CLS,
            "loss_weight_cls": fcos.LOSS_WEIGHT_CLS,
            "loss_weight_loc": fcos.LOSS_WEIGHT_LOC,
            "loss_weight_quality": fcos.LOSS_WEIGHT_CTR,
            "focal_alpha": fcos.LOSS_ALPHA,
            "focal_gamma": fcos.LOSS_GAMMA,
            "thresh_with_quality": fcos.THRESH_WITH_CTR,
            "nms_thresh": fcos.NMS_TH,
            "clip_before_nms": fcos.CLIP_BEFORE_NMS,
            "score_thresh_train": fcos.INFERENCE_TH_TRAIN,
            "score_thresh_test": fcos.INFERENCE_TH_TEST,
            "topk_candidates_train": fcos.PRE_NMS_TOPK_TRAIN,
            "topk_candidates_test": fcos.PRE_NMS_TOPK_TEST,
            "max_detections_train": fcos.POST_NMS_TOPK_TRAIN,
            "max_detections_test": fcos.POST_NMS_TOPK_TEST,
            "yield_proposals": fcos.YIELD_PROPOSAL,
            "yield_box_features": fcos.YIELD_BOX_FEATURES,
        }

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
            gt_instances: N `Instances` with gt_boxes and gt_classes; needed in training.

        Returns:
            detections: N `Instances`, or None in training unless `yield_proposals`.
            losses: empty in inference.
        """
        outputs = self.fcos_head([features[name] for name in self.in_features])
        # Losses and box arithmetic run in float32 under autocast, in float64 in a double model.
        with torch.autocast(images.tensor.device.type, enabled=False):
            outputs = HeadOutputs(
                *([at_least_float32(x) for x in field] for field in outputs[:3]),
                outputs.box_features,
            )
            sizes = [tuple(x.shape[-2:]) for x in outputs.cls_logits]
            padded_size = tuple(images.tensor.shape[-2:])
            grids = location_grids(sizes, self.strides, padded_size, self.location_rule)
            locations = [level_locations(grid, like=outputs.cls_logits[0]) for grid in grids]
            if not self.training:
                return self.detect(images, locations, outputs, self.test_selection), {}
            losses = self.losses(grids, locations, outputs, gt_instances)
            if not self.yield_proposals:
                return None, losses
            with torch.no_grad():
                return self.detect(images, locations, outputs, self.train_selection), losses

    def losses(
        self,
        grids: list[LocationGrid],
        locations: list[Tensor],
        outputs: HeadOutputs,
        gt_instances: list[Instances],
    ) -> dict[str, Tensor]:
        """The losses of a batch, see `Criterion.losses`.

        Args:
            grids: of the L levels.
            locations: L tensors (Hi * Wi, 2), px.
            outputs: of the head.
            gt_instances: N, with gt_boxes and gt_classes.
        """
        cls_logits, ltrb_in_strides, quality_logits = _flatten_levels(outputs)  # (N, R, ...)
        targets = self._targets(grids, locations, gt_instances, cls_logits, ltrb_in_strides)
        self._log_positives(targets, [len(x) for x in locations])
        return self.criterion.losses(
            cls_logits, ltrb_in_strides, quality_logits, targets, self.loss_normalizers
        )

    def target_sums(self, padded_size: tuple[int, int], gt_instances: list[Instances]) -> Tensor:
        """What the losses of a batch are divided by, without a look at its images.

        Args:
            padded_size: height and width of the batch, px.
            gt_instances: N, with gt_boxes and gt_classes.

        Returns:
            (3,), see `normalizers.target_sums`.
        """
        sizes = [tuple(-(-side // stride) for side in padded_size) for stride in self.strides]
        grids = location_grids(sizes, self.strides, padded_size, self.location_rule)
        like = gt_instances[0].gt_boxes.tensor
        locations = [level_locations(grid, like=like) for grid in grids]
        targets = self._targets(grids, locations, gt_instances)
        positive = targets.labels < self.num_classes
        return target_sums(positive, self.criterion.loc_weights(targets))

    def _targets(
        self,
        grids: list[LocationGrid],
        locations: list[Tensor],
        gt_instances: list[Instances],
        cls_logits: Tensor | None = None,
        ltrb_in_strides: Tensor | None = None,
    ) -> Targets:
        """Of N images; the predictions (N, R, ...) are for assigners that look at them."""
        # A first stage with one class finds objects of all classes alike.
        class_agnostic = self.yield_proposals and self.num_classes == 1
        predictions = [(None, None)] * len(gt_instances)
        if self.target_maker.needs_predictions:
            predictions = zip(cls_logits.detach(), ltrb_in_strides.detach(), strict=True)
        return self.target_maker.of_batch(
            [
                self.target_maker.targets(
                    x.gt_boxes.tensor,
                    torch.zeros_like(x.gt_classes) if class_agnostic else x.gt_classes,
                    grids,
                    locations,
                    *predicted,
                )
                for x, predicted in zip(gt_instances, predictions, strict=True)
            ]
        )

    def _log_positives(self, targets: Targets, level_sizes: list[int]) -> None:
        # Not in every iteration, because the numbers have to come from the GPU.
        if not has_event_storage() or (get_event_storage().iter + 1) % LOG_PERIOD:
            return
        positive = (targets.labels < self.num_classes).split(level_sizes, dim=1)
        counts = torch.stack([level.sum() for level in positive]).tolist()
        for name, count in zip(self.in_features, counts, strict=True):
            get_event_storage().put_scalar(f"fcos/num_pos_{name}", count)

    @torch.no_grad()
    def detect(
        self, images: ImageList, locations: list[Tensor], outputs: HeadOutputs, selection: dict
    ) -> list[Instances]:
        """Boxes of every image, in pixels of the network input, best first."""
        ltrb = [x * stride for x, stride in zip(outputs.ltrb_in_strides, self.strides, strict=True)]
        outputs = outputs._replace(ltrb_in_strides=ltrb)
        detections = []
        for n, image_size in enumerate(images.image_sizes):
            cls_logits, ltrb, quality_logits, features = (
                [x[n].flatten(1).T for x in field] for field in outputs
            )  # (Hi * Wi, K), (Hi * Wi, 4), (Hi * Wi, 1), (Hi * Wi, C)
            quality_logits = [x[:, 0] for x in quality_logits]
            boxes = select_detections(
                locations,
                cls_logits,
                ltrb,
                quality_logits,
                clip_size=image_size if self.clip_before_nms else None,
                **selection,
            )
            detections.append(self._pack(boxes, image_size, features))
        return detections

    def _pack(
        self, detections: Detections, image_size: tuple[int, int], features: list[Tensor]
    ) -> Instances:
        instances = Instances(image_size)
        if self.yield_proposals:
            instances.proposal_boxes = Boxes(detections.boxes)
            instances.objectness_logits = detections.scores.logit(eps=1e-6)
        else:
            instances.pred_boxes = Boxes(detections.boxes)
            instances.scores = detections.scores
            instances.pred_classes = detections.classes
        if self.yield_box_features:
            instances.box_features = torch.cat(features)[detections.location_idxs]
        return instances


@PROPOSAL_GENERATOR_REGISTRY.register()
def FCOS(cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> FCOSProposalGenerator:
    """The value "FCOS" of MODEL.PROPOSAL_GENERATOR.NAME."""
    return FCOSProposalGenerator(cfg, input_shape)


def _flatten_levels(outputs: HeadOutputs) -> tuple[Tensor, Tensor, Tensor | None]:
    """Class logits (N, R, K), distances (N, R, 4) and quality logits (N, R), if any."""
    cls_logits, ltrb, quality_logits = (
        torch.cat([x.flatten(2).transpose(1, 2) for x in field], dim=1) if field else None
        for field in outputs[:3]
    )
    return cls_logits, ltrb, None if quality_logits is None else quality_logits[..., 0]


def _check_choice(name: str, value: str, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise ValueError(f"{name} must be one of {legal}, got {value!r}")
