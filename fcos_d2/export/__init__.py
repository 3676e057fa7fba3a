"""Detectors as one file that runs without detectron2."""

import importlib.util
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from fcos_deploy.writing import remove_leftovers, replacing

from ..data.mapper import FCOSDatasetMapper
from ..modeling import FCOS
from ..modeling.winograd import MIN_CELLS
from .detector import ExportableDetector
from .onnx_format import dynamic_shapes, export_onnx, export_openvino
from .settings import infer_settings, write_settings
from .suppression import kept_by_suppression, suppression_operator
from .torch_formats import export_program, export_torchscript

# File in the folder, and the extra with the packages that writing it needs.
FORMATS: dict[str, tuple[str, str | None]] = {
    "onnx": ("model.onnx", "export"),
    "openvino": ("model.xml", "openvino"),
    "torchscript": ("model.pt", None),
    "torch-export": ("model.pt2", None),
}
PACKAGES: dict[str | None, tuple[str, ...]] = {
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "openvino"),
}


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is written.

    Attributes:
        format: one of `FORMATS`.
        size: height and width of the input, px; None for any.
        batch: images at a time; None for any number.
        half_weights: store the weights in float16; what is computed with stays float32.
        raw_heads: boxes and scores of all locations, for engines with their own suppression.
        winograd: convolve large maps of the towers by F(4, 3), which is faster on CPUs.
    """

    format: str = "onnx"
    size: tuple[int, int] | None = None
    batch: int | None = None
    half_weights: bool = False
    raw_heads: bool = False
    winograd: bool = False

    @property
    def model_file(self) -> str:
        """Name of the file with the graph."""
        return FORMATS[self.format][0]


def export(
    model: FCOS,
    mapper: FCOSDatasetMapper,
    class_names: list[str],
    folder: Path,
    options: ExportOptions,
) -> ExportableDetector:
    """Writes the model file and infer.yaml.

    Args:
        model: trained, in evaluation mode, on the CPU.
        mapper: of its test images.
        class_names: K.
        folder: that is made.
        options: see there.

    Returns:
        What was exported.

    Raises:
        ValueError: a missing package, or a model or options that cannot be exported; says why.
    """
    check_options(model, options)
    to_onnx = options.format in ("onnx", "openvino")
    suppress = suppression_operator if to_onnx else kept_by_suppression
    settings = infer_settings(
        model,
        mapper,
        class_names,
        model_file=options.model_file,
        format=options.format,
        fixed_size=options.size,
        batch=options.batch,
        raw_heads=options.raw_heads,
    )
    num_winograd = 0
    if options.winograd:
        size = options.size or (settings["resize"]["short_side"],) * 2
        strides = model.proposal_generator.strides
        num_winograd = sum((size[0] // s) * (size[1] // s) >= MIN_CELLS for s in strides)
        if num_winograd == 0:
            raise ValueError(
                f"winograd is for levels of {MIN_CELLS} or more cells, and at a size of {size} px "
                "there is none: export without it"
            )
    detector = ExportableDetector(model, options.raw_heads, suppress, num_winograd).eval()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / options.model_file
    step, stride = model.backbone.size_divisibility, max(model.proposal_generator.strides)
    # Tracing would take the side of a level of one cell for a constant.
    least = stride // step + 1  # steps, for two cells
    height, width = options.size or (step * (least + 1), step * (2 * least + 1))
    num = options.batch or 2
    images = torch.zeros(num, height, width, 3, dtype=torch.uint8)
    example = images, torch.tensor([[height, width]] * num)
    steps = (step, least) if options.size is None else None
    shapes = dynamic_shapes(steps, batch=options.batch is None)
    remove_leftovers(folder)
    # One model is one or two files: they get their place when all are written.
    with (
        replacing(path) as temporary,
        tempfile.TemporaryDirectory(dir=folder, suffix=f".{os.getpid()}.tmp") as made,
    ):
        whole = Path(made) / path.name
        if options.format == "torchscript":
            export_torchscript(detector, example, whole)
        elif options.format == "torch-export":
            export_program(detector, example, shapes, whole)
        else:
            write = export_onnx if options.format == "onnx" else export_openvino
            write(detector, example, shapes, whole, options.half_weights)
        for other in set(Path(made).iterdir()) - {whole}:
            with replacing(folder / other.name) as name:
                os.replace(other, name)
        os.replace(whole, temporary)
    write_settings(settings, folder)
    return detector


def check_options(model: torch.nn.Module, options: ExportOptions) -> None:
    """Raises ValueError for what cannot be exported, or not here; see `export`."""
    if not isinstance(model, FCOS):
        raise ValueError(f"only the FCOS meta-architecture can be exported, not {type(model)}")
    if options.format not in FORMATS:
        raise ValueError(f"format must be one of {[*FORMATS]}, got {options.format!r}")
    extra = FORMATS[options.format][1]
    for package in PACKAGES.get(extra, ()):
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f"the format {options.format} needs {package}, which is not installed: "
                f'pip install ".[{extra}]" in the repository'
            )
    if options.half_weights and extra is None:
        raise ValueError(f"weights of half precision need format onnx or openvino, not {options}")
    if options.winograd and extra is None:
        raise ValueError(f"winograd needs format onnx or openvino, not {options}")
    step = model.backbone.size_divisibility
    if options.size is not None and (min(options.size) < 1 or any(x % step for x in options.size)):
        raise ValueError(f"the sides of the input must be multiples of {step}, got {options.size}")
    if options.batch is not None and options.batch < 1:
        raise ValueError(f"the batch must be at least 1, got {options.batch}")
