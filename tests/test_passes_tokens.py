"""Random token networks that end in slices: what is pulled up, split and flattened means the
same."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.verification.verify import verify
from compiler.ir.builder import Builder
from compiler.ir.evaluate import evaluate
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph, Op, Value
from compiler.ir.verify import verify_graph
from compiler.ir.weights import draw_weights
from compiler.ops.activation import Gelu, Relu
from compiler.ops.arithmetic import Add, Mul
from compiler.ops.attention import ScaledDotProductAttention
from compiler.ops.group_normalization import RmsNorm
from compiler.ops.indexing import FULL, Index
from compiler.ops.items import SliceItem
from compiler.ops.joining import Chunk, Concat, Split
from compiler.ops.linear import Dense
from compiler.ops.linear_algebra import MatMul
from compiler.ops.normalization import LayerNorm
from compiler.ops.reduction import Mean
from compiler.ops.regularization import Dropout
from compiler.ops.reshaping import Flatten, Reshape
from compiler.ops.shaping import Permute, Transpose
from compiler.ops.softmax import LogSoftmax, Softmax
from compiler.passes.base import Context
from compiler.passes.pipeline import ONNX_PASSES
from compiler.report.diagnostics import Sink
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.vocabulary.initializers.drawn import Uniform

BATCH, TOKENS, WIDTH, HEADS = Dim.of("batch"), 6, 8, 2


class Maker:
    """Draws one network: a stream of tokens `f32[batch, 6, 8]` through random stages."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.root = Frame("Net", "", 0)
        self.build = Builder("net", self.root)
        self.count = 0
        self.seen: list[Value] = []

    def apply(self, op: Op, *inputs: Value | None) -> tuple[Value, ...]:
        self.count += 1
        name = f"{op.name}_{self.count}"
        made = [
            self.build.parameter(f"{name}.{w.name}", w.type, Uniform(-0.6, 0.6))
            for w in op.weights([v.type if v is not None else None for v in inputs])
        ]
        return self.build.apply(op, [*inputs, *made], self.root, Site(name=name if made else ""))

    def one(self, op: Op, *inputs: Value | None) -> Value:
        (value,) = self.apply(op, *inputs)
        return value

    def parameter(self, *shape: int) -> Value:
        self.count += 1
        kind = TensorType.of("f32", shape)
        return self.build.parameter(f"p{self.count}", kind, Uniform(-1, 1))

    def network(self) -> Graph:
        x = self.build.input("x", TensorType.of("f32", ["batch", TOKENS, WIDTH]))
        stages = (self.mlp, self.norm, self.residual, self.attention, self.attention)
        stages += (self.product, self.mixing, self.moving, self.parts, self.broadcast)
        for _ in range(self.draw.randint(2, 9)):
            self.seen.append(x)
            x = self.draw.choice(stages)(x)
        for number in range(self.draw.choice((1, 1, 1, 2))):
            self.build.output(f"y{number}", self.cut(x))
        return self.build.graph()

    # --- stages ----------------------------------------------------------------------------

    def mlp(self, x: Value) -> Value:
        inner = self.one(Dense(self.draw.choice((4, 12))), x)
        inner = self.one(self.draw.choice((Gelu(), Relu(), Dropout())), inner)
        return self.one(Dense(WIDTH, bias=self.draw.random() < 0.5), inner)

    def norm(self, x: Value) -> Value:
        return self.one(self.draw.choice((LayerNorm(), RmsNorm(), LayerNorm(axes=2))), x)

    def residual(self, x: Value) -> Value:
        return self.one(Add(), x, self.draw.choice(self.seen))

    def heads(self, x: Value) -> Value:
        shape = (BATCH, TOKENS, HEADS, WIDTH // HEADS)
        return self.one(Transpose(1, 2), self.one(Reshape(shape), x))

    def attention(self, x: Value) -> Value:
        if self.draw.random() < 0.6:
            q, k, v = self.apply(Chunk(3, -1), self.one(Dense(3 * WIDTH), x))
        else:
            q, k, v = self.apply(Split((WIDTH,) * 3, 2), self.one(Dense(3 * WIDTH), x))
        mask = self.parameter(1, TOKENS) if self.draw.random() < 0.3 else None
        if self.draw.random() < 0.2:
            mask = self.parameter(TOKENS, TOKENS)
        causal = mask is None and self.draw.random() < 0.3
        op = ScaledDotProductAttention(causal=causal)
        y = self.one(op, self.heads(q), self.heads(k), self.heads(v), mask)
        return self.one(Dense(WIDTH), self.one(Flatten(2), self.one(Transpose(1, 2), y)))

    def product(self, x: Value) -> Value:
        scores = self.one(MatMul(), x, self.one(Permute((0, 2, 1)), x))
        return self.one(MatMul(), self.one(Softmax(-1), scores), x)

    def mixing(self, x: Value) -> Value:
        return self.one(self.draw.choice((Softmax, LogSoftmax))(self.draw.choice((1, 2, -1))), x)

    def moving(self, x: Value) -> Value:
        turned = self.one(Transpose(1, 2), x)
        if self.draw.random() < 0.5:
            turned = self.one(Dense(TOKENS), turned)
        return self.one(Permute((0, 2, 1)), turned)

    def parts(self, x: Value) -> Value:
        axis = self.draw.choice((1, 2, -1))
        left, right = self.apply(Chunk(2, axis), x)
        return self.one(Concat(axis), right, self.one(Relu(), left))

    def broadcast(self, x: Value) -> Value:
        shapes = ((WIDTH,), (TOKENS, WIDTH), (TOKENS, 1), (1, 1, WIDTH), (1, TOKENS, 1), ())
        return self.one(Mul(), x, self.parameter(*self.draw.choice(shapes)))

    def cut(self, x: Value) -> Value:
        span = SliceItem(1, 3)
        cuts = [
            (FULL, 0),
            (FULL, -1),
            (FULL, span),
            (FULL, FULL, 2),
            (FULL, FULL, span),
            (FULL, SliceItem(-2)),
            (SliceItem(0, 1),),
            (0,),
            (FULL, 3, span),
            (FULL, SliceItem(0, 6, 2)),
        ]
        choice = self.draw.randrange(len(cuts) + 1)
        return self.one(Mean(1), x) if choice == len(cuts) else self.one(Index(cuts[choice]), x)


@pytest.mark.parametrize("seed", range(150))
def test_each_pass_keeps_token_networks(seed: int) -> None:
    graph = Maker(seed).network()
    weights = draw_weights(graph, seed)
    draw = np.random.default_rng(seed)
    inputs = {"x": draw.standard_normal((3, TOKENS, WIDTH)).astype(np.float32)}
    expected = evaluate(graph, weights, inputs)
    for step in ONNX_PASSES:
        made = step.run(graph, Context(weights))
        verify_graph(made)
        weights = {**weights, **{p: np.asarray(a) for p, a in made.constants.items()}}
        for name, array in evaluate(made, weights, inputs).items():
            scale = max(1.0, float(np.abs(expected[name]).max()))
            np.testing.assert_allclose(
                array, expected[name], atol=1e-4 * scale, rtol=0, err_msg=step.name
            )
        graph = made


@pytest.mark.parametrize("seed", range(1000, 1016))
def test_token_networks_as_onnx(seed: int, tmp_path: Path) -> None:
    graph = Maker(seed).network()
    weights = draw_weights(graph, seed)
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    sink = Sink()
    report = verify(graph, weights, onnx_path=tmp_path / "net.onnx", device=Device.CPU, sink=sink)
    assert report.passed, sink.messages
