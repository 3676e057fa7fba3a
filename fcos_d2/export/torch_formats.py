"""TorchScript and torch.export files, which run in torch with torchvision, without detectron2."""

import warnings
from pathlib import Path

import torch
from torch import Tensor

from .detector import ExportableDetector


def export_torchscript(
    detector: ExportableDetector, example: tuple[Tensor, Tensor], path: Path
) -> None:
    """Writes a TorchScript file for any number and size of images; batch norms are folded.

    Args:
        detector: with `kept_by_suppression`.
        example: images and image_sizes, see `ExportableDetector.forward`.
        path: of the file. `torch.jit.load` needs `import torchvision` before it.
    """
    with torch.no_grad(), warnings.catch_warnings():
        # Sizes that are numbers in Python become constants; none of ours are.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(detector, example, check_trace=False)
        torch.jit.freeze(traced).save(str(path))


def export_program(
    detector: ExportableDetector,
    example: tuple[Tensor, Tensor],
    shapes: tuple[dict, dict],
    path: Path,
) -> None:
    """Writes a file for `torch.export.load`.

    Args:
        detector, example, path: as for `export_torchscript`.
        shapes: see `dynamic_shapes`.
    """
    with torch.no_grad():
        program = torch.export.export(detector, example, dynamic_shapes=shapes, strict=False)
    torch.export.save(program, path)
