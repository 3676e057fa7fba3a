"""Convolutions in 8-bit integers, for ONNX Runtime."""

import os
import tempfile
from pathlib import Path

import numpy as np

from fcos_deploy import Detector
from fcos_deploy.vision import list_images, read_image
from fcos_deploy.writing import replacing

# The last layers: what they give is compared with thresholds and added to locations.
PREDICTORS = ("cls_logits", "bbox_pred", "ctrness", "iou")


class _Calibration:
    """Feeds ONNX Runtime's calibration one image at a time."""

    def __init__(self, detector: Detector, paths: list[Path]) -> None:
        self._detector = detector
        self._paths = iter(paths)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Inputs of the graph, or None at the end; the name is ONNX Runtime's."""
        path = next(self._paths, None)
        if path is None:
            return None
        (batch,) = self._detector.preprocess([read_image(path)])
        images, sizes = batch.inputs
        return {"images": images, "image_sizes": sizes}


def quantize_int8(folder: Path, images: list[str], limit: int) -> None:
    """Turns the ONNX model of a folder into one that computes convolutions in 8 bits.

    Weights are rounded per channel; ranges of activations are those on the calibration images. The
    layers that predict classes, boxes and quality stay float32.

    Args:
        folder: with model.onnx and infer.yaml; the model is replaced.
        images: files, folders or patterns to calibrate on, like those that it will see.
        limit: images that are used at most, taken evenly.

    Raises:
        ValueError: no such images.
    """
    import onnx
    import onnxruntime
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    onnxruntime.set_default_logger_severity(3)  # it would warn of inputs that have a default
    paths = list_images(images)
    paths = paths[:: -(-len(paths) // limit)]
    model = folder / "model.onnx"
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        prepared, quantized = Path(temporary) / "prepared.onnx", Path(temporary) / "int8.onnx"
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        predictors = [
            node.name
            for node in onnx.load(prepared).graph.node
            if node.op_type == "Conv" and any(name in node.input[1] for name in PREDICTORS)
        ]
        quantize_static(
            str(prepared),
            str(quantized),
            _Calibration(Detector(folder), paths),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=predictors,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        with replacing(model) as whole:
            os.replace(quantized, whole)
