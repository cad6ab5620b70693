"""Arithmetic of integers at the edges of their dtypes, and numbers that no dtype there holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.verification.verify import verify
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import Sink
from compiler.types.tensor import DType
from tests.elaborating import build, elaborate
from tests.test_verify import load

DTYPES = ("i8", "u8", "i16", "i32", "i64")
BODIES = {
    "quotient": "x // k",
    "quotient by a constant": "x // 7",
    "quotient of a product": "(x * 100) // k",
    "remainder": "x % k",
    "powers": "x ** k",
    "power": "x ** 7",
    "power of 0": "x ** 0 + k * 0",
    "powers of a constant": "2 ** k + x",
    "product": "x * x * x * x * x * k",
    "running sum": "cumsum(x * x * x * x, axis=1)",
    "running sums of large numbers": "cumsum(x ** 7 * 101, axis=1) + cumsum(x ** 7, axis=0)",
    "sum": "sum(x * x * x * x, axis=1, keep=true)",
    "sum of large numbers": "sum(x ** 7 * 101, axis=1, keep=true)",
    "sum of all": "sum(x ** 7 * 101)",
    "sum of rows": "sum(x ** 7 * 101, axis=0)",
    "product of entries": "prod(x, axis=1, keep=true)",
    "product of rows": "prod(x * 3, axis=0)",
    "product of all": "prod(x + 1)",
    "running product": "cumprod(x, axis=1)",
    "matrix product": "x @ transpose(k, 0, 1) @ (x ** 3)",
    "sums of products": 'einsum([x, k * x], "bi,bj->bi") + einsum([x ** 7], "bi->b")[:, none]',
    "quotient by minus one": "x // minus + x % minus",
    "quotient of the least": "(x * 0 + least) // (k * 0 - 1) + (x * 0 + least) % (k * 0 - 1)",
    "bounds": "clip(x * x * x, 3, 100)",
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", list(BODIES))
def test_integers_are_computed_alike_at_the_edges(name: str, dtype: str, tmp_path: Path) -> None:
    body = BODIES[name].replace("least", str(np.iinfo(DType(dtype).numpy).min))
    body = body.replace("minus", "255" if dtype == "u8" else "-1")
    inputs = f"    input x: {dtype}[batch, 9]\n    input k: {dtype}[batch, 9]\n"
    graph = build(f"model M() {{\n{inputs}    output y = {body} + k * 0\n}}").graph
    weights, sink = draw_weights(graph), Sink()
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    report = verify(
        graph,
        weights,
        torch_module=load(graph, weights),
        onnx_path=tmp_path / "net.onnx",
        device=Device.CPU,
        sink=sink,
    )
    assert report.passed, [(m.text.title, m.text.label) for m in sink.messages]


@pytest.mark.parametrize(
    ("dtype", "body"),
    [
        ("i8", "x -> pad([1, 1], value=300)"),
        ("i64", "x -> pad([1, 1], value=0.5)"),
        ("i8", "x + tensor([1, 2, 300], i8)"),
    ],
)
def test_a_number_that_a_dtype_does_not_hold_is_refused(dtype: str, body: str) -> None:
    text = f"model M() {{\n    input x: {dtype}[batch, 3]\n    output y = {body}\n}}"
    _, messages = elaborate(text)
    assert [message.code for message in messages] == ["W0353"]
