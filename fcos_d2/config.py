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
    # Levels that the neck adds above P5: 0, 1 (P6) or 2 (P6, P7), starting from the neck's "P5" or
    # the backbone's "C5".
    fcos.TOP_LEVELS = 2
    fcos.TOP_LEVELS_FROM = "P5"

    # Head. Convolutions of the shared tower and of the two private ones.
    fcos.NUM_SHARE_CONVS = 0
    fcos.NUM_CLS_CONVS = 4
    fcos.NUM_BOX_CONVS = 4
    # "GN" with 32 groups, "BN" or "SyncBN" with one norm per level, or "none".
    fcos.NORM = "GN"
    # Multiply the regression of each level by a learned number.
    fcos.USE_SCALE = True
    # Distances are relu(x); False: exp(x).
    fcos.USE_RELU = True
    # The head predicts distances in strides; False: in px, as the first FCOS did.
    fcos.NORM_REG_TARGETS = True
    # The last convolution of each private tower is deformable.
    fcos.USE_DEFORMABLE = False
    # The quality predictor sits on the box branch; False: on the classification branch.
    fcos.CENTERNESS_ON_REG = True
    # What that predictor learns: "ctrness" or "iou" (of the predicted with the true box); "none":
    # there is none, and the score is the class probability.
    fcos.BOX_QUALITY = "ctrness"
    # Class probability that an untrained head gives.
    fcos.PRIOR_PROB = 0.01
    # Bias of the untrained regression layer: with USE_RELU, the distances that it starts from.
    fcos.BOX_BIAS_INIT = 0.0

    # Input pixel of cell i on a level: "center", i * stride + stride // 2; or "corner", i times
    # (padded side of the batch // cells of the level), as in torchvision.
    fcos.LOCATION_RULE = "center"

    # Assignment: "size_ranges" as in the paper; "atss"; or "task_aligned", which needs soft class
    # targets (CLS_LOSS), boxes with an area from the start (USE_RELU False or BOX_BIAS_INIT 2), and
    # LOSS_NORMALIZER_CLS "fg".
    fcos.ASSIGNER = "size_ranges"
    # For "size_ranges": limits of max(left, top, right, bottom) between the levels, px; a distance
    # that equals a limit belongs to both levels, or to none if INCLUSIVE_SIZE_RANGES is off.
    fcos.SIZES_OF_INTEREST = [64, 128, 256, 512]
    fcos.INCLUSIVE_SIZE_RANGES = True
    # Only locations within POS_RADIUS strides of the box centre are positive.
    fcos.CENTER_SAMPLE = True
    fcos.POS_RADIUS = 1.5

    # For "atss": candidates of each level, and side of its anchors in strides.
    fcos.ATSS_TOPK = 9
    fcos.ATSS_ANCHOR_SCALE = 8.0
    # For "task_aligned": locations of a box, and exponents of class probability and IoU.
    fcos.TAL_TOPK = 13
    fcos.TAL_ALPHA = 1.0
    fcos.TAL_BETA = 6.0

    # Losses. "focal"; "quality_focal" or "varifocal", whose targets are the IoU of the predicted
    # box. ALPHA is of the focal loss, GAMMA the exponent of each.
    fcos.CLS_LOSS = "focal"
    fcos.LOSS_ALPHA = 0.25
    fcos.LOSS_GAMMA = 2.0
    # "fg": number of positives; "moving_fg": its moving mean; "all": number of locations;
    # "moving_fg_shared": as "moving_fg", and the two other losses are divided by it as well.
    fcos.LOSS_NORMALIZER_CLS = "fg"
    # Weights of the classification, box and quality loss.
    fcos.LOSS_WEIGHT_CLS = 1.0
    fcos.LOSS_WEIGHT_LOC = 1.0
    fcos.LOSS_WEIGHT_CTR = 1.0
    # "iou", "linear_iou", "giou", "diou" or "ciou", with so many square strides added to
    # intersection and union.
    fcos.LOC_LOSS_TYPE = "giou"
    fcos.IOU_SMOOTHING = 1.0
    # Weigh the box loss of a location by its centerness.
    fcos.CENTERNESS_WEIGHTED_LOC = True

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
    # Clip boxes to the image before suppression too, not only after it.
    fcos.CLIP_BEFORE_NMS = False

    # Return first-stage proposals, in training too, for a two-stage detector: clipped to the image,
    # and none without area.
    fcos.YIELD_PROPOSAL = False
    # Add the box branch's feature vector to every detection.
    fcos.YIELD_BOX_FEATURES = False

    _add_backbone_config(cfg)

    # Where losses, rates and metrics go beside the terminal and metrics.json: "tensorboard",
    # "wandb", "mlflow"; under which names; and how many test images are drawn at each evaluation.
    cfg.LOGGING = CfgNode()
    cfg.LOGGING.BACKENDS = ("tensorboard",)
    cfg.LOGGING.PROJECT = "fcos_d2"
    cfg.LOGGING.RUN_NAME = ""
    cfg.LOGGING.IMAGES = 0

    # Data of one's own: a folder, or what the flags of the same names give. A planned run has them
    # here, so that its config alone trains or evaluates again; flags win.
    cfg.DATASETS.OWN = CfgNode()
    cfg.DATASETS.OWN.FOLDER = ""
    cfg.DATASETS.OWN.TRAIN_DATA = ""
    cfg.DATASETS.OWN.TRAIN_IMAGES = ""
    cfg.DATASETS.OWN.VAL_DATA = ""
    cfg.DATASETS.OWN.VAL_IMAGES = ""
    cfg.DATASETS.OWN.CLASSES = ""
    cfg.DATASETS.OWN.DATA_FORMAT = "auto"

    # AdelaiDet's switch; False: no flips, whatever INPUT.RANDOM_FLIP says: "horizontal", "vertical"
    # and "none" of detectron2, or "both".
    cfg.INPUT.HFLIP_TRAIN = True
    # Training fails when more of its images than this share cannot be read; up to it each is
    # logged and replaced by another.
    cfg.DATALOADER.MAX_UNREADABLE_SHARE = 0.05
    # How images are resized: "PIL", or "torch" (bilinear in float, as torchvision's detectors do).
    cfg.INPUT.RESIZE = "PIL"

    _add_augmentation_config(cfg)

    # The lowest score of a detection: one for all classes, or one for each,
    # [[cat, 0.4], [dog, 0.35]]; None: any (`fcos predict` then draws those from 0.5 on). Predictor,
    # `fcos predict` and exports obey it; evaluation does not, so that AP stays comparable.
    # `fcos report --set-threshold` writes it.
    cfg.TEST.SCORE_THRESH = None
    # Sliced inference: side of the tiles that test images are cut into, px of the original image
    # (0: they are not cut); least share of its side that a tile has in common with the next; and
    # whether the whole image is looked at, too.
    cfg.TEST.SLICE = CfgNode()
    cfg.TEST.SLICE.SIZE = 0
    cfg.TEST.SLICE.OVERLAP = 0.2
    cfg.TEST.SLICE.FULL_IMAGE = True
    # COCO's metric counts the best so many detections of a class in an image. Its own limit is 100,
    # with which all published numbers are measured; where images hold more objects, AP cannot
    # reach 100, and a warning says so. The model has a limit too, MODEL.FCOS.POST_NMS_TOPK_TEST.
    cfg.TEST.COCO_MAX_DETECTIONS = 100
    # The weights with the largest value of this are kept in model_best.pth; "" for none. Of
    # several test sets the first counts; "voc_2007_test/bbox/AP" names another. A run ends after
    # so many evaluations without a better one; 0: it does not.
    cfg.TEST.BEST_METRIC = "bbox/AP"
    cfg.TEST.EARLY_STOP_PATIENCE = 0
    # Measure the losses on the test sets, too, at each evaluation of a training, as
    # validation/total_loss and so on. An evaluation takes up to twice as long with them.
    cfg.TEST.LOSS = False
    # Short sides of test-time augmentation (TEST.AUG.ENABLED); empty: the test size times 0.8, 1
    # and 1.25. detectron2 names nine, which suit models that learned 640 to 800 px.
    cfg.TEST.AUG.MIN_SIZES = ()

    # Seconds of wall time that a run may take, such as 1200, from its command to its last line
    # (fcos train --budget 20m); 0: no limit. The run then has as many iterations as fit.
    # SOLVER.MAX_ITER, WARMUP_ITERS and STEPS, INPUT.MIX.CLOSE_ITERS and SOLVER.EMA.DECAY are for a
    # run of MAX_ITER iterations, and are stretched or shrunk with it. TEST.EVAL_PERIOD 0 then
    # evaluates about ten times, as long as this takes a twentieth of it; checkpoints come by
    # time, and SOLVER.CHECKPOINT_PERIOD has no effect.
    cfg.SOLVER.BUDGET = 0.0
    # "SGD" (with SOLVER.MOMENTUM), "Adam" or "AdamW".
    cfg.SOLVER.OPTIMIZER = "SGD"
    # With LR_SCHEDULER_NAME WarmupCosineLR: the rate is constant for this share of the run, then
    # half a cosine down to BASE_LR_END; WarmupFlatCosineLR is the same with 0.5.
    cfg.SOLVER.FLAT_SHARE = 0.0
    # The last layer of the body learns at BASE_LR times this, the one before it at that times this
    # again, ... A layer is a residual block, a VoVNet's aggregation, a level of DLA, or what timm
    # says of its models.
    cfg.SOLVER.LAYER_DECAY = 1.0
    # The whole body learns at BASE_LR times this, beside LAYER_DECAY: less than 1 for weights that
    # are to stay near what they are.
    cfg.SOLVER.BACKBONE_LR_FACTOR = 1.0
    # In this last share of the run, batch norms that learn keep their statistics, and use them as
    # in evaluation: for batches of few images.
    cfg.SOLVER.FIXED_STATISTICS_SHARE = 0.0
    # Batches that the IMS_PER_BATCH images of an iteration come in, one after the other, for
    # machines whose memory is too small for all at once.
    cfg.SOLVER.ACCUMULATE_STEPS = 1
    # Of several processes: minutes in which one makes no progress that end the run; 0: never.
    cfg.SOLVER.STALL_MINUTES = 10.0
    # Precision of SOLVER.AMP: "fp16" (GPUs only) or "bf16".
    cfg.SOLVER.AMP.PRECISION = "fp16"
    # Exponential moving average of the weights, which is evaluated and saved instead of them, and
    # the share of it that an iteration keeps.
    cfg.SOLVER.EMA = CfgNode()
    cfg.SOLVER.EMA.ENABLED = False
    cfg.SOLVER.EMA.DECAY = 0.9998
    # Evaluate the weights of the last iteration, too, as raw/bbox/AP and so on.
    cfg.SOLVER.EMA.EVALUATE_RAW = False
    # Clip the norm of all gradients together ("full_model"), beside detectron2's per-parameter
    # "value" and "norm". On by default: it costs little and saves runs. Recipes that reproduce
    # published numbers switch it off.
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "full_model"
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 35.0


def _add_augmentation_config(cfg: CfgNode) -> None:
    # Training images go through mixing, affine, crop, resize, flip and colour, in this order.
    # "short_edge" (MIN_SIZE_TRAIN, MAX_SIZE_TRAIN); "letterbox": the long side becomes SQUARE_SIZE
    # px, padded to a square in training; or "large_scale_jitter": a square of SQUARE_SIZE px cut
    # out of the image at LSJ_SCALES times that size.
    cfg.INPUT.RESIZE_RULE_TRAIN = "short_edge"
    # "short_edge" draws from MIN_SIZE_TRAIN once for all images of a batch: less is padded.
    cfg.INPUT.ONE_SIZE_PER_BATCH = False
    # "short_edge" (MIN_SIZE_TEST, MAX_SIZE_TEST) or "letterbox".
    cfg.INPUT.RESIZE_RULE_TEST = "short_edge"
    cfg.INPUT.SQUARE_SIZE = 640
    cfg.INPUT.LSJ_SCALES = (0.1, 2.0)
    # Grey level of the border around images.
    cfg.INPUT.PAD_VALUE = 114
    # Least share of its area that a box keeps through crops and warps, or it is not learned; of
    # mixed images see INPUT.MIX.MIN_VISIBLE.
    cfg.INPUT.MIN_VISIBLE = 0.0
    # Learn COCO's crowd regions as if they were objects.
    cfg.INPUT.USE_CROWD_BOXES = False

    # Largest relative changes of brightness, contrast and saturation, and largest turn of the
    # colour circle (0.5 is half of it); 0 for none.
    cfg.INPUT.COLOR_JITTER = CfgNode()
    cfg.INPUT.COLOR_JITTER.BRIGHTNESS = 0.0
    cfg.INPUT.COLOR_JITTER.CONTRAST = 0.0
    cfg.INPUT.COLOR_JITTER.SATURATION = 0.0
    cfg.INPUT.COLOR_JITTER.HUE = 0.0

    # Share of the images that are warped; largest turn and shear (degrees), shift (share of the
    # side), smallest and largest factor, and perspective (share by which a side changes).
    cfg.INPUT.AFFINE = CfgNode()
    cfg.INPUT.AFFINE.PROB = 0.0
    cfg.INPUT.AFFINE.DEGREES = 0.0
    cfg.INPUT.AFFINE.TRANSLATE = 0.1
    cfg.INPUT.AFFINE.SCALE = (0.5, 1.5)
    cfg.INPUT.AFFINE.SHEAR = 0.0
    cfg.INPUT.AFFINE.PERSPECTIVE = 0.0

    # Share of the images that are cut to a random window that holds a box whole, and smallest
    # share of each side that it has.
    cfg.INPUT.CROP_WITH_BOXES = CfgNode()
    cfg.INPUT.CROP_WITH_BOXES.PROB = 0.0
    cfg.INPUT.CROP_WITH_BOXES.MIN_SCALE = 0.3

    # Shares of the images that are mixed with others: Mosaic of 4 or 9 images, MixUp, and objects
    # with masks from another image. Objects have the size there that they have at test time, or
    # the nearest that training gives them. A mosaic is as large as its first image alone would be
    # (SQUARE_SIZE where that holds), or a square of MOSAIC_SIZE px of the network input.
    cfg.INPUT.MIX = CfgNode()
    cfg.INPUT.MIX.MOSAIC_PROB = 0.0
    cfg.INPUT.MIX.MOSAIC_IMAGES = 4
    cfg.INPUT.MIX.MOSAIC_SIZE = 0
    cfg.INPUT.MIX.MIXUP_PROB = 0.0
    cfg.INPUT.MIX.COPY_PASTE_PROB = 0.0
    # Least share of its area that a box keeps in them, unless INPUT.MIN_VISIBLE is given.
    cfg.INPUT.MIX.MIN_VISIBLE = 0.3
    # Nothing is mixed in the last part of the run: this share of SOLVER.MAX_ITER; or, where it is
    # not 0, so many iterations, whatever MAX_ITER is. CLOSE_ITERS wins.
    cfg.INPUT.MIX.CLOSE_SHARE = 0.0
    cfg.INPUT.MIX.CLOSE_ITERS = 0


def _add_backbone_config(cfg: CfgNode) -> None:
    # MODEL.BACKBONE.NAME is build_fcos_<body>_<neck>_backbone, where the body is resnet, dla,
    # vovnet, mobilenetv2 or timm and the neck fpn, pafpn or bifpn; see modeling/backbone/build.py.
    # MODEL.FPN (IN_FEATURES, OUT_CHANNELS, NORM, FUSE_TYPE) describes every neck.
    cfg.MODEL.BIFPN = CfgNode()
    # Fusion layers one after the other, and the norm after each convolution.
    cfg.MODEL.BIFPN.NUM_REPEATS = 3
    cfg.MODEL.BIFPN.NORM = "BN"

    cfg.MODEL.DLA = CfgNode()
    cfg.MODEL.DLA.CONV_BODY = "DLA34"
    # level<i> has stride 2 ** i; AdelaiDet's stage<i> is the same.
    cfg.MODEL.DLA.OUT_FEATURES = ["level3", "level4", "level5"]
    # "FrozenBN", "BN", "SyncBN" or "GN".
    cfg.MODEL.DLA.NORM = "FrozenBN"

    cfg.MODEL.VOVNET = CfgNode()
    # "V-19-slim-eSE", "V-19-eSE", "V-39-eSE", "V-57-eSE" or "V-99-eSE".
    cfg.MODEL.VOVNET.CONV_BODY = "V-39-eSE"
    cfg.MODEL.VOVNET.OUT_FEATURES = ["stage3", "stage4", "stage5"]
    cfg.MODEL.VOVNET.NORM = "FrozenBN"

    cfg.MODEL.MOBILENETV2 = CfgNode()
    # res<i> has stride 2 ** i.
    cfg.MODEL.MOBILENETV2.OUT_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.MOBILENETV2.NORM = "FrozenBN"
    # AdelaiDet's switch: build_fcos_resnet_<neck>_backbone takes a MobileNetV2.
    cfg.MODEL.MOBILENET = False

    # MODEL.BACKBONE.FREEZE_AT counts in its models as in all: 1 is the stem, 2 also res2, ...
    cfg.MODEL.TIMM = CfgNode()
    # Any feature extractor of timm, such as "convnext_tiny"; its outputs are res<i>, stride 2 ** i.
    cfg.MODEL.TIMM.NAME = "resnet18"
    # Download timm's own weights, unless a checkpoint is loaded. They want RGB images, and a mean
    # and deviation of their own: where FORMAT, PIXEL_MEAN or PIXEL_STD differ, training says so.
    cfg.MODEL.TIMM.PRETRAINED = False
    cfg.MODEL.TIMM.OUT_FEATURES = ["res3", "res4", "res5"]
    # "" keeps the norms of timm; "FrozenBN" and "SyncBN" convert its batch norms.
    cfg.MODEL.TIMM.NORM = ""

    # AdelaiDet's deformable convolution in every n-th block; only 1 is supported.
    cfg.MODEL.RESNETS.DEFORM_INTERVAL = 1
    # Keys of AdelaiDet's files that its FCOS never read: merged with a warning, without effect.
    for key in ("MODEL.VOVNET.OUT_CHANNELS", "MODEL.VOVNET.BACKBONE_OUT_CHANNELS"):
        cfg.register_deprecated_key(key)
