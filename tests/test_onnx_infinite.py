"""Infinite numbers, and those that are none, are in ONNX files what they are elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, open_session
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import load_module
from compiler.ir.evaluate import evaluate
from tests.elaborating import build

ROWS = np.array(
    [[1, 2, 3], [np.inf, 1, 0], [-np.inf, 1, 2], [np.nan, 0, 1], [3e38, -3e38, 5]], np.float32
)
EXPRESSIONS = [
    "clip(x, minimum=1e-8)",
    "clip(x, maximum=2.5)",
    "clip(x, 0, 4)",
    "scaled_dot_product_attention(q, q, q, mask=where(x > 1, x, -inf)[:, none])",
    "scaled_dot_product_attention(q, q, q, mask=where(x > 9e9, x, -inf)[:, none])",
    "scaled_dot_product_attention(q, q, q, mask=x[:, none])",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_infinite_numbers_mean_the_same_everywhere(expression: str, tmp_path: Path) -> None:
    spec = f"""
model M {{
    input x: f32[batch, 3]
    q = where(x != x, x, 1.0)[:, :, none]
    output y = {expression}
    output z = sum(q, axis=1)
}}
"""
    graph = build(spec).graph
    expected, _ = evaluate(graph, {}, {"x": ROWS}).values()
    compile_onnx(graph, {}, tmp_path / "net.onnx")
    session = open_session(tmp_path / "net.onnx", device=Device.CPU)
    from_onnx, _ = session.run({"x": ROWS}).values()
    np.testing.assert_array_equal(np.isnan(from_onnx), np.isnan(expected))
    np.testing.assert_allclose(from_onnx, expected, rtol=1e-5)
    module = load_module(emit_module([graph], title="M"), graph)
    from_torch = module(torch.from_numpy(ROWS))[0].numpy()
    np.testing.assert_array_equal(np.isnan(from_torch), np.isnan(expected))
    np.testing.assert_allclose(from_torch, expected, rtol=1e-5)
