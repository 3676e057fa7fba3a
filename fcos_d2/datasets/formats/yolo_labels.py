"""Labels of YOLO that are wrong as a whole: not where they should be, or in pixels."""

from pathlib import Path

from ..problems import Place, Problem

PIXELS = "labels that look like pixels"
LARGEST_SHARE = 2  # what is larger is no share of an image, not even of a box half outside


def judge_labels(label_files: list[Path], problems: list[Problem], source: str) -> list[Problem]:
    """The problems, with an error where no image has labels, or most boxes are in pixels.

    Args:
        label_files: of each image, where it is looked for.
        problems: of reading them; those of the kind `PIXELS` become one, or boxes outside.
        source: what the messages call the dataset.
    """
    if not any(path.is_file() for path in label_files):
        text = f"for none of its {len(label_files)} images; looked for {label_files[0]}"
        return [*problems, Problem("error", "no label file", text, place=Place(source))]
    pixels = [p for p in problems if p.kind == PIXELS]
    if not pixels:
        return problems
    there = [path for path in label_files if path.is_file()]
    lines = sum(1 for path in there for line in path.read_bytes().splitlines() if line.strip())
    others = [p for p in problems if p.kind != PIXELS]
    if len(pixels) < 0.5 * lines:
        return [*others, *(p._replace(kind="box outside the image") for p in pixels)]
    share = f"{len(pixels)} of {lines} boxes are outside the image"
    cure = "pixels? YOLO's numbers are shares: divide them by width and height of the image"
    text = f"{share}, such as {pixels[0].where}; {cure}"
    return [*others, Problem("error", PIXELS, text, "left out", Place(source))]
