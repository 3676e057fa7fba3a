"""The PASCAL VOC metric: AP50 of both kinds and of every class."""

import logging
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from detectron2.evaluation import PascalVOCDetectionEvaluator
from detectron2.evaluation.pascal_voc_evaluation import parse_rec, voc_ap, voc_eval
from detectron2.utils import comm
from detectron2.utils.logger import log_first_n

logger = logging.getLogger(__name__)


class VOCEvaluator(PascalVOCDetectionEvaluator):
    """detectron2's evaluator, which also tells 11-point from area AP and the AP of each class.

    Papers on VOC 2007 give the 11-point AP, later ones the area under the curve.
    """

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """
        Returns:
            On the main process {"bbox": ...} with AP50 (area), AP50-11-point, AP75 (area), AP (mean
            over IoU 0.50 to 0.95, area), and AP50-<class>; in percent. Boxes marked difficult
            count neither for nor against, and classes without a box are left out. {} where all
            are without.
        """
        gathered = comm.gather(self._predictions, dst=0)
        if not comm.is_main_process():
            return None
        lines = defaultdict(list)
        for predictions in gathered:
            for class_id, found in predictions.items():
                lines[class_id].extend(found)
        with tempfile.TemporaryDirectory(prefix="voc_") as folder:
            results = self._class_results(folder, lines)
        if not results:
            text = (
                f"{self._dataset_name}: there are no boxes to find (difficult ones do not count), "
                "so there is no AP"
            )
            log_first_n(logging.WARNING, text, key="message")
            return {}
        area = {name: aps for name, (aps, _) in results.items()}
        mean = np.mean(list(area.values()), axis=0)  # of 10 thresholds
        bbox = {
            "AP": mean.mean(),
            "AP50": mean[0],
            "AP50-11-point": np.mean([eleven for _, eleven in results.values()]),
            "AP75": mean[5],
            **{f"AP50-{name}": aps[0] for name, aps in area.items()},
        }
        logger.info("AP50 of %s: area %.2f, 11-point %.2f", self._dataset_name, *_both(bbox))
        return {"bbox": {key: float(value) for key, value in bbox.items()}}

    def _class_results(self, folder: str, lines: dict) -> dict[str, tuple[np.ndarray, float]]:
        """For each class the area AP at ten thresholds and the 11-point AP at IoU 0.5."""
        template, results = str(Path(folder, "{}.txt")), {}
        occurring = self._occurring_classes()
        for class_id, name in enumerate(self._class_names):
            if name not in occurring:
                continue
            Path(folder, f"{name}.txt").write_text("\n".join(lines.get(class_id, [""])))
            curves = [
                voc_eval(template, self._anno_file_template, self._image_set_path, name, ovthresh=t)
                for t in np.arange(0.5, 1.0, 0.05)
            ]
            recall, precision, _ = curves[0]
            eleven_point = voc_ap(recall, precision, use_07_metric=True)
            results[name] = 100 * np.array([ap for _, _, ap in curves]), 100 * eleven_point
        return results

    def _occurring_classes(self) -> set[str]:
        """Those with a box that counts."""
        images = [x.strip() for x in Path(self._image_set_path).read_text().splitlines()]
        objects = (x for image in images for x in parse_rec(self._anno_file_template.format(image)))
        return {x["name"] for x in objects if not x["difficult"]}


def _both(bbox: dict[str, float]) -> tuple[float, float]:
    return bbox["AP50"], bbox["AP50-11-point"]
