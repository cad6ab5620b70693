"""A search judges what training will make of its choices, and never does worse than a plain cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from compiler.compression.base import CompressionContext, CompressionPass
from compiler.compression.context import Goal, Tuning
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.pruning.prune import Prune
from compiler.compression.quantization.base import Quantize
from compiler.compression.quantization.stored import Stored8
from compiler.compression.search.baselines import (
    NEIGHBOURS,
    count_trials,
    find_weakest,
    list_ladders,
)
from compiler.compression.search.search import Search
from compiler.compression.search.trials import Trials, measure_error
from compiler.compression.tuning.passes import Distill, Finetune
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import CompileError
from compiler.report.messages.search import search_goal_missed
from tests.test_search import Counter, Notebook, Rows, count_parameters, make_net, numbers_of

FULL = 64.0
"""Channels of both hidden layers before any pass."""


def shares_cut(net: WeightedNet) -> tuple[float, float]:
    """What share of the channels of each hidden layer is gone."""
    wide, deep = (len(net.weights[f"{name}.bias"]) for name in ("wide", "deep"))
    return 1 - wide / FULL, 1 - deep / FULL


@dataclass
class Coach:
    """Training that leaves a mark, and a judge that knows what it brings: right after a cut, one
    of `deep` costs next to nothing; after training, layers that were cut alike are the best."""

    epochs: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def train(self, net: WeightedNet, tuning: Tuning, label: str) -> WeightedNet:
        self.epochs.append(tuning.epochs)
        self.labels.append(label)
        bias = np.full_like(net.weights["head.bias"], 7.0)
        return WeightedNet(net.graph, {**net.weights, "head.bias": bias})

    def gradients(self, net: WeightedNet, rows: int) -> Mapping[str, Any]:
        raise AssertionError("nothing ranks by gradients here")

    def score(self, net: WeightedNet) -> Mapping[str, float]:
        wide, deep = shares_cut(net)
        trained = net.weights["head.bias"][0] == 7.0
        return {"loss": abs(wide - deep) + 0.01 * wide if trained else 1 + wide + 0.01 * deep}


def open_context(coach: Coach, net: WeightedNet, *following: CompressionPass) -> CompressionContext:
    goal = Goal("params", "<=", 0.55 * count_parameters(net))
    return CompressionContext(
        samples=Rows(),
        evaluator=coach,
        trainer=coach,
        goals=(goal,),
        original=net,
        following=following,
        trial_store=Notebook(),
    )


def list_said(context: CompressionContext) -> list[str]:
    return [note.done for note in context.journal if note.step == "search"]


@pytest.mark.parametrize("training", [Finetune(epochs=10), Distill(epochs=10)])
def test_a_search_is_no_worse_than_one_strength_for_all_layers(training: CompressionPass) -> None:
    net, coach = make_net(), Coach()
    context = open_context(coach, net, training)
    found = Search((Prune,)).run(net, context)
    assert count_parameters(found) <= context.goals[0].bound
    wide, deep = shares_cut(found)
    assert wide == deep > 0
    assert found.weights["head.bias"][0] != 7.0, "what follows trains it, not the search"
    assert set(coach.epochs) == {3}, "a quarter of ten epochs, rounded up"
    assert len(set(coach.labels)) == len(coach.labels), "no training lies in another's folder"
    said = list_said(context)
    assert any(done.startswith("baseline prune(channels=") for done in said)
    assert said[-1].startswith("took baseline prune(channels=")
    assert sum(done.startswith("tuned ") for done in said) == len(coach.epochs) >= 2


def test_without_training_behind_it_a_search_goes_by_the_loss_as_it_is() -> None:
    net, coach = make_net(), Coach()
    context = open_context(coach, net)
    wide, deep = shares_cut(Search((Prune,)).run(net, context))
    assert wide < deep
    assert not coach.epochs


def test_a_baseline_counts_where_no_choice_of_layers_has_less_loss() -> None:
    """Settings of single layers all look dear to this judge; cut alike, they are not."""

    class Even(Coach):
        def score(self, net: WeightedNet) -> Mapping[str, float]:
            wide, deep = shares_cut(net)
            return {"loss": 10 * abs(wide - deep) + wide}

    net = make_net()
    context = open_context(Even(), net)
    wide, deep = shares_cut(Search((Prune,)).run(net, context))
    weakest = next(
        share
        for share in np.arange(0.01, 0.9, 0.01)
        if count_parameters(Prune(channels=float(share)).run(net, context))
        <= context.goals[0].bound
    )
    assert wide == deep == pytest.approx(weakest, abs=0.01)


def test_what_was_tuned_is_not_tuned_again() -> None:
    net, first, second = make_net(), Coach(), Coach()
    context = open_context(first, net, Finetune(epochs=8))
    once = Search((Prune,)).run(net, context)
    again = Search((Prune,)).run(net, replace(context, evaluator=second, trainer=second))
    assert first.epochs
    assert not second.epochs
    assert shares_cut(once) == shares_cut(again)
    longer = replace(context, trainer=second, following=(Finetune(epochs=16),))
    Search((Prune,)).run(net, longer)
    assert set(second.epochs) == {4}


def test_nets_are_measured_as_the_passes_behind_leave_them() -> None:
    net, coach = make_net(), Coach()
    context = open_context(coach, net, Prune(channels=0.5))
    assert Search((Prune,)).run(net, context) is net, "what follows keeps the bound by itself"


def test_a_net_that_keeps_its_bounds_is_left_alone() -> None:
    net, coach = make_net(), Coach()
    context = replace(
        open_context(coach, net, Finetune()),
        goals=(Goal("params", "<=", 2.0 * count_parameters(net)),),
    )
    assert Search((Prune,)).run(net, context) is net
    assert not coach.epochs
    assert not any(done.startswith("baseline") for done in list_said(context))


def test_no_more_nets_are_measured_than_trials_allow() -> None:
    class Keeping(Coach):
        def train(self, net: WeightedNet, tuning: Tuning, label: str) -> WeightedNet:
            self.labels.append(label)
            return net

    net, coach = make_net(), Keeping()
    families = (Prune, LowRank, Quantize(Stored8()))
    trials = Search(families).reserved + 12
    context = replace(open_context(coach, net, Finetune()), evaluator=None)
    Search(families, trials=trials).run(net, context)
    assert isinstance(context.trial_store, Notebook)
    assert coach.labels
    measured = [figures for figures in context.trial_store.known.values() if "loss" in figures]
    assert len(measured) <= trials
    assert max(map(count_trials, list_ladders(families))) == 4 + NEIGHBOURS


def test_families_with_one_setting_stand_beside_the_others() -> None:
    stored, fixed = Quantize(Stored8()), Prune(channels=0.3)
    ladders = list_ladders((Prune, LowRank, stored))
    prune, factors = Prune(channels=0.95), (LowRank(energy=0.5), LowRank(rank=1))
    least = LowRank(budget=0.01)
    assert [ladder.settings[-1] for ladder in ladders] == [
        (stored,),
        (prune,),
        (prune, stored),
        *((one,) for one in (*factors, least)),
        *((one, stored) for one in (*factors, least)),
    ]
    assert [ladder.leader for ladder in ladders[3:]] == [None, 3, 3, None, 6, 6]
    plain = [ladder.settings for ladder in list_ladders((stored, fixed))]
    assert plain == [((fixed,),), ((stored,),), ((fixed, stored),)]
    beside = [ladder.fixed for ladder in list_ladders((LowRank, fixed, stored))[3::3]]
    assert beside == [(), (stored,), (fixed,), (fixed, stored)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_strength_of_one_pass_for_all_layers_is_better(seed: int) -> None:
    """Of a rank, an energy or a budget the weakest that fits is tried, to the single rank."""

    @dataclass
    class Bytes:
        def weigh(self, net: WeightedNet) -> int:
            return sum(array.nbytes for array in net.weights.values())

    net, stored = make_net(), Quantize(Stored8())
    weights = {**net.weights, **draw_weights(net.graph, seed)}
    net, scale = WeightedNet(net.graph, weights), Bytes()
    whole = scale.weigh(stored.run(net, CompressionContext(samples=Rows())))
    goal = Goal("size", "<=", 0.85 * whole)
    context = CompressionContext(
        samples=Rows(), size_meter=scale, goals=(goal,), original=net, trial_store=Notebook()
    )

    def judge(*passes: CompressionPass) -> float:
        made = net
        for one in passes:
            made = one.run(made, replace(context, journal=[]))
        return measure_error(made, net, context) if scale.weigh(made) <= goal.bound else np.inf

    plain = [LowRank(rank=rank) for rank in range(1, 65)]
    plain += [LowRank(energy=share / 100) for share in range(50, 100)]
    best = min(judge(one, stored) for one in plain)
    assert best < np.inf
    found = Search((LowRank, stored)).run(net, context)
    assert scale.weigh(found) <= goal.bound
    assert measure_error(found, net, context) <= best
    assert isinstance(context.trial_store, Notebook)
    measured = [figures for figures in context.trial_store.known.values() if "loss" in figures]
    assert len(measured) < 40, "most strengths are only counted"


def test_another_scale_is_timed_once_where_latency_is_bounded() -> None:
    net, latency_meter = make_net(), Counter()
    goal = Goal("latency", "<=", 0.4 * latency_meter.compare([net])[0])
    context = replace(
        open_context(Coach(), net), evaluator=None, latency_meter=latency_meter, goals=(goal,)
    )
    trials = Trials(net, context, context.goals, 0)
    leading, ranks, budgets = list_ladders((LowRank,))
    leader = find_weakest(leading, trials)
    assert leader is not None
    timed = len(trials.together)
    others = [find_weakest(ladder, trials, leader) for ladder in (ranks, budgets)]
    assert len(trials.together) == timed + 2
    for tried in others:
        assert tried is not None
        assert tried.figures["latency"] <= leader.figures["latency"]
    alone = find_weakest(ranks, trials)
    assert alone is not None, "where no energy is fast enough, the work is that of the bound"
    assert len(trials.together) == timed + 3


def test_the_nearest_miss_may_be_a_baseline() -> None:
    net, coach = make_net(), Coach()
    context = replace(open_context(coach, net), goals=(Goal("params", "<=", 10.0),))
    with pytest.raises(CompileError) as caught:
        Search((Prune,)).run(net, context)
    (message,) = caught.value.messages
    assert message.kind is search_goal_missed
    strongest = Prune(channels=0.95).run(net, replace(context, journal=[]))
    assert numbers_of(message)[1] <= count_parameters(strongest)


def test_a_weaker_setting_with_a_width_that_runs_fast_is_found() -> None:
    """Latency that is not monotonic: 48 channels are slow, 52 are fast again."""

    @dataclass
    class Blocks:
        def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
            wides = [len(net.weights["wide.bias"]) for net in nets]
            return [1.0 if 42 <= wide <= 50 or wide > 55 else 0.3 for wide in wides]

    net = make_net()
    context = replace(
        open_context(Coach(), net), latency_meter=Blocks(), goals=(Goal("latency", "<=", 0.5),)
    )
    trials = Trials(net, context, context.goals, 0)
    (bare,) = list_ladders((Prune,))
    tried = find_weakest(bare, trials)
    assert tried is not None
    assert 50 < len(tried.net.weights["wide.bias"]) <= 55
    assert len(trials.together) <= count_trials(bare)
