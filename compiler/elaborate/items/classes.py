"""Class numbers of the data against the scores of the net, as far as both are known."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.diagnostics import Label, Message
from compiler.ir.graph import Graph
from compiler.messages.training import TooFewClasses
from compiler.ops.class_losses import ClassLoss
from compiler.program import DataSet


def find_missing_classes(step: Graph, data: DataSet) -> Iterator[Message]:
    """Losses whose net has fewer scores than a column has categories."""
    raw = {i.value.name: i.name for i in data.columns.inputs}
    plain = {o.name: raw[o.value.name] for o in data.columns.outputs if o.value.name in raw}
    counts = {c.name: len(c.categories) for c in data.schema if c.categories}
    columns = {i.value.name: plain.get(i.name) for i in step.inputs}
    for node in step.nodes:
        scores, target = (*node.inputs, None, None)[:2]
        if not isinstance(node.op, ClassLoss) or scores is None or target is None:
            continue
        column = columns.get(target.name)
        classes = scores.type.shape[node.op.axis].known
        count = counts.get(column or "", 0)
        if column is None or classes is None or classes >= count:
            continue
        span = node.origin.span
        maker = step.producers.get(scores.name)
        made = maker.origin.span if maker is not None else None
        places = (Label(made, f"this is {scores.type}"),) if made is not None else ()
        yield TooFewClasses(span, column, count, classes, node.op.name, places)
