"""Inference beside the same model unfolded, and beside torchvision's and detectron2's FCOS.

Whole models of random weights on one random image: preprocessing, network, selection.
"""

import copy
import functools
import statistics
from collections.abc import Callable

import torch
from detectron2 import model_zoo as detectron2_zoo
from detectron2.config import instantiate
from torch import Tensor, nn
from torchvision.models.detection import FCOS as TorchvisionFCOS
from torchvision.models.detection import fcos_resnet50_fpn

from benchmarks.assignment import NUM_CLASSES
from benchmarks.common import row_beside_peers, suite_row
from fcos_d2 import model_zoo
from fcos_d2.benchmark.timing import time_in_turns
from fcos_d2.modeling.folding import fold_batch_norms
from fcos_d2.modeling.winograd import use_winograd

# How often a folded model must be as fast as the same in NCHW with its norms.
FOLDING_TARGETS = {"FCOS-RT/R50": 1.15, "FCOS-RT/DLA34": 1.1}
PEER_TARGET = 1.15
WINOGRAD_TARGET = 1.1


def measure_folding(
    names: list[str], size: tuple[int, int], repeats: int, warmup: int = 2
) -> list[dict]:
    """Models of the zoo, folded and in channels-last against NCHW with norms, in eager mode.

    Args:
        names: of configs, such as "FCOS-RT/R50", one row each.
        size: height and width of the input, px.
        repeats: measured calls of each, in turns.
        warmup: calls before them.

    Returns:
        Rows of the suite, see `row_beside_peers`, in ms.
    """
    rows = []
    for name in names:
        plain = our_model(name)
        subjects = {"ours": fold_batch_norms(plain), "unfolded": plain}
        medians = detection_medians(subjects, size, repeats, warmup)
        rows.append(row_beside_peers(name, medians, "ms", FOLDING_TARGETS.get(name)))
    return rows


def measure_peers(size: tuple[int, int], repeats: int, warmup: int = 2) -> list[dict]:
    """FCOS R50 as the predictor runs it, and those of torchvision and detectron2.

    Args:
        size, repeats, warmup: see `measure_folding`.

    Returns:
        One row of the suite, see `row_beside_peers`, in ms.
    """
    subjects = {
        "ours": fold_batch_norms(our_model("FCOS/R50-1x")),
        "torchvision": torchvision_model(size),
        "detectron2": detectron2_model(),
    }
    medians = detection_medians(subjects, size, repeats, warmup)
    return [row_beside_peers("FCOS R50", medians, "ms", PEER_TARGET)]


def measure_winograd(
    names: list[str], size: tuple[int, int], repeats: int, warmup: int = 2
) -> list[dict]:
    """Folded models of the zoo with Winograd's towers against the same without.

    Args, Returns: see `measure_folding`; the note has the largest difference of a class logit.
    """
    rows = []
    for name in names:
        direct = fold_batch_norms(our_model(name))
        subjects = {"ours": copy.deepcopy(direct), "direct": direct}
        use_winograd(subjects["ours"].proposal_generator.fcos_head)
        medians = detection_medians(subjects, size, repeats, warmup)
        note = f"class logits differ by {largest_difference(*subjects.values(), size):.0e}"
        values = medians["ours"], medians["direct"]
        rows.append(suite_row(name, *values, "ms", WINOGRAD_TARGET, note))
    return rows


@torch.inference_mode()
def largest_difference(a: nn.Module, b: nn.Module, size: tuple[int, int]) -> float:
    """Of a class logit on noise of `size` (h, w), which both see as the same features."""
    generator = torch.Generator().manual_seed(0)
    features = b.backbone(torch.randn(1, 3, *size, generator=generator))
    features = [features[name] for name in b.proposal_generator.in_features]
    logits = [x.proposal_generator.fcos_head(features).cls_logits for x in (a, b)]
    return max(float((x - y).abs().max()) for x, y in zip(*logits, strict=True))


def detection_medians(
    models: dict[str, nn.Module], size: tuple[int, int], repeats: int, warmup: int
) -> dict[str, float]:
    """Median milliseconds of each model on one image of `size` (h, w)."""
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    calls = {name: detection_call(model, image) for name, model in models.items()}
    with torch.inference_mode():
        times = time_in_turns(calls, warmup, repeats)
    return {name: statistics.median(values) for name, values in times.items()}


def our_model(name: str) -> nn.Module:
    """A model of the zoo on the CPU, in evaluation mode, in torch's usual memory layout."""
    return model_zoo.get_model(name, ["MODEL.DEVICE", "cpu"]).eval()


def torchvision_model(size: tuple[int, int]) -> nn.Module:
    """torchvision's FCOS; it keeps images of `size` (h, w) as they are."""
    limits = {"min_size": min(size), "max_size": max(size)}
    return fcos_resnet50_fpn(weights_backbone=None, num_classes=NUM_CLASSES, **limits).eval()


def detectron2_model() -> nn.Module:
    """detectron2's FCOS R50, as its own config builds it."""
    config = detectron2_zoo.get_config("COCO-Detection/fcos_R_50_FPN_1x.py")
    return instantiate(config.model).eval()


def detection_call(model: nn.Module, image: Tensor) -> Callable[[], object]:
    """Runs `model` on the image (3, h, w) in [0, 1], in the input format of its library."""
    if isinstance(model, TorchvisionFCOS):
        return functools.partial(model, [image])
    return functools.partial(model, [{"image": image * 255}])
