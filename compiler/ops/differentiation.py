"""Derivatives written out: for every `grad` of a graph, the nodes that compute it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Condition, Graph, Input, Node, Op, Output, Value
from compiler.ir.symbols import NoDerivative, Slopes, Symbol
from compiler.ops.registry import load_ops
from compiler.ops.scan import Scan
from compiler.report.diagnostics import CompileError, Fault, Label, Message
from compiler.report.messages.derivatives import no_derivative
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType

UNFIT = "its rule does not fit tensors of these shapes"
"""Why there is no derivative where a rule writes what cannot be: of sizes that are not known."""


def expand_graph(graph: Graph) -> Graph:
    """The graph with what computes a derivative in place of each node that asks for one, in the
    bodies of its loops too.

    Raises:
        CompileError: there are ops between without a derivative; all of them are named.
    """
    writer = _Writer(graph)
    faults: list[Message] = []
    for node in graph.nodes:
        if isinstance(node.op, Scan):
            body = expand_graph(node.op.body)
            same = body is node.op.body
            node = node if same else replace(node, op=replace(node.op, body=body))
        if not node.op.of_graph:
            writer.nodes.append(node)
            continue
        try:
            _differentiate(writer, node)
        except CompileError as error:
            faults += error.messages
    if faults:
        raise CompileError(faults)
    conditions = tuple(writer.conditions.values())
    return replace(graph, nodes=tuple(writer.nodes), conditions=conditions)


class _Writer:
    """Adds nodes to those of a graph, at the place of one of them."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: list[Node] = []
        self.ops = load_ops()
        self.conditions = {(c.left, c.relation, c.right): c for c in graph.conditions}
        self.taken = {v.name for n in graph.nodes for v in n.outputs} | set(graph.parameter)
        self.taken |= {i.name for i in graph.inputs}
        self.makers = {v.name: n.op for n in graph.nodes for v in n.outputs}
        self.serial = 0
        self.scope: Frame = graph.frame
        self.origin = Site()

    def stand_at(self, node: Node) -> None:
        """Lets what is added stand where a node does."""
        self.scope = node.scope
        self.origin = Site(node.origin.span, guard=node.origin.guard, turns=node.origin.turns)

    def apply(self, op: str, inputs: Sequence[Symbol | None], **options: Any) -> tuple[Symbol, ...]:
        """The results of the op of that name."""
        cls = self.ops.get(op)
        assert cls is not None, f"there is no op {op}"
        return self.add(cls(**options), inputs)

    def add(self, op: Op, inputs: Sequence[Symbol | None]) -> tuple[Symbol, ...]:
        """The results of an op."""

        def assume(left: Dim, relation: str, right: Dim) -> None:
            key = (left, relation, right)
            self.conditions.setdefault(key, Condition(left, relation, right, self.origin.span))

        try:
            types = op.infer(assume, *(s.type if s is not None else None for s in inputs))
        except Fault as fault:
            raise NoDerivative(UNFIT) from fault
        values = tuple(map(self.make_value, types))
        self.makers.update((v.name, op) for v in values)
        read = tuple(s.value if s is not None else None for s in inputs)
        self.nodes.append(Node(op, read, values, self.scope, self.origin))
        return tuple(map(self.symbol, values))

    def number(self, value: float | Dim, dtype: DType) -> Symbol:
        """A number as a tensor without axes."""
        found = value.known if isinstance(value, Dim) else value
        op = "size" if found is None else "constant"
        (made,) = self.apply(op, (), value=value if found is None else found, dtype=dtype)
        return made

    def constant(self, array: Any, dtype: DType) -> Symbol:
        """The numbers of an array as a tensor."""
        numbers = np.asarray(array)
        if numbers.ndim == 0:
            return self.number(numbers.item(), dtype)
        value = tuple(numbers.ravel().tolist())
        (made,) = self.apply("constant", (), value=value, dtype=dtype, shape=numbers.shape)
        return made

    def find_number(self, symbol: Symbol) -> float | None:
        """The number that all entries of a tensor always are; None where that is not known."""
        op = self.makers.get(symbol.value.name)
        return None if op is None else op.number

    def symbol(self, value: Value) -> Symbol:
        """A value of the graph to compute with."""
        return Symbol(value, value.type, self)

    def make_value(self, type: TensorType) -> Value:
        """A value with a name that nothing has."""
        while True:
            self.serial += 1
            name = f"%slope{self.serial}"
            if name not in self.taken:
                return Value(name, type)


def _differentiate(writer: _Writer, node: Node) -> None:
    """Adds what computes the result of a `grad` from the nodes before it."""
    y, x = node.inputs
    assert y is not None, "y is required"
    assert x is not None, "x is required"
    writer.stand_at(node)
    before, writer.nodes = writer.nodes, []
    between, wanted = _find_between(before, y, x)
    slopes = {y.name: [writer.symbol(y).apply("ones_like")]}
    faults = list(_pull_back(writer, between, slopes, wanted, node))
    if faults:
        raise CompileError(faults)
    total = _add_up(slopes.get(x.name)) or writer.symbol(x).zeros()
    (identity,) = (cls() for cls in [writer.ops.get("identity")] if cls is not None)
    last = Node(identity, (total.value,), node.outputs, node.scope, node.origin)
    writer.nodes = [*before, *_keep_needed(writer.nodes, total.value), last]


def _pull_back(
    writer: _Writer,
    between: Sequence[Node],
    slopes: dict[str, list[Symbol]],
    wanted: Collection[str],
    asked: Node,
) -> Iterator[Message]:
    """Adds slopes of what nodes read to those of what they make, last nodes first. Gives what
    keeps it from that."""
    for node in reversed(between):
        found = [_add_up(slopes.get(v.name)) for v in node.outputs]
        if all(slope is None for slope in found):
            continue
        try:
            made = list(_derive(writer, node, found, wanted, asked))
        except NoDerivative as reason:
            place = node.origin.span
            told = () if place is None else (Label(place, str(reason)),)
            yield no_derivative(asked.origin.span, node.op.name, told)
            continue
        for value, slope in made:
            slopes.setdefault(value.name, []).append(slope)


def _find_between(
    before: Sequence[Node], y: Value, x: Value
) -> tuple[Sequence[Node], Collection[str]]:
    """The nodes through which y follows from x, and the values that do so themselves."""
    reached = _find_reached(before, [x.name])
    needed = {y.name}
    between: list[Node] = []
    for node in reversed(before):
        if any(v.name in needed and v.name in reached for v in node.outputs):
            read = [v for v in node.inputs if v is not None and v.name in reached]
            needed.update(v.name for v in read)
            if read and passes_slope(node):
                between.append(node)
    return between[::-1], reached


def _find_reached(nodes: Sequence[Node], names: Iterable[str]) -> set[str]:
    """These values, and those that change with them."""
    reached = set(names)
    for node in nodes:
        if passes_slope(node) and any(v is not None and v.name in reached for v in node.inputs):
            reached.update(v.name for v in node.outputs if v.type.dtype.is_float)
    return reached


def passes_slope(node: Node) -> bool:
    """Whether the results of a node change with what it reads, other than in jumps."""
    return not node.op.is_flat and any(v.type.dtype.is_float for v in node.outputs)


def _derive(
    writer: _Writer,
    node: Node,
    found: Sequence[Symbol | None],
    wanted: Collection[str],
    asked: Node,
) -> Iterator[tuple[Value, Symbol]]:
    """The slopes of those inputs of a node that are wanted, of the slopes of its results."""
    if isinstance(node.op, Scan):
        yield from _Loop(writer, node, node.op, found, wanted, asked).derive()
        return
    inputs = [writer.symbol(v) if v is not None else None for v in node.inputs]
    results = [writer.symbol(v) for v in node.outputs]
    start = len(writer.nodes)
    spelled = node.op.spell_out(*inputs)
    if spelled is None:
        made = node.op.derive(found, results, *inputs)
    else:
        made = _derive_spelled(writer, writer.nodes[start:], spelled, found, inputs, asked)
    for value, slope in zip(node.inputs, made, strict=True):
        if value is None or slope is None or value.name not in wanted:
            continue
        if value.type.dtype.is_float:
            settled = slope if isinstance(slope, Symbol) else slope()
            assert settled.rank == value.type.rank, f"{node.op.name}: {settled.type} of {value}"
            yield value, settled


def _derive_spelled(
    writer: _Writer,
    nodes: Sequence[Node],
    spelled: Sequence[Symbol],
    found: Sequence[Symbol | None],
    inputs: Sequence[Symbol | None],
    asked: Node,
) -> Slopes:
    """The slopes of the inputs of an op that is said with other ops."""
    slopes: dict[str, list[Symbol]] = {}
    for result, slope in zip(spelled, found, strict=True):
        if slope is not None:
            slopes.setdefault(result.value.name, []).append(slope)
    given = {s.value.name for s in inputs if s is not None and s.dtype.is_float}
    reached = _find_reached(nodes, given)
    faults = list(_pull_back(writer, nodes, slopes, reached, asked))
    if faults:
        raise CompileError(faults)
    return [None if s is None else _add_up(slopes.get(s.value.name)) for s in inputs]


def _add_up(slopes: Sequence[Symbol] | None) -> Symbol | None:
    if not slopes:
        return None
    total = slopes[0]
    for slope in slopes[1:]:
        total = total + slope
    return total


def _keep_needed(nodes: Sequence[Node], value: Value) -> list[Node]:
    """Those nodes that a value needs."""
    needed = {value.name}
    kept = []
    for node in reversed(nodes):
        if any(v.name in needed for v in node.outputs):
            needed.update(v.name for v in node.inputs if v is not None)
            kept.append(node)
    return kept[::-1]


@dataclass(frozen=True)
class _Loop:
    """The derivative of a loop (backpropagation through time): the loop once more, which keeps its
    states, and one the other way round, whose states are the slopes of these."""

    writer: _Writer
    node: Node
    scan: Scan
    found: Sequence[Symbol | None]
    wanted: Collection[str]
    asked: Node

    def derive(self) -> Iterator[tuple[Value, Symbol]]:
        """The slopes of those inputs that are wanted."""
        scan = self.scan
        if scan.until:
            raise NoDerivative("a loop that a condition ends has none that is written down")
        if self.node.op.varies:  # it runs twice
            raise NoDerivative("a loop that draws random numbers has none that is written down")
        inputs = [self.writer.symbol(v) for v in self.node.inputs if v is not None]
        sequences, rest = inputs[: scan.sequences], inputs[scan.sequences :]
        states, captured = rest[: scan.states], rest[scan.states :]
        kept = self._keep_states(inputs)
        body = self._turn_body()
        emitted = [s for s in self.found[scan.states :] if s is not None]
        axes = [a for a, s in zip(scan.emit_axes, self.found[scan.states :], strict=True) if s]
        steps = [
            *(_to_front(x, scan.axis) for x in sequences),
            *kept,
            *(_to_front(slope, axis) for slope, axis in zip(emitted, axes, strict=True)),
        ]
        first = [
            slope if slope is not None else state.zeros()
            for slope, state in zip(self.found, states, strict=False)
        ]
        totals = [x.zeros() for x in captured]
        back = Scan(
            body=body,
            sequences=len(steps),
            states=len(first) + len(totals),
            emit_axes=(0,) * len(sequences),
            reverse=not scan.reverse,
        )
        made = self.writer.add(back, [*steps, *first, *totals, *captured])
        slopes = [_to_place(x, scan.axis) for x in made[len(rest) :]]
        for value, slope in zip(self.node.inputs, (*slopes, *made[: len(rest)]), strict=True):
            if value is not None and value.name in self.wanted and value.type.dtype.is_float:
                yield value, slope

    @property
    def _remembered(self) -> list[Input]:
        """What a step of the other way round has to know: the counter, and the states before."""
        counter = [] if self.scan.counter is None else [self.scan.counter]
        return [*counter, *self.scan.carried]

    def _keep_states(self, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
        """What is remembered of all steps, from the loop run again."""
        body, nodes, outputs = self.scan.body, [], []
        inner = _Writer(body)
        for item in self._remembered:
            kept = inner.make_value(item.value.type)
            nodes.append(self._pass_on(item.value, kept))
            outputs.append(Output(kept.name, kept))
        outputs = [*body.outputs[: self.scan.states], *outputs]
        body = replace(body, nodes=(*body.nodes, *nodes), outputs=tuple(outputs))
        loop = replace(self.scan, body=body, emit_axes=(0,) * len(nodes))
        return self.writer.add(loop, inputs)[self.scan.states :]

    def _pass_on(self, old: Value, new: Value) -> Node:
        identity = self.writer.ops.get("identity")
        assert identity is not None, "there is an op for nothing"
        return Node(identity(), (old,), (new,), self.scan.body.frame, self.writer.origin)

    def _turn_body(self) -> Graph:
        """A step the other way round: from the slopes of states after it to those before it."""
        scan, body = self.scan, self.scan.body
        inner = _Writer(body)
        inner.stand_at(self.asked)
        inner.nodes = list(body.nodes)
        slopes: dict[str, list[Symbol]] = {}
        after = [inner.make_value(output.value.type) for output in body.outputs]
        for slope, output, given in zip(after, body.outputs, self._given(), strict=True):
            if given and slope.type.dtype.is_float:
                slopes.setdefault(output.value.name, []).append(inner.symbol(slope))
        sums = [inner.make_value(item.value.type) for item in scan.captured]
        floats = [i.name for i in body.inputs if i.value.type.dtype.is_float]
        reached = _find_reached(body.nodes, floats)
        faults = list(_pull_back(inner, body.nodes, slopes, reached, self.asked))
        if faults:
            raise CompileError(faults)
        found = {i.name: _add_up(slopes.get(i.name)) for i in body.inputs}
        made = [found[i.name] or inner.symbol(i.value).zeros() for i in scan.carried]
        for total, item in zip(sums, scan.captured, strict=True):
            more = found[item.name]
            made.append(inner.symbol(total) if more is None else inner.symbol(total) + more)
        made += [found[i.name] or inner.symbol(i.value).zeros() for i in scan.slices]
        outputs = []
        for symbol in made:
            value = inner.make_value(symbol.type)
            inner.nodes.append(self._pass_on(symbol.value, value))
            outputs.append(Output(value.name, value))
        emitted = [v for v, given in zip(after, self._given(), strict=True) if given]
        steps = [*scan.slices, *self._remembered, *map(Input, emitted[scan.states :])]
        inputs = (*steps, *map(Input, after[: scan.states]), *map(Input, sums), *scan.captured)
        return replace(
            body,
            inputs=inputs,
            outputs=tuple(outputs),
            nodes=tuple(inner.nodes),
            conditions=tuple(inner.conditions.values()),
            aliases=(),
        )

    def _given(self) -> list[bool]:
        """For each output of the body whether it has a slope: all states have."""
        emitted = self.found[self.scan.states :]
        return [True] * self.scan.states + [slope is not None for slope in emitted]


def _to_front(x: Symbol, axis: int) -> Symbol:
    """A tensor with an axis in front of the others."""
    place = axis % x.rank
    return x.permute([place, *(a for a in range(x.rank) if a != place)])


def _to_place(x: Symbol, axis: int) -> Symbol:
    """A tensor with its first axis at another place."""
    order = list(range(1, x.rank))
    order.insert(axis % x.rank, 0)
    return x.permute(order)
