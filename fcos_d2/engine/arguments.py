"""The options of `train_net.py`."""

import argparse

from detectron2.engine import default_argument_parser

from ..datasets.formats import FORMATS

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
    parser.add_argument(
        "--verbose", action="store_true", help="show on the terminal all that log.txt gets"
    )
    return parser
