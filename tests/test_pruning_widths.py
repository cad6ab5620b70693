"""Widths that `prune` leaves: rounded for the target where its clock says that this pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from compiler.compression.base import CompressionContext
from compiler.compression.pruning.prune import Prune
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from tests.elaborating import build


@dataclass
class BlockMeter:
    """A meter of a target that computes in blocks of 16 channels, and is slow where they do not
    fill them."""

    asked: int = 0

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        self.asked += 1
        seconds = []
        for net in nets:
            widths = [p.value.type.shape[0].known or 0 for p in net.graph.parameters]
            ragged = any(width % 16 for width in widths if width > 16)
            seconds.append(sum(widths) * (2.0 if ragged else 1.0))
        return seconds


WIDE = """
model M {
    input x: f32[batch, 64]
    output y = x -> dense(90) as a -> relu -> dense(90) as b -> relu -> dense(16) as head
}
"""


def test_widths_suit_the_target_where_the_clock_says_so() -> None:
    graph = build(WIDE).graph
    net = WeightedNet(graph, draw_weights(graph, 0))
    latency_meter = BlockMeter()
    context = CompressionContext(latency_meter=latency_meter)
    made = Prune(channels=0.3, round_to="fastest").run(net, context).graph
    assert [p.value.type.shape[0].known for p in made.parameters][::2] == [64, 64, 16]
    (note,) = [note for note in context.journal if not note.path]
    assert note.done == "widths are multiples of 8"
    fallen = Prune(channels=0.3).run(net, context).graph
    assert [p.value.type.shape[0].known for p in fallen.parameters][::2] == [63, 63, 16]
    assert latency_meter.asked == 1, "the clock is asked only where the spec says so"
    strong = (
        Prune(channels=0.9, round_to="fastest")
        .run(net, CompressionContext(latency_meter=latency_meter))
        .graph
    )
    assert strong.parameters[0].value.type.shape[0].known == 9, "8 or 16 would not be a tenth"
    context = CompressionContext()
    alone = Prune(channels=0.3, round_to="fastest").run(net, context).graph
    assert alone.parameters[0].value.type.shape[0].known == 63
    assert any("no clock" in note.reason for note in context.journal)


@pytest.mark.parametrize(("share", "kept"), [(0.305, 63), (0.295, 63), (0.5, 45), (0.995, 1)])
def test_a_share_of_channels_is_rounded_to_the_nearest_number(share: float, kept: int) -> None:
    graph = build(WIDE).graph
    net = WeightedNet(graph, draw_weights(graph, 0))
    made = Prune(channels=share).run(net, CompressionContext(latency_meter=BlockMeter())).graph
    assert [p.value.type.shape[0].known for p in made.parameters][::2] == [kept, kept, 16]
