"""An analysis: how much of each value is needed, where only a slice of it ever is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.ir.graph import Graph, Node, Value
from compiler.ops.indexing import FULL, Entry, Index, lay_out
from compiler.ops.items import SliceItem
from compiler.passes.axes import trace_axis
from compiler.types.dims import Dim


@dataclass(frozen=True)
class Demand:
    """A range of entries along one axis, counted from the front; the bounds are as in Python."""

    axis: int
    entries: SliceItem

    @property
    def first_of_one(self) -> Dim | None:
        """The place of the entry, if the range is known to have one."""
        if self.entries.start is None:
            return Dim.of(0) if self.entries.stop == 1 else None
        first = Dim.of(self.entries.start)
        stop = Dim.of(0) if self.entries.stop is None else Dim.of(self.entries.stop)
        return first if stop == first + 1 and (first == -1) == (self.entries.stop is None) else None


WHOLE = None
"""The demand for everything."""


def find_demands(graph: Graph) -> dict[str, Demand | None]:
    """For each value that nodes make: the only part of it that outputs depend on, or `WHOLE`.

    Works from the outputs back. A part that a node needs of its result becomes a part of each
    input that has the axis; two users that need different parts need the whole.
    """
    demands: dict[str, Demand | None] = {o.value.name: WHOLE for o in graph.outputs}
    for node in reversed(graph.nodes):
        for value, demand in _input_demands(node, demands):
            if value.name in demands and demands[value.name] != demand:
                demand = WHOLE
            demands[value.name] = demand
    return {v.name: demands.get(v.name) for node in graph.nodes for v in node.outputs}


def _input_demands(
    node: Node, demands: dict[str, Demand | None]
) -> Iterator[tuple[Value, Demand | None]]:
    wanted = {demands.get(v.name) for v in node.outputs}
    demand = wanted.pop() if len(wanted) == 1 else WHOLE
    own = read_slice(node) if demand is WHOLE else None
    trace = trace_axis(node, demand.axis) if demand is not WHOLE else None
    for position, value in enumerate(node.inputs):
        if value is None:
            continue
        axis = trace[position] if trace is not None else None
        if own is not None and position == 0:
            yield value, own
        elif demand is not WHOLE and axis is not None:
            yield value, Demand(axis, demand.entries)
        else:
            yield value, WHOLE


def read_slice(node: Node) -> Demand | None:
    """What a subscript takes, if it takes one range or one entry along one axis; the range of
    an entry has length 1."""
    if not isinstance(node.op, Index) or len(node.inputs) != 1 or node.inputs[0] is None:
        return None
    cut = [e for e in lay_out(node.op.items, node.inputs[0].type) if e.item != FULL]
    match cut:
        case [Entry(SliceItem(_, _, 1) as item, int() as axis)]:
            return Demand(axis, item)
        case [Entry(int() | Dim() as item, int() as axis)]:
            first = Dim.of(item)
            stop = None if first == -1 else first + 1
            return Demand(axis, SliceItem(first, stop))
    return None
