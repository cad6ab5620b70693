"""Weights are stored without their zeros where that makes the file smaller, and only there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.onnx_graph.compile import compile_onnx
from compiler.compression.base import CompressionContext
from compiler.compression.quantization.base import Quantize
from compiler.compression.quantization.stored import Stored4, Stored8
from compiler.ir.weighted_net import WeightedNet
from compiler.ops import stored
from tests.elaborating import build

TEXT = "model M() { input x: f32[batch, 64]  output y = x -> dense(64) as layer }"
NEAR = 100
"""Bytes by which the guess of what nodes take may be wrong."""


@pytest.mark.parametrize("scheme", [Stored4(), Stored8()])
@pytest.mark.parametrize("zeros", [0.5, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
def test_the_smaller_form_is_written(
    zeros: float, scheme: Stored4 | Stored8, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = build(TEXT).graph
    random = np.random.default_rng(0)
    weight = random.normal(size=(64, 64)).astype(np.float32)
    weight[random.random((64, 64)) < zeros] = 0
    net = WeightedNet(graph, {"layer.weight": weight, "layer.bias": np.zeros(64, np.float32)})
    made = Quantize(scheme).run(net, CompressionContext())

    def weigh() -> int:
        compile_onnx(made.graph, made.weights, tmp_path / "net.onnx")
        return (tmp_path / "net.onnx").stat().st_size

    chosen = weigh()
    sizes = []
    for guess in (-(10**9), 10**9):  # sparse whatever it takes, and never
        monkeypatch.setattr(stored, "BYTES", guess)
        sizes.append(weigh())
    assert chosen in sizes
    assert chosen <= min(sizes) + NEAR
