"""Whether the loss and the metrics of a train agree on which labels count, and on the classes, and
whether metrics of logits are given logits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from compiler.ir.graph import Graph, Node
from compiler.ops.class_losses import ClassLoss
from compiler.program.train import MetricUse
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.metrics import axes_disagree, probabilities_for_logits, rows_disagree
from compiler.report.source import Span
from compiler.rows.loss_parts import find_first
from compiler.training.weighting import LabelComparison, ScoreComparison
from compiler.vocabulary.signature import MASK


def find_disagreements(
    step: Graph, objectives: Collection[str], uses: Sequence[MetricUse]
) -> Iterator[Message]:
    """Metrics that ignore other labels than the loss of the same labels does, or look for the
    classes along another axis; those that do it alike are told together. A mask says by itself
    which labels count. `objectives` are the outputs that are minimized."""
    losses = list(_find_losses(step, objectives))
    outputs = {o.name: o.value for o in step.outputs}
    axes: dict[tuple[str, int], list[MetricUse]] = {}
    rows: dict[tuple[str, int], list[MetricUse]] = {}
    chosen: dict[str, _Loss] = {}
    for use in uses:
        if not isinstance(use.metric, LabelComparison):
            continue
        values = [outputs[name] for name in use.reads[:2]]
        loss = _choose_loss(losses, [find_first(step, value).name for value in values])
        if loss is None:
            continue
        chosen[loss.node.output.name] = loss
        rank, metric = values[0].type.rank, use.metric
        axis = metric.axis if isinstance(metric, ScoreComparison) else None
        if axis is not None and loss.rank == rank and axis % rank != loss.op.axis % rank:
            axes.setdefault((loss.node.output.name, axis % rank), []).append(use)
        masked, ignored = any(use.arguments[MASK : MASK + 1]), metric.ignore_index
        if not masked and ignored is not None and ignored != loss.op.ignore_index:
            rows.setdefault((loss.node.output.name, ignored), []).append(use)
    for (name, axis), found in axes.items():
        loss = chosen[name]
        names, places = _list_metrics(found)
        given = axis, loss.op.name, loss.op.axis % loss.rank, loss.node.origin.span
        yield axes_disagree(found[0].span, names, *given, places)
    for (name, ignored), found in rows.items():
        loss = chosen[name]
        names, places = _list_metrics(found)
        given = ignored, loss.op.name, loss.op.ignore_index, loss.node.origin.span
        yield rows_disagree(found[0].span, names, *given, places)


SHARES = (0.0, 1.0)
"""What functions that make probabilities put out, whatever they are given."""


def find_probabilities(step: Graph, uses: Sequence[MetricUse]) -> Iterator[Message]:
    """Metrics that read logits, and are given what a function made probabilities of."""
    outputs = {o.name: o.value for o in step.outputs}
    for use in uses:
        if use.metric.of_logits is None:
            continue
        maker = step.producers.get(find_first(step, outputs[use.reads[0]]).name)
        if maker is not None and maker.op.limits == SHARES:
            why, logits = use.metric.of_logits
            given = use.metric.name, maker.op.name, why, logits, maker.origin.span
            yield probabilities_for_logits(use.span, *given)


@dataclass(frozen=True)
class _Loss:
    """A loss of classes in the objective, and where its scores and labels come from."""

    node: Node
    op: ClassLoss
    rank: int
    scores: str
    labels: str


def _find_losses(step: Graph, objectives: Collection[str]) -> Iterator[_Loss]:
    for node in _find_needed(step, objectives):
        scores, labels = (*node.inputs, None, None)[:2]
        if isinstance(node.op, ClassLoss) and scores is not None and labels is not None:
            sources = find_first(step, scores).name, find_first(step, labels).name
            yield _Loss(node, node.op, scores.type.rank, *sources)


def _choose_loss(losses: Sequence[_Loss], sources: Sequence[str]) -> _Loss | None:
    """The loss of the same labels; of several that of the same scores, or the first."""
    scores, labels = sources
    found = [loss for loss in losses if loss.labels == labels]
    return next((loss for loss in found if loss.scores == scores), found[-1] if found else None)


def _list_metrics(uses: Sequence[MetricUse]) -> tuple[tuple[str, ...], tuple[Span, ...]]:
    """The classes of metrics, each once, and where the metrics behind the first one stand."""
    names = tuple(dict.fromkeys(use.metric.name for use in uses))
    return names, tuple(use.span for use in uses[1:] if use.span is not None)


def _find_needed(step: Graph, objectives: Collection[str]) -> Iterator[Node]:
    """The nodes that the objectives need."""
    needed = {o.value.name for o in step.outputs if o.name in objectives}
    for node in reversed(step.nodes):
        if any(v.name in needed for v in node.outputs):
            needed |= {v.name for v in node.inputs if v is not None}
            yield node
