"""Engines that run a graph: ONNX Runtime and OpenVINO."""

import os
import threading
from contextlib import redirect_stdout
from typing import Protocol

import numpy as np

from .settings import Settings

# Of ONNX Runtime, best first; it uses the first that works.
PROVIDERS = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider")
MAX_THREADS = 4 * (os.cpu_count() or 1)
# OpenVINO's Python layer initialises itself in the first call. If two threads do so at the same
# time, one may hold the interpreter and wait for the other, which waits for the interpreter.
_FIRST_CALLS = threading.Lock()


class Engine(Protocol):
    """Runs a graph.

    Attributes:
        name: of the engine, its version and its device.
    """

    name: str

    def run(self, images: np.ndarray, image_sizes: np.ndarray) -> list[np.ndarray]:
        """Several threads may call it at the same time.

        Args:
            images: (N, H, W, 3) uint8.
            image_sizes: (N, 2) int64 height and width of each in its canvas.

        Returns:
            boxes (N, D, 4) float32, scores (N, D) float32, 0 where there are fewer, and classes
            (N, D) int64; of a model with raw heads boxes (N, R, 4) and scores (N, R, K).
        """


class OnnxRuntime:
    """ONNX Runtime, on a GPU where its package brings one."""

    def __init__(self, settings: Settings, threads: int | None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        if threads:
            options.intra_op_num_threads = threads
        providers = [x for x in PROVIDERS if x in onnxruntime.get_available_providers()]
        with redirect_stdout(None):  # it prints about damaged files, besides raising an error
            self._session = onnxruntime.InferenceSession(
                str(settings.model_path), options, providers=providers
            )
        optional = {x.name for x in self._session.get_overridable_initializers()}
        self._values = {k: v for k, v in _graph_values(settings).items() if k in optional}
        device = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        self.name = f"ONNX Runtime {onnxruntime.__version__} on {device}"

    def run(self, images: np.ndarray, image_sizes: np.ndarray) -> list[np.ndarray]:
        inputs = {"images": images, "image_sizes": image_sizes, **self._values}
        return self._session.run(None, inputs)


class OpenVino:
    """OpenVINO on the CPU."""

    def __init__(self, settings: Settings, threads: int | None) -> None:
        try:
            import openvino
        except ModuleNotFoundError:
            raise ValueError(
                f"{settings.model_path} needs OpenVINO: pip install openvino"
            ) from None
        # Some CPUs would run in bfloat16, which moves boxes by pixels.
        options: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        self._model = openvino.Core().compile_model(str(settings.model_path), "CPU", options)
        names = {name for x in self._model.inputs for name in x.get_names()}
        self._values = {k: v for k, v in _graph_values(settings).items() if k in names}
        # Only one thread may use a request at a time: otherwise one gets the other's answer.
        self._free_requests: list = []
        self._has_run = False
        self.name = f"OpenVINO {openvino.__version__.split('-')[0]} on CPU"

    def run(self, images: np.ndarray, image_sizes: np.ndarray) -> list[np.ndarray]:
        if self._has_run:
            return self._infer(images, image_sizes)
        with _FIRST_CALLS:
            outputs = self._infer(images, image_sizes)
            self._has_run = True
        return outputs

    def _infer(self, images: np.ndarray, image_sizes: np.ndarray) -> list[np.ndarray]:
        try:
            request = self._free_requests.pop()
        except IndexError:  # all are busy; in the end there are as many as threads at a time
            request = self._model.create_infer_request()
        found = request.infer({"images": images, "image_sizes": image_sizes, **self._values})
        # The arrays belong to OpenVINO, which overwrites them in the next call.
        outputs = [np.array(found[output]) for output in self._model.outputs]
        self._free_requests.append(request)  # not after an error, which may leave it broken
        return outputs


def load_engine(settings: Settings, threads: int | None = None) -> Engine:
    """The engine for an exported model.

    Args:
        settings: of the model.
        threads: of the engine; None lets it choose.

    Raises:
        ValueError: the file is damaged, the engine is not installed, or `threads` is not possible.
    """
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads must be between 1 and {MAX_THREADS}, got {threads}")
    try:
        return (OnnxRuntime if settings.format == "onnx" else OpenVino)(settings, threads)
    except ValueError:
        raise
    except Exception as error:  # engines raise types of their own
        cause = " ".join(str(error).split())[:200]
        raise ValueError(f"{settings.model_path}: cannot be loaded: {cause}") from None


def _graph_values(settings: Settings) -> dict[str, np.ndarray]:
    """Inputs of the graph that infer.yaml sets."""
    values = {
        "mean": settings.pixel_mean,
        "std": settings.pixel_std,
        "score_thresh": settings.class_probability,
        "nms_thresh": settings.nms_iou,
        "min_scores": settings.score,  # exports from before it have no such input
    }
    return {k: np.array(v, np.float32) for k, v in values.items() if v is not None}
