"""Measures parts of fcos_d2, side by side with other implementations where asked.

    python tools/benchmark.py assignment
    python tools/benchmark.py assignment --peer torchvision --peer detectron2

Prints Markdown: the hardware, the versions, then one table.
"""

import argparse
import functools
import json
import math
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import detectron2
import torch
import torchvision
from detectron2.modeling.meta_arch.fcos import FCOS as Detectron2FCOS
from detectron2.structures import Boxes, Instances
from torch import Tensor
from torchvision.models.detection import FCOS as TorchvisionFCOS

import fcos_d2
from fcos_d2.modeling.assignment import location_targets, size_ranges_from_bounds
from fcos_d2.modeling.geometry import LocationGrid, level_locations

STRIDES = [8, 16, 32, 64, 128]
SIZE_BOUNDS = [64, 128, 256, 512]
NUM_CLASSES = 80
PEERS = ("torchvision", "detectron2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    add_assignment_parser(commands)
    arguments = parser.parse_args()
    arguments.run(arguments)


# --- tools for every subcommand ---------------------------------------------------------------


def describe_machine() -> str:
    """A Markdown list of what the figures depend on."""
    versions = {
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "detectron2": detectron2.__version__,
        "fcos_d2": fcos_d2.__version__,
    }
    return "\n".join(
        (
            f"- CPU: {cpu_name()}, {torch.get_num_threads()} threads",
            "- " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        )
    )


def cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def time_in_turns(
    functions: dict[str, Callable[[], object]], warmup: int, repeats: int
) -> dict[str, list[float]]:
    """Milliseconds of each call. The functions take turns (A B C, A B C, ...), so that whatever
    else the machine does meanwhile falls on all of them."""
    milliseconds = {name: [] for name in functions}
    for i in range(warmup + repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if i >= warmup:
                milliseconds[name].append((time.perf_counter() - start) * 1e3)
    return milliseconds


def peak_memory(function: Callable[[], object]) -> int:
    """Most bytes that torch's CPU allocator held at one moment of the call beyond those before it.

    The profiler reports every allocation and release, those inside of an operator too.
    """
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profiler:
        result = function()
    # Held up to here, so that the result counts as well.
    del result
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    changes = [event for event in events if event.get("name") == "[memory]"]
    held = peak = 0
    for event in sorted(changes, key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """First column left, the others right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- assignment -------------------------------------------------------------------------------


def add_assignment_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "assignment",
        help="time and memory to assign the locations of one image to its boxes",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.set_defaults(run=run_assignment)
    parser.add_argument(
        "--boxes", type=int, nargs="+", default=[10, 100, 500, 2000], help="boxes of the image"
    )
    parser.add_argument("--height", type=int, default=800, help="of the image, px")
    parser.add_argument("--width", type=int, default=1333, help="of the image, px")
    parser.add_argument(
        "--center-sampling-radius",
        type=radius_or_none,
        default=1.5,
        help='strides, or "none" for every location inside a box (fcos_d2 only)',
    )
    parser.add_argument(
        "--peer",
        choices=PEERS,
        action="append",
        default=[],
        help="measure this one too; repeatable",
    )
    parser.add_argument("--warmup", type=int, default=3, help="calls before the measured ones")
    parser.add_argument("--repeats", type=int, default=21, help="measured calls")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    parser.add_argument("--seed", type=int, default=0, help="of the boxes")


def radius_or_none(text: str) -> float | None:
    return None if text == "none" else float(text)


def run_assignment(arguments: argparse.Namespace) -> None:
    if arguments.peer and arguments.center_sampling_radius is None:
        raise SystemExit("--peer needs a radius: the peers always sample around the centre")
    torch.set_num_threads(arguments.threads)
    height, width = arguments.height, arguments.width
    sizes = [(math.ceil(height / s), math.ceil(width / s)) for s in STRIDES]
    print(
        f"Assignment of the {sum(h * w for h, w in sizes)} locations of a {height} x {width} image"
    )
    print(f"on {len(STRIDES)} levels, radius {arguments.center_sampling_radius}:", end=" ")
    print(f"median and range of {arguments.repeats} calls in turns after {arguments.warmup}")
    print("warm-up calls; peak of torch's CPU allocator by torch.profiler.\n")
    print(describe_machine() + "\n")
    rows = []
    for num_boxes in arguments.boxes:
        boxes, classes = random_truth(num_boxes, height, width, arguments.seed)
        subjects = assignment_subjects(boxes, classes, sizes, arguments)
        times = time_in_turns(subjects, arguments.warmup, arguments.repeats)
        memory = {name: peak_memory(function) for name, function in subjects.items()}
        for name in subjects:
            rows.append(assignment_row(num_boxes, name, times, memory))
    header = ["boxes", "", "median ms", "min - max ms", "x fcos_d2", "peak MB", "x fcos_d2"]
    print(markdown_table(header, rows))


def assignment_row(
    num_boxes: int, name: str, times: dict[str, list[float]], memory: dict[str, int]
) -> list[str]:
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


def random_truth(num: int, height: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """Boxes (M, 4) and classes (M,): centres anywhere in the image, sides of 8 to 600 px with
    equal chances for equal ratios, cut to the image."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.tensor([width, height])
    centers = torch.rand(num, 2, generator=generator) * image
    sides = 8 * (600 / 8) ** torch.rand(num, 2, generator=generator)
    upper_left = (centers - sides / 2).clamp(min=0)
    lower_right = torch.minimum(centers + sides / 2, image)
    classes = torch.randint(NUM_CLASSES, (num,), generator=generator)
    return torch.cat((upper_left, lower_right), dim=1), classes


def assignment_subjects(
    boxes: Tensor, classes: Tensor, sizes: list[tuple[int, int]], arguments: argparse.Namespace
) -> dict[str, Callable[[], object]]:
    """A call without arguments for fcos_d2 and for each peer.

    torchvision's gives the box index of every location, detectron2's the label and the box, ours
    the label and the distances: ours and detectron2's do a little more than torchvision's.
    """
    radius = arguments.center_sampling_radius
    grids = [
        LocationGrid.of_level(*size, stride) for size, stride in zip(sizes, STRIDES, strict=True)
    ]
    locations = [level_locations(grid, like=boxes) for grid in grids]
    ranges = size_ranges_from_bounds(SIZE_BOUNDS)
    targets = (boxes, classes, locations, grids, STRIDES, ranges, radius, NUM_CLASSES)
    subjects = {"fcos_d2": functools.partial(location_targets, *targets)}
    # Both peers stand for a location by a square of one stride around it.
    half_strides = [torch.tensor([-s / 2, -s / 2, s / 2, s / 2]) for s in STRIDES]
    squares = [x.repeat(1, 2) + half for x, half in zip(locations, half_strides, strict=True)]
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


if __name__ == "__main__":
    main()
