"""The report of a dataset as one HTML file, with pictures of the images that have problems."""

from pathlib import Path

import cv2
import numpy as np
from markupsafe import Markup

from fcos_deploy.vision import ImageError, read_image

from ...pages import data_url, render
from ..problems import Problem, worst_first

Box = list[float]  # xywh, px
Picture = tuple[str, str]  # URL and caption
PICTURES = 24  # in a report
ROWS = 2000
THUMBNAIL = 320  # px, longer side
KEPT, WRONG = (0, 200, 255), (0, 0, 255)  # BGR of boxes in the pictures


def report_page(
    title: str, summary: str, drawing: str, problems: list[Problem], pictures: list[Picture]
) -> str:
    """One HTML file.

    Args:
        title, summary: texts.
        drawing: HTML.
        problems: in any order.
        pictures: of some of them.
    """
    return render(
        "dataset.html",
        title=title,
        summary=summary,
        drawing=Markup(drawing),
        problems=worst_first(problems)[:ROWS],
        pictures=pictures,
    )


def pictures_of(
    problems: list[Problem],
    boxes: dict[str, list[Box]],
    folder: str | Path,
    partners: dict[str, str],
) -> list[Picture]:
    """Small pictures of the images with the worst problems, one of each image.

    Args:
        problems: in any order.
        boxes: that are kept, by file name of the image.
        folder: that the file names are relative to.
        partners: what an image looks like, as a path; it is shown beside it.
    """
    found: dict[str, Picture] = {}
    tried = set()
    for problem in worst_first(problems):
        name, box = problem.place.image, problem.place.box
        if not name or name in tried:
            continue
        tried.add(name)
        if url := _thumbnail(Path(folder, name), boxes.get(name, []), box):
            found[name] = url, str(problem)
            partner = partners.get(name)
            if partner and (url := _thumbnail(Path(partner), [], None)):
                found[partner] = url, partner
        if len(found) >= PICTURES:
            break
    return [*found.values()]


def _thumbnail(path: Path, boxes: list[Box], wrong: tuple[float, ...] | None) -> str | None:
    """A data URL of the picture with its boxes xywh; None for one that cannot be read."""
    try:
        image = read_image(path)
    except ImageError:
        return None
    scale = THUMBNAIL / max(image.shape[:2])
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    for color, some in ((KEPT, boxes), (WRONG, [wrong] if wrong else [])):
        xywh = np.array(some, dtype=float).reshape(-1, 4) * scale
        # Far outside is as good as just outside, and fits OpenCV's integers.
        corners = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)
        for x1, y1, x2, y2 in np.clip(corners, -9, THUMBNAIL + 9).round().astype(int).tolist():
            cv2.rectangle(small, (x1, y1), (x2, y2), color, 1)
    return data_url(small)
