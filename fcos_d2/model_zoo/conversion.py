"""The checkpoint of another FCOS as one of ours, with the config of the zoo that runs it.

Its names show where the file comes from: AdelaiDet, tianzhi0549/FCOS, torchvision, detectron2.
Training, evaluation and the predictor load such files without conversion, too, if they are given
the right config; this finds it.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from torch import Tensor

from fcos_deploy.writing import write_text

from ..building import build_detector
from ..checkpoint import recognise
from ..checkpoint.contents import split_weights
from ..checkpoint.reading import read_checkpoint
from ..checkpoint.report import LoadingReport, compare
from ..checkpoint.sources import HEAD, Source
from ..checkpoint.writing import write_checkpoint
from .configs import get_config, list_configs

CLASS_BIAS = f"{HEAD}cls_logits.bias"


def load_config(name: str, num_classes: int) -> CfgNode:
    """A config of the zoo, or a file, for a model without memory behind its tensors."""
    return get_config(name, ["MODEL.FCOS.NUM_CLASSES", str(num_classes), "MODEL.DEVICE", "meta"])


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
    own = {
        "torchvision FCOS": "Converted/TorchVision",
        "detectron2 FCOS": "Converted/detectron2",
        "mmdetection FCOS": "Converted/mmdetection",
    }
    prefixes = (own[source.name],) if source.name in own else ("FCOS/", "FCOS-RT/")
    return [name for name in list_configs() if name.startswith(prefixes)]


def fitting(state: dict[str, Tensor], source: Source) -> list[str]:
    """The candidates whose model has exactly these weights."""
    names = []
    for name in candidates(source):
        _, _, report = convert(state, source, name)
        if report.complete:
            names.append(name)
    return names


class Conversion(NamedTuple):
    """What `convert_checkpoint` did."""

    report: LoadingReport  # nothing was written unless it is complete
    config: str  # name of the config
    also_fit: list[str]  # other configs with the same weights
    hint: str | None  # which config the origin suggests, where it is another one


def convert_checkpoint(
    path: str, output: Path, config: str | None = None, trust_checkpoint: str | None = None
) -> Conversion:
    """Writes the weights of `path` under our names, and a config that names them beside it.

    Args:
        path: file of the other project.
        output: file to write, .pth; the config gets the same name with .yaml.
        config: name or file; None takes the first of the zoo that fits.
        trust_checkpoint: see `read_checkpoint`.

    Raises:
        ValueError: an unknown origin, or weights that fit no config.
    """
    loaded = split_weights(read_checkpoint(path, trust_checkpoint), path)
    source = recognise(loaded["model"])
    if source is None:
        first = ", ".join(list(loaded["model"])[:3])
        raise ValueError(f"{path}: no known origin; its first weights are {first}")
    names = [config] if config else fitting(loaded["model"], source)
    if not names:
        raise ValueError(
            f"{path}: weights of {source.name}, but no config of the zoo has exactly these; name "
            "the nearest with --config to see what differs"
        )
    cfg, state, report = convert(loaded["model"], source, names[0])
    report.path = path
    if report.complete:
        save(cfg, state, loaded.get("class_names"), output)
    hint = source.hint if source.hint and names[0] not in source.hint else None
    return Conversion(report, names[0], names[1:], hint)


def save(cfg: CfgNode, state: dict, class_names: list[str] | None, output: Path) -> None:
    """Writes the checkpoint and, beside it, the config that names it."""
    if class_names is None and cfg.MODEL.FCOS.NUM_CLASSES == 80:
        class_names = MetadataCatalog.get("coco_2017_val").thing_classes
    output.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(output, {"model": state, "class_names": class_names})
    cfg.MODEL.DEVICE = "cuda"  # the CPU is taken where there is none
    cfg.MODEL.WEIGHTS = str(output)
    write_text(output.with_suffix(".yaml"), cfg.dump())
