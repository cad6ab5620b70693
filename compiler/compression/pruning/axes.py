"""An analysis: which axes of which tensors are the same axis, by the coupling rules of the ops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from compiler.compression.selecting import layer_path
from compiler.ir.coupling import Coupling
from compiler.ir.graph import Graph, Node, Op, Value
from compiler.ir.inputs import Port, list_inputs
from compiler.ops.scan import Scan

Place = tuple[str, str, int]
"""An axis of a value: the loop that holds the value (empty outside of any), its name, the axis."""


@dataclass(frozen=True)
class Cause:
    """Why entries of an axis stay."""

    axis: int
    reason: str


@dataclass
class AxisTable:
    """Axes joined by union-find; an id is that of an axis, its root stands for all joined to it.

    `parts` are (whole, part, start), `factors` (whole, factors, kept) as in `Coupling`, `makers`
    (axis of a weight, path of its layer), `readings` (operand, weight or None).
    """

    ids: dict[Place, int] = field(default_factory=dict)
    parents: list[int] = field(default_factory=list)
    sizes: list[int | None] = field(default_factory=list)
    parts: list[tuple[int, int, int]] = field(default_factory=list)
    factors: list[tuple[int, tuple[int, ...], int | None]] = field(default_factory=list)
    makers: list[tuple[int, str]] = field(default_factory=list)
    readings: list[tuple[Place, Place | None]] = field(default_factory=list)
    mixed: list[int] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)

    def add(self, place: Place, size: int | None) -> int:
        """The id of an axis; `size` None where it is symbolic."""
        found = self.ids.get(place)
        if found is None:
            found = self.ids[place] = len(self.parents)
            self.parents.append(found)
            self.sizes.append(size)
        return found

    def root(self, axis: int) -> int:
        """The axis that stands for all joined to this one."""
        while self.parents[axis] != axis:
            self.parents[axis] = self.parents[self.parents[axis]]
            axis = self.parents[axis]
        return axis

    def join(self, left: int, right: int) -> None:
        """Makes two axes one. Sizes that are equal by a promise alone leave it uncut."""
        left, right = self.root(left), self.root(right)
        if left == right:
            return
        self.parents[right] = left
        if self.sizes[left] != self.sizes[right]:
            self.sizes[left] = None

    def pin(self, axis: int, reason: str) -> None:
        """Notes that an axis stays as it is."""
        self.causes.append(Cause(axis, reason))


def collect_axes(graph: Graph) -> AxisTable:
    """The axes of every tensor of a graph, bodies of loops included, and how they hang together."""
    table = AxisTable()
    for item in graph.inputs:
        _pin_all(table, item.value, "an input of the net")
    _collect(table, graph, "", frozenset(graph.parameter))
    for output in graph.outputs:
        _pin_all(table, output.value, "an output of the net")
    return table


def _pin_all(table: AxisTable, value: Value, reason: str) -> None:
    for axis in _add_axes(table, "", value):
        table.pin(axis, reason)


def _add_axes(table: AxisTable, space: str, value: Value) -> list[int]:
    shape = value.type.shape
    return [table.add((space, value.name, a), shape[a].known) for a in range(len(shape))]


def _collect(table: AxisTable, graph: Graph, space: str, parameters: frozenset[str]) -> None:
    for node in graph.nodes:
        for value in (*node.inputs, *node.outputs):
            if value is not None:
                _add_axes(table, space, value)
        if isinstance(node.op, Scan):
            _collect_scan(table, node, node.op, space, parameters)
        else:
            made = [value.type for value in node.outputs]
            rule = node.op.couple(made, *list_inputs(node.types))
            _apply(table, node, rule, space, parameters)


def inner_space(space: str, node: Node) -> str:
    """The name of the inside of a loop."""
    return f"{space}{node.outputs[0].name}/"


def _apply(
    table: AxisTable, node: Node, rule: Coupling, space: str, parameters: frozenset[str]
) -> None:
    own = inner_space(space, node)

    def place(port: Port) -> Place:
        if port.side == "inner":
            return own, "", port.number
        value = (node.inputs if port.side == "in" else node.outputs)[port.number]
        assert value is not None, "a rule names tensors that are there"
        return space, value.name, port.axis

    def find(port: Port) -> int:
        return table.add(place(port), port.axis if port.side == "inner" else None)

    for tie in rule.ties:
        first = find(tie[0])
        for port in tie[1:]:
            table.join(first, find(port))
    table.parts += [(find(p.whole), find(p.part), p.start) for p in rule.parts]
    table.factors += [(find(f.whole), tuple(map(find, f.factors)), f.kept) for f in rule.factors]
    table.mixed += map(find, rule.mixed)
    for port in rule.made:
        if place(port)[1] in parameters:
            table.makers.append((find(port), layer_path(node)))
    for reading in rule.read:
        weight = place(reading.weight) if reading.weight is not None else None
        table.readings.append((place(reading.operand), weight))
    named = set(_list_ports(rule))
    for side, values in (("in", node.inputs), ("out", node.outputs)):
        for number, value in enumerate(values):
            for axis in range(value.type.rank if value is not None else 0):
                port = Port("in" if side == "in" else "out", number, axis)
                if port not in named:
                    table.pin(find(port), _explain_whole(node.op))


TOO_LATE = "it is quantized already: `prune` goes before `quantize`"


def _explain_whole(op: Op) -> str:
    """Why an op keeps an axis as it is."""
    return TOO_LATE if op.quantized else f"`{op.name}` needs all of it"


def _list_ports(rule: Coupling) -> Iterator[Port]:
    yield from chain.from_iterable(rule.ties)
    for part in rule.parts:
        yield from (part.whole, part.part)
    for item in rule.factors:
        yield from (item.whole, *item.factors)


def _collect_scan(
    table: AxisTable, node: Node, op: Scan, space: str, parameters: frozenset[str]
) -> None:
    inner = inner_space(space, node)
    body, outputs = op.body, [o.value for o in op.body.outputs]
    for item in body.inputs:
        _add_axes(table, inner, item.value)
    _collect(table, body, inner, parameters)
    inputs = [v for v in node.inputs if v is not None]
    states = inputs[op.sequences : op.sequences + op.states]
    captured = inputs[op.sequences + op.states :]
    for outside, item in zip(inputs, op.slices, strict=False):
        _join_slices(table, (space, outside), (inner, item.value), op.axis)
    for outside, item in zip((*states, *captured), (*op.carried, *op.captured), strict=True):
        _join_all(table, (space, outside), (inner, item.value))
    for item, after, last in zip(op.carried, outputs, node.outputs, strict=False):
        _join_all(table, (inner, item.value), (inner, after))
        _join_all(table, (inner, item.value), (space, last))
    stacked = zip(node.outputs[op.states :], op.emitted, op.emit_axes, strict=True)
    for outside, emitted, axis in stacked:
        _join_slices(table, (space, outside), (inner, emitted.value), axis)


Located = tuple[str, Value]


def _join_all(table: AxisTable, left: Located, right: Located) -> None:
    for a, b in zip(_add_axes(table, *left), _add_axes(table, *right), strict=True):
        table.join(a, b)


def _join_slices(table: AxisTable, stacked: Located, slice_: Located, axis: int) -> None:
    """Joins the axes of a tensor that a loop goes along with those of its slice."""
    whole = _add_axes(table, *stacked)
    table.pin(whole.pop(axis % len(whole)), "a loop goes along it")
    for a, b in zip(whole, _add_axes(table, *slice_), strict=True):
        table.join(a, b)
