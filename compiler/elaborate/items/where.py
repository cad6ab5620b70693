"""The clause `where`: conditions of rows, and texts beside raw columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from compiler.data.base import Column
from compiler.data.dates import ISO, read_dates
from compiler.elaborate.items.operands import read_single
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import CellTexts, Poison, Tensor
from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Node, Output, Value
from compiler.ops.compare import LogicalAnd
from compiler.ops.fitted import Fitted
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.report.diagnostics import Message
from compiler.report.messages.series import condition_is_fitted, no_condition
from compiler.report.source import Span
from compiler.rows.usage import trace_columns
from compiler.text.tree.syntax import Clause
from compiler.types.tensor import DType
from compiler.writing.names import free_name


def read_cells(column: Column) -> CellTexts | None:
    """What texts mean beside a raw column; None where they mean nothing."""
    if column.trouble is not None:
        return None
    if column.words and column.categories:
        codes = {word: code for code, word in enumerate(column.categories)}
        return CellTexts(column.name, codes.get, column.categories)
    if column.written.date:
        return CellTexts(column.name, lambda text: _read_date(text, column.written.date))
    return None


def _read_date(text: str, form: str) -> int | None:
    """The seconds of a date in the form of a column, or in ISO's."""
    for known in (form, ISO):
        found = read_dates([text], known)
        if found:
            return found[text]
    return None


def read_condition(body: Body, clause: Clause) -> tuple[Tensor, Span] | None:
    """The boolean of each row, and where it stands; None where it is none, which is reported."""
    expression = read_single(body, clause)
    if expression is None:
        return None
    value = body.evaluate(expression)
    if isinstance(value, Poison):
        return None
    if isinstance(value, Tensor) and value.type.dtype is DType.BOOL and not value.type.rank:
        return value, expression.span
    body.report(no_condition(expression.span, describe(value)))
    return None


def cut_conditions(graph: Graph, names: Collection[str]) -> tuple[Graph, Graph | None]:
    """The columns over all rows, and the conditions among their outputs as a graph with one
    output, which is true of the rows that are kept; None where there are none."""
    if not names:
        return graph, None
    columns = replace(graph, outputs=tuple(o for o in graph.outputs if o.name not in names))
    conditions = tuple(o for o in graph.outputs if o.name in names)
    where = DeadCode().run(_join(graph, conditions), Context())
    read = {v.name for node in where.nodes for v in node.inputs if v is not None}
    read |= {output.value.name for output in where.outputs}
    inputs = tuple(item for item in where.inputs if item.value.name in read)
    return DeadCode().run(columns, Context()), replace(where, inputs=inputs)


def _join(graph: Graph, conditions: Sequence[Output]) -> Graph:
    """The graph with one output, which is true where all of these are."""
    first, *rest = conditions
    taken = {v.name for node in graph.nodes for v in node.outputs} | {i.name for i in graph.inputs}
    nodes, value = list(graph.nodes), first.value
    site = Site(first.origin)
    for output in rest:
        joined = Value(free_name("keep", taken, "."), value.type)
        taken.add(joined.name)
        nodes.append(Node(LogicalAnd(), (value, output.value), (joined,), graph.frame, site))
        value = joined
    return replace(graph, nodes=tuple(nodes), outputs=(replace(first, value=value),))


def find_condition_fault(where: Graph, schema: Sequence[Column]) -> Message | None:
    """What is wrong with conditions: figures of rows that they choose, sums of categories. A cell
    that is missing may be compared, which is false of it."""
    fitted = next((n for n in where.nodes if isinstance(n.op, Fitted)), None)
    if fitted is not None:
        return condition_is_fitted(fitted.origin.span, fitted.op.name)
    words = {c.name: c for c in schema if c.words and c.categories}
    return next(iter(trace_columns(where, words).faults), None)
