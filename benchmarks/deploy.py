"""The deploy runtime beside the model that it comes from, and its video beside its engine."""

import importlib.util
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import row_beside_peers, significant, suite_row
from benchmarks.data import picture
from benchmarks.inference import our_model
from fcos_d2.benchmark.timing import time_in_turns
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.export import ExportOptions, export
from fcos_d2.model_zoo import get_config
from fcos_d2.modeling.folding import fold_batch_norms
from fcos_deploy import Detector
from fcos_deploy.runner import Item, Runner
from fcos_deploy.vision import VideoReader, VideoWriter

# How often the deploy runtime must be as fast as the model in NCHW with its norms.
TARGETS = {"FCOS-RT/DLA34": 1.2, "FCOS-RT/R50": 1.3}
VIDEO_TARGET = 0.95


def measure_deploy(names: list[str], size: tuple[int, int], repeats: int) -> list[dict]:
    """ONNX Runtime against torch, from the resized image to the boxes; then a video.

    Args:
        names: of configs, one row for each export; the last one also runs on a video.
        size: height and width of the images, px.
        repeats: measured calls of each, in turns; and frames of the video.

    Returns:
        Rows of the suite, see `row_beside_peers`, in ms.
    """
    rows = []
    image = picture(0, *size)
    chw = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    for name in names:
        plain = our_model(name)
        folded = fold_batch_norms(plain)
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            detectors = {
                label: _exported(plain, name, Path(folder) / label, options)
                for label, options in _exports(size).items()
            }
            subjects = {label: _detection(x, image) for label, x in detectors.items()}
            subjects["torch, unfolded"] = lambda m=plain: m([{"image": chw}])
            subjects["torch, folded"] = lambda m=folded: m([{"image": chw}])
            times = time_in_turns(subjects, 2, repeats)
            medians = {key: statistics.median(values) for key, values in times.items()}
            # The target is against the model as it is.
            peer = medians["torch, unfolded"]
            in_torch = [key for key in subjects if key not in detectors]
            note = ", ".join(f"{key} {significant(medians[key])}" for key in in_torch)
            rows += [
                suite_row(f"{name}, {label}", medians[label], peer, "ms", TARGETS.get(name), note)
                for label in detectors
            ]
            if name == names[-1]:
                rows.append(_video_row(detectors["ONNX"], size, repeats))
    return rows


def _exports(size: tuple[int, int]) -> dict[str, ExportOptions]:
    fixed = {"size": size, "batch": 1}
    exports = {"ONNX": ExportOptions(), "ONNX, Winograd": ExportOptions(winograd=True, **fixed)}
    if importlib.util.find_spec("openvino"):
        for label, winograd in (("OpenVINO", False), ("OpenVINO, Winograd", True)):
            exports[label] = ExportOptions(format="openvino", winograd=winograd, **fixed)
    return exports


def _exported(model: torch.nn.Module, name: str, folder: Path, options: ExportOptions) -> Detector:
    mapper = FCOSDatasetMapper(get_config(name), is_train=False)
    classes = [f"class {i}" for i in range(model.proposal_generator.num_classes)]
    with torch.inference_mode(False):
        export(model, mapper, classes, folder, options)
    return Detector(folder)


def _detection(detector: Detector, image: np.ndarray) -> Callable[[], object]:
    """From the resized image to the boxes."""
    (batch,), sizes = detector.preprocess([image]), [image.shape[:2]]
    return lambda: detector.postprocess([batch], [detector.engine.run(*batch.inputs)], sizes)


def _video_row(detector: Detector, size: tuple[int, int], num_frames: int) -> dict:
    """From file to drawn file, against the engine alone on frames in memory."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.mp4", Path(folder) / "out.mp4"
        with VideoWriter(source, 25, size) as writer:
            for i in range(num_frames):
                writer.write(np.roll(picture(0, *size), 8 * i, axis=1))
        with VideoReader(source) as reader:
            prepared = [batch for frame in reader for batch in detector.preprocess([frame])]

        def whole() -> None:
            with VideoReader(source) as reader, VideoWriter(target, 25, size) as writer:
                frames = (Item(i, frame) for i, frame in enumerate(reader))
                for item in Runner(detector).run(frames):
                    writer.write(item.drawn)

        def engine_alone() -> None:
            for batch in prepared:
                detector.engine.run(*batch.inputs)

        subjects = {"ours": whole, "engine alone": engine_alone}
        times = time_in_turns(subjects, 1, 3)
    medians = {key: statistics.median(values) / num_frames for key, values in times.items()}
    return row_beside_peers("video, whole pipeline", medians, "ms a frame", VIDEO_TARGET)
