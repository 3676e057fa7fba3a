"""A validation set for data without one: by class, the same each time, without near duplicates."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from fcos_deploy.writing import write_text

from .formats import write_dataset
from .ids import Id
from .near_duplicates import groups_of, near_duplicates
from .own_data import DataFiles, report_problems

SHARE = 0.2  # of the images, for validation
MOST = 0.3  # of the images, where many rare classes want to be there
LARGEST = 0.1  # share of the images in one group of near duplicates, above which it is divided
FOLDER = "split"  # in the output folder
MADE_FROM = "made_from.txt"  # in it
_WITH_IDS = ("images", "categories")


def make_split(
    data: DataFiles,
    output_dir: str | Path,
    *,
    format: str = "auto",
    classes: str | None = None,
    check: bool = True,
) -> tuple[DataFiles, DataFiles, str]:
    """Divides a dataset into images to learn from and images to evaluate on.

    Which image goes where depends on the names of the images in the dataset, on their classes and
    on which look alike; not on the machine, the order of the files or the folder's own name.

    Args:
        data: of all images.
        output_dir: gets split/train.json, val.json, and the names in train.txt and val.txt. Where
            they are there, made from the same annotations, they are taken again.
        format, classes, check: see `register_own_data`.

    Returns:
        What to learn from, what to evaluate on, and a line for people.

    Raises:
        ValueError: data that cannot be read, that have errors, or fewer than two images that do not
            look alike.
    """
    read = data.read(format=format, classes=classes)
    report_problems(data.data, read.problems, check)
    coco = as_in_the_file(read.coco)
    split = _Split(Path(output_dir), coco, read.images)
    if split.is_there():
        line = f"no validation set in {data.data}: that of {split.folder} is taken"
        return split.files("train"), split.files("val"), line
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    val, alike = split_images(coco, read.images)
    split.write({"train": _only(coco, names.keys() - val), "val": _only(coco, val)})
    said = f"no validation set in {data.data}: {len(val)} of its {len(names)} images are one now"
    copies = f", with near duplicates ({alike} images) kept together" if alike else ""
    line = f"{said}, chosen by class{copies} ({split.files('val').data})"
    return split.files("train"), split.files("val"), line


def earlier_split(
    data: DataFiles, *output_dirs: str | Path, classes: str | None = None
) -> DataFiles | None:
    """The validation set that `make_split` has made of the same data, in the first of some output
    folders that has one; None where none has.
    """
    once = dict.fromkeys(map(Path, output_dirs))
    places = [x for x in once if (x / FOLDER / "val.json").is_file()]
    if not places:
        return None
    read = data.read(classes=classes)
    coco = as_in_the_file(read.coco)
    splits = (_Split(place, coco, read.images) for place in places)
    return next((split.files("val") for split in splits if split.is_there()), None)


class _Split:
    """The files of a split in an output folder."""

    def __init__(self, output_dir: Path, coco: dict, images: Path) -> None:
        self.folder, self.images = output_dir / FOLDER, images
        content = json.dumps([sorted(map(json.dumps, coco[key])) for key in sorted(coco)])
        self._key = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    def files(self, name: str) -> DataFiles:
        """What `read_dataset` takes."""
        return DataFiles(str(self.folder / f"{name}.json"), str(self.images))

    def is_there(self) -> bool:
        """Whether the files have been made from these annotations."""
        key = self.folder / MADE_FROM
        return key.is_file() and key.read_text(encoding="utf-8").strip() == self._key

    def write(self, sets: dict[str, dict]) -> None:
        """Writes the sets; what says that they are there comes last."""
        for name, coco in sets.items():
            write_dataset(coco, self.images, self.files(name).data, "coco")
            names = sorted(x["file_name"] for x in coco["images"])
            write_text(self.folder / f"{name}.txt", "".join(f"{x}\n" for x in names))
        write_text(self.folder / MADE_FROM, f"{self._key}\n")


def was_made(files: DataFiles | None) -> bool:
    """Whether `make_split` has made this set."""
    return files is not None and Path(files.data).parent.name == FOLDER


def split_images(coco: dict, images: str | Path) -> tuple[set[Id], int]:
    """The ids of the images for validation, and how many images are near duplicates of others.

    Args:
        coco: images, annotations and categories.
        images: folder of the files.

    Raises:
        ValueError: fewer than two images that do not look alike.
    """
    records = sorted(coco["images"], key=lambda x: _shuffled(x["file_name"]))
    pairs = near_duplicates([Path(images, x["file_name"]) for x in records])
    groups = groups_of(len(records), pairs)
    alike = sum(len(group) for group in groups if len(group) > 1)
    groups = [part for group in groups for part in _divided(group, records)]
    if len(groups) < 2:
        count = f"{len(records)} images that look alike make"
        count = "1 image makes" if len(records) == 1 else count
        raise ValueError(f"{images}: {count} no validation set; give one with --val-data")
    labels: dict[Id, set[Id]] = {x["id"]: set() for x in records}
    for annotation in coco["annotations"]:
        labels[annotation["image_id"]].add(annotation["category_id"])
    counts = [Counter(c for i in group for c in labels[records[i]["id"]]) for group in groups]
    chosen = stratify([len(group) for group in groups], counts)
    return {records[i]["id"] for number in chosen for i in groups[number]}, alike


def stratify(sizes: list[int], counts: list[Counter]) -> set[int]:
    """Which groups are for validation: iterative stratification, the rarest class first.

    A class that two groups have is on both sides, as far as MOST allows it.

    Args:
        sizes: images of each group.
        counts: images of each class in each group.

    Source:
        Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data (2011), with whole
        groups, and with at least one group of each class for validation.
    """
    left = set(range(len(sizes)))
    sides = _Sides(sizes, counts)
    while remaining := Counter(c for number in left for c in counts[number]):
        rarest = min(remaining, key=lambda c: (remaining[c], str(c)))
        for number in sorted(x for x in left if rarest in counts[x]):
            sides.put(number, sides.wants(number, rarest))
            left.discard(number)
    for number in sorted(left):  # without any box
        sides.put(number, sides.size + sizes[number] <= SHARE * sum(sizes))
    if not sides.validation:  # e.g. one class that one group has
        sides.put(min(range(len(sizes)), key=lambda number: (sizes[number], number)), True)
    return sides.validation


class _Sides:
    """What is for validation already, and what either side still wants of each class."""

    def __init__(self, sizes: list[int], counts: list[Counter]) -> None:
        self.sizes, self.counts = sizes, counts
        self.validation: set[int] = set()
        self.size = 0  # images of validation
        holders = Counter(c for count in counts for c in count)
        images = sum(counts, Counter())
        self.wanted = {c: max(SHARE * images[c], 1.0 if holders[c] > 1 else 0.0) for c in images}
        self.wanted_to_learn = {c: images[c] - self.wanted[c] for c in images}

    def wants(self, number: int, label: int) -> bool:
        """Whether a group is for validation, if `label` is what matters."""
        if self.size + self.sizes[number] > max(MOST * sum(self.sizes), 1):
            return False
        return self.wanted[label] > 0 and self.wanted[label] >= self.wanted_to_learn[label]

    def put(self, number: int, validation: bool) -> None:
        """Puts a group on one of the sides."""
        for label, count in self.counts[number].items():
            (self.wanted if validation else self.wanted_to_learn)[label] -= count
        if validation:
            self.validation.add(number)
            self.size += self.sizes[number]


def _shuffled(name: str) -> str:
    """A key that sorts names in an order that is the same everywhere, and tells nothing."""
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape")).hexdigest()


def _divided(group: list[int], records: list[dict]) -> list[list[int]]:
    """A group that is too large for one side, in parts of neighbouring names, as of a video."""
    most = max(int(LARGEST * len(records)), 1)
    if len(group) <= max(most, 2):
        return [group]
    group = sorted(group, key=lambda i: records[i]["file_name"])
    return [group[i : i + most] for i in range(0, len(group), most)]


def as_in_the_file(coco: dict) -> dict:
    """With the ids of the user's file, which the reader has kept."""
    ids = {key: {x["id"]: x.pop("source_id", x["id"]) for x in coco[key]} for key in _WITH_IDS}
    for key, new in ids.items():
        for entry in coco[key]:
            entry["id"] = new[entry["id"]]
    for annotation in coco["annotations"]:
        annotation["image_id"] = ids["images"][annotation["image_id"]]
        annotation["category_id"] = ids["categories"][annotation["category_id"]]
    return coco


def _only(coco: dict, image_ids: Collection[Id]) -> dict:
    return {
        "images": [x for x in coco["images"] if x["id"] in image_ids],
        "annotations": [x for x in coco["annotations"] if x["image_id"] in image_ids],
        "categories": coco["categories"],
    }
