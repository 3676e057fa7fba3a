"""The picture of a run's curves, which lies beside its checkpoints."""

import logging
import os

from detectron2.utils import comm

from fcos_deploy.writing import describe

logger = logging.getLogger(__name__)

FILE = "training.png"
SECONDS = 1.0  # that it takes


def draw_curves(output_dir: str) -> str | None:
    """Draws what metrics.json holds; in the main process.

    Returns:
        The picture; None where there is none, which no run fails for.
    """
    metrics, picture = (os.path.join(output_dir, name) for name in ("metrics.json", FILE))
    if not (comm.is_main_process() and os.path.isfile(metrics)):
        return None
    try:
        # matplotlib takes a while, and is not needed before.
        from ..visualization.plots import plot_training

        plot_training(metrics, picture)
    except Exception as error:  # the training is done, and its last lines are still to come
        logger.warning("%s could not be drawn: %s", picture, describe(error))
        return None
    return picture
