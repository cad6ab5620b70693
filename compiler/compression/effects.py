"""Holds a pass to what was asked of it: one that does nothing is an error that says why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from compiler.compression.base import CompressionPass
from compiler.compression.context import LayerNote
from compiler.compression.selecting import KEPT_OUT, is_selected
from compiler.compression.wording import describe_pass
from compiler.ir.evaluate import Array
from compiler.ir.weighted_net import WeightedNet
from compiler.report.diagnostics import Message
from compiler.report.messages.effects import pass_does_nothing, pattern_without_effect
from compiler.report.source import Span


def find_idleness(
    step: CompressionPass,
    before: WeightedNet,
    after: WeightedNet,
    notes: Sequence[LayerNote],
    span: Span | None,
) -> Message | None:
    """What a pass was asked for and did not do; None where it did it, or may choose not to.

    Args:
        step: the pass.
        before: the net that it got.
        after: the net that it made.
        notes: what it said of each layer.
        span: where it is called.
    """
    if step.may_leave_whole:
        return None
    own = [note for note in notes if not note.trial and note.path]
    if _is_same(before, after):
        reasons = tuple(_explain(note for note in own if note.reason != KEPT_OUT))
        return pass_does_nothing(span, describe_pass(step), reasons)
    for pattern in step.patterns:
        named = [note for note in own if is_selected(note.path, (pattern,), ())]
        if named and not any(note.done for note in named):
            return pattern_without_effect(span, step.name, pattern, tuple(_explain(named)))
    return None


def find_idle_pattern(
    name: str,
    patterns: Sequence[str],
    touched: Sequence[str],
    whole: Mapping[str, str],
    span: Span | None,
) -> Message | None:
    """A pattern of `only` that names layers of which none can be touched, before any work; None
    where there is none.

    Args:
        name: that of the pass.
        patterns: what its `only` says.
        touched: paths of the layers that it may change.
        whole: why other layers stay as they are, by path.
        span: where the pass is called.
    """
    for pattern in patterns:
        named = [path for path in whole if is_selected(path, (pattern,), ())]
        if named and not any(is_selected(path, (pattern,), ()) for path in touched):
            reasons = tuple(f"`{path}`: {whole[path]}" for path in named)
            return pattern_without_effect(span, name, pattern, reasons)
    return None


def _explain(notes: Iterator[LayerNote] | Sequence[LayerNote]) -> Iterator[str]:
    """``fc`: it is depthwise`, for every layer that stayed as it was."""
    return (f"`{note.path}`: {note.reason}" for note in notes if not note.done and note.reason)


def _is_same(before: WeightedNet, after: WeightedNet) -> bool:
    """Whether a net has the same nodes and the same numbers."""
    if before is after:
        return True
    alike = before.graph.nodes == after.graph.nodes
    return alike and _are_equal(before.weights, after.weights)


def _are_equal(first: Mapping[str, Array], second: Mapping[str, Array]) -> bool:
    return first.keys() == second.keys() and all(
        array is second[path] or np.array_equal(array, second[path])
        for path, array in first.items()
    )
