"""What is computed with columns: categories are no sizes, and missing cells do not become 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compiler.data.base import Column
from compiler.ir.graph import Graph, Node
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.cells import category_arithmetic, missing_vanish
from compiler.rows.limits import takes_entries

Held = Mapping[str, Column]
"""The columns whose cells values hold as they are: categories, or numbers that may be missing."""


@dataclass(frozen=True)
class Usage:
    """What the outputs of a graph still hold, and what is wrong with its nodes."""

    held: Held
    faults: tuple[Message, ...]


def trace_columns(graph: Graph, given: Held) -> Usage:
    """Follows columns through a graph; `given` are those of its inputs that need care."""
    held = {i.value.name: given[i.name] for i in graph.inputs if i.name in given}
    faults = [fault for node in graph.nodes for fault in _visit(node, held)]
    left = {o.name: held[o.value.name] for o in graph.outputs if o.value.name in held}
    return Usage(left, tuple(faults))


def needs_care(column: Column) -> bool:
    """Whether not everything may be computed with a column."""
    return column.missing or bool(column.words and column.categories)


def _visit(node: Node, held: dict[str, Column]) -> Iterator[Message]:
    """Notes what the outputs of a node hold."""
    for index, value in enumerate(node.inputs):
        column = held.get(value.name) if value is not None else None
        if column is None or takes_entries(node, index):
            continue
        left = _use_categories(node, column) if column.words else _use_numbers(node, column)
        if isinstance(left, Column):
            held.update((output.name, left) for output in node.outputs)
        elif left is not None:
            yield left


def _use_categories(node: Node, column: Column) -> Column | Message | None:
    """The column, where the result holds its categories; None where it does not."""
    if node.op.moves:
        return column
    if node.op.matches:
        return None
    if node.op.converts:
        if node.output.type.dtype.is_integer:
            return column
        if len(column.categories) <= 2:
            return None
    span = node.origin.span
    return category_arithmetic(span, node.op.name, column.name, column.categories)


def _use_numbers(node: Node, column: Column) -> Column | Message | None:
    """The column, where the result is still NaN where cells are missing; None where they are
    replaced."""
    if node.op.finds_nan or node.op.selects:
        return None
    if all(output.type.dtype.is_float for output in node.outputs):
        return column
    return missing_vanish(node.origin.span, node.op.name, column.name)
