"""The choosing part of a search: offers of whole layers, knapsack, measurement, repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from compiler.compression.base import CompressionPass
from compiler.compression.context import Goal
from compiler.compression.search.knapsack import Offer, choose_offers
from compiler.compression.search.sites import combine
from compiler.compression.search.trials import Trials, Tried
from compiler.records import dataclass

REPAIRS = 8
"""How many choices are measured at most, each with better knowledge of what savings add up to."""
REST = 1.05
"""What a layer is taken to weigh, in its greatest saving: no setting removes all of it."""
CORRECTION = (0.25, 4.0)
"""Bounds of actual over expected savings: one disturbed measurement must not decide."""

Offered = tuple[Offer, CompressionPass]
"""What a setting of a layer changes alone, and the setting."""


@dataclass(frozen=True)
class Choices:
    """What one family of passes offers for one layer, besides leaving it alone."""

    path: str
    offers: tuple[Offered, ...]


class Choice:
    """One setting of every family for every layer: chosen, measured as a whole, chosen again."""

    def __init__(self, table: Sequence[Choices], trials: Trials) -> None:
        self.goals = goals = trials.goals
        self.trials = trials
        layers: dict[str, list[Choices]] = {}
        for choices in table:
            layers.setdefault(choices.path, []).append(choices)
        joined = [join_families(families, len(goals)) for families in layers.values()]
        self.offers = [[offer for offer, _ in layer] for layer in joined]
        self.settings = [[settings for _, settings in layer] for layer in joined]
        self.needed = [goal.bound - trials.base[goal.figure] for goal in goals]
        self.corrections = [1.0] * len(goals)
        self.margins = [1.0] * len(goals)

    def run(self) -> list[Tried]:
        """The choices that were measured, as far as the goals could be kept better and better."""
        found: list[Tried] = []
        seen: set[tuple[int, ...]] = set()
        missed: list[Goal] = []
        for attempt in range(REPAIRS):
            self.trials.tell("measuring the choice", attempt, REPAIRS)
            picks = tuple(choose_offers(self.offers, self.budgets()) or self.pick_most_saving())
            if picks in seen:
                if any(not self.trials.find_missed(tried.figures) for tried in found):
                    break
                self.demand_more(missed)
                continue
            seen.add(picks)
            tried = self.trials.try_together(f"choice {len(seen)}", self.chosen(picks))
            missed = self.trials.find_missed(tried.figures)
            found.append(tried)
            self.correct(picks, tried.figures)
        return found

    def budgets(self) -> list[float]:
        """The sums of expected changes that should meet the goals, by what was learned so far."""
        return [
            needed * margin / correction if needed < 0 else needed
            for needed, margin, correction in zip(
                self.needed, self.margins, self.corrections, strict=True
            )
        ]

    def chosen(self, picks: Sequence[int]) -> list[CompressionPass]:
        """The settings that were picked, as passes in order."""
        picked = [layer[pick] for layer, pick in zip(self.settings, picks, strict=True)]
        return combine([setting for settings in picked for setting in settings])

    def pick_most_saving(self) -> list[int]:
        """The offer of each layer that saves the largest share of the bounded figures: the best
        there is where no choice fits."""
        bases = [self.trials.base[goal.figure] for goal in self.goals]

        def rate(offer: Offer) -> tuple[float, float]:
            pairs = zip(offer.changes, bases, strict=True)
            return sum(change / base for change, base in pairs if base), offer.loss

        return [min(range(len(offers)), key=lambda i: rate(offers[i])) for offers in self.offers]

    def correct(self, picks: Sequence[int], figures: Mapping[str, float]) -> None:
        """Learns from a measured choice how much of the expected savings is real."""
        offers = [layer[pick] for layer, pick in zip(self.offers, picks, strict=True)]
        for i, goal in enumerate(self.goals):
            expected = sum(offer.changes[i] for offer in offers)
            actual = figures[goal.figure] - self.trials.base[goal.figure]
            if expected < 0:
                low, high = CORRECTION
                self.corrections[i] = min(max(actual / expected, low), high)

    def demand_more(self, missed: Sequence[Goal]) -> None:
        """Asks for a tenth more of what the last choice missed, so that the next one differs."""
        for i, goal in enumerate(self.goals):
            if goal in missed:
                self.margins[i] *= 1.1


def join_families(
    families: Sequence[Choices], figures: int
) -> list[tuple[Offer, tuple[CompressionPass, ...]]]:
    """Every combination of what families offer for one layer; the first leaves it alone.

    What one setting leaves of a layer is all that the next can save from, so shares that are left
    multiply, while rises of the loss (and what a setting costs instead of saving) add up. What a
    layer weighs is not known; its greatest single saving is nearly that.
    """
    alone = [offer for family in families for offer, _ in family.offers]
    weights = [REST * -min((o.changes[i] for o in alone), default=0.0) for i in range(figures)]
    columns: list[list[Offered | None]] = [[None, *family.offers] for family in families]
    joined = []
    for picks in product(*columns):
        taken = [pick for pick in picks if pick is not None]
        offers = [offer for offer, _ in taken]
        changes = [
            _join_changes([o.changes[i] for o in offers], weights[i]) for i in range(figures)
        ]
        offer = Offer(sum(o.loss for o in offers), tuple(changes))
        joined.append((offer, tuple(setting for _, setting in taken)))
    return joined


def _join_changes(changes: Sequence[float], weight: float) -> float:
    """The change of a figure by several settings of a layer that weighs `weight` of it."""
    left = 1.0
    for change in changes:
        if change < 0:
            left *= 1.0 + change / weight
    return sum(max(change, 0.0) for change in changes) + (left - 1.0) * max(weight, 0.0)
