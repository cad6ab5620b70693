"""The pass `search`: it meets its bounds at little loss, and says what it tried."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from compiler.compression.base import Array, CompressionContext
from compiler.compression.context import Goal
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.pruning.prune import Prune
from compiler.compression.quantization.base import Quantize
from compiler.compression.quantization.int8 import Int8
from compiler.compression.quantization.stored import Stored8
from compiler.compression.search.choice import Choices, join_families
from compiler.compression.search.knapsack import Offer
from compiler.compression.search.search import Search
from compiler.compression.search.sites import combine, find_sites
from compiler.compression.wording import describe_pass
from compiler.ir.cost import summarize
from compiler.ir.evaluate import evaluate
from compiler.ir.verify import verify_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.search import search_goal_missed, search_needs_goal, trials_too_few
from tests.elaborating import build

SPEC = """
model M {
    input x: f32[batch, 24]
    y = x -> dense(64) as wide -> relu -> dense(64) as deep -> relu
    output z = y -> dense(5) as head
}
"""


def numbers_of(miss: Message) -> list[int]:
    """The bound, what the nearest choice has, and what the net had."""
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", miss.text.label)]


def make_net() -> WeightedNet:
    """Dense layers whose second half of channels hardly matters."""
    graph = build(SPEC).graph
    weights = dict(draw_weights(graph, 0))
    weights["wide.weight"] = np.array(weights["wide.weight"])
    weights["wide.weight"][32:] *= 1e-3
    weights["wide.bias"] = np.zeros(64, np.float32)
    return WeightedNet(graph, weights)


@dataclass(frozen=True)
class Rows:
    """Normal inputs."""

    synthetic: bool = True

    def batches(self, rows: int, size: int = 32) -> Iterator[Mapping[str, Array]]:
        generator = np.random.default_rng(0)
        for _ in range(0, rows, size):
            yield {"x": generator.standard_normal((size, 24), np.float32)}


@dataclass
class Counter:
    """A meter that counts multiply-adds, and how often it is asked."""

    asked: list[int] = field(default_factory=list)

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        self.asked.append(len(nets))
        counts = [summarize(n.graph).multiply_adds.substitute({"batch": 1}).known for n in nets]
        return [1e-9 * (count or 0) for count in counts]


@dataclass
class Notebook:
    """A memory in a dictionary."""

    known: dict[str, Mapping[str, float]] = field(default_factory=dict)

    def recall(self, key: str) -> Mapping[str, float] | None:
        return self.known.get(key)

    def remember(self, key: str, figures: Mapping[str, float]) -> None:
        self.known[key] = dict(figures)


def open_context(*goals: Goal, latency_meter: Counter | None = None) -> CompressionContext:
    return CompressionContext(samples=Rows(), latency_meter=latency_meter or Counter(), goals=goals)


def count_parameters(net: WeightedNet) -> int:
    return summarize(net.graph).parameters


def test_a_search_meets_its_bounds_where_it_costs_least() -> None:
    net = make_net()
    bound = 0.6 * count_parameters(net)
    context = open_context(Goal("params", "<=", bound))
    found = Search((Prune,), trials=40).run(net, context)
    verify_graph(found.graph, net.graph)
    assert count_parameters(found) <= bound
    x = np.random.default_rng(1).standard_normal((64, 24)).astype(np.float32)
    before = evaluate(net.graph, net.weights, {"x": x})["z"]
    after = evaluate(found.graph, found.weights, {"x": x})["z"]
    blind = Prune(channels=0.5, ranking="uniform").run(net, open_context())
    worse = evaluate(blind.graph, blind.weights, {"x": x})["z"]
    assert np.abs(after - before).max() < 0.5 * np.abs(worse - before).max()
    trials = [note for note in context.journal if note.trial]
    assert any(note.reason == "keeps every goal" for note in trials)
    kept = [note for note in context.journal if not note.trial]
    assert kept, "what was chosen is said as the passes say it"
    assert {note.step for note in kept} == {"prune"}
    assert {note.path for note in context.journal} >= {"wide", "deep"}


def test_several_families_and_several_bounds() -> None:
    net = make_net()
    latency_meter = Counter()
    goals = (
        Goal("params", "<=", 0.5 * count_parameters(net)),
        Goal("latency", "<=", 0.6 * latency_meter.compare([net])[0]),
    )
    context = open_context(*goals, latency_meter=latency_meter)
    found = Search((Prune, LowRank), trials=60).run(net, context)
    assert count_parameters(found) <= goals[0].bound
    assert latency_meter.compare([found])[0] <= goals[1].bound


def test_what_passes_leave_of_one_layer_is_multiplied() -> None:
    half, strong = Offer(0.1, (-50.0, -10.0)), Offer(0.4, (-80.0, 2.0))
    prune, low_rank = Prune(channels=0.5), LowRank(energy=0.9)
    families = [Choices("a", ((half, prune),)), Choices("a", ((strong, low_rank),))]
    joined = {settings: offer for offer, settings in join_families(families, 2)}
    assert joined[()] == Offer(0.0, (0.0, 0.0))
    assert joined[(prune,)].changes == pytest.approx((-50.0, -10.0))
    both = joined[prune, low_rank]
    assert both.loss == pytest.approx(0.5)
    # A layer that weighs 84: 34/84 are left of it, and 4/84 of that.
    assert both.changes == pytest.approx((84 * (34 / 84 * 4 / 84 - 1), -8.0))


def test_a_setting_that_changes_nothing_is_no_choice() -> None:
    net = make_net()
    context = replace(
        open_context(Goal("params", "<=", 0.8 * count_parameters(net))), trial_store=Notebook()
    )
    whole = LowRank(rank=24, only=("wide",))  # no fewer numbers than the layer has
    Search((Prune, whole), trials=40).run(net, context)
    (note,) = [n for n in context.journal if n.path and "low_rank" in n.done + n.reason]
    assert note.done == ""
    assert note.reason == "low_rank(rank=24) changes nothing"
    again = replace(context, journal=[])
    Search((Prune, whole), trials=40).run(net, again)
    assert note in again.journal, "what changed nothing is remembered too"


def test_choices_are_relaxed_where_a_search_asked_for_too_much() -> None:
    """Both layers share the weights between them, so their savings overlap; what comes out still
    keeps the bound with little to spare."""
    net = make_net()
    bound = 0.5 * count_parameters(net)
    found = Search((Prune,), trials=40).run(net, open_context(Goal("params", "<=", bound)))
    assert 0.75 * bound <= count_parameters(found) <= bound


def test_an_interrupted_search_goes_on_with_what_it_knows() -> None:
    net, notebook = make_net(), Notebook()
    goal = Goal("latency", "<=", 0.6 * Counter().compare([net])[0])
    first, second = Counter(), Counter()
    context = replace(open_context(goal, latency_meter=first), trial_store=notebook)
    once = Search((Prune,), trials=40).run(net, context)
    again = Search((Prune,), trials=40).run(net, replace(context, latency_meter=second))
    assert len(second.asked) < len(first.asked) / 3
    for path, array in once.weights.items():
        np.testing.assert_array_equal(array, again.weights[path])


def test_what_a_search_cannot_do_is_said() -> None:
    net = make_net()
    with pytest.raises(CompileError) as caught:
        Search((Prune,)).run(net, open_context(Goal("accuracy", ">=", 0.9)))
    assert caught.value.messages[0].kind is search_needs_goal
    with pytest.raises(CompileError) as caught:
        Search((Prune,), trials=3).run(net, open_context(Goal("params", "<=", 1000)))
    assert caught.value.messages[0].kind is trials_too_few
    with pytest.raises(CompileError) as caught:
        Search((Prune,), trials=40).run(net, open_context(Goal("params", "<=", 10)))
    message = caught.value.messages[0]
    assert message.kind is search_goal_missed
    assert numbers_of(message)[1] > 10
    assert "params" in message.text.title
    with pytest.raises(CompileError) as caught:
        Search((Prune,), trials=40).run(net, open_context(Goal("params", "<=", 0.0)))
    assert caught.value.messages[0].kind is search_goal_missed


def test_a_search_in_which_no_layer_may_be_touched_misses_its_bound() -> None:
    net, family = make_net(), Prune(channels=0.5, except_=("*",))
    with pytest.raises(CompileError) as caught:
        Search((family,)).run(net, open_context(Goal("params", "<=", 1000)))
    (message,) = caught.value.messages
    assert message.kind is search_goal_missed
    _, reached, before = numbers_of(message)
    assert reached == before
    assert Search((family,)).run(net, open_context(Goal("params", "<=", 1e9))) == net


def test_fewer_trials_try_fewer_strengths() -> None:
    net = make_net()
    sites = find_sites(net.graph, (Prune,))
    assert [len(site.settings) for site in sites] == [3, 3, 3]
    thinned = Search((Prune,), trials=24).thin(sites)
    assert sum(len(site.settings) for site in thinned) == 6
    assert all(site.settings for site in thinned)


def test_equal_settings_share_a_pass() -> None:
    chosen = [
        LowRank(energy=0.9, only=("b",)),
        Prune(channels=0.5, only=("a",)),
        Prune(channels=0.25, only=("c",)),
        Prune(channels=0.5, only=("b",)),
    ]
    assert combine(chosen) == [
        Prune(channels=0.5, only=("a", "b")),
        Prune(channels=0.25, only=("c",)),
        LowRank(energy=0.9, only=("b",)),
    ]


def test_passes_are_written_as_a_spec_calls_them() -> None:
    assert describe_pass(Prune(channels=0.5, except_=("stem",))) == (
        'prune(channels=50%, except=["stem"])'
    )
    assert describe_pass(Quantize(Stored8())) == "quantize(stored8)"
    assert describe_pass(Quantize(Int8(rows=16))) == "quantize(int8(rows=16))"
    search = Search((Prune, LowRank(energy=0.975)), trials=40)
    assert describe_pass(search) == "search([prune, low_rank(energy=97.5%)], trials=40)"
