"""What describes a YOLO dataset: data.yaml, or darknet's obj.data."""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fcos_deploy.files import backslash_hint, find_file
from fcos_deploy.safe_yaml import LimitedLoader
from fcos_deploy.text import read_lines, read_text

from ..split_words import SPLIT_WORDS

DESCRIPTIONS = ("data.yaml", "dataset.yaml", "obj.data")  # the usual names of the file
# What may name a file or folder that is there, and is no split.
_OTHER_KEYS = ("names", "path", "download", "backup")


class Description(NamedTuple):
    """What data.yaml, obj.data or a folder with a classes.txt says."""

    path: Path
    root: Path  # of the paths in it
    splits: dict[str, list[str]]  # folders of images, or lists of them; by train, val and test
    names: list[str]
    key_points: tuple[int, int] | None = None  # how many, and the numbers of each; of poses
    labels_beside: bool = False  # labels lie beside the images, as darknet has them
    passed_over: tuple[str, ...] = ()  # what else it names, for people
    lost_path: str = ""  # of a data.yaml, where that folder is not there
    only_labelled: bool = False  # folders without any label do not count


def describe(path: Path) -> Description:
    """The description of a YOLO dataset.

    Raises:
        ValueError: it cannot be read, or has no names of classes.
    """
    return _read_darknet(path) if path.suffix == ".data" else _read_yaml(path)


def _read_yaml(path: Path) -> Description:
    """As `Description`; every value as it is written: yaml would turn a class `no` into False."""
    text = read_text(path)
    try:
        content = yaml.compose(text, Loader=LimitedLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path}: not valid yaml ({' '.join(str(error).split())})") from None
    if not isinstance(content, yaml.MappingNode):
        raise ValueError(f"{path}: holds no keys such as train, val and names")
    nodes = {key.value: value for key, value in content.value if isinstance(key, yaml.ScalarNode)}
    names = _names(nodes.get("names"), path)
    splits, others = _by_split({key: _texts(node) for key, node in nodes.items()}, path)
    given = "".join(_texts(nodes["path"])[:1]) if "path" in nodes else ""
    data = Description(
        path,
        _root(path, given, [part for parts in splits.values() for part in parts]),
        splits,
        names,
        _key_points(nodes["kpt_shape"], path) if "kpt_shape" in nodes else None,
        lost_path="" if os.path.isdir(find_file(path.parent, given)) else given,
    )
    return _with_passed_over(data, others)


def _by_split(
    given: dict[str, list[str]], path: Path
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """What stands after the words for train, val and test, and after the other keys.

    Raises:
        ValueError: nothing for any of the three.
    """
    splits: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    # The usual word first: val before valid, and before eval, which is a metric to darknet.
    rank = {word: number for number, word in enumerate(SPLIT_WORDS)}
    for key in sorted(given, key=lambda key: rank.get(key.lower(), len(rank))):
        split = SPLIT_WORDS.get(key.lower())
        if split is None or split in splits:
            others[key] = given[key]
        elif given[key]:
            splits[split] = given[key]
    if not splits:
        keys = ", ".join(given)
        raise ValueError(
            f"{path}: no images after train, val or test in it; it has the keys {keys}"
        )
    return splits, others


def _with_passed_over(data: Description, others: dict[str, list[str]]) -> Description:
    """With the keys of no split whose images are there."""
    first = {key: parts[0] for key, parts in others.items() if parts and key not in _OTHER_KEYS}
    there = {
        key: part
        for key, part in first.items()
        if os.path.exists(find_part(data, data.root, part, must=False))
    }
    return data._replace(passed_over=tuple(f"the key {key}, {x}" for key, x in there.items()))


def _root(path: Path, given: str, parts: list[str]) -> Path:
    """The folder that `path` in a data.yaml means, though it may be that of another machine."""
    words = _words(given)
    tails = ["", *("/".join(words[i:]) for i in range(len(words)))]
    above = (path.parent, path.parent.parent) if words else (path.parent,)
    places = [find_file(path.parent, given), *(x / tail for x in above for tail in tails)]
    places = [place for place in places if os.path.isdir(place)]
    fitting = (x for x in places if any(os.path.exists(find_file(x, part)) for part in parts))
    return next(fitting, places[0])


def _words(part: str) -> list[str]:
    return [word for word in re.split(r"[/\\]", part) if word not in ("", ".", "..")]


def _texts(node: yaml.Node) -> list[str]:
    """A text or a list of them; none of what is empty or null."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    texts = [x for x in nodes if isinstance(x, yaml.ScalarNode) and not x.tag.endswith(":null")]
    return [x.value for x in texts if x.value]


def _names(node: yaml.Node | None, path: Path) -> list[str]:
    names: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        numbered = {str(key.value): value for key, value in node.value}
        names = [numbered.get(str(i)) for i in range(len(numbered))]
        if None in names:
            given = sorted(map(str, numbered))
            raise ValueError(f"{path}: names must be numbered 0, 1, 2, ..., got {given}")
    elif isinstance(node, yaml.SequenceNode):
        names = node.value
    if not names or not all(isinstance(name, yaml.ScalarNode) for name in names):
        raise ValueError(f"{path}: no 'names' of the classes")
    texts = [name.value for name in names]
    if "" in texts:
        raise ValueError(f"{path}: class {texts.index('')} of 'names' has none")
    return texts


def _key_points(node: yaml.Node, path: Path) -> tuple[int, int]:
    texts = _texts(node)
    if len(texts) != 2 or not all(x.isdecimal() for x in texts) or texts[1] not in ("2", "3"):
        raise ValueError(f"{path}: kpt_shape must be [number of points, 2 or 3], got {texts}")
    return int(texts[0]), int(texts[1])


def _read_darknet(path: Path) -> Description:
    """Of `key = value` lines with train, valid and names, which is a file of names."""
    pairs = [line.partition("=") for _, line in read_lines(path) if not line.startswith("#")]
    values = {key.strip(): value.strip() for key, _, value in pairs}
    if not values.get("names"):
        raise ValueError(f"{path}: no 'names', a file of the class names")
    splits, others = _by_split({key: [x] if x else [] for key, x in values.items()}, path)
    data = Description(path, path.parent, splits, [], labels_beside=True)
    names = [line for _, line in read_lines(find_part(data, path.parent, values["names"]))]
    if not names:
        raise ValueError(f"{path}: no class name in {values['names']}")
    return _with_passed_over(data._replace(names=names), others)


def find_part(data: Description, folder: Path, part: str, must: bool = True) -> Path:
    """A file or folder that the description or a list names; where tools mean it to lie.

    Args:
        data: of the dataset.
        folder: that the name should be relative to.
        part: the name.
        must: whether it is an error that there is none; else the first place is returned.
    """
    # Roboflow writes ../train/images although the folder lies beside the file; CVAT puts data/,
    # the folder that darknet expects, in front of everything.
    shorter = part.replace("\\", "/").removeprefix("../").removeprefix("data/")
    places = [(folder, part), (data.root, part), (data.path.parent, part), (folder, shorter)]
    places += [(data.root, shorter), (data.path.parent, shorter)]
    if data.labels_beside:  # darknet's own obj.data lies in data/
        places.append((data.path.parent.parent, part))
    # Without the folders of another machine above it; one word, such as images, tells too little.
    words = _words(part)
    tails = ["/".join(words[i:]) for i in range(max(len(words) - 1, 1))]
    places += [(data.path.parent, tail) for tail in tails]
    for place in places:
        if os.path.exists(path := find_file(*place)):
            return path
    first = find_file(*places[0])
    if must:
        hint = backslash_hint(part)
        lost = f"; nor is its path: {data.lost_path}" if data.lost_path else ""
        raise ValueError(f"{data.path}: {part} is not there (looked for {first}){lost}{hint}")
    return first
