"""`low_rank` on whole nets: what is factored, what stays whole and why, and what comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from backends.pytorch.modules import emit_module
from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.low_rank.layers import find_layers
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.pruning.prune import Prune
from compiler.ir.cost import summarize
from compiler.ir.weighted_net import WeightedNet
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError, Fault
from compiler.report.messages.items import settings_disagree
from compiler.report.messages.low_rank import budget_out_of_reach
from tests.factoring import SIZES, apply, assert_close, build, factor_fully, run
from tests.pytorch_compare import draw_inputs

Array = NDArray[Any]

MLP = """
model M() {
    input x: f32[batch, 24]
    output y = x -> dense(32) as fc1 -> relu -> dense(16) as fc2 -> relu -> dense(4) as head
}
"""
CNN = """
model M(c: int = 12) {
    input image: f32[batch, 3, 16, 16]
    x = image -> conv(c, kernel=3, padding=1) as stem -> batch_norm as bn -> relu
    y = x -> conv(c, kernel=3, padding=1, groups=c) as depth -> conv(c, kernel=1) as point
    z = x + (y -> relu -> conv(c, kernel=3, padding=1, bias=false) as body)
    output logits = z -> conv_transpose(8, kernel=4, stride=2, padding=1) as up -> mean([2, 3])
        -> dense(10) as head
}
"""
TOKENS = """
use std.transformer
model M() {
    input tokens: i64[batch, t]
    x = tokens -> embedding(50, 16) as wte
    x = x -> encoder_block(2, 24) as block
    output logits = x -> dense(50, bias=false) as head
}
"""
TIED = """
model M() {
    input tokens: i64[batch, t]
    net embed = embedding(50, 16)
    x = tokens -> embed
    output logits = x -> dense(50, weight=embed.weight, bias=false)
}
"""
LOOP = """
block cell(x_t: f32[n, d], h: f32[n, k]) {
    return ((x_t -> dense(k) as input) + (h -> dense(k, bias=false) as hidden)) -> tanh
}
model M(k: int = 12) {
    input x: f32[batch, t, 8]
    h = zeros([batch, k])
    scan x_t in x, axis=1 {
        h = (x_t, h) -> cell
        emit states = h
    }
    output y = states -> dense(3) as head
}
"""
SHARED = """
model M() {
    input a: f32[batch, 12]
    input b: f32[batch, 12]
    net tower = dense(12)
    output y = (a -> tower) * (b -> tower)
}
"""


@pytest.mark.parametrize("text", [MLP, CNN, TOKENS, LOOP, SHARED])
def test_full_rank_changes_nothing(text: str) -> None:
    net = build(text)
    made = factor_fully(net)
    assert len(made.graph.parameters) > len(net.graph.parameters)
    assert_close(net, made)


@pytest.mark.parametrize("text", [MLP, CNN, TOKENS, LOOP, SHARED, TIED])
def test_what_does_not_pay_stays_whole(text: str) -> None:
    net, context = build(text), CompressionContext()
    made = apply(LowRank(energy=1.0), net, context)
    assert made.graph.nodes == net.graph.nodes
    assert context.journal
    assert all(not note.done and note.reason for note in context.journal)


def test_what_has_low_rank_loses_nothing() -> None:
    net, context = build(MLP), CompressionContext()
    rng = np.random.default_rng(0)
    weights = dict(net.weights)
    for path in ("fc1.weight", "fc2.weight"):
        rows, columns = weights[path].shape
        low = rng.standard_normal((rows, 3)) @ rng.standard_normal((3, columns))
        weights[path] = low.astype(np.float32)
    net = WeightedNet(net.graph, weights)
    made = apply(LowRank(energy=1.0, except_=("head",)), net, context)
    assert_close(net, made)
    ranks = {n.path: dict(n.figures).get("rank") for n in context.journal}
    assert ranks == {"fc1": 3, "fc2": 3, "head": None}
    shapes = {p.path: p.value.type.known_shape for p in made.graph.parameters}
    assert shapes["fc1.0.weight"] == (3, 24)
    assert shapes["fc1.1.weight"] == (32, 3)
    assert shapes["fc1.1.bias"] == (32,)


def notes_of(context: CompressionContext) -> dict[str, LayerNote]:
    return {note.path: note for note in context.journal}


def test_reasons() -> None:
    context = CompressionContext()
    apply(LowRank(rank=4), build(CNN), context)
    notes = notes_of(context)
    assert notes["depth"].reason == "it is depthwise"
    assert notes["stem"].done == "spatial, rank 4: 324 -> 180 weights"
    assert notes["stem"].reason == "data-free: no rows to see its inputs with"
    assert notes["body"].done == "channel, rank 4: 1,296 -> 480 weights", (
        "the rank is that asked for"
    )
    assert all(note.span is not None for note in context.journal)
    context = CompressionContext()
    apply(LowRank(rank=4), build(TIED), context)
    assert {n.reason for n in context.journal} == {
        "`embed.weight` is tied to another layer",
        "its weight is another layer's",
    }
    context = CompressionContext()
    apply(LowRank(rank=14, only=("wte", "head")), build(TOKENS), context)
    notes = notes_of(context)
    said = {path for path, note in notes.items() if note.reason == "`only` or `except` says so"}
    assert said == {layer.path for layer in find_layers(build(TOKENS).graph)} - {"wte", "head"}
    assert notes_of(context)["wte"].reason == "rank 14 would take 924 weights, it has 800"


def test_method_without_form() -> None:
    context = CompressionContext()
    apply(LowRank(rank=2, method="spatial"), build(CNN), context)
    notes = notes_of(context)
    assert notes["up"].reason == "it has no spatial form"
    assert notes["body"].done.startswith("spatial, rank 2")
    assert notes["point"].done.startswith("channel, rank 2")
    assert "its kernel of one tap has no spatial form" in notes["point"].reason


@pytest.mark.parametrize(
    ("layers", "method", "known"),
    [
        ("conv(16, kernel=1)", "tucker", "`channel`"),
        ("conv(16, kernel=1) -> relu -> conv_transpose(16, kernel=3)", "spatial", "`channel`"),
        ("conv(16, kernel=[1, 3])", "spatial", "`channel`, `tucker`"),
        ("conv(16, kernel=3, groups=16)", "tucker", None),
    ],
)
def test_a_method_that_no_convolution_has_is_refused(
    layers: str, method: Literal["spatial", "tucker"], known: str | None
) -> None:
    head = "flatten -> dense(40) -> relu -> dense(40)"
    net = build(f"model M {{ input x: f32[n, 16, 6, 6]  output y = x -> {layers} -> {head} }}")
    message = LowRank(rank=2, method=method).find_fault(net.graph, (), None)
    assert message.kind is settings_disagree
    found = "there are none to factor" if known is None else f"has a `{method}` form, only {known}"
    assert found in message.text.label
    assert LowRank(rank=2, method="auto").find_fault(net.graph, (), None) is None


def test_recurrent_weights_are_factored() -> None:
    net, context = build(LOOP), CompressionContext()
    made = apply(LowRank(rank=2, except_=("head",)), net, context)
    assert notes_of(context)["cell.hidden"].done == "svd, rank 2: 144 -> 48 weights"
    assert {"cell.hidden.0.weight", "cell.hidden.1.weight"} <= made.weights.keys()
    assert "cell.hidden.weight" not in made.weights
    inputs = draw_inputs(net.graph, SIZES)
    assert run(made, inputs)["y"].shape == run(net, inputs)["y"].shape


def test_shared_weights_are_factored_in_every_call() -> None:
    net = build(SHARED)
    made = apply(LowRank(rank=2), net)
    assert len(made.graph.nodes) == len(net.graph.nodes) + 2
    assert [p.path for p in made.graph.parameters] == [
        "tower.0.weight",
        "tower.1.weight",
        "tower.1.bias",
    ]


INSIDE = """
block head(x: f32[n, d], use: layer) {
    return (x -> use) + (x -> dense(d) as own)
}
model M() {
    input x: f32[batch, 12]
    net tower = dense(12)
    y = x -> head(tower) as first
    output y2 = y -> head(tower) as second
}
"""


def test_a_net_used_in_blocks_keeps_its_place() -> None:
    net = build(INSIDE)
    made = factor_fully(net)
    assert {"tower.0.weight", "tower.1.weight", "tower.1.bias"} <= made.weights.keys()
    assert_close(net, made)
    text = emit_module([made.graph], title="Net.")
    assert "F.linear" not in text, "factors are modules"


# --- the context ---------------------------------------------------------------------------------


@dataclass
class Rows:
    arrays: Mapping[str, Array]
    synthetic: bool = False

    def batches(self, rows: int, size: int = 32) -> Iterator[Mapping[str, Array]]:
        for start in range(0, rows, size):
            part = {k: v[start : min(start + size, rows)] for k, v in self.arrays.items()}
            if len(next(iter(part.values()))):
                yield part


@dataclass
class Ticker:
    """A meter that counts multiply-adds and charges for every node."""

    node: float = 0.0
    asked: list[int] = field(default_factory=list)

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        self.asked.append(len(nets))
        return [self.time(net) for net in nets]

    def time(self, net: WeightedNet) -> float:
        work = summarize(net.graph).multiply_adds.evaluate(dict.fromkeys(net.graph.symbols, 1))
        return self.node * len(net.graph.nodes) + work * 1e-9


def test_the_clock_decides() -> None:
    net = build(MLP)
    quick, slow = (
        CompressionContext(latency_meter=Ticker()),
        CompressionContext(latency_meter=Ticker(node=1.0)),
    )
    careful = LowRank(rank=4, unless_slower=True)
    assert "fc1.0.weight" in apply(careful, net, quick).weights
    assert apply(careful, net, slow).weights.keys() == net.weights.keys()
    note = notes_of(slow)["fc1"]
    assert note.reason.startswith("rank 4 takes 2000000.2 µs, it takes 1000000.8 µs")
    assert dict(note.figures)["seconds"] > dict(note.figures)["seconds_before"]


@pytest.mark.parametrize("step", [LowRank(rank=4), LowRank(energy=0.5), LowRank(budget=0.6)])
def test_no_clock_is_asked_where_factors_are_asked_for(step: LowRank) -> None:
    net, ticker = build(MLP), Ticker(node=1.0)
    context = CompressionContext(latency_meter=ticker)
    asked = apply(step, net, context)
    assert "fc1.0.weight" in asked.weights
    assert ticker.asked == []
    assert {p.path for p in asked.graph.parameters} == {
        p.path for p in apply(step, net).graph.parameters
    }


def test_a_rank_is_that_of_every_layer_and_method() -> None:
    for method in ("auto", "channel", "spatial", "tucker"):
        context = CompressionContext()
        apply(LowRank(rank=2, method=method, only=("stem", "body")), build(CNN), context)
        for path in ("stem", "body"):
            assert re.search(r", ranks? 2( and 2)?: ", notes_of(context)[path].done), method


def test_layers_alike_are_timed_once() -> None:
    text = "model M() {\n    input x: f32[batch, 16]\n    output y = x -> 6 * dense(16)\n}\n"
    ticker = Ticker()
    context = CompressionContext(latency_meter=ticker, target=Target(sizes=(("batch", 8),)))
    apply(LowRank(rank=2, unless_slower=True), build(text), context)
    assert ticker.asked == [2, 2], "one layer for all six, then the whole net"


@pytest.mark.parametrize("latency_meter", [None, Ticker(node=1e-9)])
def test_budget(latency_meter: Ticker | None) -> None:
    net, context = build(CNN), CompressionContext(latency_meter=latency_meter)
    before = sum(net.weights[p.path].size for p in net.graph.parameters if p.trainable)
    made = apply(LowRank(budget=0.6, unless_slower=True), net, context)
    after = sum(made.weights[p.path].size for p in made.graph.parameters if p.trainable)
    assert 0.4 * before < after <= 0.6 * before
    assert any(n.done for n in context.journal)


class Slower:
    """A meter for which every net with more layers takes longer."""

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        return [float(len(net.graph.nodes)) for net in nets]


def test_a_budget_is_met_where_no_factors_are_faster() -> None:
    net, context = build(MLP), CompressionContext(latency_meter=Slower())
    made = apply(LowRank(budget=0.6, unless_slower=True), net, context)
    assert summarize(made.graph).parameters <= 0.6 * summarize(net.graph).parameters
    assert notes_of(context)[""].done == "ranks by multiply-adds"
    with pytest.raises(CompileError):
        LowRank(budget=0.01, unless_slower=True).run(
            net, CompressionContext(latency_meter=Slower())
        )


def test_budget_takes_from_what_loses_least() -> None:
    net = build(MLP)
    weights = dict(net.weights)
    rng = np.random.default_rng(0)
    low = rng.standard_normal((32, 2)) @ rng.standard_normal((2, 24))
    weights["fc1.weight"] = low.astype(np.float32)
    context = CompressionContext()
    apply(LowRank(budget=0.6), WeightedNet(net.graph, weights), context)
    notes = notes_of(context)
    assert notes["fc1"].done
    assert not notes["fc2"].done
    assert notes["fc2"].reason == "others gave way for less"


def test_budget_out_of_reach() -> None:
    with pytest.raises(CompileError) as caught:
        LowRank(budget=0.01).run(build(MLP), CompressionContext())
    (message,) = caught.value.messages
    assert message.kind is budget_out_of_reach
    assert message.text.title == "low rank cannot bring the net down to 1% of its parameters"
    assert message.text.label.startswith(
        "13 of 1,396 parameters; factors with fewer multiply-adds leave"
    )
    least = int(message.text.label.rpartition(" leave ")[2].partition(" ")[0])
    share = int((message.text.help or "").partition("budget=")[2].partition("%")[0])
    made = apply(LowRank(budget=share / 100), build(MLP))
    assert least <= sum(array.size for array in made.weights.values()) <= share / 100 * 1396


class Jumpy:
    """A meter on which only very small factors gain much."""

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        whole, *others = (sum(array.size for array in net.weights.values()) for net in nets)
        return [1.0, *(0.3 if size < 0.2 * whole else 0.95 for size in others)]


def test_a_budget_is_used_up() -> None:
    """The convex hull then has one rung, which saves far more than is asked for."""
    net, context = build(MLP), CompressionContext(latency_meter=Jumpy())
    before = sum(array.size for array in net.weights.values())
    made = apply(LowRank(budget=0.6, unless_slower=True), net, context)
    after = sum(array.size for array in made.weights.values())
    assert 0.54 * before < after <= 0.6 * before


def test_rows_lower_the_error() -> None:
    net = build(MLP)
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((24, 24)) * np.geomspace(1, 0.01, 24)
    x = (rng.standard_normal((400, 24)) @ mix.T + 1).astype(np.float32)
    step = LowRank(rank=6, except_=("head",))
    context = CompressionContext(samples=Rows({"x": x}))
    expected = run(net, {"x": x})["y"]
    blind = run(apply(step, net), {"x": x})["y"]
    seeing = run(apply(step, net, context), {"x": x})["y"]
    assert np.square(seeing - expected).sum() < 0.3 * np.square(blind - expected).sum()
    assert all(note.reason == "" for note in context.journal if note.done)
    drawn = CompressionContext(samples=Rows({"x": x}, synthetic=True))
    apply(step, net, drawn)
    assert all("data-free" in note.reason for note in drawn.journal if note.done)


def test_rows_lower_the_error_of_convolutions() -> None:
    net = build(CNN)
    rng = np.random.default_rng(0)
    base = rng.standard_normal((64, 1, 16, 16))
    image = base * [[[[1.0]], [[0.5]], [[-1.0]]]] + 0.1 * rng.standard_normal((64, 3, 16, 16))
    rows = {"image": image.astype(np.float32)}
    for method in ("channel", "spatial", "tucker"):
        step = LowRank(rank=3, method=method, only=("stem", "body"))
        expected = run(net, rows)["logits"]
        errors = [
            float(np.square(run(apply(step, net, w), rows)["logits"] - expected).sum())
            for w in (CompressionContext(samples=Rows(rows)), CompressionContext())
        ]
        assert errors[0] < errors[1], method


def test_a_pruned_net_is_factored() -> None:
    net = build(CNN)
    made = apply(LowRank(rank=2), Prune(channels=0.5).run(net, CompressionContext()))
    inputs = draw_inputs(net.graph, SIZES)
    assert run(made, inputs)["logits"].shape == run(net, inputs)["logits"].shape
    sizes = [sum(w.size for w in n.weights.values()) for n in (net, made)]
    assert sizes[1] < 0.5 * sizes[0]


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"rank": 4, "energy": 0.9},
        {"energy": 0.9, "budget": 0.5},
        {"rank": 0},
        {"energy": 0.0},
        {"energy": 95},
        {"budget": 1.5},
    ],
)
def test_settings_that_mean_nothing(given: dict[str, Any]) -> None:
    with pytest.raises(Fault):
        LowRank(**given)
