"""One value of a yaml file changed; all the rest, comments too, stays as it is."""

from collections.abc import Sequence
from typing import Any

import yaml

from fcos_deploy.safe_yaml import LimitedLoader


def with_value(text: str, keys: Sequence[str], value: object) -> str:
    """The text with another value under `keys`, written in one line.

    Args:
        text: of a mapping.
        keys: from the outermost section to the value; those that are not there are added.
        value: numbers, texts and lists.

    Raises:
        ValueError: no mapping, a value where a section should be, or a file in which this would
            change something else.
        yaml.YAMLError: no yaml.
    """
    changed = _edited(text, keys, value)
    wanted = _plain(_node(text))
    section = wanted
    for key in keys[:-1]:
        section = section.setdefault(key, {})
    section[keys[-1]] = _plain(_node(_in_one_line(value)))
    if _plain(_node(changed)) != wanted:
        raise ValueError("other values would change with it; write it by hand")
    return changed


def _edited(text: str, keys: Sequence[str], value: object) -> str:
    node = _node(text)
    for depth, key in enumerate(keys):
        if not isinstance(node, yaml.MappingNode):
            raise ValueError(f"{'.'.join(keys[:depth]) or 'the file'} is no section of keys")
        child = next((v for k, v in node.value if k.value == key), None)
        if child is None:
            return _added(text, node, keys[depth:], value)
        if depth == len(keys) - 1:
            start, end = child.start_mark.index, _end(child)
            gap = "" if start > 0 and text[start - 1].isspace() else " "
            if isinstance(child, yaml.CollectionNode) and not child.flow_style:
                start = text.rindex(":", 0, start) + 1  # it begins in a line of its own
                gap = " "
            return text[:start] + gap + _in_one_line(value) + text[end:]
        node = child
    raise AssertionError("no keys")


def _added(text: str, node: yaml.MappingNode, keys: Sequence[str], value: object) -> str:
    """With a new entry at the beginning of a section."""
    inner = _in_one_line(value)
    start = node.start_mark.index
    if node.flow_style:
        for key in reversed(keys[1:]):
            inner = f"{{{key}: {inner}}}"
        rest = ", " if node.value else ""
        return f"{text[: start + 1]}{keys[0]}: {inner}{rest}{text[start + 1 :]}"
    indent, lines = " " * node.start_mark.column, []
    for depth, key in enumerate(keys):
        more = indent + "  " * depth if depth else ""
        lines.append(f"{more}{key}:" + (f" {inner}" if depth == len(keys) - 1 else ""))
    return text[:start] + "\n".join(lines) + "\n" + indent + text[start:]


def _end(node: yaml.Node) -> int:
    """Where a value ends; PyYAML has those of several lines end where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return node.end_mark.index


def _node(text: str) -> yaml.Node:
    node = LimitedLoader(text).get_single_node()
    assert node is not None, text  # a config has keys
    return node


def _plain(node: yaml.Node) -> Any:
    """A node without its place, whatever its tags are."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: _plain(child) for key, child in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child) for child in node.value]
    return node.tag, node.value


def _in_one_line(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.strip().removesuffix("...").strip()
