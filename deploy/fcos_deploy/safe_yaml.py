"""PyYAML's safe loader, with limits: a few lines of aliases can stand for billions of values."""

import yaml


class LimitedLoader(yaml.SafeLoader):
    """Raises ValueError for content that is nested too deeply, contains itself, or is too large."""

    max_values = 200_000  # an alias counts as much as what it stands for
    max_depth = 50

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Stops while reading, because the rest would take PyYAML seconds."""
        self._depth, self._count = self._depth + 1, self._count + 1
        if self._depth > self.max_depth:
            raise ValueError(f"nested too deeply: lists lie more than {self.max_depth} deep")
        if self._count > self.max_values:
            raise ValueError(f"it holds more than {self.max_values} values")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        """The only document of the stream."""
        node = super().get_single_node()
        if node is not None:
            self._expanded_size(node, {})
        return node

    def _expanded_size(self, node: yaml.Node, known: dict[int, int | None]) -> int:
        """Number of values in a node; `known`: of other nodes, None while one is being counted."""
        if id(node) in known:
            size = known[id(node)]
            if size is None:
                line = node.start_mark.line + 1
                raise ValueError(f"an alias stands for what it is in, line {line}")
            return size
        known[id(node)] = None
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [x for pair in node.value for x in pair]
        size = 1 + sum(self._expanded_size(child, known) for child in children)
        if size > self.max_values:
            raise ValueError(f"its aliases stand for more than {self.max_values} values")
        known[id(node)] = size
        return size
