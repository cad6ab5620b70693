"""Loops as ONNX Scan and Loop, held to their meaning in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from backends.onnx_graph.check import check_onnx
from backends.onnx_graph.compile import compile_onnx
from compiler.ir.builder import Builder
from compiler.ir.evaluate import evaluate
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from compiler.ops.activation import Tanh
from compiler.ops.arithmetic import Add, Mul
from compiler.ops.choosing import Cast
from compiler.ops.compare import Greater
from compiler.ops.reduction import Max
from compiler.ops.scan import Scan
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.drawn import Uniform

ROOT = Frame("Net", "", 0)
STATE = TensorType.of("f32", ["n", 3])


def make_body(*, counter: bool, sequence: bool, until: bool, swap: bool) -> Graph:
    """h' = tanh((x_t + number) * w + h), emitted and carried; ends when the largest is high."""
    build = Builder("body", ROOT)
    number = build.input("number", TensorType.of("i64", [])) if counter else None
    x = build.input("x_t", STATE) if sequence else None
    h = build.input("h", STATE)
    old = build.input("old", STATE) if swap else None
    weight = build.input("w", TensorType.of("f32", [3]))
    site = Site()

    def apply(op: Any, *inputs: Any) -> Any:
        (made,) = build.apply(op, inputs, ROOT, site)
        return made

    total = x if x is not None else h
    if number is not None:
        total = apply(Add(), total, apply(Cast(DType.F32), number))
    new = apply(Tanh(), apply(Add(), apply(Mul(), total, weight), h))
    build.output("h", new)
    if old is not None:
        build.output("old", h)  # an input of the body handed on
    build.output("states", new)
    if until:
        build.output("until", apply(Greater(), apply(Max(None), new), apply(Max(None), weight)))
    return build.graph()


def make_graph(op: Scan, sequence: bool) -> Graph:
    build = Builder("net", ROOT)
    x = build.input("x", TensorType.of("f32", ["n", "t", 3]))
    h = build.input("h0", STATE)
    weight = build.parameter("w", TensorType.of("f32", [3]), Uniform(0.1, 0.9))
    inputs = [*([x] if sequence else []), *[h] * op.states, weight]
    made = build.apply(op, inputs, ROOT, Site())
    for number, value in enumerate(made):
        build.output(f"y{number}", value)
    return build.graph()


@pytest.mark.parametrize(
    ("options", "nodes"),
    [
        ({"sequences": 1}, ["Scan"]),
        ({"sequences": 1, "states": 2}, ["Scan"]),
        ({"sequences": 1, "reverse": True, "emit_axes": (0,)}, ["Scan"]),
        ({"sequences": 0, "count": 4, "start": 2, "step": 3}, ["Loop", "Transpose"]),
        ({"sequences": 1, "count": Dim.of("t")}, ["Shape", "Squeeze", "Loop", "Transpose"]),
        ({"sequences": 1, "count": Dim.of("t"), "reverse": True}, None),
        ({"sequences": 1, "until": True}, None),
        ({"sequences": 1, "until": True, "reverse": True, "emit_axes": (-1,)}, None),
    ],
)
def test_loops(options: dict[str, Any], nodes: list[str] | None, tmp_path: Path) -> None:
    until, counter = options.get("until", False), "count" in options
    states = options.get("states", 1)
    sequence = options["sequences"] > 0
    body = make_body(counter=counter, sequence=sequence, until=until, swap=states > 1)
    op = Scan(body, **{"axis": 1, "emit_axes": (1,), "states": 1, **options})
    graph = make_graph(op, sequence)
    weights = draw_weights(graph)
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    model = check_onnx(tmp_path / "net.onnx")
    if nodes is not None:
        assert [n.op_type for n in model.graph.node] == nodes
    session = ort.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    for steps in (1, 5):
        draw = np.random.default_rng(steps)
        inputs = {
            "x": draw.standard_normal((2, steps, 3)).astype(np.float32),
            "h0": draw.standard_normal((2, 3)).astype(np.float32),
        }
        expected = evaluate(graph, weights, inputs)
        given = {i.name: inputs[i.name] for i in session.get_inputs()}
        for found, wanted in zip(session.run(None, given), expected.values(), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
