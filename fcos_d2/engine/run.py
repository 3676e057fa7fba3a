"""What `train_net.py` does: one training or evaluation, from either kind of config."""

import argparse
import logging
import os

from detectron2.config import CfgNode
from detectron2.engine import default_argument_parser

from fcos_deploy.door import MISTAKES

from ..checkpoint import load_detector
from ..datasets.formats import FORMATS
from ..modeling.backbone import weights_come_later
from ..modeling.folding import fold_batch_norms
from . import lazy
from .setup import setup
from .trainer import Trainer

logger = logging.getLogger(__name__)

_EPILOG = """
examples:
  train on 8 GPUs           train_net.py --config-file configs/FCOS-RT/R50.yaml --num-gpus 8
  on your own data          train_net.py --config-file configs/FCOS-RT/R50.yaml \\
                              --train-data train.json --train-images train/ \\
                              --val-data val.json --val-images val/ \\
                              --auto-scale SOLVER.IMS_PER_BATCH 4
  go on after a stop        the same command with --resume
  evaluate a checkpoint     train_net.py --config-file ... --eval-only MODEL.WEIGHTS model.pth
  several machines          on machine i: ... --num-machines 2 --machine-rank i --dist-url URL,
                            or start it with torchrun or srun, which set the ranks; with torchrun
                            --max-restarts 3 it goes on by itself when a process is killed
  processes that get stuck  end the run after SOLVER.STALL_MINUTES (train.stall_minutes), exit code
                            124; 137: a process was killed; 75: it has lost the others
  end a training early      Ctrl-C, or the signal SIGTERM or SIGUSR1: it finishes its step, saves
                            a checkpoint for --resume, and ends with the exit code 130, 143 or 138;
                            a second Ctrl-C ends it at once
  python configs            train_net.py --config-file configs/lazy/FCOS-RT/R50.py train.max_iter=9
"""


def train_argument_parser() -> argparse.ArgumentParser:
    """detectron2's options and those for one's own data."""
    parser = default_argument_parser(epilog=_EPILOG)
    parser.description = "Train or evaluate an FCOS detector."
    parser.set_defaults(dist_url="auto")  # detectron2's port is the same for two runs of a user
    own = parser.add_argument_group(
        "own data: COCO json, VOC folder (VOC2007:trainval), YOLO data.yaml (data.yaml:val), "
        "keras-retinanet CSV, or txt lines"
    )
    own.add_argument("--train-data", "--train-json", metavar="PATH", help="to train on")
    own.add_argument("--train-images", metavar="DIR", help="its images, where not beside it")
    own.add_argument("--val-data", "--val-json", metavar="PATH", help="to evaluate on")
    own.add_argument("--val-images", metavar="DIR", help="its images, where not beside it")
    own.add_argument("--classes", metavar="FILE", help="class names, for CSV and txt")
    own.add_argument("--data-format", choices=("auto", *FORMATS), default="auto")
    own.add_argument(
        "--no-check", dest="check", action="store_false", help="train without what is wrong in it"
    )
    parser.add_argument(
        "--auto-scale",
        action="store_true",
        help="scale learning rate and schedule by the real batch size over the config file's; "
        "values given on the command line stay",
    )
    parser.add_argument(
        "--trust-checkpoint",
        metavar="FILE",
        help="open this one file of weights (path, URL or SHA-256) though it is a pickle, which "
        "can run code: detectron2's .pkl, old .pth",
    )
    parser.add_argument(
        "--trust-config",
        action="store_true",
        help="let the config.yaml of a python config call whatever it names",
    )
    return parser


def run(args: argparse.Namespace) -> dict:
    """Trains, or evaluates with --eval-only.

    Args:
        args: from `train_argument_parser`.

    Returns:
        The results of the last evaluation by task and metric.

    Raises:
        ValueError: bad config, override, data or checkpoint; names it.
    """
    # Of what the commands tell in one line, detectron2 shall not log a stack trace.
    logging.getLogger("detectron2.engine.train_loop").addFilter(_is_programming_error)
    cfg = setup(args)
    is_yaml = isinstance(cfg, CfgNode)
    output_dir = cfg.OUTPUT_DIR if is_yaml else cfg.train.output_dir
    try:
        if is_yaml:
            results = _evaluate_yaml(cfg, args) if args.eval_only else _train_yaml(cfg, args)
        else:
            results = _evaluate_lazy(cfg, args) if args.eval_only else _train_lazy(cfg, args)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # e.g. while metrics are written
            error.filename = os.path.join(output_dir, "")
        raise
    if not args.eval_only:
        logger.info("done; checkpoint, log and config are in %s", output_dir)
    return results


def _is_programming_error(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], MISTAKES))


def _train_lazy(cfg: object, args: argparse.Namespace) -> dict:
    return lazy.train(cfg, args.resume, args.trust_checkpoint)


def _train_yaml(cfg: CfgNode, args: argparse.Namespace) -> dict:
    resumes = args.resume and os.path.isfile(os.path.join(cfg.OUTPUT_DIR, "last_checkpoint"))
    with weights_come_later(resumes):
        trainer = Trainer(cfg, args.trust_checkpoint)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


def _evaluate_yaml(cfg: CfgNode, args: argparse.Namespace) -> dict:
    with weights_come_later():
        model = Trainer.build_model(cfg)
    checkpoint = load_detector(model, cfg.MODEL.WEIGHTS, args.trust_checkpoint)
    return Trainer.test(cfg, fold_batch_norms(model), class_names=checkpoint.get("class_names"))


def _evaluate_lazy(cfg: object, args: argparse.Namespace) -> dict:
    with weights_come_later():
        model = lazy.build_lazy_model(cfg).eval()
    checkpoint = load_detector(model, cfg.train.init_checkpoint, args.trust_checkpoint)
    return lazy.evaluate(cfg, fold_batch_norms(model), checkpoint.get("class_names"))
