"""Random networks as ONNX: passes, lowering and ONNX Runtime together keep the meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.onnx_graph.check import check_onnx
from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.verification.verify import verify
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import Sink
from tests.pytorch_random import make_network


@pytest.mark.parametrize("seed", range(24))
def test_random_networks(seed: int, tmp_path: Path) -> None:
    graph = make_network(seed)
    draw = np.random.default_rng(seed)
    weights = {
        path: np.abs(array) + np.float32(0.5)
        if path.endswith("running_var")
        else (array + 0.1 * draw.standard_normal(array.shape)).astype(array.dtype)
        for path, array in draw_weights(graph, seed).items()
    }
    path = tmp_path / "net.onnx"
    compile_onnx(graph, weights, path)
    model = check_onnx(path)
    kinds = [node.op_type for node in model.graph.node]
    assert "Identity" not in kinds
    sink = Sink()
    report = verify(graph, weights, onnx_path=path, device=Device.CPU, sink=sink)
    assert report.passed, sink.messages
