"""Which keys of a config are read while something is built from it."""

from collections.abc import Callable

from detectron2.config import CfgNode


class RecordingNode(CfgNode):
    """A config that remembers the full names of the values that were asked for."""

    def __init__(self, values: CfgNode, read: set[str], prefix: str = "") -> None:
        dict.__init__(self)
        vars(self).update(vars(values))
        vars(self).update(_read=read, _prefix=prefix)
        for key, value in values.items():
            is_section = isinstance(value, CfgNode)
            self[key] = RecordingNode(value, read, f"{prefix}{key}.") if is_section else value

    def __getattr__(self, name: str) -> object:
        return self[name] if name in self else super().__getattr__(name)

    def __getitem__(self, key: str) -> object:
        value = super().__getitem__(key)
        if not isinstance(value, CfgNode):
            self._read.add(f"{self._prefix}{key}")
        return value

    def clone(self) -> "RecordingNode":
        copy = RecordingNode(self, self._read, self._prefix)
        return copy

    def __deepcopy__(self, memo: dict) -> "RecordingNode":
        return self.clone()


def keys_read(cfg: CfgNode, use: Callable[[CfgNode], object]) -> set[str]:
    """Full names of the values of `cfg` that `use(cfg)` asks for."""
    read: set[str] = set()
    recording = RecordingNode(cfg, read)
    read.clear()
    use(recording)
    return read
