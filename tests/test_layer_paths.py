"""Every pass calls a layer by the same path, also one that is a whole net or stands in a loop."""

from __future__ import annotations

import pytest

from compiler.compression.base import CompressionContext, CompressionPass
from compiler.compression.low_rank.layers import find_layers, walk_nodes
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.pruning.prune import Prune
from compiler.compression.quantization.base import Quantize
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.stored import Stored8
from compiler.compression.search.sites import find_sites
from compiler.compression.selecting import layer_path
from compiler.driver import check_source
from compiler.ir.weighted_net import WeightedNet
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from tests.checking import check_text
from tests.elaborating import LOOP, build
from tests.pytorch_compare import draw_lively

TOWER = """
model M() {
    input x: f32[batch, 48]
    net tower = dense(64)
    output y = x -> tower -> relu -> dense(48) as deep -> relu -> dense(8) as head
}
"""


@pytest.mark.parametrize(
    "step", [LowRank(rank=2), Prune(channels=0.5), Quantize(Stored8()), Quantize(Dynamic())]
)
def test_a_net_of_one_op_has_the_path_of_its_weights(step: CompressionPass) -> None:
    graph = build(TOWER).graph
    net, context = WeightedNet(graph, draw_lively(graph)), CompressionContext()
    step.run(net, context)
    done = [note.path for note in context.journal if note.done]
    assert "tower" in done
    assert not any(path.startswith("tower.") for path in done)


def test_a_search_restricts_low_rank_to_that_path() -> None:
    graph = build(TOWER).graph
    net = WeightedNet(graph, draw_lively(graph))
    sites = [site for site in find_sites(net.graph, [LowRank(rank=2)]) if site.path == "tower"]
    made = sites[0].settings[0].run(net, CompressionContext())
    assert {p for p in made.weights if p.startswith("tower.")} == {
        "tower.0.weight",
        "tower.1.weight",
        "tower.1.bias",
    }


@pytest.mark.parametrize("text", [TOWER, LOOP])
def test_what_can_be_factored_has_the_path_that_patterns_are_checked_against(text: str) -> None:
    graph = build(text).graph
    paths = {layer_path(node) for node, _ in walk_nodes(graph)}
    assert {layer.path for layer in find_layers(graph)} <= paths


@pytest.mark.parametrize(("pattern", "codes"), [("cell", []), ("cel", ["W0650"])])
def test_a_pattern_may_name_a_layer_in_a_loop(pattern: str, codes: list[str]) -> None:
    variant = f'variant small of M {{ apply low_rank(rank=2, only=["{pattern}"]) }}'
    sink = Sink()
    check_source(Source("spec.weft", f"{LOOP}{variant}"), sink=sink)
    assert [message.code for message in sink.messages] == codes


def test_a_pattern_below_a_net_of_one_op_is_what_a_pass_makes() -> None:
    variant = 'variant small of M { apply low_rank(rank=2) -> quantize(stored8, only=["tower.0"]) }'
    assert "small" in check_text(TOWER + variant).variants
