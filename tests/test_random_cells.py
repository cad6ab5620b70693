"""Random loops: whatever passes make of them, NumPy, generated PyTorch and ONNX Runtime agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.onnx_graph.compile import compile_onnx
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.compression.base import CompressionContext
from compiler.compression.pruning.prune import Prune
from compiler.compression.quantization.base import Scheme
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.half import Float16
from compiler.compression.quantization.int8 import Int8
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.passes.base import Context
from compiler.passes.hoist_products import HoistProducts
from compiler.passes.recognize_cells import RecognizeCells
from tests.elaborating import elaborate
from tests.pytorch_compare import draw_lively
from tests.quantizing import check_net, make_net
from tests.weight_formats import STORED, apply


class Writer:
    """Draws the body of a loop over x_t `[n, 3]` and w_t `[n, 2]` with states of 4 numbers."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.layers = 0
        self.lines: list[str] = []

    def pick(self, *words: str) -> str:
        """One of several words."""
        word: str = self.draw(st.sampled_from(words))
        return word

    def flip(self) -> bool:
        """True or false."""
        found: bool = self.draw(st.booleans())
        return found

    def layer(self, source: str, width: int) -> str:
        """A dense layer of its own."""
        self.layers += 1
        bias = self.pick("", ", bias=false")
        source = f"({source})" if " " in source else source
        return f"({source} -> dense({width}{bias}) as d{self.layers})"

    def products(self, states: Sequence[str], width: int) -> str:
        """A sum of products of what the step sees."""
        seen = [self.pick("x_t", "w_t", "2 * x_t", "relu(x_t)"), self.pick(*states)]
        if self.flip():
            seen.reverse()
        if self.flip():
            if self.flip():
                seen.insert(self.draw(st.integers(0, 2)), self.pick("w_t", *states))
            return self.layer(f"concat([{', '.join(seen)}], axis=-1)", width)
        return f"({' + '.join(self.layer(one, width) for one in seen)})"

    def gates(self, names: str, states: Sequence[str]) -> None:
        """Sums for gates, from one layer or from one each."""
        if len(names) > 1 and self.flip():
            order = "".join(self.draw(st.permutations(names)))
            parts = ", ".join(order)
            made = self.products(states, 4 * len(names))
            self.lines.append(f"{parts} = {made} -> chunk({len(names)}, axis=-1)")
            return
        for name in names:
            self.lines.append(f"{name} = {self.products(states, 4)}")

    def write(self) -> tuple[str, str]:
        """The states and the body."""
        kind = self.pick("lstm", "gru", "other")
        act = self.pick("tanh", "tanh", "tanh", "relu")
        if kind == "lstm":
            self.gates("ifgo", ["h", "h", "h", "c"])
            peep = self.pick("", "", " + peep[0] * c")
            self.lines += [
                f"c = sigmoid(f{peep}) * c + sigmoid(i) * {act}(g)",
                f"h = sigmoid(o) * {self.pick('tanh', 'tanh', 'sin')}(c)",
            ]
            return "h c", "\n".join(self.lines)
        if kind == "gru":
            self.gates("rz", ["h"])
            self.lines += ["r = sigmoid(r)", "z = sigmoid(z)"]
            inner = self.pick(
                f"{self.layer('x_t', 4)} + r * {self.layer('h', 4)}",
                self.layer("concat([x_t, r * h], axis=-1)", 4),
                f"{self.layer('x_t', 4)} + {self.layer('r * h', 4)}",
            )
            mix = self.pick(
                "(1 - z) * n + z * h", "z * n + (1 - z) * h", "h + z * (n - h)", "z * n"
            )
            self.lines += [f"n = {act}({inner})", f"h = {mix}"]
            return "h", "\n".join(self.lines)
        self.gates("ab", ["h", "c"])
        self.lines += [f"c = {self.pick('tanh', 'sigmoid')}(a) * c + 0.1 * b", f"h = {act}(b) - c"]
        return "h c", "\n".join(self.lines)


@st.composite
def draw_spec(draw: Any, *, heads: bool = False) -> str:
    """A model whose loop has a random body, axis and direction, and `heads` behind it."""
    writer = Writer(draw)
    states, body = writer.write()
    axis = draw(st.integers(0, 1))
    reverse = ", reverse=true" if draw(st.booleans()) else ""
    rows = "batch, t" if axis == 1 else "t, batch"
    lines = [f"    {name} = full([batch, 4], 0.2)" for name in states.split()]
    if "peep" in body:
        lines.insert(0, "    param peep: f32[2, 4] = normal(0.5)")
    head = f"    scan x_t in x, w_t in w, axis={axis}{reverse} {{"
    inside = "\n".join(f"        {line}" for line in body.split("\n"))
    outside = draw(st.sampled_from(("", ", axis=0", ", axis=1")))
    return (
        f"model M {{\n    input x: f32[{rows}, 3]\n    input w: f32[{rows}, 2]\n"
        + "\n".join(lines)
        + f"\n{head}\n{inside}\n        emit y = h{outside}\n    }}\n"
        + (
            "    output y = y -> dense(3) as head\n    output last = h -> dense(2) as tail\n}\n"
            if heads
            else "    output y = y\n    output last = h\n}\n"
        )
    )


def hold(graph: Graph, weights: Any, folder: Path) -> None:
    """Asserts that all that is made of a graph means the same, for several lengths."""
    passed = HoistProducts().run(RecognizeCells().run(graph, Context()), Context())
    module = load_module(emit_module([graph], title="M"), graph)
    assign_weights(module, weights)
    compile_onnx(graph, weights, folder / "net.onnx")
    session = ort.InferenceSession(str(folder / "net.onnx"), providers=["CPUExecutionProvider"])
    names = {item.name for item in session.get_inputs()}
    for rows, steps in ((2, 1), (1, 4), (3, 9)):
        draw = np.random.default_rng(steps)
        sizes = {"batch": rows, "t": steps}
        inputs = {
            item.name: draw.standard_normal(
                [dim.evaluate(sizes) for dim in item.value.type.shape]
            ).astype(np.float32)
            for item in graph.inputs
        }
        wanted = list(evaluate(graph, weights, inputs).values())
        with torch.no_grad():
            printed = [t.numpy() for t in module(*map(torch.from_numpy, inputs.values()))]
        given_ = {name: array for name, array in inputs.items() if name in names}
        made = [evaluate(passed, weights, inputs).values(), printed, session.run(None, given_)]
        for found in made:
            for one, array in zip(found, wanted, strict=True):
                np.testing.assert_allclose(one, array, rtol=1e-4, atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(text=draw_spec())
def test_random_loops_keep_their_meaning(text: str) -> None:
    graph = build_quietly(text)
    with TemporaryDirectory() as folder:
        hold(graph, draw_lively(graph, 1), Path(folder))


@settings(max_examples=25, deadline=None)
@given(text=draw_spec(heads=True), share=st.sampled_from((0.25, 0.5)))
def test_random_loops_keep_their_meaning_when_pruned(text: str, share: float) -> None:
    graph = build_quietly(text)
    net = Prune(channels=share).run(WeightedNet(graph, draw_lively(graph, 1)), CompressionContext())
    with TemporaryDirectory() as folder:
        hold(net.graph, net.weights, Path(folder))


def build_quietly(text: str) -> Graph:
    """The graph of a drawn spec, in which a sequence or a gate may be unused."""
    return elaborate(text)[0]["M"].graph


CELLS = {
    "lstm": (
        "        i, f, g, o = concat([x_t, h], axis=-1) -> dense(64) as d -> chunk(4, axis=-1)\n"
        "        c = sigmoid(f) * c + sigmoid(i) * tanh(g)\n"
        "        h = sigmoid(o) * tanh(c)\n"
    ),
    "masked": (
        "        n = tanh(concat([x_t, h], axis=-1) -> dense(16) as d)\n"
        "        h = where(x_t[:, 0:1] > 0, n, h)\n"
    ),
}


SCHEMES: tuple[Scheme, ...] = (Int8(), Dynamic(), Float16(), *STORED)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("name", CELLS)
def test_cells_are_quantized(name: str, scheme: Scheme, tmp_path: Path) -> None:
    states = "".join(f"    {s} = zeros([batch, 16])\n" for s in "hc" if f" {s} = " in CELLS[name])
    net = make_net(
        f"model M {{\n    input x: f32[batch, 6, 32]\n{states}"
        f"    scan x_t in x, axis=1 {{\n{CELLS[name]}        emit y = h\n    }}\n"
        "    output y = y -> dense(64) as head\n    output last = h\n}\n"
    )
    made = apply(scheme, net)
    report, messages = check_net(made, tmp_path, net.graph)
    assert report.passed, [(m.code, m.text.title, m.text.label) for m in messages]
