"""The number of classes of a model against that of its training data."""

import logging

from torch import nn

from .run_parts import Run

logger = logging.getLogger(__name__)


def check_class_count(run: Run, model: nn.Module) -> None:
    """Holds the classes of a model against those of its training data, once these are loaded.

    Args:
        run: names the data.
        model: a detector, with one or two stages.

    Raises:
        ValueError: the data have classes that the model has no output for. Outputs without a class
            are warned of.
    """
    names = run.class_names
    last_stage = getattr(model, "roi_heads", None) or getattr(model, "proposal_generator", None)
    found = getattr(last_stage, "num_classes", None)
    if not names or found is None or found == len(names):
        return
    message = (
        f"the model has {found} classes ({run.num_classes_key}), the training data "
        f"{', '.join(run.train_datasets)} have {len(names)}"
    )
    if found < len(names):
        raise ValueError(f"{message}: set it to {len(names)}")
    logger.warning("%s: %d outputs never learn an object", message, found - len(names))
