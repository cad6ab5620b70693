"""How large the numbers of an integer input may be: bounds of the tables they index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compiler.dims import Dim
from compiler.ir.graph import Graph, Node, Value
from compiler.ops.gathering import Gather, OneHot, Put, TakeAlong
from compiler.ops.indexing import Index, lay_out
from compiler.ops.items import TensorIndex
from compiler.ops.linear import Embedding

MOVES = frozenset(
    ("reshape", "flatten", "transpose", "permute", "squeeze", "unsqueeze", "expand", "concat")
) | frozenset(("stack", "split", "chunk", "unbind", "repeat", "flip", "cast"))
"""Ops that move numbers and keep them as they are."""


def find_bounds(graph: Graph, sizes: Mapping[str, int]) -> dict[str, int]:
    """For each integer input that indexes something: one more than the largest index allowed."""
    bounds: dict[str, int] = {}
    for item in graph.inputs:
        if item.value.type.dtype.is_integer:
            limits = [limit.evaluate(sizes) for limit in _find_limits(graph, item.value)]
            if limits:
                bounds[item.name] = min(limits)
    return bounds


def _find_limits(graph: Graph, value: Value) -> Iterator[Dim]:
    """Sizes of what is indexed by a value, or by what it is moved to."""
    for node in graph.users.get(value.name, ()):
        for position, read in enumerate(node.inputs):
            if read == value:
                yield from _indexed_sizes(node, position)
        moved = node.op.name in MOVES or (isinstance(node.op, Index) and node.inputs[0] == value)
        if moved:
            for output in node.outputs:
                if output.type.dtype.is_integer:
                    yield from _find_limits(graph, output)


def _indexed_sizes(node: Node, position: int) -> Iterator[Dim]:
    """The sizes of the axes that the input at this position holds places of."""
    first = node.inputs[0]
    match node.op:
        case Embedding(count) if position == 0:
            yield Dim.of(count)
        case OneHot(classes) if position == 0:
            yield Dim.of(classes)
        case Gather(axis) | TakeAlong(axis) if position == 1 and first is not None:
            yield first.type.shape[axis]
        case Put(axis) if position == 2 and first is not None:
            yield first.type.shape[axis]
        case Index(items) if position > 0 and first is not None:
            for entry in lay_out(items, first.type):
                if entry.item == TensorIndex(position) and entry.axis is not None:
                    yield first.type.shape[entry.axis]
