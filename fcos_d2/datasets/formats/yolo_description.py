"""What describes a YOLO dataset: data.yaml, darknet's obj.data, or classes.txt beside images/."""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fcos_deploy.files import backslash_hint, find_file, is_hidden
from fcos_deploy.safe_yaml import LimitedLoader
from fcos_deploy.text import read_lines, read_text

CLASSES = "classes.txt"  # Label Studio's
_SPLITS = ("train", "val", "valid", "test")


class Description(NamedTuple):
    """What data.yaml, obj.data or the folder of a classes.txt says."""

    path: Path
    root: Path  # of the paths in it
    splits: dict[str, list[str]]  # folders of images, or lists of them
    names: list[str]
    key_points: tuple[int, int] | None  # how many, and the numbers of each; labels of poses
    labels_beside: bool  # labels lie beside the images, as darknet has them


def describe(path: Path) -> Description:
    """The description of a YOLO dataset.

    Raises:
        ValueError: it cannot be read, or has no names of classes.
    """
    if path.name == CLASSES:
        return _read_folder(path)
    return _read_darknet(path) if path.suffix == ".data" else _read_yaml(path)


def has_labels_of(path: Path) -> bool:
    """Whether a classes.txt lies beside images/ and labels/, as Label Studio writes them."""
    return path.is_file() and all((path.parent / x).is_dir() for x in ("images", "labels"))


def _read_yaml(path: Path) -> Description:
    """As `Description`; every value as it is written: yaml would turn a class `no` into False."""
    text = read_text(path)
    try:
        root = yaml.compose(text, Loader=LimitedLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path}: not valid yaml ({' '.join(str(error).split())})") from None
    if not isinstance(root, yaml.MappingNode):
        raise ValueError(f"{path}: holds no keys such as train, val and names")
    nodes = {key.value: value for key, value in root.value if isinstance(key, yaml.ScalarNode)}
    splits = {key: _texts(nodes[key]) for key in _SPLITS if key in nodes}
    folder = find_file(path.parent, "".join(_texts(nodes["path"])[:1]) if "path" in nodes else "")
    return Description(
        path,
        folder if folder.is_dir() else path.parent,  # that of another machine
        {key: entry for key, entry in splits.items() if entry},
        _names(nodes.get("names"), path),
        _key_points(nodes["kpt_shape"], path) if "kpt_shape" in nodes else None,
        labels_beside=False,
    )


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
    data = Description(
        path,
        path.parent,
        {key: [values[key]] for key in _SPLITS if values.get(key)},
        [],
        None,
        labels_beside=True,
    )
    names = [line for _, line in read_lines(find_part(data, path.parent, values["names"]))]
    if not names:
        raise ValueError(f"{path}: no class name in {values['names']}")
    return data._replace(names=names)


def _read_folder(path: Path) -> Description:
    """Of a classes.txt; its folder of images may hold one for each split."""
    names = [line for _, line in read_lines(path)]
    if not names:
        raise ValueError(f"{path}: no class name in it")
    images = path.parent / "images"
    inside = {x.name: [f"images/{x.name}"] for x in images.iterdir() if not is_hidden(x.name)}
    splits = {key: inside[key] for key in _SPLITS if key in inside and (images / key).is_dir()}
    splits = splits or {"train": ["images"]}
    return Description(path, path.parent, splits, names, None, labels_beside=False)


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
    words = [word for word in re.split(r"[/\\]", part) if word not in ("", ".", "..")]
    tails = ["/".join(words[i:]) for i in range(max(len(words) - 1, 1))]
    places += [(data.path.parent, tail) for tail in tails]
    paths = [find_file(*place) for place in places]
    path = next((path for path in paths if os.path.exists(path)), None)
    if path is None and must:
        hint = backslash_hint(part)
        raise ValueError(f"{data.path}: {part} is not there (looked for {paths[0]}){hint}")
    return path or paths[0]
