"""The clause `augment` of a data item: how the rows of a training are changed at random."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.elaborate.api import GraphContext
from compiler.elaborate.scopes.context import AUGMENTATION, Body, ClauseTable
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import POISON, Known, Refused, Tensor
from compiler.ir.graph import Graph
from compiler.ir.hint import HintName
from compiler.ir.sizes import ROWS
from compiler.program.data import DataSet
from compiler.report.messages.augmentation import (
    augment_form,
    augments_nothing,
    augments_to_other,
    mode_in_augmentation,
    weights_in_augmentation,
)
from compiler.report.source import Span
from compiler.rows.usage import needs_care, trace_columns
from compiler.text.tree.syntax import Binding, Clause, Statement
from compiler.types.dims import Dim

CLAUSES = ClauseTable(AUGMENTATION, {})
"""Those of an augmentation: none."""


def read_augment(body: Body, clause: Clause) -> Sequence[Statement] | None:
    """The statements of the clause; None where it has none, which is reported."""
    places = [*(o.span for o in clause.operands), *(t.span for t in clause.tails)]
    if places:
        body.report(augment_form(places[0], "nothing stands between the word and its braces"))
    if clause.body is None:
        if not places:
            body.report(augment_form(clause.word.span, "it has no braces"))
        return None
    return clause.body


def augment_rows(context: GraphContext, data: DataSet, clause: Clause) -> Graph | None:
    """The augmentation as a graph from columns with a leading axis `batch` to those that it
    changes; None where it was refused, which is reported. The context is a fresh one."""
    statements = read_augment(context.body, clause)
    if statements is None:
        return None
    columns = _declare_columns(context, data, clause.word.span)
    context.execute(statements)
    bound = context.body.names[-1]
    changed = {name: bound[name] for name in columns if name in bound}
    if not changed:
        context.body.report(augments_nothing(clause.word.span, tuple(columns)))
    spans = {s.name.text: s.name.span for s in statements if isinstance(s, Binding)}
    for name, value in changed.items():
        place = spans.get(name, clause.word.span)
        expected = columns[name].type
        if isinstance(value, Tensor) and value.type == expected:
            context.output(name, value, place)
        elif value is not POISON:
            context.body.report(augments_to_other(place, name, describe(value), str(expected)))
    graph = context.graph()
    return graph if graph is not None and _is_sound(context.body, graph, data) else None


def _declare_columns(context: GraphContext, data: DataSet, place: Span) -> dict[str, Tensor]:
    """Makes the columns inputs with a leading dim `batch`; what the item has else keeps its
    name."""
    outer, columns = context.body.names[0], {}
    for output, kind in data.type_columns(ROWS):
        span = output.origin or place
        columns[output.name] = context.add_input(output.name, kind, span, bound=False)
    outer |= {name: tensor for name, tensor in columns.items() if name not in outer}
    for column in data.schema:
        if column.trouble is not None:
            outer.setdefault(column.name, Refused(column.trouble))
    outer.setdefault(ROWS, Known(Dim.of(ROWS), HintName(ROWS)))
    return columns


def _is_sound(body: Body, graph: Graph, data: DataSet) -> bool:
    """Whether it has no weights, acts in every mode, and computes nothing with words or missing
    cells."""
    weighing = {v.name for v in (p.value for p in graph.parameters)}
    for node in graph.nodes:
        if node.op.noisy:
            body.report(mode_in_augmentation(node.origin.span, node.op.name))
            return False
        if any(v is not None and v.name in weighing for v in node.inputs):
            body.report(weights_in_augmentation(node.origin.span, node.op.name))
            return False
    given = {column.name: column for column in data.schema if needs_care(column)}
    held = trace_columns(data.columns, given).held
    faults = trace_columns(graph, held).faults
    for fault in faults:
        body.report(fault)
    return not faults
