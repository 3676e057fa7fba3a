"""Engines that run a graph: ONNX Runtime and OpenVINO."""

import os
from pathlib import Path
from typing import Protocol

import numpy as np


class Engine(Protocol):
    """Runs (N, H, W, 3) uint8 images and their sizes (N, 2) int64, see `Detector`."""

    name: str

    def run(self, images: np.ndarray, image_sizes: np.ndarray) -> list[np.ndarray]: ...


class OnnxRuntime:
    """ONNX Runtime, on a GPU where its package brings one."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """
        Args:
            path: .onnx file.
            threads: of one operator; None lets the engine choose.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=onnxruntime.get_available_providers()
        )
        used = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        self.name = f"ONNX Runtime {onnxruntime.__version__} ({used})"

    def run(self, images: np.ndarray, image_sizes: np.ndarray) -> list[np.ndarray]:
        return self._session.run(None, {"images": images, "image_sizes": image_sizes})


class OpenVino:
    """OpenVINO on the CPU."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """
        Args:
            path: .xml file.
            threads: None lets the engine choose.

        Raises:
            ValueError: OpenVINO is not installed; says how to.
        """
        try:
            import openvino
        except ModuleNotFoundError:
            raise ValueError(
                'this model needs OpenVINO: pip install "fcos_deploy[openvino]"'
            ) from None
        options = {"INFERENCE_NUM_THREADS": threads} if threads else {}
        self._model = openvino.Core().compile_model(str(path), "CPU", options)
        self.name = f"OpenVINO {openvino.__version__.split('-')[0]}"

    def run(self, images: np.ndarray, image_sizes: np.ndarray) -> list[np.ndarray]:
        return [*self._model([images, image_sizes]).values()]


def load_engine(path: Path, format: str, threads: int | None = None) -> Engine:
    """The engine of a format.

    Raises:
        ValueError: the file is damaged, or the engine is not installed.
    """
    if threads is not None and not 1 <= threads <= (os.cpu_count() or 1) * 4:
        raise ValueError(f"--threads must be between 1 and {(os.cpu_count() or 1) * 4}")
    try:
        return (OnnxRuntime if format == "onnx" else OpenVino)(path, threads)
    except ValueError:
        raise
    except Exception as error:  # engines raise types of their own
        cause = " ".join(str(error).split())[:300]
        raise ValueError(f"{path}: cannot be loaded: {cause}") from None
