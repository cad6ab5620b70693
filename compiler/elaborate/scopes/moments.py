"""`step`, `epoch` and ramps in a train: numbers that follow from how far the training is."""

from __future__ import annotations

from compiler.elaborate.scopes.context import AUGMENTATION, Body
from compiler.elaborate.values.values import Tensor
from compiler.ir.builder import own_names
from compiler.ir.frame import Site
from compiler.ops.fused.moments import Count, OfTime
from compiler.report.messages.training_time import time_outside_train
from compiler.report.source import Span
from compiler.text.tree.syntax import Name, Train
from compiler.vocabulary.ramps import RAMPS

COUNTS = {"step": Count("step"), "epoch": Count("epoch")}
"""Words that count how far a training is."""


def is_of_time(word: str) -> bool:
    """Whether a word means something in a train alone: a count, or a ramp."""
    return word in COUNTS or RAMPS.get(word) is not None


def has_time(body: Body) -> bool:
    """Whether a body is that of a train, whose statements a training runs in every step."""
    return isinstance(body.item, Train) and body.home is not None and body.frame is not None


def count(body: Body, name: Name) -> Tensor | None:
    """The step or the epoch, where a name means one in a train; None for any other."""
    op = COUNTS.get(name.text)
    if op is None or not has_time(body):
        return None
    return make_number(body, op, name.span)


def make_number(body: Body, op: OfTime, span: Span, names: tuple[str, ...] = ()) -> Tensor:
    """A number of the training, outside of all loops that read it."""
    assert body.home is not None, "a train has a graph"
    assert body.frame is not None, "and a frame"
    home = body.home.root
    (value,) = home.builder.apply(op, (), body.frame, Site(span), own_names(names))
    return Tensor(value, home, span)


def refuse_time(body: Body, name: Name) -> None:
    """Reports such a word where there is no training."""
    is_ramp, augments = RAMPS.get(name.text) is not None, body.clauses.place == AUGMENTATION
    body.report(time_outside_train(name.span, name.text, is_ramp=is_ramp, augments=augments))
