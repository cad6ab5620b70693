"""Verification of powers of negative numbers, whose whole exponent no rounding moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.verification.margins import compute_moved
from backends.verification.verify import verify
from compiler.ir.graph import Graph
from compiler.report.diagnostics import Sink
from tests.checking import check_text

GELU = "0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * x ** 3)))"


def make_graph(output: str, dtype: str = "f32") -> Graph:
    text = f"model M() {{\ninput x: {dtype}[n, 4, 6]\noutput y = {output}\n}}\ndeploy M as onnx"
    return check_text(text).deploys[0].graph


def move(graph: Graph) -> Any:
    x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(1, 4, 6)
    return compute_moved(graph, {}, {"x": x}, np.random.default_rng(0))["y"]


@pytest.mark.parametrize("output", ["x ** 3", "x ** -1", GELU])
def test_powers_are_moved_and_stay_numbers(output: str) -> None:
    assert np.isfinite(move(make_graph(output))).all()


def test_numbers_that_are_rounded_are_moved() -> None:
    moved = move(make_graph("x * 0 + 0.1"))
    assert (moved != np.float32(0.1)).any()


@pytest.mark.parametrize(
    ("output", "dtype"),
    [(GELU, "f32"), ("x ** 3 + 1", "f16"), ("mean(x, axis=-1, keep=true)", "f64")],
)
def test_they_are_verified(output: str, dtype: str, tmp_path: Path) -> None:
    graph = make_graph(output, dtype)
    compile_onnx(graph, {}, tmp_path / "net.onnx")
    sink = Sink()
    report = verify(graph, {}, onnx_path=tmp_path / "net.onnx", device=Device.CPU, sink=sink)
    assert report.passed, [(m.text.title, m.text.help) for m in sink.messages]
