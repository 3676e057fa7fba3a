"""Time and memory to assign the locations of one image to its boxes, beside two peers."""

import argparse
import functools
import math
import statistics
from collections.abc import Callable
from types import SimpleNamespace

import torch
from detectron2.modeling.meta_arch.fcos import FCOS as Detectron2FCOS
from detectron2.structures import Boxes, Instances
from torch import Tensor
from torchvision.models.detection import FCOS as TorchvisionFCOS

from benchmarks.common import peak_memory
from fcos_d2.benchmark.machine import describe_machine
from fcos_d2.benchmark.timing import markdown_list, markdown_table, time_in_turns
from fcos_d2.modeling.assignment import SizeRangeAssigner
from fcos_d2.modeling.criterion import Targets
from fcos_d2.modeling.geometry import LocationGrid, level_locations
from fcos_d2.modeling.matching import Truth

STRIDES = [8, 16, 32, 64, 128]
SIZE_BOUNDS = [64, 128, 256, 512]
NUM_CLASSES = 80

Levels = tuple[list[LocationGrid], list[Tensor], list[Tensor]]  # see `levels_of`


def run_assignment(arguments: argparse.Namespace) -> None:
    """Print the table; raises ValueError for a peer without centre sampling."""
    if arguments.peer and arguments.center_sampling_radius is None:
        raise ValueError("--peer needs a radius: the peers always sample around the centre")
    torch.set_num_threads(arguments.threads)
    height, width = arguments.height, arguments.width
    levels = levels_of(height, width)
    print(f"Assignment of the {sum(map(len, levels[1]))} locations of a {height} x {width} image")
    print(f"on {len(STRIDES)} levels, radius {arguments.center_sampling_radius}:", end=" ")
    print(f"median and range of {arguments.repeats} calls in turns after {arguments.warmup}")
    print("warm-up calls; peak of torch's CPU allocator by torch.profiler.\n")
    print(markdown_list(describe_machine()) + "\n")
    rows = []
    for num_boxes in arguments.boxes:
        boxes, classes = random_truth(num_boxes, height, width, arguments.seed)
        subjects = assignment_subjects(boxes, classes, levels, arguments)
        times = time_in_turns(subjects, arguments.warmup, arguments.repeats)
        memory = {name: peak_memory(function) for name, function in subjects.items()}
        rows += [assignment_row(num_boxes, name, times, memory) for name in subjects]
    header = ["boxes", "", "median ms", "min - max ms", "x fcos_d2", "peak MB", "x fcos_d2"]
    print(markdown_table(header, rows))


def assignment_row(
    num_boxes: int, name: str, times: dict[str, list[float]], memory: dict[str, int]
) -> list[str]:
    """The cells of one implementation, compared with that of fcos_d2."""
    median = statistics.median(times[name])
    return [
        str(num_boxes),
        name,
        f"{median:.2f}",
        f"{min(times[name]):.2f} - {max(times[name]):.2f}",
        f"{median / statistics.median(times['fcos_d2']):.1f}",
        f"{memory[name] / 1e6:.1f}",
        f"{memory[name] / memory['fcos_d2']:.1f}",
    ]


def levels_of(height: int, width: int) -> Levels:
    """Grids, locations (Hi * Wi, 2) and the peers' squares (Hi * Wi, 4) of an image, by level."""
    grids = [LocationGrid.of_level(math.ceil(height / s), math.ceil(width / s), s) for s in STRIDES]
    locations = [level_locations(grid, like=torch.zeros(())) for grid in grids]
    # Both peers stand for a location by a square of one stride around it.
    half_strides = [torch.tensor([-s / 2, -s / 2, s / 2, s / 2]) for s in STRIDES]
    squares = [x.repeat(1, 2) + half for x, half in zip(locations, half_strides, strict=True)]
    return grids, locations, squares


def random_truth(num: int, height: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """Boxes (M, 4) and classes (M,): centres anywhere in the image, sides of 8 to 600 px with
    equal chances for equal ratios, cut to the image.
    """
    generator = torch.Generator().manual_seed(seed)
    image = torch.tensor([width, height])
    centers = torch.rand(num, 2, generator=generator) * image
    sides = 8 * (600 / 8) ** torch.rand(num, 2, generator=generator)
    upper_left = (centers - sides / 2).clamp(min=0)
    lower_right = torch.minimum(centers + sides / 2, image)
    classes = torch.randint(NUM_CLASSES, (num,), generator=generator)
    return torch.cat((upper_left, lower_right), dim=1), classes


def assignment_subjects(
    boxes: Tensor, classes: Tensor, levels: Levels, arguments: argparse.Namespace
) -> dict[str, Callable[[], object]]:
    """A call without arguments for fcos_d2 and for each peer.

    torchvision's gives the box index of every location, detectron2's the label and the box, ours
    the label and the distances: ours and detectron2's do a little more than torchvision's.
    """
    radius = arguments.center_sampling_radius
    grids, _, squares = levels
    assigner = SizeRangeAssigner(size_bounds=SIZE_BOUNDS, center_sampling_radius=radius)
    truth = Truth(boxes, classes, [len(boxes)])

    def targets() -> tuple[Tensor, Tensor]:
        made = Targets.of_matches(assigner.assign(truth, grids), truth, grids)
        return made.labels(NUM_CLASSES), made.ltrb_in_strides

    subjects = {"fcos_d2": targets}
    if "torchvision" in arguments.peer:
        subjects["torchvision"] = torchvision_matching(boxes, classes, squares, radius)
    if "detectron2" in arguments.peer:
        image_size = (arguments.height, arguments.width)
        subjects["detectron2"] = detectron2_matching(boxes, classes, squares, radius, image_size)
    return subjects


def torchvision_matching(
    boxes: Tensor, classes: Tensor, squares: list[Tensor], radius: float
) -> Callable[[], list[Tensor]]:
    """The part of FCOS.compute_loss before the losses; they are replaced by handing on its result.

    Its no-gradient context is ours: matching needs none, and neither side shall pay for it.
    """
    head = SimpleNamespace(
        compute_loss=lambda targets, outputs, anchors, matched_idxs: matched_idxs
    )
    model = SimpleNamespace(center_sampling_radius=radius, head=head)
    targets, anchors = [{"boxes": boxes, "labels": classes}], [torch.cat(squares)]
    num_anchors_per_level = [len(x) for x in squares]

    @torch.no_grad()
    def match() -> list[Tensor]:
        return TorchvisionFCOS.compute_loss(model, targets, {}, anchors, num_anchors_per_level)

    return match


def detectron2_matching(
    boxes: Tensor,
    classes: Tensor,
    squares: list[Tensor],
    radius: float,
    image_size: tuple[int, int],
) -> Callable[[], tuple[list[Tensor], list[Tensor]]]:
    """FCOS.label_anchors with its _match_anchors."""
    model = SimpleNamespace(center_sampling_radius=radius, num_classes=NUM_CLASSES)
    model._match_anchors = functools.partial(Detectron2FCOS._match_anchors, model)
    anchors = [Boxes(x) for x in squares]
    instances = Instances(image_size, gt_boxes=Boxes(boxes), gt_classes=classes)
    return functools.partial(Detectron2FCOS.label_anchors, model, anchors, [instances])
