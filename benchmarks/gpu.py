"""FCOS R50 on a GPU beside torchvision's and detectron2's: precisions, compiled, CUDA graphs."""

import statistics
from collections.abc import Callable

import torch
from torch import nn
from torch.utils import _pytree

from benchmarks.common import suite_row
from benchmarks.peers import PEERS
from fcos_d2.benchmark.model import random_images
from fcos_d2.benchmark.subjects import Recipe, TorchSubject, build, detector
from fcos_d2.benchmark.timing import time_in_turns

CONFIG = "FCOS/R50-1x"
BATCHES = (1, 8, 32)
# tf32: float32 tensors whose products are rounded to ten bits of mantissa.
MODES = {"fp32": "fp32", "tf32": "fp32", "fp16": "fp16", "bf16": "bf16"}
WAYS = ("eager", "compiled", "CUDA graphs")
# Images/s over the faster peer's, in the best way and at the same precision.
TARGETS = {1: 1.5, 32: 1.2}


def measure_gpu(size: tuple[int, int], repeats: int) -> list[dict]:
    """Whole detectors, from uint8 images on the CPU to boxes, all in one process in turns.

    Args:
        size: height and width of the images, px.
        repeats: measured calls of each.

    Returns:
        Rows of the suite, one for each batch, precision and way of ours; the peers run eagerly, as
        they come. The ratio is our images/s over those of the faster peer.
    """
    rows = []
    for mode, precision in MODES.items():
        allow_tf32(mode == "tf32")
        for batch in BATCHES:
            rows += _measure_batch(mode, precision, size, batch, repeats)
    allow_tf32(False)
    return rows


def allow_tf32(allowed: bool) -> None:
    """Whether GPUs may round the factors of float32 products to 10 bits."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def _measure_batch(
    mode: str, precision: str, size: tuple[int, int], batch: int, repeats: int
) -> list[dict]:
    images = random_images(size, batch)
    subjects = {
        name: build(Recipe(peer, precision=precision, device="cuda"), size)
        for name, peer in PEERS.items()
    }
    for way in WAYS:
        ours = Recipe(detector, CONFIG, precision=precision, device="cuda")
        subject = build(ours, size)
        subjects[way] = in_way(subject, way, images)
    calls = {name: lambda s=s: s.detect(images) for name, s in subjects.items()}
    # Compilation and the choice of kernels take the first calls.
    times = time_in_turns(calls, warmup=5, repeats=repeats)
    speeds = {name: batch * 1e3 / statistics.median(values) for name, values in times.items()}
    best_peer = max(PEERS, key=speeds.__getitem__)
    best_way = max(WAYS, key=speeds.__getitem__)
    return [
        suite_row(
            f"batch {batch}, {mode}, {way}",
            speeds[way],
            speeds[best_peer],
            "images/s",
            TARGETS.get(batch) if way == best_way else None,
            f"against {best_peer}, the faster one",
            more_is_better=True,
        )
        for way in WAYS
    ]


def in_way(subject: TorchSubject, way: str, images: list) -> TorchSubject:
    """Makes backbone and head run in one of WAYS; the rest has shapes that follow from the boxes.

    Args:
        images: a batch of the only shape that CUDA graphs will serve.
    """
    parts = (subject.model.backbone, subject.head)
    if way == "compiled":
        for part in parts:
            part.compile()
    elif way == "CUDA graphs":
        for part in parts:
            part.forward = _captured_at_call(part)
    subject.detect(images)
    return subject


def _captured_at_call(module: nn.Module) -> Callable[..., object]:
    """A `forward` that captures a graph at its first call and replays it from then on."""
    forward, graphs = module.forward, []

    def run(*inputs: object) -> object:
        if not graphs:
            graphs.append(CapturedGraph(forward, inputs))
        return graphs[0](inputs)

    return run


class CapturedGraph:
    """A function of nested tensors of fixed shapes, without a launch of each kernel."""

    def __init__(self, function: Callable[..., object], inputs: tuple) -> None:
        """
        Args:
            function: without synchronisation or random numbers.
            inputs: of the shapes of all calls.
        """
        self._inputs = _pytree.tree_map_only(torch.Tensor, torch.clone, inputs)
        # Casts that autocast remembered outside would be missing in the graph, and the other way.
        torch.clear_autocast_cache()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # libraries set themselves up, which cannot be captured
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        torch.clear_autocast_cache()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = function(*self._inputs)
        torch.clear_autocast_cache()

    def __call__(self, inputs: tuple) -> object:
        """Outputs that the next call overwrites."""
        ours, given = (_pytree.tree_leaves(x) for x in (self._inputs, inputs))
        for mine, other in zip(ours, given, strict=True):
            if isinstance(mine, torch.Tensor):
                mine.copy_(other)
        self._graph.replay()
        return self._outputs
