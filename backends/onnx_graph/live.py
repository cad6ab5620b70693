"""Which nodes of an ONNX graph its outputs depend on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx_ir as ir


def find_live(nodes: Sequence[ir.Node], outputs: Iterable[ir.Value]) -> list[ir.Node]:
    """The nodes that an output depends on, in order."""
    needed = set(outputs)
    live = []
    for node in reversed(nodes):
        if any(value in needed for value in node.outputs):
            live.append(node)
            needed.update(values_read(node))
    return live[::-1]


def values_read(node: ir.Node) -> Iterable[ir.Value]:
    """The inputs of a node, and what the graphs inside it read."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        if attribute.type is ir.AttributeType.GRAPH:
            for inner in attribute.as_graph():
                yield from values_read(inner)
