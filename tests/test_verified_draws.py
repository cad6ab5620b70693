"""Networks that draw random numbers are verified on equal draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.session import Device
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.given_draws import give_draws
from backends.verification.verify import VerifyReport, verify
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.verify import verify_graph
from compiler.ir.weights import draw_weights
from compiler.ops.activation import Relu
from compiler.report.diagnostics import Message, Sink
from tests.elaborating import build

SAMPLER = """
model M(steps: int = 5) {
    input x: f32[batch, 3]
    let_noise = normal([batch, 3], std=0.1)
    x = x + let_noise
    scan t in reversed(0..steps) {
        e = x -> dense(3) as net -> tanh
        x = x - 0.1 * e + where(t > 0, 0.3, 0.0) * normal_like(x)
    }
    output image = clip(x, -2, 2)
}
"""
"""As diffusion models draw images (Ho et al. 2020)."""

WORDS = """
model M {
    input prompt: i64[batch]
    token = prompt
    scan i in 0..6 {
        logits = token -> embedding(9, 8) as table -> dense(9) as head
        token = categorical(logits / 0.6)
        until all(token == 3)
    }
    output last = token
}
"""
"""As language models write: until all have ended."""

NESTED = """
model M {
    input x: f32[batch, t, 4]
    h = zeros([batch, 4])
    scan x_t in x, axis=1 {
        u = uniform([1])
        scan i in 0..3 {
            h = h + x_t * uniform_like(h) * u
        }
        s = bernoulli(0.5)
        emit states = h * s
    }
    kept = bernoulli(sigmoid(states))
    order = permutation(batch)
    place = randint(0, t, [batch])
    output y = (states * kept)[order] + cast(place, f32)[:, none, none]
    output drawn = normal([2])
}
"""


def verify_net(graph: Graph, folder: Path, **options: Any) -> tuple[VerifyReport, list[Message]]:
    weights = draw_weights(graph)
    module = load_module(emit_module([graph], title=graph.name), graph)
    assign_weights(module, weights)
    compile_onnx(graph, weights, folder / "net.onnx", options=OnnxOptions(**options))
    sink = Sink()
    report = verify(
        graph,
        weights,
        torch_module=module,
        onnx_path=folder / "net.onnx",
        device=Device.CPU,
        sink=sink,
    )
    return report, sink.messages


@pytest.mark.parametrize("text", [SAMPLER, WORDS, NESTED], ids=["sampler", "words", "nested"])
def test_backends_agree_on_equal_draws(text: str, tmp_path: Path) -> None:
    report, messages = verify_net(build(text).graph, tmp_path)
    assert report.passed, [(m.text.title, m.text.label) for m in messages]
    assert len({r.backend for r in report.results}) == 2
    assert len({r.case for r in report.results}) >= 4


def test_sizes_that_the_file_fixes_stay_so(tmp_path: Path) -> None:
    report, messages = verify_net(build(SAMPLER).graph, tmp_path, fixed=(("batch", 2),))
    assert report.passed, [(m.text.title, m.text.label) for m in messages]
    assert all(r.sizes == {"batch": 2} for r in report.results)


@pytest.mark.parametrize("text", [SAMPLER, NESTED], ids=["sampler", "nested"])
def test_the_copy_means_the_same_for_its_draws(text: str) -> None:
    """It draws nothing by itself, its draws are of all turns, and its results follow them."""
    graph = build(text).graph
    given, draws = give_draws(graph)
    verify_graph(given)
    assert not any(node.op.varies for node in given.nodes)
    assert [i.name for i in given.inputs] == [*(i.name for i in graph.inputs), *draws]
    sizes = {"batch": 4, "t": 3}
    generator = np.random.default_rng(0)
    inputs = {
        i.name: generator.normal(size=[d.evaluate(sizes) for d in i.value.type.shape]).astype("f4")
        for i in graph.inputs
    }
    drawn = [{name: item.draw(sizes, seed) for name, item in draws.items()} for seed in (0, 0, 1)]
    for name, item in draws.items():
        assert drawn[0][name].shape == tuple(d.evaluate(sizes) for d in item.value.type.shape)
        assert np.array_equal(drawn[0][name], drawn[1][name])
    made = [evaluate(given, draw_weights(graph), {**inputs, **arrays}) for arrays in drawn]
    for name in made[0]:
        assert np.array_equal(made[0][name], made[1][name])
        assert not np.array_equal(made[0][name], made[2][name])


def test_a_wrong_op_behind_a_draw_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "model M { input x: f32[batch, 3]  output y = (x + normal_like(x)) -> relu }"
    graph = build(text).graph
    monkeypatch.setattr(Relu, "onnx", lambda self, build, outputs, x: [build.op("Abs", [x.value])])
    report, messages = verify_net(graph, tmp_path)
    assert not report.passed
    assert "relu" in messages[0].text.title + messages[0].text.label


def test_a_module_that_does_not_run_is_found(tmp_path: Path) -> None:
    graph = build(SAMPLER).graph
    weights = draw_weights(graph)
    module = load_module(emit_module([graph], title=graph.name), graph)
    assign_weights(module, weights)
    forward = module.forward
    module.forward = lambda x: forward(x)[:, :2]
    sink = Sink()
    report = verify(graph, weights, torch_module=module, sink=sink)
    assert not report.passed
    assert "float32[1, 2], not float32[1, 3]" in str(sink.messages[0].text)
