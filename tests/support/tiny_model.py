"""Folders as `fcos export` writes them, with graphs that can be worked out by hand."""

from pathlib import Path

import numpy as np
import yaml

# What it finds, best first: 3 boxes xyxy in px of the resized image, scores and classes.
BOXES = [[2.0, 4.0, 12.0, 24.0], [0.0, 0.0, 8.0, 8.0], [5.0, 5.0, 5.0, 9.0]]
SCORES = [0.9, 0.3, 0.2]  # the third box has no width
CLASSES = [1, 0, 0]


def write_model(folder: Path, **changes: object) -> Path:
    """A model that finds the same on every image; `changes` are top-level keys of infer.yaml."""
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, values: list, dtype: type) -> TensorProto:
        return numpy_helper.from_array(np.array(values, dtype)[None], name)

    # As many rows as there are images: the constants, expanded by the number of sizes.
    nodes = [
        helper.make_node("Shape", ["image_sizes"], ["num"], start=0, end=1),
        *(
            node
            for name, rank in (("boxes", 2), ("scores", 1), ("classes", 1))
            for node in (
                helper.make_node("Concat", ["num", f"ones{rank}"], [f"shape_{name}"], axis=0),
                helper.make_node("Expand", [f"one_{name}", f"shape_{name}"], [name]),
            )
        ),
    ]
    constants = [
        constant("one_boxes", BOXES, np.float32),
        constant("one_scores", SCORES, np.float32),
        constant("one_classes", CLASSES, np.int64),
        numpy_helper.from_array(np.ones(2, np.int64), "ones2"),
        numpy_helper.from_array(np.ones(1, np.int64), "ones1"),
    ]
    return _write(folder, nodes, constants, len(SCORES), changes)


def write_coded_model(folder: Path, **changes: object) -> Path:
    """A model that finds one object of class 0, which the upper left pixel of the image tells.

    The box is (b/16, g/16, b/16 + 1 + r/16, g/16 + 1) px of the canvas, the score
    (height + width of the canvas) / 256.
    """
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, values: list, dtype: type) -> "TensorProto":
        return numpy_helper.from_array(np.array(values, dtype), name)

    node = helper.make_node
    nodes = [
        node("Slice", ["images", "zero", "one", "axes"], ["pixel"]),  # (N, 1, 1, 3)
        node("Cast", ["pixel"], ["pixel_float"], to=TensorProto.FLOAT),
        node("Reshape", ["pixel_float", "rows"], ["bgr"]),  # (N, 1, 3)
        node("MatMul", ["bgr", "weights"], ["corners"]),  # (N, 1, 4)
        node("Add", ["corners", "bias"], ["boxes"]),
        node("Shape", ["images"], ["sides"], start=1, end=3),
        node("Cast", ["sides"], ["sides_float"], to=TensorProto.FLOAT),
        node("ReduceSum", ["sides_float"], ["sum"], keepdims=1),
        node("Mul", ["sum", "share"], ["score"]),
        node("Shape", ["image_sizes"], ["num"], start=0, end=1),
        node("Concat", ["num", "one1"], ["shape"], axis=0),
        node("Expand", ["score", "shape"], ["scores"]),
        node("Expand", ["label", "shape"], ["classes"]),
    ]
    weights = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]) / 16
    constants = [
        constant("zero", [0, 0], np.int64),
        constant("one", [1, 1], np.int64),
        constant("axes", [1, 2], np.int64),
        constant("rows", [-1, 1, 3], np.int64),
        constant("weights", weights, np.float32),
        constant("bias", [0, 0, 1, 1], np.float32),
        constant("share", [1 / 256], np.float32),
        constant("one1", [1], np.int64),
        constant("label", [0], np.int64),
    ]
    return _write(folder, nodes, constants, 1, changes)


def coded_image(number: int) -> tuple[np.ndarray, list[float]]:
    """An image (32, 48, 3) and its box by `write_coded_model`; no two below 4096 have the same."""
    blue, green, red = number % 16, number // 16 % 16, number // 256
    image = np.full((32, 48, 3), [16 * blue, 16 * green, 16 * red], np.uint8)
    return image, [blue, green, blue + 1 + red, green + 1]


def _write(folder: Path, nodes: list, constants: list, num_boxes: int, changes: dict) -> Path:
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", "h", "w", 3]),
            helper.make_tensor_value_info("image_sizes", TensorProto.INT64, ["n", 2]),
        ],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", num_boxes, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", num_boxes]),
            helper.make_tensor_value_info("classes", TensorProto.INT64, ["n", num_boxes]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    settings = tiny_settings() | changes
    (folder / "infer.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder


def tiny_settings() -> dict:
    """The content of its infer.yaml."""
    return {
        "format_version": 1,
        "model": "model.onnx",
        "format": "onnx",
        "resize": {"short_side": 32, "long_side": 64},
        "pixel_mean": [1.0, 2.0, 3.0],
        "pixel_std": [1.0, 1.0, 1.0],
        "thresholds": {"class_probability": 0.05, "nms_iou": 0.6, "score": 0.0, "draw": 0.5},
        "classes": [
            {"name": "cat", "color_rgb": [255, 0, 0]},
            {"name": "dog", "color_rgb": [0, 255, 0]},
        ],
        "graph": {
            "image_format": "BGR",
            "size_divisibility": 32,
            "fixed_size": None,
            "batch": None,
            "raw_heads": False,
        },
    }
