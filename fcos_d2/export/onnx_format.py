"""ONNX, with standard operators only, and OpenVINO, which is made of it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .detector import ExportableDetector

if TYPE_CHECKING:
    import onnx

OPSET = 18
# What a runtime may feed, or leave out.
SETTINGS = ("mean", "std", "score_thresh", "nms_thresh", "min_scores")
LARGE = 1024  # elements, from which on a weight is worth half precision


def export_onnx(
    detector: ExportableDetector,
    example: tuple[Tensor, Tensor],
    shapes: tuple[dict, dict],
    path: Path,
    half_weights: bool,
) -> None:
    """Writes an ONNX file.

    Args:
        detector: with `suppression_operator`.
        example: images and image_sizes, see `ExportableDetector.forward`.
        shapes: see `dynamic_shapes`.
        path: of the file.
        half_weights: weights are stored in float16; what is computed with stays float32.
    """
    import onnx

    graph = onnx_graph(detector, example, shapes)
    _give_defaults(graph, detector)
    if half_weights:
        halve_weights(graph)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)


def export_openvino(
    detector: ExportableDetector,
    example: tuple[Tensor, Tensor],
    shapes: tuple[dict, dict],
    path: Path,
    half_weights: bool,
) -> None:
    """Writes an OpenVINO model, as `export_onnx` an ONNX one; the weights go into a .bin file."""
    import onnx
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        onnx_file = Path(folder) / "model.onnx"
        onnx.save(onnx_graph(detector, example, shapes), onnx_file)
        openvino.save_model(openvino.convert_model(onnx_file), path, compress_to_fp16=half_weights)


def onnx_graph(
    detector: ExportableDetector, example: tuple[Tensor, Tensor], shapes: tuple[dict, dict]
) -> "onnx.ModelProto":
    """The detector in ONNX; arguments as in `export_onnx`. Its inputs are those of `forward`."""
    program = torch.onnx.export(
        detector,
        (*example, *_setting_values(detector)),
        dynamo=True,
        opset_version=OPSET,
        input_names=["images", "image_sizes", *SETTINGS],
        output_names=["boxes", "scores"] if detector.raw_heads else ["boxes", "scores", "classes"],
        dynamic_shapes=(*shapes, *[None] * len(SETTINGS)),
        custom_translation_table={
            torch.ops.fcos_d2.kept_by_suppression.default: _suppression_in_onnx()
        },
        optimize=True,
        verbose=False,
    )
    assert program is not None, "with dynamo=True there is one"
    return program.model_proto


def dynamic_shapes(steps: tuple[int, int] | None, batch: bool) -> tuple[dict, dict]:
    """Which sides of images (N, H, W, 3) and image_sizes (N, 2) are symbolic.

    Args:
        steps: height and width are multiples of the first number, px, and at least so many times
            it; None: they are those of the example.
        batch: N is symbolic.
    """
    shapes = {0: torch.export.Dim("batch", min=1, max=256)} if batch else {}
    images = dict(shapes)
    if steps is not None:
        step, least = steps
        images[1] = step * torch.export.Dim("rows", min=least, max=512)
        images[2] = step * torch.export.Dim("columns", min=least, max=512)
    return images, shapes


def _suppression_in_onnx() -> Callable:
    """ONNX's own operator in the place of ours; made here, because onnxscript is an extra."""
    from onnxscript import BOOL, FLOAT, INT64, opset18

    op: Any = opset18  # its types are those of tensors in scripts, not of values while tracing

    def kept_by_suppression(
        boxes: FLOAT, scores: FLOAT, classes: INT64, iou_threshold: FLOAT, num_classes: int
    ) -> BOOL:
        # One row of scores for each class: (N, K, C), 0 where a box is of another one.
        labels = op.Constant(value_ints=list(range(num_classes)))
        labels = op.Unsqueeze(labels, op.Constant(value_ints=[0, 2]))
        axis = op.Constant(value_ints=[1])
        own = op.Equal(op.Unsqueeze(classes, axis), labels)
        zero = op.Constant(value_floats=[0.0])
        by_class = op.Where(own, op.Unsqueeze(scores, axis), zero)
        chosen = op.NonMaxSuppression(
            boxes,
            by_class,
            op.Shape(scores, start=1, end=2),  # as many as there are
            op.Reshape(iou_threshold, op.Constant(value_ints=[1])),
            zero,
        )  # (S, 3) of image, class and box
        where = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)
        nothing = op.Expand(op.Constant(value_ints=[0]), op.Shape(scores))
        ones = op.Expand(op.Constant(value_ints=[1]), op.Shape(where, start=0, end=1))
        return op.Cast(op.ScatterND(nothing, where, ones), to=9)  # BOOL

    return kept_by_suppression


def _setting_values(detector: ExportableDetector) -> tuple[Tensor, ...]:
    selection = detector.generator.test_selection
    thresholds = (torch.tensor(float(getattr(selection, name))) for name in SETTINGS[2:4])
    # Zeros: the file of settings says what is left out, so that it can be edited.
    return detector.mean, detector.std, *thresholds, torch.zeros(detector.generator.num_classes)


def _give_defaults(graph: "onnx.ModelProto", detector: ExportableDetector) -> None:
    """An initializer of an input's name is its value where a runtime feeds none."""
    from onnx import numpy_helper

    used = {value.name for value in graph.graph.input}
    for name, value in zip(SETTINGS, _setting_values(detector), strict=True):
        if name in used:
            graph.graph.initializer.append(numpy_helper.from_array(value.cpu().numpy(), name))


def halve_weights(graph: "onnx.ModelProto") -> None:
    """Stores large weights in float16, each with a cast, which engines do once, when they load."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in graph.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < LARGE:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.graph.node.insert(0, cast)
