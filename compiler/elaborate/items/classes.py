"""What a train reads of its data: categories against what the net has for them, as far as both are
known, and whether it reads anything."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.ir.graph import Graph, Node
from compiler.ops.class_losses import ClassLoss
from compiler.program.data import DataSet
from compiler.report.diagnostics import Label, Message
from compiler.report.messages.training import too_few_classes
from compiler.rows.limits import find_counts
from compiler.rows.usage import needs_care, trace_columns


def find_missing_classes(step: Graph, data: DataSet) -> Iterator[Message]:
    """Losses with fewer scores, and embeddings with fewer entries, than a column has
    categories."""
    raw = {i.value.name: i.name for i in data.columns.inputs}
    plain = {o.name: raw[o.value.name] for o in data.columns.outputs if o.value.name in raw}
    counts = {c.name: len(c.categories) for c in data.schema if c.categories}
    columns = {i.value.name: plain.get(i.name, "") for i in step.inputs}
    for node in step.nodes:
        for operand, found in find_counts(node):
            value, taken = node.inputs[operand], int(found.high or 0) + 1
            column = columns.get(value.name, "") if value is not None else ""
            if taken >= counts.get(column, 0):
                continue
            places = tuple(_find_scores(step, node))
            own = node.origin.span, column, counts[column], taken, node.op.name, places
            yield too_few_classes(*own)


def find_misuse(step: Graph, data: DataSet) -> Iterator[Message]:
    """Sums of categories, and missing cells that become numbers, in an objective and its nets."""
    raw = {c.name: c for c in data.schema if needs_care(c)}
    yield from trace_columns(step, trace_columns(data.columns, raw).held).faults


def _find_scores(step: Graph, node: Node) -> Iterator[Label]:
    """Where the scores of a loss were made."""
    scores = node.inputs[0]
    maker = step.producers.get(scores.name) if scores is not None else None
    if not isinstance(node.op, ClassLoss) or scores is None or maker is None:
        return
    if maker.origin.span is not None:
        yield Label(maker.origin.span, f"this is {scores.type}")
