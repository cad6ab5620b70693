"""Whether the loss and the metrics of a train agree on which labels count, and on the classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.diagnostics import Message
from compiler.ir.graph import Graph, Node, Value
from compiler.messages.metrics import AxesDisagree, RowsDisagree
from compiler.ops.choosing import Cast
from compiler.ops.class_losses import ClassLoss
from compiler.program import MetricUse
from compiler.training.weighting import MASK, LabelComparison, ScoreComparison


def find_disagreements(step: Graph, uses: Sequence[MetricUse]) -> Iterator[Message]:
    """Metrics that ignore other labels than the loss of the same labels does, or look for the
    classes along another axis. A mask says by itself which labels count."""
    losses = {
        _find_source(step, node.inputs[1]): node
        for node in _find_needed(step)
        if isinstance(node.op, ClassLoss) and node.inputs[1] is not None
    }
    outputs = {o.name: o.value for o in step.outputs}
    for use in uses:
        metric, masked = use.metric, any(use.arguments[MASK : MASK + 1])
        if not isinstance(metric, LabelComparison):
            continue
        loss = losses.get(_find_source(step, outputs[use.reads[1]]))
        if loss is None or not isinstance(loss.op, ClassLoss):
            continue
        rank = outputs[use.reads[0]].type.rank
        axis = metric.axis if isinstance(metric, ScoreComparison) else None
        trained = loss.op.axis % rank
        alike = loss.inputs[0] is not None and loss.inputs[0].type.rank == rank
        if alike and axis is not None and axis % rank != trained:
            given_axes = metric.name, axis % rank, loss.op.name, trained
            yield AxesDisagree(use.span, *given_axes, loss.origin.span)
        if masked or metric.ignore_index is None:
            continue
        if loss.op.ignore_index != metric.ignore_index:
            given = metric.name, metric.ignore_index, loss.op.name, loss.op.ignore_index
            yield RowsDisagree(use.span, *given, loss.origin.span)


def _find_needed(step: Graph) -> Iterator[Node]:
    """The nodes that the loss needs."""
    needed = {o.value.name for o in step.outputs if o.name == "loss"}
    for node in reversed(step.nodes):
        if any(v.name in needed for v in node.outputs):
            needed |= {v.name for v in node.inputs if v is not None}
            yield node


def _find_source(step: Graph, value: Value) -> str:
    """The value that the same numbers were first, before they were converted and moved."""
    maker = step.producers.get(value.name)
    while maker is not None and (maker.op.moves or isinstance(maker.op, Cast)):
        given = [v for v in maker.inputs if v is not None]
        if len(given) != 1:
            break
        value = given[0]
        maker = step.producers.get(value.name)
    return value.name
