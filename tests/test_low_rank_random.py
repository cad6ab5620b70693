"""Random networks after `low_rank`: NumPy, generated PyTorch and ONNX Runtime agree."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backends.onnx_graph.check import check_onnx
from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.verify import verify
from compiler.compression.base import CompressionContext
from compiler.compression.low_rank.layers import find_layers
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.low_rank.planning import find_factorings
from compiler.compression.low_rank.replacing import replace_layers
from compiler.compression.pruning.prune import Prune
from compiler.compression.quantization.base import Quantize
from compiler.compression.quantization.int8 import Int8
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.verify import verify_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.program.variant import Target
from compiler.report.diagnostics import Sink
from tests.elaborating import elaborate
from tests.factoring import build, factor_fully
from tests.pytorch_compare import assert_clean, draw_inputs, draw_lively, run
from tests.pytorch_random import make_network
from tests.test_low_rank_pass import CNN, INSIDE, LOOP, SHARED, TOKENS
from weft.building.compression_context import SyntheticSamples

SIZES = {"batch": 2, "t": 3}
MIXED = """
use std.transformer
model Mixed(d: int = 16, groups: int = 2) {{
    input image: f32[batch, 4, 8, 8]
    input tokens: i64[batch, t]
    x = image -> conv({a}, kernel=3, stride={s}, padding=1) as stem -> relu
    y = x -> conv({a}, kernel=3, padding=1, groups=groups) as grouped
    z = concat([x, x + y], axis=1) -> conv(d, kernel=(3, 1), padding=(1, 0)) as join
    u = z -> conv_transpose({b}, kernel=2, stride=2) as up -> mean([2, 3]) -> dense(d) as pool
    v = tokens -> embedding(40, d) as words
    v = v -> encoder_block(2, 24) as block
    output logits = v + u[:, none] -> dense({b}) as head
}}
"""


def make_mixed(rng: random.Random) -> Graph:
    text = MIXED.format(a=rng.choice((8, 12)), s=rng.choice((1, 2)), b=rng.choice((8, 20)))
    text = text.replace("v + u[:, none] ->", "(v + u[:, none]) ->")
    text = text.replace("kernel=(3, 1), padding=(1, 0)", "kernel=[3, 1], padding=[1, 0]")
    nets, messages = elaborate(text)
    assert not messages, [m.text.title for m in messages]
    return nets["Mixed"].graph


def factor_some(net: WeightedNet, rng: random.Random) -> WeightedNet:
    """Some layers, by a random way at a random rank, whether it pays or not."""
    changes = []
    for layer in find_layers(net.graph):
        if not layer.reason and rng.random() < 0.7:
            way = rng.choice(find_factorings(layer, net.weights, None, "auto"))
            changes.append((layer, way.make(way.at_rank(rng.choice((1, 2, 3, 99))))))
    return replace_layers(net, changes)


def compare_backends(net: WeightedNet) -> str:
    verify_graph(net.graph)
    text = emit_module([net.graph], title="Net")
    module = load_module(text, net.graph)
    assign_weights(module, dict(net.weights))
    paths = {p for p in module.state_dict() if not p.endswith("num_batches_tracked")}
    assert paths == set(net.weights)
    inputs = draw_inputs(net.graph, SIZES)
    wanted = evaluate(net.graph, net.weights, inputs)
    for (name, array), found in zip(wanted.items(), run(module, inputs), strict=True):
        scale = max(1.0, float(np.abs(array).max(initial=0)))
        np.testing.assert_allclose(found / scale, array / scale, atol=2e-5, err_msg=name)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        compile_onnx(net.graph, net.weights, path)
        check_onnx(path)
        sink = Sink()
        report = verify(net.graph, net.weights, onnx_path=path, device=Device.CPU, sink=sink)
        assert report.passed, sink.messages
    return text


@pytest.mark.parametrize("seed", range(8))
def test_mixed_networks(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    graph = make_mixed(rng)
    text = compare_backends(factor_some(WeightedNet(graph, draw_lively(graph, seed)), rng))
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    assert_clean(tmp_path)


@pytest.mark.parametrize("text", [CNN, TOKENS, LOOP, SHARED, INSIDE])
def test_kinds_of_networks(text: str) -> None:
    compare_backends(factor_fully(build(text)))


@pytest.mark.parametrize("text", [CNN, TOKENS])
def test_pruned_factored_and_quantized(text: str) -> None:
    net = build(text)
    context = CompressionContext(samples=SyntheticSamples(net.graph, Target()))
    for step in (Prune(channels=0.3), LowRank(rank=2), Quantize(Int8())):
        net = step.run(net, context)
    assert {n.step for n in context.journal if n.done} >= {"prune", "low_rank"}
    compare_backends(net)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6))
@example(seed=999_999)  # two results of one branch share a part
def test_random_networks(*, seed: int) -> None:
    rng = random.Random(seed)
    graph = make_network(seed)
    compare_backends(factor_some(WeightedNet(graph, draw_lively(graph, seed)), rng))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), energy=st.floats(0.3, 1.0))
def test_the_pass_never_makes_a_net_larger(*, seed: int, energy: float) -> None:
    graph = make_network(seed)
    net, context = WeightedNet(graph, draw_lively(graph, seed)), CompressionContext()
    made = LowRank(energy=energy).run(net, context)
    verify_graph(made.graph)
    sizes = [sum(w.size for w in n.weights.values()) for n in (net, made)]
    assert sizes[1] <= sizes[0]
    assert any(note.done for note in context.journal) == (sizes[1] < sizes[0])
    assert made.graph.inputs == graph.inputs
    assert made.graph.outputs == graph.outputs
