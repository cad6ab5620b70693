"""What an augmentation reads for the columns that a training takes."""

from __future__ import annotations

from collections.abc import Collection

from compiler.program.data import DataSet


def find_augmenting(data: DataSet, columns: Collection[str]) -> frozenset[str]:
    """The columns that an augmentation reads to change some of these."""
    graph = data.augment
    if graph is None:
        return frozenset()
    needed = {o.value.name for o in graph.outputs if o.name in columns}
    for node in reversed(graph.nodes):
        if any(value.name in needed for value in node.outputs):
            needed |= {value.name for value in node.inputs if value is not None}
    return frozenset(item.name for item in graph.inputs if item.value.name in needed)
