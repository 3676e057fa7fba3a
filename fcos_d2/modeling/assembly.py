"""The parts of a proposal generator from a yaml config: one line joins each key with the option
that it means.

Keys whose option the chosen part does not have are not read.
"""

from collections.abc import Callable

from detectron2.config import CfgNode

from ..choices import check_choice
from .assignment import SizeRangeAssigner
from .assignment_atss import ATSSAssigner
from .assignment_tal import TaskAlignedAssigner
from .criterion import Criterion
from .losses import FocalLoss
from .matching import Assigner
from .quality_focal import QualityFocalLoss, VarifocalLoss
from .selection import Selection

# By the values of MODEL.FCOS.ASSIGNER.
ASSIGNERS: dict[str, Callable[[CfgNode], Assigner]] = {
    "size_ranges": lambda fcos: SizeRangeAssigner(
        size_bounds=fcos.SIZES_OF_INTEREST,
        inclusive_size_ranges=fcos.INCLUSIVE_SIZE_RANGES,
        center_sampling_radius=fcos.POS_RADIUS if fcos.CENTER_SAMPLE else None,
    ),
    "atss": lambda fcos: ATSSAssigner(
        topk=fcos.ATSS_TOPK,
        anchor_scale=fcos.ATSS_ANCHOR_SCALE,
    ),
    "task_aligned": lambda fcos: TaskAlignedAssigner(
        topk=fcos.TAL_TOPK,
        alpha=fcos.TAL_ALPHA,
        beta=fcos.TAL_BETA,
    ),
}

# By the values of MODEL.FCOS.CLS_LOSS.
CLS_LOSSES: dict[str, Callable[[CfgNode], FocalLoss | QualityFocalLoss | VarifocalLoss]] = {
    "focal": lambda fcos: FocalLoss(alpha=fcos.LOSS_ALPHA, gamma=fcos.LOSS_GAMMA),
    "quality_focal": lambda fcos: QualityFocalLoss(beta=fcos.LOSS_GAMMA),
    # Its weight of negatives is not that of the focal loss; the paper's serves all.
    "varifocal": lambda fcos: VarifocalLoss(gamma=fcos.LOSS_GAMMA),
}


def assigner_from_config(cfg: CfgNode) -> Assigner:
    """The assignment rule that MODEL.FCOS.ASSIGNER names."""
    fcos = cfg.MODEL.FCOS
    check_choice("assigner (MODEL.FCOS.ASSIGNER)", fcos.ASSIGNER, ASSIGNERS)
    return ASSIGNERS[fcos.ASSIGNER](fcos)


def criterion_from_config(cfg: CfgNode) -> Criterion:
    """The losses; MODEL.FCOS.BOX_QUALITY "none" is the head's business."""
    fcos = cfg.MODEL.FCOS
    check_choice("cls_loss (MODEL.FCOS.CLS_LOSS)", fcos.CLS_LOSS, CLS_LOSSES)
    return Criterion(
        cls_loss=CLS_LOSSES[fcos.CLS_LOSS](fcos),
        box_quality="ctrness" if fcos.BOX_QUALITY == "none" else fcos.BOX_QUALITY,
        loc_loss_type=fcos.LOC_LOSS_TYPE,
        iou_smoothing=fcos.IOU_SMOOTHING,
        centerness_weighted_loc=fcos.CENTERNESS_WEIGHTED_LOC,
        loss_weight_cls=fcos.LOSS_WEIGHT_CLS,
        loss_weight_loc=fcos.LOSS_WEIGHT_LOC,
        loss_weight_quality=fcos.LOSS_WEIGHT_CTR,
    )


def selection_from_config(cfg: CfgNode, *, training: bool) -> Selection:
    """The selection of detections, or of first-stage proposals in training."""
    fcos = cfg.MODEL.FCOS
    return Selection(
        score_thresh=fcos.INFERENCE_TH_TRAIN if training else fcos.INFERENCE_TH_TEST,
        thresh_with_quality=fcos.THRESH_WITH_CTR,
        topk_candidates=fcos.PRE_NMS_TOPK_TRAIN if training else fcos.PRE_NMS_TOPK_TEST,
        nms_thresh=fcos.NMS_TH,
        max_detections=fcos.POST_NMS_TOPK_TRAIN if training else fcos.POST_NMS_TOPK_TEST,
        clip_before_nms=fcos.CLIP_BEFORE_NMS,
    )
