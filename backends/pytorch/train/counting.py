"""Means in a training script for which a batch may count nothing: its loss is 0, and has no
gradient, where PyTorch divides 0 by 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import final

from backends.pytorch.fold.printed import Printed
from backends.pytorch.terms.naming import user_name
from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Node
from compiler.ops.arithmetic import Div
from compiler.ops.class_losses import ClassLoss
from compiler.ops.losses import PairLoss, spell_counts, spell_numbers
from compiler.program.data import DataSet
from compiler.rows.loss_parts import find_entry_weights, is_counted, may_be_ignored
from compiler.vocabulary.signature import WEIGHT
from compiler.vocabulary.spelling import In, Index, Infix, Leaf, Method, Spelling, Term

LEAST = 1e-12
"""What weights are divided by where they add up to less: to nothing."""


@final
@dataclass(frozen=True)
class CountLabels(Printed):
    """What the labels of a batch count together for `loss`, but at least something to divide by.
    It exists in generated scripts only."""

    name = "count_labels"
    loss: ClassLoss
    ignores: bool
    """Whether a label may be one that does not count."""

    def torch(self, node: Node) -> Spelling:
        """`(y != -100).sum().clamp(min=1)`."""
        counts, least = self._spell_counts()
        return Spelling(_spell_sum(counts, least))

    def _spell_counts(self) -> tuple[Term, float]:
        """What each label counts, and the least that is divided by."""
        counted = Infix("!=", In(1), Leaf(self.loss.ignore_index))
        if self.loss.weight is None:
            return counted, 1
        classes = Method(In(1), "long")
        if self.ignores:
            classes = Method(classes, "where", (counted, Leaf(0)))
        weights = Index(spell_numbers(self.loss.weight, "weight"), (classes,))
        return (Infix("*", counted, weights) if self.ignores else weights), LEAST


@final
@dataclass(frozen=True)
class CountEntries(Printed):
    """What the entries of a batch count together by a mask, weights or both, but at least something
    to divide by. It exists in generated scripts only."""

    name = "count_entries"

    def torch(self, node: Node) -> Spelling:
        """`mask.sum().clamp(min=1)`."""
        counts = spell_counts(node)
        assert counts is not None, "its mean is one of weights"
        return Spelling(_spell_sum(counts, 1 if node.inputs[WEIGHT] is None else LEAST))


def _spell_sum(counts: Term, least: float) -> Term:
    return Method(Method(counts, "sum"), "clamp", (), (("min", Leaf(least)),))


def guard_losses(step: Graph, data: DataSet) -> Graph:
    """An objective with every mean that may be one of nothing written as a sum and a count."""
    parts = (_guard(step, data, node, place) for place, node in enumerate(step.nodes))
    return replace(step, nodes=tuple(chain.from_iterable(parts)))


def _guard(step: Graph, data: DataSet, node: Node, place: int) -> Iterator[Node]:
    loss = node.op
    if isinstance(loss, ClassLoss) and is_counted(node):
        target = node.inputs[1]
        assert target is not None, "a loss has a target"
        ignores = may_be_ignored(step, data, target, loss.ignore_index)
        if ignores or 0 in (loss.weight or ()):
            yield from _divide(node, loss, CountLabels(loss, ignores), place)
            return
    if isinstance(loss, PairLoss) and find_entry_weights(node):
        yield from _divide(node, loss, CountEntries(), place)
        return
    yield node


def _divide(
    node: Node, loss: ClassLoss | PairLoss, count: CountLabels | CountEntries, place: int
) -> Iterator[Node]:
    """The nodes of a mean: the sum, the count, and the quotient. What the author gave no name is
    called after the loss."""
    names = [f"{loss.name}.{end}.{place}" for end in ("total", "counted")]
    if user_name(node.output.name):
        names = [f"{node.output.name}.{end}" for end in ("total", "counted")]
    total, counted = (replace(node.output, name=name) for name in names)
    summed = replace(loss, reduction="sum")  # type: ignore[type-var]
    yield replace(node, op=summed, outputs=(total,))
    yield replace(node, op=count, outputs=(counted,), origin=Site(node.origin.span))
    yield replace(node, op=Div(), inputs=(total, counted), origin=Site(node.origin.span))
