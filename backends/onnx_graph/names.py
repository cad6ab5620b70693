"""Unique, readable names for values and nodes of one ONNX model."""

from __future__ import annotations


class Names:
    """Hands out names; a name that is taken gets `_2`, `_3` …"""

    def __init__(self) -> None:
        self._values: dict[str, int] = {}
        self._nodes: dict[str, int] = {}

    def value(self, wish: str) -> str:
        """A free name for a value."""
        return _take(self._values, wish)

    def hold(self, name: str) -> None:
        """Keeps a name for an output, which is given it in the end."""
        self._values.setdefault(name, 1)

    def node(self, wish: str) -> str:
        """A free name for a node; nodes and values may share names."""
        return _take(self._nodes, wish)


def _take(taken: dict[str, int], wish: str) -> str:
    """The wish, or the wish with the first number that makes it free."""
    if wish not in taken:
        taken[wish] = 1
        return wish
    count = taken[wish] + 1
    while (name := f"{wish}_{count}") in taken:
        count += 1
    taken[wish] = count
    taken[name] = 1
    return name
