"""Searches settings so that every goal holds at the least loss: sensitivity, latency, knapsack."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import final

from compiler.compression.base import COMPRESSION, CompressionContext, CompressionPass
from compiler.compression.search.baselines import (
    count_trials,
    list_ladders,
    measure_baselines,
)
from compiler.compression.search.choice import REPAIRS, Choice, Choices, Offered
from compiler.compression.search.deciding import MOST_CHOICES, decide
from compiler.compression.search.sites import Family, Site, find_sites
from compiler.compression.search.trials import FIGURES, Trials
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Fault, Message, Where
from compiler.report.messages.search import (
    not_to_choose,
    search_needs_goal,
    search_of_nothing,
    trials_too_few,
)
from compiler.report.source import Span
from compiler.training.settings import refuse


@COMPRESSION.register
@final
@dataclass(frozen=True)
class Search(CompressionPass):
    """Chooses, for every layer, how far to prune, factorise and quantize it, so that the variant's
    `require`s on latency, size, params and flops hold at the least loss.

    Each pass is tried with one strength for all layers, the weakest that keeps the bounds (a share
    of the channels; a share of the energy or of the parameters, a rank): plain baselines. Every
    setting of every layer is tried alone: how much the loss on held-out rows rises, and what
    latency and size it saves on the target. A multiple-choice knapsack then picks settings for
    every layer; the whole is measured, the sums of parts are corrected by what it really saves, and
    the choice is made again. Of the best choices and the baselines the one with the least loss is
    taken; where a `finetune` or `distill` follows, after a quarter of its epochs for each. Nets are
    measured as the passes behind the search leave them. Requirements on metrics do not restrict the
    choice; the build holds them at the end.

    - `passes`: what may be done: `[prune, low_rank, quantize(int8)]`. A bare word is tried at
      several strengths, `prune(channels=30%, except=["head"])` only as it stands.
    - `trials`: how many nets are measured at most, tuned ones included. Fewer than one per layer
      and family, and those for baselines and choices, are refused; with few, fewer strengths of
      single layers are tried.
    - `seed`: of what the passes draw.

    A search that was interrupted goes on with the trials it has.

    Example: `apply search([prune, quantize(int8)], trials=200) -> finetune(epochs=8)`
    Source: the knapsack over measured tables follows Yang et al. 2018 (NetAdapt,
    https://arxiv.org/abs/1804.03230) and Dong et al. 2020 (HAWQ-V2, https://arxiv.org/abs/1911.03852).
    """

    name = "search"
    reads_goals = True
    needs_floats = True
    passes: tuple[Family, ...]
    trials: int = 200
    seed: int = 0

    @property
    def may_leave_whole(self) -> bool:
        """It chooses what pays."""
        return True

    @property
    def may_round(self) -> bool:
        """Whether it may choose a pass that does."""
        return any(isinstance(f, type) or f.may_round for f in self.passes)

    def check(self) -> None:
        """Refuses a search of nothing, and of what cannot be tried on single layers."""
        if not 0 <= self.seed < 2**63:
            refuse(self.name, "seed", self.seed, "at least 0 and below 2 ** 63")
        if not self.passes:
            raise Fault(lambda where: search_of_nothing(where.argument("passes")))
        for family in self.passes:
            options = family.options()
            bare = isinstance(family, type)
            needed = next((o.name for o in options if bare and o.required), "")
            if needed or not {"only", "except"} <= {option.name for option in options}:
                raise Fault(partial(_refuse, name=family.name, needed=needed))

    def find_fault(
        self, graph: Graph | None, bounded: Collection[str], span: Span | None
    ) -> Message | None:
        """A search needs a bound on latency, size, params or flops, and a trial for each layer."""
        if not set(FIGURES) & set(bounded):
            return search_needs_goal(span)
        least = len(find_sites(graph, self.passes) if graph is not None else ()) + self.reserved
        return trials_too_few(span, self.trials, least) if self.trials < least else None

    def run(self, net: WeightedNet, context: CompressionContext) -> WeightedNet:
        """The net with the chosen settings.

        Raises:
            CompileError: nothing is required that a search could reach, the trials do not suffice
                for one setting per layer, or no choice reaches the goals.
        """
        goals = [g for g in context.goals if g.figure in FIGURES and g.relation.startswith("<")]
        fault = self.find_fault(net.graph, [goal.figure for goal in goals], context.span)
        if fault is not None:
            raise CompileError([fault])
        trials = Trials(net, context, goals, self.seed)
        baselines = measure_baselines(self.passes, trials)
        table = measure_sites(self.thin(find_sites(net.graph, self.passes)), trials)
        found = decide(Choice(table, trials).run(), baselines, trials)
        trials.note("", f"took {found.name}", "")
        for note in found.notes:
            context.note(note)
        return found.net

    @property
    def reserved(self) -> int:
        """The trials besides those of single layers: the net as it is, the baselines, the choices,
        and what is tuned of them."""
        ladders = list_ladders(self.passes)
        tuned = MOST_CHOICES + len(ladders)
        return 1 + REPAIRS + sum(map(count_trials, ladders)) + tuned

    def thin(self, sites: Sequence[Site]) -> list[Site]:
        """The sites with no more settings than the trials allow: strong settings go first, the
        middle one stays."""
        room = self.trials - self.reserved
        kept = list(sites)
        while sum(len(site.settings) for site in kept) > room:
            longest = max(range(len(kept)), key=lambda i: len(kept[i].settings))
            site = kept[longest]
            left = site.settings[:-1] if len(site.settings) % 2 else site.settings[1:]
            kept[longest] = Site(site.path, site.family, left)
        return kept


def _refuse(where: Where, name: str, needed: str) -> Message:
    return not_to_choose(where.argument("passes"), name, needed)


def measure_sites(sites: Sequence[Site], trials: Trials) -> list[Choices]:
    """What every site offers; sites that offer nothing are left out."""
    table: list[Choices] = []
    for number, site in enumerate(sites):
        trials.tell("trying layers one by one", number, len(sites))
        offers: list[Offered] = []
        for setting in site.settings:
            offer = trials.try_alone(site, setting)
            if offer is not None:
                offers.append((offer, setting))
                trials.note_setting(site, setting, offer)
        if offers:
            table.append(Choices(site.path, tuple(offers)))
    return table
