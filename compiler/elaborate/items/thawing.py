"""`freeze "stem.*", until=3epochs`: parameters that are trained from a later epoch on."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.elaborate.items.settings import Freezing
from compiler.elaborate.scopes.context import Body
from compiler.ir.weights import match_paths
from compiler.program.train import Regularization, Thaw, TrainedNet, TrainStep
from compiler.report.messages.freezing import frozen_throughout, frozen_twice, not_with_thawing
from compiler.training.base import ProximalStep


def settle_thaws(
    body: Body,
    freezings: Sequence[Freezing],
    frozen: Sequence[str],
    nets: Sequence[TrainedNet],
    epochs: int,
) -> tuple[Thaw, ...]:
    """What is frozen at first; what else freezes it too is reported, and what outlasts the
    training of so many epochs."""
    paths = [net.prefix + p.path for net in nets for p in net.net.graph.parameters if p.trainable]
    taken = set(match_paths(paths, frozen))
    thaws: list[Thaw] = []
    for freezing in freezings:
        if freezing.epochs is None:
            continue
        for pattern in freezing.patterns:
            again = [path for path in match_paths(paths, [pattern.text]) if path in taken]
            if again:
                body.report(frozen_twice(pattern.span, again[0]))
            taken |= set(match_paths(paths, [pattern.text]))
        if freezing.epochs >= epochs:
            body.report(frozen_throughout(freezing.span, freezing.epochs, epochs))
        patterns = tuple(pattern.text for pattern in freezing.patterns)
        thaws.append(Thaw(patterns, freezing.epochs, freezing.span))
    return tuple(thaws)


def check_thaws(
    body: Body,
    thaws: Sequence[Thaw],
    steps: Sequence[TrainStep],
    regularizers: Sequence[Regularization],
) -> None:
    """Reports what moves weights without their gradients, or knows them all from the start."""
    if not thaws:
        return
    for group in (group for step in steps for group in step.groups):
        if group.optimizer.evaluates or group.optimizer.solves:
            why = "it works on all parameters from the start"
            body.report(not_with_thawing(group.span, group.optimizer.name, why))
    late = [pattern for thaw in thaws for pattern in thaw.patterns]
    for item in regularizers:
        moved = match_paths([path for layer in item.layers for path in layer], late)
        if isinstance(item.regularizer, ProximalStep) and moved:
            why = f"it makes `{moved[0]}` smaller in every step"
            body.report(not_with_thawing(item.span, item.regularizer.name, why))
