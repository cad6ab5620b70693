"""The pass `low_rank`: layers become products of smaller ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Literal, final

from compiler.compression.base import COMPRESSION, CompressionContext, CompressionPass
from compiler.compression.context import LayerNote
from compiler.compression.effects import find_idle_pattern
from compiler.compression.low_rank.allocation import Ladder, climb_down, count_least, make_ladder
from compiler.compression.low_rank.costs import Costs
from compiler.compression.low_rank.layers import Layer, find_layers
from compiler.compression.low_rank.moments import Moments, collect_moments
from compiler.compression.low_rank.planning import (
    Choice,
    Verdict,
    choose_by_energy,
    choose_by_rank,
    count_at_rank,
    describe_ranks,
    describe_setting,
    find_factorings,
    is_point,
    list_forms,
)
from compiler.compression.low_rank.whole import replace_what_pays
from compiler.compression.selecting import KEPT_OUT, is_selected
from compiler.compression.sizes import choose_sizes
from compiler.compression.wording import describe_pass
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Fault, Message
from compiler.report.messages.effects import pass_does_nothing
from compiler.report.messages.items import settings_disagree
from compiler.report.messages.layers import option_out_of_range
from compiler.report.messages.low_rank import budget_out_of_reach, one_goal_only
from compiler.report.source import Span

ENERGIES = (0.98, 0.95, 0.9)
"""Shares of energy that a search tries on single layers."""
RETAINED = (*(n / 1000 for n in range(999, 950, -1)), *(n / 200 for n in range(190, 99, -1)))
"""Shares of energy from which a search takes the most for all layers that keeps its goals."""
RANKS = tuple(range(1023, 0, -1))
"""Ranks from which it takes the largest."""
BUDGETS = tuple(n / 100 for n in range(99, 0, -1))
"""Shares of the parameters from which it takes the largest."""
ENERGY = 0.95
"""What is kept where neither a rank nor a budget is asked for."""


@COMPRESSION.register
@final
@dataclass(frozen=True)
class LowRank(CompressionPass):
    """Replaces layers by products of smaller ones.

    A dense layer of M outputs and N inputs becomes two, with K numbers between them: `W (M×N) ≈
    A (M×K) B (K×N)`. A convolution becomes `k×k` to K channels and `1×1` (channel), `k×1` to K
    channels and `1×k` (spatial), or `1×1`, `k×k`, `1×1` (tucker); an embedding becomes a smaller
    one and a dense layer. Parameters of a layer at `fc` move to `fc.0.weight`, `fc.1.weight` and
    `fc.1.bias`. With calibration rows the factors are the best for the inputs that the layer
    gets, without any for inputs that vary evenly. A layer stays whole where the factors would
    have as many weights or multiply-adds, or be no faster on the target; where its weight is
    tied or computed; and where it is a convolution in groups.

    - `rank`: K for every layer.
    - `energy`: K is the least with which that share of the energy stays, the sum of squared
      singular values (of the outputs about their mean, with calibration rows). 95% where neither
      rank nor budget is given.
    - `budget`: the share of the net's parameters that stays; ranks are spread over the layers so
      that each gives way where it loses least for the multiply-adds it saves.
    - `method`: how convolutions are factored (a kernel of one tap has the channel form only);
      "auto" takes for each layer the way that is cheapest at this energy, or loses least at this
      rank or budget.
    - `unless_slower`: keeps a layer whole where its factors, or the net with all of them, are no
      faster on the target, and says so; a budget is then spread by the time that is saved.
      Without it factors are made as asked, even where they are slower.
    - `only`, `except`: path patterns of layers that may, or may not, be touched.

    Example: `apply low_rank(energy=95%, except=["head"]) -> finetune(epochs=4)`
    Errors: W1130 where two of `rank`, `energy` and `budget` are given, W1131 where a budget is out
    of reach, W0353 for numbers out of range.
    Source: Eckart and Young (1936); Jaderberg et al. (2014), https://arxiv.org/abs/1405.3866;
    Zhang et al. (2015), https://arxiv.org/abs/1505.06798; Kim et al. (2016),
    https://arxiv.org/abs/1511.06530.
    """

    name = "low_rank"
    shares = ("energy", "budget")
    needs_floats = True
    rank: int | None = None
    energy: float | None = None
    budget: float | None = None
    method: Literal["auto", "channel", "spatial", "tucker"] = "auto"
    unless_slower: bool = False
    only: tuple[str, ...] | None = None
    except_: tuple[str, ...] = ()

    @classmethod
    def list_settings(cls) -> tuple[CompressionPass, ...]:
        """A few shares of the energy."""
        return tuple(cls(energy=share) for share in ENERGIES)

    @classmethod
    def list_scales(cls) -> tuple[tuple[CompressionPass, ...], ...]:
        """Shares of the energy, ranks, and budgets."""
        return (
            tuple(cls(energy=share) for share in RETAINED),
            tuple(cls(rank=rank) for rank in RANKS),
            tuple(cls(budget=share) for share in BUDGETS),
        )

    @property
    def may_leave_whole(self) -> bool:
        """Where the meter may."""
        return self.unless_slower

    def count_least(self, shape: tuple[int, ...]) -> int:
        """A factor for each of two sides with rank 1, where that is fewer."""
        return min(prod(shape), shape[0] + shape[1]) if len(shape) > 1 else prod(shape)

    def find_fault(
        self, graph: Graph | None, bounded: Collection[str], span: Span | None
    ) -> Message | None:
        """A net of which no layer may be touched, or none would have fewer weights in factors of
        the given rank."""
        if graph is None:
            return None
        if (fault := self._find_unused_method(graph, span)) is not None:
            return fault
        layers = find_layers(graph)
        chosen = [x for x in layers if is_selected(x.path, self.only, self.except_)]
        reasons = {x.path: x.reason or self._find_obstacle(x, self.rank) for x in chosen}
        open_ = [path for path, reason in reasons.items() if not reason]
        if not open_:
            listed = tuple(f"`{path}`: {reason}" for path, reason in reasons.items())
            return pass_does_nothing(span, describe_pass(self), listed)
        if self.may_leave_whole:
            return None
        whole = {path: reason for path, reason in reasons.items() if reason}
        return find_idle_pattern(self.name, self.patterns, open_, whole, span)

    def _find_unused_method(self, graph: Graph, span: Span | None) -> Message | None:
        """A way to factor convolutions, where no layer that may be touched is one."""
        chosen = [x for x in find_layers(graph) if is_selected(x.path, self.only, self.except_)]
        forms = [list_forms(layer) for layer in chosen if not layer.reason]
        if self.method == "auto" or not chosen or any(self.method in ways for ways in forms):
            return None
        reason = f'`method="{self.method}"` is one for convolutions, and there are none to factor'
        if any(forms):
            known = ", ".join(dict.fromkeys(f"`{way}`" for ways in forms for way in ways))
            reason = f"no convolution here has a `{self.method}` form, only {known}"
        return settings_disagree(span, self.name, reason, "leave `method` out")

    def _find_obstacle(self, layer: Layer, rank: int | None) -> str:
        """Why factors of a rank do not pay, or there are none; empty where they may."""
        forms = list_forms(layer)
        if forms and self.method not in ("auto", *forms) and not is_point(layer):
            return f"it has no {self.method} form"
        if rank is None:
            return ""
        full, factors, whole = count_at_rank(layer, self.method, rank)
        if factors < whole:
            return ""
        return f"rank {full} would take {factors:,} weights, it has {whole:,}"

    def check(self) -> None:
        goals = [n for n in ("rank", "energy", "budget") if getattr(self, n) is not None]
        if len(goals) > 1:
            raise Fault(lambda where: one_goal_only(where.call, tuple(goals)))
        if self.rank is not None and self.rank < 1:
            self._refuse("rank", self.rank, "at least 1")
        for option, share in (("energy", self.energy), ("budget", self.budget)):
            if share is not None and not 0 < share <= 1:
                self._refuse(option, share, "a share over 0% and up to 100%")
        if self.budget == 1:
            self._refuse("budget", self.budget, "a share below 100%, at which nothing has to go")

    def _refuse(self, option: str, value: float, needed: str) -> None:
        share = option != "rank"
        raise Fault(
            lambda where: option_out_of_range(
                where.argument(option), self.name, option, value, needed, share=share
            )
        )

    def run(self, net: WeightedNet, context: CompressionContext) -> WeightedNet:
        """The net with factored layers.

        Raises:
            CompileError: the budget cannot be reached.
        """
        layers = find_layers(net.graph)
        chosen = [x for x in layers if is_selected(x.path, self.only, self.except_)]
        sizes = choose_sizes(net.graph, context.target)
        latency_meter = context.latency_meter if self.unless_slower else None
        costs = Costs(net.weights, sizes, latency_meter, counts_work=self.unless_slower)
        open_ = [layer for layer in chosen if not layer.reason]
        moments = _look(net, open_, context)
        for layer in layers:
            reason = layer.reason if layer in chosen else KEPT_OUT
            if reason:
                context.note(LayerNote(self.name, layer.path, "", reason, (), layer.span))
        if self.budget is not None:
            verdicts = self._spread(net, open_, moments, context, costs)
        else:
            verdicts = [self._decide(layer, net, moments, costs) for layer in open_]
        # Who gives a budget asks for fewer parameters first.
        made, verdicts = replace_what_pays(
            net, verdicts, latency_meter if self.budget is None else None
        )
        for verdict in verdicts:
            context.note(self._describe(verdict, net, moments, context))
        return made

    def _decide(
        self, layer: Layer, net: WeightedNet, moments: Mapping[str, Moments], costs: Costs
    ) -> Verdict:
        """What becomes of a layer by itself."""
        seen = moments.get(layer.path)
        ways = find_factorings(layer, net.weights, seen, self.method, self.rank)
        if not ways:
            return Verdict(layer, None, f"it has no {self.method} form")
        if self.rank is not None:
            return choose_by_rank(layer, ways, self.rank, costs)
        energy = self.energy if self.energy is not None else ENERGY
        return choose_by_energy(layer, ways, energy, costs)

    def _spread(
        self,
        net: WeightedNet,
        layers: Sequence[Layer],
        moments: Mapping[str, Moments],
        context: CompressionContext,
        costs: Costs,
    ) -> list[Verdict]:
        """What becomes of all layers together, within the budget."""
        assert self.budget is not None, "there is a budget"
        ladders = self._make_ladders(net, layers, moments, costs)
        before = sum(w.size for p, w in net.weights.items() if net.graph.parameter[p].trainable)
        fixed = before - sum(net.weights[layer.weight].size for layer in layers)
        most = int(before * self.budget)
        found = climb_down(ladders, fixed, most)
        if found is None and costs.latency_meter is not None:
            ladders = self._make_ladders(net, layers, moments, replace(costs, latency_meter=None))
            found = climb_down(ladders, fixed, most)
            reason = "factors that are faster on the clock do not reach the budget"
            context.note(LayerNote(self.name, "", "ranks by multiply-adds", reason))
        if found is None:
            least = count_least(ladders, fixed)
            raise CompileError(
                [budget_out_of_reach(context.span, self.budget, before, most, least)]
            )
        return [_settle(layer, found.get(layer.path)) for layer in layers]

    def _make_ladders(
        self,
        net: WeightedNet,
        layers: Sequence[Layer],
        moments: Mapping[str, Moments],
        costs: Costs,
    ) -> dict[str, Ladder]:
        """What each layer can become, by path."""
        ladders = {}
        for layer in layers:
            ways = find_factorings(layer, net.weights, moments.get(layer.path), self.method)
            ladders[layer.path] = make_ladder(layer, ways, costs)
        return ladders

    def _describe(
        self,
        verdict: Verdict,
        net: WeightedNet,
        moments: Mapping[str, Moments],
        context: CompressionContext,
    ) -> LayerNote:
        layer, choice = verdict.layer, verdict.choice
        if choice is None:
            reason = verdict.reason or "others gave way for less"
            return LayerNote(self.name, layer.path, "", reason, verdict.figures, layer.span)
        whole = net.weights[layer.weight].size
        done = (
            f"{choice.factoring.method}, {describe_ranks(choice.setting)}: "
            f"{whole:,} -> {choice.setting.parameters:,} weights"
        )
        reasons = [] if layer.path in moments else [_say_why_blind(layer, context)]
        if self.method not in ("auto", choice.factoring.method) and is_point(layer):
            reasons.append(f"its kernel of one tap has no {self.method} form")
        reason = "; ".join(reasons)
        return LayerNote(self.name, layer.path, done, reason, verdict.figures, layer.span)


def _look(
    net: WeightedNet, layers: Sequence[Layer], context: CompressionContext
) -> Mapping[str, Moments]:
    """Moments of the layers' inputs or outputs, where there are rows."""
    if context.samples is None or context.samples.synthetic or not layers:
        return {}
    return collect_moments(net, layers, context.samples)


def _settle(layer: Layer, choice: Choice | None) -> Verdict:
    """The verdict on what a budget left for a layer, whose costs have been weighed."""
    figures = describe_setting(choice.setting) if choice is not None else ()
    return Verdict(layer, choice, "", figures)


def _say_why_blind(layer: Layer, context: CompressionContext) -> str:
    """Why the factors of a layer do not depend on its inputs."""
    if context.samples is None or context.samples.synthetic:
        return "data-free: no rows to see its inputs with"
    if layer.in_loop:
        return "data-free: its inputs inside the loop are not seen"
    return "its inputs are whole numbers"
