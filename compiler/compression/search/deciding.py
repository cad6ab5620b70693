"""The end of a search: which of the nets that keep every goal comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isnan

from compiler.compression.context import Goal
from compiler.compression.search.trials import Trials, Tried
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.search import search_goal_missed

MOST_CHOICES = 2
"""Choices of the knapsack that are tuned beside the baselines: those with the least loss."""


def decide(choices: Sequence[Tried], baselines: Sequence[Tried], trials: Trials) -> Tried:
    """The net with the least loss on held-out rows of those that keep every goal.

    Where training follows the search, each is tuned first for the same share of it: what training
    gives back decides, and a loss right after a cut does not foretell that.

    Raises:
        CompileError: none keeps every goal.
    """
    kept = [tried for tried in choices if not trials.find_missed(tried.figures)]
    if not kept and not baselines:
        raise CompileError([explain_miss(trials)])
    kept.sort(key=lambda tried: _order(tried.figures["loss"]))
    if not trials.trains:
        return min([*kept, *baselines], key=lambda tried: _order(tried.figures["loss"]))
    finalists = [*kept[:MOST_CHOICES], *baselines]
    if len(finalists) == 1:
        return finalists[0]
    losses = []
    for number, tried in enumerate(finalists, 1):
        trials.tell("tuning what keeps the goals", number - 1, len(finalists))
        losses.append(_order(trials.tune(tried, number)))
    return finalists[losses.index(min(losses))]


def explain_miss(trials: Trials) -> Message:
    """The message about the goal that the nearest net misses most."""

    def miss(figures: Mapping[str, float], goal: Goal) -> float:
        return (figures[goal.figure] - goal.bound) / max(abs(goal.bound), 1e-12)

    def worst(figures: Mapping[str, float]) -> Goal:
        return max(trials.goals, key=lambda goal: miss(figures, goal))

    measured = [trials.base, *(tried.figures for tried in trials.together)]
    nearest = min(measured, key=lambda figures: miss(figures, worst(figures)))
    goal = worst(nearest)
    return search_goal_missed(
        goal.span or trials.context.span,
        goal.figure,
        goal.bound,
        nearest[goal.figure],
        trials.base[goal.figure],
    )


def _order(loss: float) -> float:
    """A loss by which nets are ordered: one that is no number is the worst."""
    return inf if isnan(loss) else loss
