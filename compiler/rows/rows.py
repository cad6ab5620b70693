"""Column expressions, written for one row, as one graph over all rows at once."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.ir.builder import Builder
from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Node, Op, Value
from compiler.ops.reshaping import Reshape
from compiler.ops.shaping import Expand
from compiler.records import dataclass
from compiler.report.diagnostics import Fault, Message
from compiler.report.messages.columns import not_per_row
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType

ROWS = "rows"
"""The symbolic dim of the graph of columns."""


class NotBatched(Exception):
    """An expression that cannot be computed for all rows at once; holds the diagnostic."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.text.title)
        self.message = message


def stack_rows(graph: Graph) -> Graph:
    """The graph that does to `[rows, …]` what this one does to a row: every input gets a leading
    axis, and so does every output. Values keep their names; buffers have no rows.

    Raises:
        NotBatched: an op has no meaning over all rows.
    """
    return _Stacking(graph).run()


@dataclass(frozen=True)
class _Place:
    """A value of the new graph, and its type in one row. `stacked` says whether it has rows."""

    value: Value
    row: TensorType
    stacked: bool


class _Stacking:
    """One run: where each value of the old graph is in the new one."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = Builder(graph.name, graph.frame, graph.doc)
        self.rows = Dim.of(ROWS)
        self.places: dict[str, _Place] = {}

    def run(self) -> Graph:
        kinds: dict[int, TensorType] = {}  # by identity: thousands of columns share a type
        for item in self.graph.inputs:
            row = item.value.type
            stacked = kinds.get(id(row)) or TensorType(row.dtype, (self.rows, *row.shape))
            kinds[id(row)] = stacked
            value = self.builder.input(item.name, stacked, item.doc, item.origin)
            self.places[item.name] = _Place(value, row, stacked=True)
        for parameter in self.graph.parameters:
            type_ = parameter.value.type
            value = self.builder.parameter(
                parameter.path,
                type_,
                parameter.initializer,
                trainable=parameter.trainable,
                origin=parameter.origin,
            )
            self.places[parameter.path] = _Place(value, type_, stacked=False)
        for node in self.graph.nodes:
            self._add(node)
        for output in self.graph.outputs:
            place = self.places[output.value.name]
            value = place.value if place.stacked else self._repeat(place, None)
            self.builder.output(output.name, value, output.doc, output.origin)
        return self.builder.graph()

    def _add(self, node: Node) -> None:
        inputs = [self.places[v.name] if v is not None else None for v in node.inputs]
        stacked = any(p is not None and p.stacked for p in inputs)
        if stacked:
            op, values = self._stack(node, inputs)
        else:
            op, values = node.op, [p.value if p is not None else None for p in inputs]
        made = self._apply(op, values, node)
        for old, new in zip(node.outputs, made, strict=True):
            self.places[old.name] = _Place(new, old.type, stacked)

    def _stack(self, node: Node, inputs: Sequence[_Place | None]) -> tuple[Op, list[Value | None]]:
        """The op over all rows, and its operands with the ranks that it needs."""
        types = [p.row if p is not None else None for p in inputs]
        weights = _count_weights(node)
        operands = types[: len(types) - weights]
        op = node.op.over_rows(operands, self.rows)
        if op is None:
            raise NotBatched(not_per_row(node.origin.span, node.op.name))
        ranks = node.op.row_ranks(operands)
        values: list[Value | None] = []
        for place, rank in zip(inputs, ranks, strict=False):
            if place is None:
                values.append(None)
            elif place.stacked:
                values.append(self._raise_rank(place, rank, node))
            else:
                values.append(place.value if node.op.broadcasts else self._repeat(place, node))
        values += [p.value if p is not None else None for p in inputs[len(operands) :]]
        return op, values

    def _raise_rank(self, place: _Place, rank: int, node: Node) -> Value:
        """The value with axes of size 1 behind the rows, so that a row has that rank."""
        missing = rank - place.row.rank
        if missing <= 0:
            return place.value
        shape = (self.rows, *[Dim.of(1)] * missing, *place.row.shape)
        (value,) = self._apply(Reshape(shape), [place.value], node, f"{place.value.name}.rows")
        return value

    def _repeat(self, place: _Place, node: Node | None) -> Value:
        """A value that is the same for all rows, once for each."""
        shape = (self.rows, *place.row.shape)
        origin = node or self.graph.producers.get(place.value.name)
        (value,) = self._apply(Expand(shape), [place.value], origin, f"{place.value.name}.rows")
        return value

    def _apply(
        self, op: Op, inputs: Sequence[Value | None], node: Node | None, name: str = ""
    ) -> tuple[Value, ...]:
        """Adds a node in the place of one of the old graph. Hints name fields by position, which
        rows move: they are dropped."""
        names = (name,) if name or node is None else tuple(v.name for v in node.outputs)
        site = Site() if node is None else Site(node.origin.span, node.origin.name)
        scope = self.graph.frame if node is None else node.scope
        try:
            return self.builder.apply(op, inputs, scope, site, names)
        except Fault as fault:
            raise NotBatched(not_per_row(site.span, op.name)) from fault


def _count_weights(node: Node) -> int:
    """How many of a node's inputs are weights, which follow the operands."""
    if any(operand.variadic for operand in node.op.operands):
        return 0
    return len(node.inputs) - len(node.op.operands)
