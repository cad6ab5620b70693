"""Searches settings so that every goal holds at the least loss: sensitivity, latency, knapsack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from compiler.compression.base import COMPRESSION, CompressionPass, WeightedNet
from compiler.compression.search.knapsack import Offer, choose_offers
from compiler.compression.search.sites import Family, Site, combine, find_sites
from compiler.compression.search.trials import FIGURES, Trials
from compiler.compression.world import Goal, World
from compiler.diagnostics import CompileError, Fault
from compiler.messages.search import (
    SearchGoalMissed,
    SearchNeedsGoal,
    SearchOfNothing,
    TrialsTooFew,
)
from compiler.records import dataclass

REPAIRS = 8
"""How often a choice that misses a goal is made again with tighter budgets."""


@COMPRESSION.register
@final
@dataclass(frozen=True)
class Search(CompressionPass):
    """Chooses, for every layer, how far to prune, factorise and quantize it, so that the variant's
    `require`s on latency, size, params and flops hold at the least loss.

    Every setting of every layer is tried alone: how much the loss on held-out rows rises, and what
    latency and size it saves on the target. A multiple-choice knapsack then picks one setting per
    layer; the whole is measured, and where sums of parts were too hopeful, the budgets are
    tightened by what was missed and the choice is made again. Requirements on metrics do not
    restrict the choice, because a `finetune` may follow; the build holds them at the end.

    - `passes`: what may be done: `[prune, low_rank, quantize(int8)]`. A bare word is tried at
      several strengths, `prune(channels=30%, except=["head"])` only as it stands.
    - `trials`: how many nets are measured at most. Fewer than one per layer and family are
      refused; with few, fewer strengths are tried.
    - `seed`: of what the passes draw.

    A search that was interrupted goes on with the trials it has.

    Example: `apply search([prune, quantize(int8)], trials=200) -> finetune(epochs=8)`
    Source: the knapsack over measured tables follows Yang et al. 2018 (NetAdapt,
    https://arxiv.org/abs/1804.03230) and Dong et al. 2020 (HAWQ-V2, https://arxiv.org/abs/1911.03852).
    """

    name = "search"
    reads_goals = True
    passes: tuple[Family, ...]
    trials: int = 200
    seed: int = 0

    def check(self) -> None:
        """Refuses a search of nothing, and one without trials."""
        if not self.passes:
            raise Fault(lambda where: SearchOfNothing(where.argument("passes")))

    def run(self, net: WeightedNet, world: World) -> WeightedNet:
        """The net with the chosen settings.

        Raises:
            CompileError: nothing is required that a search could reach, the trials do not suffice
                for one setting per layer, or no choice reaches the goals.
        """
        goals = [g for g in world.goals if g.figure in FIGURES and g.relation.startswith("<")]
        if not goals:
            raise CompileError([SearchNeedsGoal(world.span)])
        trials = Trials(net, world, [goal.figure for goal in goals], self.seed)
        sites = self.thin(find_sites(net, self.passes), world)
        table = measure_sites(sites, trials)
        return _Choice(table, goals, trials).run()

    def thin(self, sites: Sequence[Site], world: World) -> list[Site]:
        """The sites with no more settings than the trials allow: strong settings go first, the
        middle one stays."""
        room = self.trials - REPAIRS - 1
        if room < len(sites):
            raise CompileError([TrialsTooFew(world.span, self.trials, len(sites) + REPAIRS + 1)])
        kept = list(sites)
        while sum(len(site.settings) for site in kept) > room:
            longest = max(range(len(kept)), key=lambda i: len(kept[i].settings))
            site = kept[longest]
            left = site.settings[:-1] if len(site.settings) % 2 else site.settings[1:]
            kept[longest] = Site(site.path, site.family, left)
        return kept


Choices = Sequence[tuple[Offer, CompressionPass | None]]
"""What a site offers, and the setting that does it; None leaves the layer alone."""


def measure_sites(sites: Sequence[Site], trials: Trials) -> list[Choices]:
    """The offers of each site; the first is to leave it alone."""
    nothing = Offer(0.0, (0.0,) * len(trials.figures))
    table: list[Choices] = []
    for number, site in enumerate(sites):
        trials.tell("trying layers one by one", number, len(sites))
        offers: list[tuple[Offer, CompressionPass | None]] = [(nothing, None)]
        for setting in site.settings:
            offer = trials.try_alone(site, setting)
            if offer is not None:
                offers.append((offer, setting))
                trials.note_setting(site, setting, offer)
        table.append(offers)
    return table


class _Choice:
    """The choosing part of one search: knapsack, measurement, repair."""

    def __init__(self, table: Sequence[Choices], goals: Sequence[Goal], trials: Trials) -> None:
        self.table = table
        self.offers = [[offer for offer, _ in choices] for choices in table]
        self.goals = goals
        self.trials = trials

    def run(self) -> WeightedNet:
        """The measured net that keeps every goal at the least loss.

        Raises:
            CompileError: none keeps every goal.
        """
        base = self.trials.base
        budgets = [goal.bound - base[goal.figure] for goal in self.goals]
        found: tuple[float, WeightedNet] | None = None
        nearest: Mapping[str, float] = base
        for attempt in range(REPAIRS):
            self.trials.tell("measuring the choice", attempt, REPAIRS)
            picks = choose_offers(self.offers, budgets) or self.pick_most_saving()
            net, figures = self.trials.try_together(self.chosen(picks))
            missed = self.find_missed(figures)
            self.trials.note_choice(attempt, figures, missed)
            if not missed:
                if found is None or figures["loss"] < found[0]:
                    found = figures["loss"], net
                break
            nearest = figures
            tighter = self.tighten(budgets, figures)
            if tighter == budgets:
                break
            budgets = tighter
        if found is None:
            raise CompileError([self.explain_miss(nearest)])
        return found[1]

    def chosen(self, picks: Sequence[int]) -> list[CompressionPass]:
        """The settings that were picked, as passes in order."""
        settings = [choices[pick][1] for choices, pick in zip(self.table, picks, strict=True)]
        return combine([setting for setting in settings if setting is not None])

    def pick_most_saving(self) -> list[int]:
        """The offer of each site that saves most of the first goal: the best there is where no
        choice fits."""
        return [
            min(range(len(offers)), key=lambda i: (offers[i].changes[0], offers[i].loss))
            for offers in self.offers
        ]

    def find_missed(self, figures: Mapping[str, float]) -> list[Goal]:
        """Goals that a measured net does not keep."""
        return [goal for goal in self.goals if figures[goal.figure] > goal.bound]

    def tighten(self, budgets: Sequence[float], figures: Mapping[str, float]) -> list[float]:
        """Budgets reduced by what was missed, and a tenth more, so that the next choice differs."""
        return [
            budget - 1.1 * max(0.0, figures[goal.figure] - goal.bound)
            for budget, goal in zip(budgets, self.goals, strict=True)
        ]

    def explain_miss(self, nearest: Mapping[str, float]) -> SearchGoalMissed:
        """The message about the goal that the nearest choice misses most."""
        worst = max(self.goals, key=lambda goal: nearest[goal.figure] / goal.bound)
        return SearchGoalMissed(
            worst.span or self.trials.world.span,
            worst.figure,
            worst.bound,
            nearest[worst.figure],
            self.trials.base[worst.figure],
        )
