"""Every yaml key that fcos_d2 adds to detectron2's config, with meaning and unit.

The keys under MODEL.FCOS have the names that AdelaiDet's users know. Only `from_config` methods
read them.
"""

from detectron2.config import CfgNode
from detectron2.config import get_cfg as get_detectron2_cfg


def get_cfg() -> CfgNode:
    """detectron2's default config with the keys of fcos_d2."""
    cfg = get_detectron2_cfg()
    add_fcos_config(cfg)
    return cfg


def add_fcos_config(cfg: CfgNode) -> None:
    """Adds the keys of fcos_d2 to `cfg` in place."""
    fcos = CfgNode()
    cfg.MODEL.FCOS = fcos

    # Classes, without a background class.
    fcos.NUM_CLASSES = 80
    # Backbone outputs that the head reads, finest first, and their strides in px.
    fcos.IN_FEATURES = ["p3", "p4", "p5", "p6", "p7"]
    fcos.FPN_STRIDES = [8, 16, 32, 64, 128]
    # Levels that the FPN adds above P5: 0, 1 (P6) or 2 (P6, P7).
    fcos.TOP_LEVELS = 2

    # Head. Convolutions of the shared tower and of the two private ones.
    fcos.NUM_SHARE_CONVS = 0
    fcos.NUM_CLS_CONVS = 4
    fcos.NUM_BOX_CONVS = 4
    # "GN" with 32 groups, "BN" or "SyncBN" with one norm per level, or "none".
    fcos.NORM = "GN"
    # Multiply the regression of each level by a learned number.
    fcos.USE_SCALE = True
    # Distances are relu(x) in strides; False: exp(x) in strides.
    fcos.USE_RELU = True
    # The last convolution of each private tower is deformable.
    fcos.USE_DEFORMABLE = False
    # The quality predictor sits on the box branch; False: on the classification branch.
    fcos.CENTERNESS_ON_REG = True
    # What that predictor learns: "ctrness" or "iou" (of the predicted with the true box).
    fcos.BOX_QUALITY = "ctrness"
    # Class probability that an untrained head gives.
    fcos.PRIOR_PROB = 0.01

    # Assignment. Limits of max(left, top, right, bottom) between the levels, px.
    fcos.SIZES_OF_INTEREST = [64, 128, 256, 512]
    # Only locations within POS_RADIUS strides of the box centre are positive.
    fcos.CENTER_SAMPLE = True
    fcos.POS_RADIUS = 1.5

    # Losses. Focal loss.
    fcos.LOSS_ALPHA = 0.25
    fcos.LOSS_GAMMA = 2.0
    # "fg": number of positives; "moving_fg": its moving mean; "all": number of locations.
    fcos.LOSS_NORMALIZER_CLS = "fg"
    fcos.LOSS_WEIGHT_CLS = 1.0
    # "iou", "linear_iou", "giou", "diou" or "ciou".
    fcos.LOC_LOSS_TYPE = "giou"

    # Selection. Class probability that a candidate must exceed; THRESH_WITH_CTR compares the
    # product of class and quality probability instead.
    fcos.INFERENCE_TH_TRAIN = 0.05
    fcos.INFERENCE_TH_TEST = 0.05
    fcos.THRESH_WITH_CTR = False
    # Candidates per level before, detections per image after non-maximum suppression.
    fcos.PRE_NMS_TOPK_TRAIN = 1000
    fcos.PRE_NMS_TOPK_TEST = 1000
    fcos.POST_NMS_TOPK_TRAIN = 100
    fcos.POST_NMS_TOPK_TEST = 100
    # IoU above which the weaker of two boxes of a class goes; <= 0 switches suppression off.
    fcos.NMS_TH = 0.6

    # Return first-stage proposals, in training too, for a two-stage detector.
    fcos.YIELD_PROPOSAL = False
    # Add the box branch's feature vector to every detection.
    fcos.YIELD_BOX_FEATURES = False

    # "SGD" (with SOLVER.MOMENTUM) or "AdamW".
    cfg.SOLVER.OPTIMIZER = "SGD"
    # Clip the norm of all gradients together ("full_model"), beside detectron2's per-parameter
    # "value" and "norm". On by default: it costs little and saves runs. Recipes that reproduce
    # published numbers switch it off.
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "full_model"
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 35.0
