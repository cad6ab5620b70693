"""The bound on sizes before any work: no file that passes make is smaller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from compiler.compression.base import CompressionContext, CompressionPass
from compiler.compression.floors import find_floor
from compiler.compression.low_rank.adapting import add_adapters
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.low_rank.merging import merge_adapters
from compiler.compression.pruning.prune import Prune
from compiler.compression.quantization.base import Quantize
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.half import Float16
from compiler.compression.quantization.int8 import Int8
from compiler.compression.quantization.stored import Stored4, Stored8
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.program.deploy import Deploy
from compiler.program.variant import Step, Target, Variant
from compiler.report.source import Source
from compiler.vocabulary.net_functions import Lora
from tests.elaborating import LOOP, build
from tests.pruning_nets import make_image_net, make_token_net
from tests.pytorch_compare import draw_lively
from weft.building.compression_context import SyntheticSamples
from weft.deployed.exporting import make_export_spec

CHAINS: dict[str, tuple[CompressionPass, ...]] = {
    "nothing": (),
    "pruned": (Prune(channels=0.75),),
    "rounded": (Prune(channels=0.4, round_to=4),),
    "ranked": (Prune(channels=0.6, ranking="global"),),
    "twice": (Prune(channels=0.5), Prune(channels=0.5, round_to=2)),
    "factored": (LowRank(rank=1), Prune(channels=0.5)),
    "sparse": (Prune(weights=0.95, ranking="global"), Quantize(Stored4())),
    "stored": (Prune(channels=0.5), Quantize(Stored8())),
    "int8": (Prune(channels=0.5), LowRank(rank=1), Quantize(Int8(rows=8, form="qoperator"))),
    "dynamic": (LowRank(rank=1), Quantize(Dynamic())),
    "half": (Prune(zeros=True), Quantize(Float16())),
}
LABELS = ("a", "ü")


def weigh(deploy: Deploy | None, net: WeightedNet, path: Path) -> int:
    make_export_spec(deploy, Source("spec.weft", "")).write(net, path)
    return path.stat().st_size


def make_variant(graph: Graph, passes: Sequence[CompressionPass]) -> Variant:
    return Variant("tiny", None, "M", graph, steps=tuple(map(Step, passes)))


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("maker", [make_image_net, make_token_net])
@pytest.mark.parametrize("seed", range(3))
def test_no_file_is_smaller_than_its_floor(
    maker: Callable[[int], str], seed: int, name: str, tmp_path: Path
) -> None:
    graph = build(maker(seed)).graph
    variant = make_variant(graph, CHAINS[name])
    deploy = Deploy("tiny", "tiny", graph, None, None, labels=LABELS, variant="tiny")
    net = WeightedNet(graph, draw_lively(graph, seed))
    context = CompressionContext(samples=SyntheticSamples(graph, Target()), original=net)
    for step in CHAINS[name]:
        net = step.run(net, context)
    floor = find_floor(variant, deploy)
    size = weigh(deploy, net, tmp_path / "net.onnx")
    assert 150 < floor.bytes <= size


@pytest.mark.parametrize("scheme", [Stored8(), Stored4()])
def test_zeros_take_no_bytes_where_weights_are_stored(
    scheme: Stored8 | Stored4, tmp_path: Path
) -> None:
    """Whatever a train leaves: here one number that is not zero in each of large weights."""
    text = """
model M() {
    input x: f32[batch, 64]
    output y = x -> dense(96) as a -> relu -> dense(40) as b -> relu -> dense(8) as c
}
"""
    graph = build(text).graph
    weights = {path: np.zeros_like(array) for path, array in draw_lively(graph).items()}
    for number, path in enumerate(("a.weight", "b.weight", "c.weight")):
        weights[path].flat[number] = 1.0
    passes = (Quantize(scheme),)
    made = passes[0].run(WeightedNet(graph, weights), CompressionContext())
    variant = make_variant(graph, passes)
    floor = find_floor(variant)
    size = weigh(None, made, tmp_path / "net.onnx")
    assert floor.sparse
    assert floor.bytes <= size < floor.numbers * floor.bits / 8


def test_batch_norms_and_what_follows_from_no_input_are_not_counted() -> None:
    text = """
model M() {
    input x: f32[batch, 1, 4, 4]
    param p: f32[2, 16] = normal(0.02)
    y = x -> conv(8, kernel=3, padding=1, bias=false) as a -> batch_norm as n
      -> flatten
    z = p -> dense(128) as folded -> sum(axis=0)
    output one = y + z
    output two = y -> dense(7) as other
}
"""
    graph = build(text).graph
    assert find_floor(make_variant(graph, ())).numbers == 8 * 9 + 7 * 128
    deploy = Deploy("tiny", "tiny", graph, None, None, variant="tiny", outputs=("one",))
    assert find_floor(make_variant(graph, ()), deploy).numbers == 8 * 9


def test_adapters_are_in_no_file(tmp_path: Path) -> None:
    text = "model M() { input x: f32[batch, 4]  output y = x -> dense(4) as a -> dense(4) as b }"
    plain = build(text).graph
    graph = add_adapters(plain, Lora(rank=64))
    assert len(graph.parameters) == len(plain.parameters) + 4
    variant = make_variant(graph, ())
    assert find_floor(variant).bytes == find_floor(make_variant(plain, ())).bytes
    merged = merge_adapters(graph, draw_lively(graph))
    assert find_floor(variant).bytes <= weigh(None, merged, tmp_path / "net.onnx")


def test_layers_in_loops_are_counted_and_what_they_read_is_asked_for() -> None:
    assert find_floor(make_variant(build(LOOP).graph, ())).numbers == 16 * 24 + 3 * 16
