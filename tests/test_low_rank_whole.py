"""Factored layers together: kept where the whole net is no slower, at ranks that kernels like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from compiler.compression.base import CompressionContext
from compiler.compression.low_rank.low_rank import LowRank
from compiler.ir.cost import summarize
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.convolution import Conv
from tests.factoring import build

MLP = """
model M() {
    input x: f32[batch, 48]
    y = x -> dense(64) as fc1 -> relu -> dense(64) as fc2 -> relu -> dense(64) as fc3 -> relu
    output z = y -> dense(4) as head
}
"""
CNN = """
model M() {
    input image: f32[batch, 40, 8, 8]
    output y = image -> conv(64, kernel=1) as point
}
"""


@dataclass
class CrowdMeter:
    """A meter of a target that computes few layers fast and slows down where there are more."""

    room: int
    """How many nodes it likes."""

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        return [self.time(net) for net in nets]

    def time(self, net: WeightedNet) -> float:
        work = summarize(net.graph).multiply_adds.evaluate(dict.fromkeys(net.graph.symbols, 1))
        return work * (1000.0 if len(net.graph.nodes) > self.room else 1.0)


@pytest.mark.parametrize(("room", "factored"), [(100, 3), (8, 1), (7, 0)])
def test_only_as_many_layers_are_factored_as_the_net_bears(room: int, factored: int) -> None:
    net = build(MLP)
    context = CompressionContext(latency_meter=CrowdMeter(room))
    made = LowRank(rank=4, except_=("head",), unless_slower=True).run(net, context)
    whole = len(net.graph.nodes)
    assert len(made.graph.nodes) == whole + factored
    assert sum(bool(note.done) for note in context.journal) == factored
    for note in context.journal:
        if not note.done and note.path.startswith("fc"):
            assert "factored a call takes" in note.reason
    assert set(made.weights) == {p.path for p in made.graph.parameters}


def test_the_layer_that_gains_most_is_kept() -> None:
    net = build(MLP.replace("dense(64) as fc2", "dense(256) as fc2"))
    context = CompressionContext(latency_meter=CrowdMeter(8))
    LowRank(rank=4, except_=("head",), unless_slower=True).run(net, context)
    assert [note.path for note in context.journal if note.done] in (["fc2"], ["fc3"])


@dataclass
class NoisyMeter:
    """A meter by which every net with factors takes a little longer, and each layer alone less."""

    nodes: int
    """How many nodes the net has before any pass."""

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        return [self.time(net) for net in nets]

    def time(self, net: WeightedNet) -> float:
        nodes = len(net.graph.nodes)
        if nodes >= self.nodes:
            return 1.0 if nodes == self.nodes else 1.015
        return float(summarize(net.graph).parameters)


@pytest.mark.parametrize(("only", "factored"), [(("fc3",), 1), (("fc2",), 0)])
def test_a_net_that_is_hardly_smaller_may_not_seem_slower(
    only: tuple[str, ...], factored: int
) -> None:
    wide = "dense(8) as fc1 -> relu -> dense(512) as fc2 -> relu -> dense(512) as fc3"
    net = build(MLP[: MLP.index("dense(64) as fc1")] + wide + MLP[MLP.index(" -> relu\n    out") :])
    context = CompressionContext(latency_meter=NoisyMeter(len(net.graph.nodes)))
    LowRank(rank=3, only=only, unless_slower=True).run(net, context)
    assert sum(bool(note.done) for note in context.journal) == factored


@dataclass
class BlockMeter:
    """A meter of a target that is slow where channels fill no blocks of 16."""

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        return [self.time(net) for net in nets]

    def time(self, net: WeightedNet) -> float:
        widths = [node.op.out for node in net.graph.nodes if isinstance(node.op, Conv)]
        work = summarize(net.graph).multiply_adds.evaluate(dict.fromkeys(net.graph.symbols, 1))
        return work * (5.0 if any(width % 16 for width in widths) else 1.0)


def test_ranks_fill_blocks_where_the_clock_says_so() -> None:
    net = build(CNN)
    rng = np.random.default_rng(0)
    low = (rng.standard_normal((64, 10)) @ rng.standard_normal((10, 40))).astype(np.float32)
    weights = {**net.weights, "point.weight": low[:, :, None, None]}
    net = WeightedNet(net.graph, weights)
    found = {}
    for name, latency_meter in (("counted", None), ("timed", BlockMeter())):
        made = LowRank(energy=0.9999, unless_slower=True).run(
            net, CompressionContext(latency_meter=latency_meter)
        )
        (first, _) = (node.op for node in made.graph.nodes if isinstance(node.op, Conv))
        found[name] = first.out
    assert found == {"counted": 10, "timed": 16}
