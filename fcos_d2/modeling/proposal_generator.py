"""FCOS as a detectron2 proposal generator: head, losses and selection put together.

This is the one place that unpacks and packs `Instances`. With the `FCOS` meta-architecture its
proposals are the final detections; with `yield_proposals` it is the first stage of any two-stage
detector, and with one class a class-agnostic one.
"""

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import PROPOSAL_GENERATOR_REGISTRY
from detectron2.structures import ImageList, Instances
from torch import Tensor, nn

from ..key_effects import say_at_model
from .assignment import size_ranges_from_bounds
from .criterion import Criterion
from .geometry import LOCATION_RULES, LocationGrid, level_locations, location_grids
from .head import FCOSHead, HeadOutputs, level_shapes
from .normalizers import LossNormalizers
from .options import check_choice, check_head, check_levels, check_together
from .packing import pack_detections, truth_on, unpack_truth
from .selection import select_detections
from .targets import TargetMaker


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
            assigner, inclusive_size_ranges, center_sampling_radius, atss_*, tal_*: see
                `TargetMaker`.
            center_sampling: False: all locations within a box, whatever the radius.
            cls_loss, box_quality, loc_loss_type, iou_smoothing, centerness_weighted_loc,
                loss_weight_*, focal_*: see `Criterion`.
            loss_normalizer: "fg", "moving_fg", "all" or "moving_fg_shared", see `LossNormalizers`.
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
        check_choice("location_rule", location_rule, LOCATION_RULES)
        check_levels(in_features, strides, size_bounds)
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
        check_together(
            assigner=assigner,
            cls_loss=cls_loss,
            loss_normalizer=loss_normalizer,
            box_quality=box_quality,
            thresh_with_quality=thresh_with_quality,
            yield_proposals=yield_proposals,
            yield_box_features=yield_box_features,
        )
        check_head(head, num_classes, len(strides), quality_branch=box_quality != "none")
        # Whether `target_sums` cannot be told from the ground truth.
        self.normalizers_need_predictions = self.target_maker.needs_predictions
        self.loss_normalizers = LossNormalizers(
            "alignment" if self.normalizers_need_predictions else loss_normalizer, self.in_features
        )
        # A first stage with one class finds objects of all classes alike.
        self.class_agnostic = yield_proposals and num_classes == 1
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
            gt_instances: N `Instances` with gt_boxes and gt_classes; needed in training. On the
                CPU nothing waits for them.

        Returns:
            detections: N `Instances`, or None in training unless `yield_proposals`.
            losses: empty in inference.
        """
        outputs = self.fcos_head([features[name] for name in self.in_features])
        # Losses and box arithmetic run in float32 under autocast, in float64 in a double model.
        with torch.autocast(images.tensor.device.type, enabled=False):
            outputs = outputs.at_least_float32()
            sizes = [tuple(x.shape[-2:]) for x in outputs.cls_logits]
            padded_size = tuple(images.tensor.shape[-2:])
            grids = location_grids(sizes, self.strides, padded_size, self.location_rule)
            if not self.training:
                return self.detect(images, grids, outputs, self.test_selection), {}
            losses = self.losses(grids, outputs, gt_instances)
            if not self.yield_proposals:
                return None, losses
            return self.detect(images, grids, outputs, self.train_selection), losses

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
        device = predictions[0].device
        # While a GPU is busy with the head, the CPU makes the targets.
        at = device if self.normalizers_need_predictions else torch.device("cpu")
        locations = _locations(grids, predictions[0].dtype, at)
        truth = truth_on(at, unpack_truth(gt_instances, self.class_agnostic))
        targets = self.target_maker.batch_targets(truth, grids, locations, *predictions[:2])
        normalizers = self.loss_normalizers(self.criterion.target_sums(targets, locations))
        return self.criterion.losses(*predictions, targets.to(device), normalizers)

    def target_sums(self, padded_size: tuple[int, int], gt_instances: list[Instances]) -> Tensor:
        """What the losses of a batch are divided by, without a look at its images.

        Args:
            padded_size: height and width of the batch, px.
            gt_instances: N, with gt_boxes and gt_classes.

        Returns:
            (L + 2,), see `Criterion.target_sums`.

        Raises:
            ValueError: `normalizers_need_predictions`.
        """
        sizes = [tuple(-(-side // stride) for side in padded_size) for stride in self.strides]
        grids = location_grids(sizes, self.strides, padded_size, self.location_rule)
        truth = unpack_truth(gt_instances, self.class_agnostic)
        locations = _locations(grids, truth[0][0].dtype, truth[0][0].device)
        targets = self.target_maker.batch_targets(truth, grids, locations)
        return self.criterion.target_sums(targets, locations)

    @torch.no_grad()
    def detect(
        self, images: ImageList, grids: list[LocationGrid], outputs: HeadOutputs, selection: dict
    ) -> list[Instances]:
        """Boxes of every image, in pixels of the network input, best first.

        Proposals are clipped to the image, and have an area, before suppression: as those of
        detectron2's RPN, which second stages are made for.
        """
        locations = _locations(grids, outputs.cls_logits[0].dtype, outputs.cls_logits[0].device)
        ltrb = [x * stride for x, stride in zip(outputs.ltrb_in_strides, self.strides, strict=True)]
        outputs = outputs._replace(ltrb_in_strides=ltrb)
        packed = []
        selection = {**selection, "drop_empty": self.yield_proposals}
        for n, image_size in enumerate(images.image_sizes):
            *predictions, features = outputs.of_image(n)
            clip_size = image_size if self.clip_before_nms or self.yield_proposals else None
            found = select_detections(locations, *predictions, clip_size=clip_size, **selection)
            features = features if self.yield_box_features else None
            packed.append(pack_detections(found, image_size, self.yield_proposals, features))
        return packed


def _locations(grids: list[LocationGrid], dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    like = torch.empty(0, dtype=dtype, device=device)
    return [level_locations(grid, like) for grid in grids]


@PROPOSAL_GENERATOR_REGISTRY.register()
def FCOS(cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> FCOSProposalGenerator:
    """The value "FCOS" of MODEL.PROPOSAL_GENERATOR.NAME: what every model from yaml is built by."""
    say_at_model(cfg)
    return FCOSProposalGenerator(cfg, input_shape)
