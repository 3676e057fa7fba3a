"""From the command line to a config that is ready to run."""

import logging
import os
from argparse import Namespace
from functools import reduce
from operator import getitem

from detectron2.config import CfgNode
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig

from fcos_deploy.writing import remove_leftovers

from .. import model_zoo
from ..checkpoint import stored_class_names
from ..data.mapper import FCOSDatasetMapper
from ..data.mixing import ImageMixing
from ..datasets.catalogue import check_datasets
from ..datasets.own_data import DataFiles, OwnData, register_own_data
from .distributed import resolve_device
from .log_names import show_names
from .restarts import is_restart
from .step import check_precision

logger = logging.getLogger(__name__)

# What grows when the batch shrinks: the same number of images, in more iterations.
_YAML_SCHEDULE = (
    "SOLVER.MAX_ITER",
    "SOLVER.WARMUP_ITERS",
    "SOLVER.STEPS",
    "SOLVER.CHECKPOINT_PERIOD",
    "TEST.EVAL_PERIOD",
    "INPUT.MIX.CLOSE_ITERS",
)


def setup(args: Namespace) -> CfgNode | DictConfig:
    """The config of a run: file, overrides, own data, scaling and device. Starts logging.

    Args:
        args: as `train_net.py` parses them.

    Returns:
        A frozen CfgNode, or a DictConfig.

    Raises:
        ValueError: bad config, override or data; names it.
    """
    args.config_file = model_zoo.get_config_file(args.config_file)
    cfg = model_zoo.get_config(args.config_file, args.opts, args.trust_config)
    is_yaml = isinstance(cfg, CfgNode)
    output_dir = cfg.OUTPUT_DIR if is_yaml else cfg.train.output_dir
    os.makedirs(output_dir, exist_ok=True)
    for name in ("fcos_d2", "fvcore"):
        setup_logger(output_dir, distributed_rank=comm.get_rank(), name=name)
    setup_logger(output_dir, distributed_rank=comm.get_rank())  # as `default_setup` asks for it
    show_names("fcos_d2", "fvcore", "detectron2")
    if comm.is_main_process():
        for path in remove_leftovers(output_dir):
            logger.info("removed %s, half-written by a run that was killed", path)

    if not (args.eval_only or args.resume):
        args.resume = is_restart(output_dir)

    own_data = _own_data(args, output_dir, use_of_masks(cfg))
    class_names = own_data.class_names if own_data is not None else None
    if args.eval_only:
        weights = cfg.MODEL.WEIGHTS if is_yaml else cfg.train.init_checkpoint
        class_names = _trained_classes(weights, args.trust_checkpoint) or class_names
    if is_yaml:
        _finish_yaml(cfg, args, own_data, class_names)
        cfg.freeze()
        check_datasets([*([] if args.eval_only else cfg.DATASETS.TRAIN), *cfg.DATASETS.TEST])
    else:
        _finish_lazy(cfg, args, own_data, class_names)
    default_setup(cfg, args)
    return cfg


def use_of_masks(cfg: CfgNode | DictConfig) -> str:
    """Whether training needs the masks of objects; see `learned_fields`."""
    if isinstance(cfg, CfgNode):
        required, pasted = cfg.MODEL.MASK_ON, cfg.INPUT.MIX.COPY_PASTE_PROB > 0
    else:
        mapper = cfg.dataloader.train.mapper
        required = mapper.get("use_instance_mask", False)
        pasted = mapper.get("mixing", {}).get("copy_paste_prob", 0) > 0
    return "required" if required else "optional" if pasted else "unused"


def _own_data(args: Namespace, output_dir: str, masks: str) -> OwnData | None:
    if not args.train_data and not args.val_data:
        for word in ("train_images", "val_images", "classes"):
            if getattr(args, word):
                flag = word.replace("_", "-")
                raise ValueError(f"--{flag} is given without --train-data or --val-data")
        return None
    if not args.train_data and not args.eval_only:
        raise ValueError("training on own data needs --train-data")
    if not args.val_data and args.eval_only:
        raise ValueError("--eval-only on own data needs --val-data")
    return register_own_data(
        DataFiles(args.train_data, args.train_images) if args.train_data else None,
        DataFiles(args.val_data, args.val_images) if args.val_data else None,
        output_dir,
        classes=args.classes,
        format=args.data_format,
        check=args.check,
        masks=masks,
    )


def _trained_classes(weights: str, trust_checkpoint: str | None) -> list[str] | None:
    """The classes of what is evaluated, which win over those of config and data."""
    if not weights:
        raise ValueError(
            "--eval-only needs the checkpoint of a trained detector: MODEL.WEIGHTS model.pth "
            "(train.init_checkpoint=model.pth)"
        )
    class_names = stored_class_names(weights, trust_checkpoint)
    if class_names is None:
        logger.warning(
            "%s does not name its classes: they are taken to be those of the data, in its order",
            weights,
        )
    return class_names


def _finish_yaml(
    cfg: CfgNode, args: Namespace, own_data: OwnData | None, class_names: list[str] | None
) -> None:
    if class_names is not None:
        num_classes = len(class_names)
        two_stage = cfg.MODEL.FCOS.YIELD_PROPOSAL
        section = "ROI_HEADS" if two_stage else "FCOS"
        _refuse_other_class_count(f"MODEL.{section}.NUM_CLASSES", args, num_classes)
        cfg.MODEL[section].NUM_CLASSES = num_classes
        if two_stage and cfg.MODEL.FCOS.NUM_CLASSES > 1:  # with 1 it tells objects from background
            cfg.MODEL.FCOS.NUM_CLASSES = num_classes
    if own_data is not None:
        cfg.DATASETS.TRAIN = (own_data.train,) if own_data.train else ()
        cfg.DATASETS.TEST = (own_data.val,) if own_data.val else ()
    if args.auto_scale:
        file_batch = model_zoo.get_config(
            args.config_file, trust_config=args.trust_config
        ).SOLVER.IMS_PER_BATCH
        scale_yaml(cfg, cfg.SOLVER.IMS_PER_BATCH / file_batch, given=args.opts)
    cfg.MODEL.DEVICE = resolve_device(cfg.MODEL.DEVICE, args.num_gpus)
    if cfg.SOLVER.AMP.ENABLED:
        check_precision(cfg.SOLVER.AMP.PRECISION, cfg.MODEL.DEVICE)


def _finish_lazy(
    cfg: DictConfig, args: Namespace, own_data: OwnData | None, class_names: list[str] | None
) -> None:
    if class_names is not None:
        num_classes = len(class_names)
        generator, two_stage = cfg.model.proposal_generator, "roi_heads" in cfg.model
        key = "roi_heads" if two_stage else "proposal_generator.head"
        _refuse_other_class_count(f"model.{key}.num_classes", args, num_classes)
        if two_stage:
            cfg.model.roi_heads.num_classes = num_classes
        if not two_stage or generator.head.num_classes > 1:
            generator.head.num_classes = num_classes
    if own_data is not None:
        cfg.dataloader.train.dataset.names = own_data.train or []
        cfg.dataloader.test.dataset.names = own_data.val or []
    if cfg.dataloader.train.mapper.get("_target_") is FCOSDatasetMapper:
        listed = os.path.join(cfg.train.output_dir, "unreadable_images.txt")
        cfg.dataloader.train.mapper.unreadable_list = listed
        mixing = cfg.dataloader.train.mapper.get("mixing")
        if mixing is not None and mixing.get("_target_") is ImageMixing:
            mixing.setdefault("max_iter", "${train.max_iter}")
    if args.auto_scale:
        file_batch = model_zoo.get_config(
            args.config_file, trust_config=args.trust_config
        ).dataloader.train.total_batch_size
        scale_lazy(cfg, cfg.dataloader.train.total_batch_size / file_batch, given=args.opts)
    cfg.train.device = resolve_device(cfg.train.device, args.num_gpus)
    if cfg.train.amp.enabled:
        check_precision(cfg.train.amp.precision, cfg.train.device)


def _refuse_other_class_count(key: str, args: Namespace, num_classes: int) -> None:
    words = [word for opt in args.opts for word in opt.split("=", 1)]
    if key in words and words[words.index(key) + 1] != str(num_classes):
        source = "the checkpoint has" if args.eval_only else "the annotations have"
        raise ValueError(
            f"{key} is given as {words[words.index(key) + 1]}, but {source} {num_classes} "
            "classes; leave the key out"
        )


def scale_yaml(cfg: CfgNode, factor: float, given: list[str]) -> None:
    """Scales learning rate and schedule to another batch size, in place.

    Args:
        cfg: unfrozen.
        factor: real batch over the batch of the recipe. The learning rate is multiplied, the
            iterations are divided by it.
        given: overrides of the user; keys among them keep their values.

    Source: the linear scaling rule of arXiv 1706.02677, section 2.1.
    """
    solver = cfg.SOLVER
    changes = []
    if "SOLVER.BASE_LR" not in given:
        changes.append(f"BASE_LR {solver.BASE_LR:.4g} -> {solver.BASE_LR * factor:.4g}")
        solver.BASE_LR *= factor
    for key in _YAML_SCHEDULE:
        if key in given:
            continue
        *sections, name = key.split(".")
        section = reduce(getitem, sections, cfg)
        old = section[name]
        is_list = isinstance(old, (list, tuple))
        new = tuple(round(x / factor) for x in old) if is_list else round(old / factor)
        section[name] = new
        changes.append(f"{name} {old} -> {new}")
    logger.info("scaled to a batch of %d: %s", solver.IMS_PER_BATCH, ", ".join(changes))


def scale_lazy(cfg: DictConfig, factor: float, given: list[str]) -> None:
    """As `scale_yaml`; lr_multiplier counts in shares of the run and needs no change."""
    keys = [opt.split("=", 1)[0] for opt in given]
    changes = []
    if "optimizer.lr" not in keys:
        changes.append(f"lr {cfg.optimizer.lr:.4g} -> {cfg.optimizer.lr * factor:.4g}")
        cfg.optimizer.lr *= factor
    for key in ("max_iter", "eval_period", "checkpointer.period"):
        if f"train.{key}" in keys:
            continue
        section = cfg.train.checkpointer if key == "checkpointer.period" else cfg.train
        name = key.split(".")[-1]
        old, section[name] = section[name], round(section[name] / factor)
        changes.append(f"{key} {old} -> {section[name]}")
    mapper = cfg.dataloader.train.mapper
    if "close_at_iteration" in mapper.get("mixing", {}):
        mapper.mixing.close_at_iteration = round(mapper.mixing.close_at_iteration / factor)
    batch = cfg.dataloader.train.total_batch_size
    logger.info("scaled to a batch of %d: %s", batch, ", ".join(changes))
