"""Lints of trains: weights that no gradient reaches, rates and batches that are hardly meant,
scores of classes that there are not."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from compiler.elaborate.items.starting import find_stuck
from compiler.ir.graph import Graph, Node, Parameter, Value
from compiler.ir.weights import match_paths
from compiler.ops.class_losses import ClassLoss
from compiler.program.train import ParameterGroup, Train
from compiler.report.diagnostics import Label, Message
from compiler.report.messages.learning_lints import (
    dead_gradient,
    norm_of_one_row,
    spare_classes,
    stays_at_zero,
    unusual_rate,
)
from compiler.rows.limits import find_counts

FAR = 10
"""By what a rate must leave the usual ones to be told."""

STEPS, EPOCH = 10_000, 100
"""Steps of a training, and of an epoch in it, whose schedule is looked at."""


def find_training_lints(train: Train) -> Iterator[Message]:
    """What is most likely not meant in a train."""
    frozen = set(match_paths(train.trainable, train.freeze))
    learning = {p: w for p, w in train.trainable.items() if p not in frozen}
    reached = find_reached(train.graph, train.losses)
    return chain(
        _find_dead(train, learning, reached),
        _find_stuck(train, learning, reached),
        _find_rates(train),
        _find_single_rows(train),
        _find_spare_classes(train),
    )


def find_reached(step: Graph, losses: Collection[str]) -> set[str]:
    """The names of the values that a gradient of a loss reaches."""
    reached = {o.value.name for o in step.outputs if o.name in losses}
    for node in reversed(step.nodes):
        if not node.op.is_flat and any(v.name in reached for v in node.outputs):
            reached |= {v.name for v in node.inputs if v is not None and v.type.dtype.is_float}
    return reached


def _find_dead(
    train: Train, learning: Mapping[str, Parameter], reached: set[str]
) -> Iterator[Message]:
    """What alone leads from the losses to weights, and passes no gradient."""
    below: dict[str, frozenset[str]] = {}
    step, needed = train.graph, find_needed(train)
    for node in step.nodes:
        inputs = [v for v in node.inputs if v is not None]
        found = frozenset(
            v.name for v in inputs if v.name in learning and v.name not in reached
        ).union(*(below.get(v.name, frozenset()) for v in inputs))
        if found:
            below |= {v.name: found for v in node.outputs}
    told: set[str] = set()
    for node in reversed(step.nodes):
        if not any(v.name in needed for v in node.outputs) or not _stops(node, reached):
            continue
        dead = below.get(node.outputs[0].name, frozenset()) - told
        if dead:
            told |= dead
            paths = tuple(path for path in learning if path in dead)
            yield dead_gradient(node.origin.span, node.op.name, paths)


def _stops(node: Node, reached: set[str]) -> bool:
    """Whether a gradient comes to a node, or would if its result were no whole number, and goes
    no further."""
    if any(v.name in reached for v in node.outputs):
        return node.op.is_flat
    floats = [v for v in node.inputs if v is not None and v.type.dtype.is_float]
    return bool(floats) and not any(v.type.dtype.is_float for v in node.outputs)


def find_needed(train: Train) -> set[str]:
    """The values that the losses need."""
    needed = {o.value.name for o in train.graph.outputs if o.name in train.losses}
    for node in reversed(train.graph.nodes):
        if any(v.name in needed for v in node.outputs):
            needed |= {v.name for v in node.inputs if v is not None}
    return needed


def _find_stuck(
    train: Train, learning: Mapping[str, Parameter], reached: set[str]
) -> Iterator[Message]:
    """Weights that start at zero and stay there; those that a file brings start as they are."""
    fresh = {
        net.prefix + parameter.path
        for net in train.nets
        if not net.net.loads
        for parameter in net.net.graph.parameters
    }
    zero = {
        path: parameter.value
        for path, parameter in learning.items()
        if path in fresh & reached and parameter.initializer.is_zero
    }
    if not zero:
        return
    stuck = find_stuck(train.graph, train.losses, zero)
    readers = (n for n in train.graph.nodes if any(v and v.name in stuck for v in n.inputs))
    first = next(readers, None)
    if first is not None:
        yield stays_at_zero(first.origin.span, tuple(stuck))


def _find_rates(train: Train) -> Iterator[Message]:
    for group in train.groups:
        usual, rate = group.optimizer.base.usual, _find_peak(group)
        if usual is not None and not usual[0] / FAR <= rate <= usual[1] * FAR:
            yield unusual_rate(group.span, group.optimizer.base.name, rate, *usual)


def _find_peak(group: ParameterGroup) -> float:
    """The highest rate of a training, at steps of which there are more at its beginning; infinite
    where one is beyond all numbers."""
    optimizer = group.optimizer
    steps = {*range(0, EPOCH), *range(EPOCH, STEPS, EPOCH)}
    factors = (optimizer.schedule.multiplier(step, STEPS, EPOCH) for step in steps)
    try:
        return optimizer.lr * max(factors)
    except OverflowError:
        return math.inf


def _find_single_rows(train: Train) -> Iterator[Message]:
    if train.rows > 1:
        return
    for node in train.graph.nodes:
        value = node.inputs[0] if node.op.over_batch else None
        if value is not None and not _is_thin(value):
            yield norm_of_one_row(node.origin.span, node.op.name)


def _is_thin(value: Value) -> bool:
    """Whether a single row has one number for each channel: an error of its own."""
    size = value.type.size.substitute({"batch": 1})
    return size.known is not None and size == value.type.shape[1]


def _find_spare_classes(train: Train) -> Iterator[Message]:
    """Losses with more scores than a column has categories."""
    data, step = train.data, train.graph
    raw = {i.value.name: i.name for i in data.columns.inputs}
    plain = {o.name: raw[o.value.name] for o in data.columns.outputs if o.value.name in raw}
    counts = {c.name: len(c.categories) for c in data.schema if c.categories}
    columns = {i.value.name: plain.get(i.name, "") for i in step.inputs}
    for node in step.nodes:
        for operand, found in find_counts(node) if isinstance(node.op, ClassLoss) else ():
            value, scores = node.inputs[operand], int(found.high or 0) + 1
            column = columns.get(value.name, "") if value is not None else ""
            if column in counts and scores > counts[column]:
                own = node.origin.span, column, counts[column], scores, node.op.name
                yield spare_classes(*own, tuple(_find_maker(step, node)))


def _find_maker(step: Graph, loss: Node) -> Iterator[Label]:
    scores = loss.inputs[0]
    maker = step.producers.get(scores.name) if scores is not None else None
    if scores is not None and maker is not None and maker.origin.span is not None:
        yield Label(maker.origin.span, f"this is {scores.type}")
