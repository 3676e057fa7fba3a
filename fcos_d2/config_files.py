"""Config files in yaml, read without running what they may hold."""

from pathlib import Path

import yaml
from detectron2.config import CfgNode

from fcos_deploy.safe_yaml import LimitedLoader
from fcos_deploy.text import read_text, shown

from .config_values import fitted, fitted_section

BASE = "_BASE_"
# More than any config has.
MAX_BYTES = 200_000
MAX_VALUES = 10_000
MAX_FILES = 50  # that bases lead to

# What reading and merging values of the wrong kind raises: besides the usual, PyYAML looks up
# `!!bool x` in a dict, and yacs has Python parse every text.
_WRONG = (
    *(yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError),
    *(AssertionError, RecursionError, MemoryError),
)


def read_config_file(path: str | Path) -> dict:
    """The content of a yaml config, on top of those that its `_BASE_` names.

    Args:
        path: a yaml file; tags that build objects are not read.

    Raises:
        ValueError: unreadable, no keys and values, too large, or bases that lead to each other;
            names the file.
    """
    return _with_bases(Path(path), chain=(), seen=[])


def merge_config_file(cfg: CfgNode, content: dict, path: str | Path) -> None:
    """Merges what `read_config_file` read into `cfg`, in place.

    Raises:
        ValueError: unknown keys, values of the wrong type, or a config of detectron2 before 0.1.
    """
    try:
        _check_keys(content)
        loaded = CfgNode(fitted_section(content, cfg))
        version = loaded.get("VERSION", cfg.VERSION)
        if version != cfg.VERSION:
            raise ValueError(f"VERSION must be {cfg.VERSION}, got {version!r}")
        cfg.merge_from_other_cfg(loaded)
    except _WRONG as error:
        raise ValueError(f"{path}: {reason(error)}") from None


def merge_overrides(cfg: CfgNode, opts: list[str], path: str | Path) -> None:
    """Merges KEY VALUE pairs into `cfg`, which was read from `path`, in place.

    Raises:
        ValueError: an unknown key, a value of the wrong type, or a key without a value.
    """
    try:
        if len(opts) % 2:
            raise ValueError(f"overrides are KEY VALUE pairs, and {opts[-1]!r} has no value")
        pairs = zip(opts[::2], opts[1::2], strict=True)
        if "TEST.SCORE_THRESH" in opts[::2]:
            cfg.TEST.SCORE_THRESH = None  # a number may follow on a list, and a list on a number
        cfg.merge_from_list([x for key, value in pairs for x in (key, _fitted(cfg, key, value))])
    except _WRONG as error:
        raise ValueError(f"{path}: {reason(error)}") from None


def _fitted(cfg: CfgNode, key: str, value: object) -> object:
    """The value of an override; that of an unknown key, which yacs refuses, as it is."""
    present: object = cfg
    for word in key.split("."):
        if not isinstance(present, CfgNode) or word not in present:
            return value
        present = present[word]
    return fitted(key, value, present)


def same_config(one: object, other: object) -> bool:
    """Whether two configs say the same; lists equal tuples, as yaml does not tell them apart.

    Args:
        one, other: whole configs, or values of them.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_config(one[x], other[x]) for x in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(same_config(*pair) for pair in pairs)
    return type(one) is type(other) and one == other


def reason(error: Exception) -> str:
    """What an error says, in one line without control characters."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        said = f"{error.problem or error.context}{where}"
    else:
        said = str(error.args[0]) if error.args else ""
    said = shown((said.strip().splitlines() or [""])[0])
    # A bare value, such as that of a KeyError, tells little by itself.
    return said if " " in said else f"{type(error).__name__} {said}".strip()


class _Loader(LimitedLoader):
    """Reads the one object that second stages save, too."""

    max_values = MAX_VALUES


def _shape_spec(loader: _Loader, node: yaml.MappingNode) -> dict:
    return {"_target_": "detectron2.layers.ShapeSpec", **loader.construct_mapping(node)}


_Loader.add_constructor(
    "tag:yaml.org,2002:python/object:detectron2.layers.shape_spec.ShapeSpec", _shape_spec
)


def _check_keys(content: object) -> None:
    if isinstance(content, dict):
        for key, value in content.items():
            if not isinstance(key, str):
                raise ValueError(f"key {key!r} is no text: put it in quotes")
            _check_keys(value)


def _with_bases(path: Path, chain: tuple[Path, ...], seen: list[Path]) -> dict:
    resolved = path.resolve()
    if resolved in chain:
        names = " -> ".join(x.name for x in (*chain[chain.index(resolved) :], resolved))
        raise ValueError(f"{chain[0]}: {BASE} goes round in a circle: {names}")
    seen.append(resolved)
    if len(seen) > MAX_FILES:
        raise ValueError(f"{(*chain, path)[0]}: {BASE} leads to more than {MAX_FILES} files")
    content = _read(path)
    bases = content.pop(BASE, [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ValueError(f"{path}: {BASE} must be a path or a list of paths, got {bases!r}")
    merged: dict = {}
    for base in bases:
        if "://" in base:
            raise ValueError(f"{path}: {BASE} {base!r} is not fetched; put the file beside it")
        base_path = path.parent / Path(base).expanduser()
        if not base_path.is_file():
            raise ValueError(f"{path}: {BASE} {base!r} is not there ({shown(base_path)})")
        _merge(_with_bases(base_path, (*chain, resolved), seen), merged, path)
    _merge(content, merged, path)
    return merged


def _merge(over: dict, into: dict, path: Path) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and key in into:
            if not isinstance(into[key], dict):
                raise ValueError(f"{path}: {key!r} is a section, but a value in its {BASE}")
            _merge(value, into[key], path)
        else:
            into[key] = value


def _read(path: Path) -> dict:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are too many for a config")
    text = read_text(path)
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.constructor.ConstructorError as error:
        cure = "tags that make objects are not read: a config that needs them is a .py file"
        is_tag = "tag:yaml.org" in str(error.problem)
        raise ValueError(f"{path}: {reason(error)}{f'; {cure}' if is_tag else ''}") from None
    except _WRONG as error:
        raise ValueError(f"{path}: not a yaml config: {reason(error)}") from None
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"holds a {type(content).__name__}"
        raise ValueError(f"{path}: {found}; a config has keys and values, such as MODEL: ...")
    return content
