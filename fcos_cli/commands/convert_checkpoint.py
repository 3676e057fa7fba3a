"""Turns the checkpoint of another FCOS into one of ours, with the config that runs it.

    python tools/convert_checkpoint.py fcos_resnet50_fpn_coco-99b0c9b7.pth --output fcos.pth

writes fcos.pth and fcos.yaml. The origin is told by the names in the file: AdelaiDet,
tianzhi0549/FCOS, torchvision, detectron2. train_net.py and demo.py load such files without
conversion, too, if they are given the right config; this finds it.
"""

import argparse
import sys
import warnings
from functools import partial
from pathlib import Path

import fcos_d2  # noqa: F401, first, because it silences a warning of detectron2

# isort: split
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from torch import Tensor

from fcos_d2 import model_zoo
from fcos_d2.building import build_detector
from fcos_d2.checkpoint import recognise
from fcos_d2.checkpoint.contents import weights_apart
from fcos_d2.checkpoint.reading import read_checkpoint
from fcos_d2.checkpoint.report import LoadingReport, compare
from fcos_d2.checkpoint.sources import HEAD, Source
from fcos_d2.checkpoint.writing import write_checkpoint
from fcos_deploy.door import enter
from fcos_deploy.text import say
from fcos_deploy.writing import write_text

CLASS_BIAS = f"{HEAD}cls_logits.bias"


def load_config(name: str, num_classes: int) -> CfgNode:
    """A config of the zoo, or a file, for a model without memory behind its tensors."""
    return model_zoo.get_config(
        name, ["MODEL.FCOS.NUM_CLASSES", str(num_classes), "MODEL.DEVICE", "meta"]
    )


def convert(
    state: dict[str, Tensor], source: Source, name: str
) -> tuple[CfgNode, dict, LoadingReport]:
    """The weights under our names for the model of a config.

    Args:
        state: of the file.
        source: its origin.
        name: of the config.

    Returns:
        The config, the converted state dict and the loading report.
    """
    cfg = load_config(name, num_classes=80)
    with torch.device("meta"):
        keys = build_detector(cfg).state_dict()
    converted = source.convert(state, keys)
    if CLASS_BIAS not in converted:
        raise ValueError("no head of FCOS in it; a classifier needs no conversion, train from it")
    cfg = load_config(name, num_classes=len(converted[CLASS_BIAS]))
    with torch.device("meta"):
        model = build_detector(cfg)
    report = compare(name, source, converted, model.state_dict())
    return cfg, converted, report


def candidates(source: Source) -> list[str]:
    """Configs that may belong to weights of `source`, the most likely first."""
    own = {"torchvision FCOS": "Converted/TorchVision", "detectron2 FCOS": "Converted/detectron2"}
    prefixes = (own[source.name],) if source.name in own else ("FCOS/", "FCOS-RT/")
    return [name for name in model_zoo.list_configs() if name.startswith(prefixes)]


def fitting(state: dict[str, Tensor], source: Source) -> list[str]:
    """The candidates whose model has exactly these weights."""
    names = []
    for name in candidates(source):
        _, _, report = convert(state, source, name)
        if report.complete:
            names.append(name)
    return names


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="file of the other project")
    parser.add_argument("--output", type=Path, required=True, help="file to write, .pth")
    parser.add_argument(
        "--config", help="name or file; default: the first config of the zoo that fits"
    )
    parser.add_argument(
        "--trust-checkpoint", metavar="FILE", help="open this pickle, which can run code"
    )
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    return enter(partial(run, args))


def run(args: argparse.Namespace) -> int:
    """Converts; raises ValueError or OSError with what is wrong."""
    loaded = weights_apart(read_checkpoint(args.checkpoint, args.trust_checkpoint), args.checkpoint)
    source = recognise(loaded["model"])
    if source is None:
        first = ", ".join(list(loaded["model"])[:3])
        raise ValueError(f"{args.checkpoint}: no known origin; its first weights are {first}")
    names = [args.config] if args.config else fitting(loaded["model"], source)
    if not names:
        raise ValueError(
            f"{args.checkpoint}: weights of {source.name}, but no config of the zoo has exactly "
            "these; name the nearest with --config to see what differs"
        )
    cfg, state, report = convert(loaded["model"], source, names[0])
    report.path = args.checkpoint
    say(report)
    if not report.complete:
        raise ValueError(f"{names[0]} does not fit {args.checkpoint}")
    save(cfg, state, loaded.get("class_names"), args.output)
    print(f"config: {names[0]}" + (f" (also fit: {', '.join(names[1:])})" if names[1:] else ""))
    if source.hint and names[0] not in source.hint:
        print(f"note: {source.hint}")
    say(f"wrote {args.output} and {args.output.with_suffix('.yaml')}")
    return 0


def save(cfg: CfgNode, state: dict, class_names: list[str] | None, output: Path) -> None:
    """Writes the checkpoint and, beside it, the config that names it."""
    if class_names is None and cfg.MODEL.FCOS.NUM_CLASSES == 80:
        class_names = MetadataCatalog.get("coco_2017_val").thing_classes
    output.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(output, {"model": state, "class_names": class_names})
    cfg.MODEL.DEVICE = "cuda"  # the CPU is taken where there is none
    cfg.MODEL.WEIGHTS = str(output)
    write_text(output.with_suffix(".yaml"), cfg.dump())


if __name__ == "__main__":
    sys.exit(main())
