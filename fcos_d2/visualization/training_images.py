"""What the detector really sees in training: augmented images, their boxes, and which locations of
which level learn each box.
"""

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from fcos_deploy.writing import write_text

from ..engine import Run
from ..modeling import FCOSProposalGenerator
from ..modeling.meta_arch import AnyDetector
from ..pages import data_url, render
from . import write_image
from .assignment import assignment_sheet, draw_assignment, legend

QUALITY = 90  # of JPEG
LONG_SIDE = 640  # px; smaller images are enlarged
LEGEND = (
    "A dot is a location that learns the box around it; its colour tells the level. A crossed box "
    "is learned nowhere. Task-aligned assignment, which follows from predictions, shows the boxes "
    "alone."
)


def build(prepared: Run) -> tuple[DataLoader, FCOSProposalGenerator, list[str], str]:
    """Training loader, the part of the model that assigns, class names and channel order."""
    with torch.device("meta"):  # without memory behind the tensors
        model: AnyDetector = prepared.on("meta").build_model()
    generator: FCOSProposalGenerator = model.proposal_generator
    loader = prepared.build_train_loader()
    names = prepared.class_names or [f"class {i}" for i in range(generator.num_classes)]
    return loader, generator, names, prepared.image_format


def pictures(
    loader: DataLoader,
    generator: FCOSProposalGenerator,
    names: list[str],
    image_format: str,
    num_images: int,
) -> tuple[list[np.ndarray], list[str]]:
    """The first images of the loader, drawn, with their titles."""
    drawn, titles = [], []
    for batch in loader:
        sizes = [inputs["image"].shape[1:] for inputs in batch]
        # As the detector pads: to the largest image of the batch, in steps of 32 px.
        padded = tuple(-(-max(side) // 32) * 32 for side in zip(*sizes, strict=True))
        for inputs in batch:
            image = inputs["image"].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
            image = image[:, :, ::-1] if image_format == "RGB" else image
            instances = inputs["instances"]
            boxes, classes = instances.gt_boxes.tensor, instances.gt_classes
            zoom = max(1, round(LONG_SIDE / max(image.shape)))
            picture, counts = draw_assignment(
                np.ascontiguousarray(image), boxes, classes, names, generator, padded, zoom
            )
            # No counts where the assigner needs predictions.
            positives = " ".join(
                f"{name} {n}" for name, n in zip(generator.in_features, counts, strict=False)
            )
            drawn.append(picture)
            titles.append(f"{Path(inputs['file_name']).name}  {positives}")
            if len(drawn) == num_images:
                return drawn, titles
    return drawn, titles


def write_page(
    path: Path, drawn: list[np.ndarray], titles: list[str], generator: FCOSProposalGenerator
) -> None:
    """One file that holds all pictures, full size."""
    pictures = [(data_url(x, QUALITY), title) for x, title in zip(drawn, titles, strict=True)]
    page = render(
        "training_images.html",
        title="Training images",
        legend=LEGEND,
        levels=data_url(legend(generator, 520), QUALITY),
        pictures=pictures,
    )
    write_text(path, page)


def write_sheet(
    path: Path,
    drawn: list[np.ndarray],
    titles: list[str],
    generator: FCOSProposalGenerator,
    columns: int,
) -> None:
    """All pictures as one."""
    write_image(path, assignment_sheet(drawn, titles, generator, columns))
