"""Quantizes specs given as text, for tests: nets with plausible weights, and what checks them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.verify import VerifyReport, verify
from compiler.ir.graph import Graph
from compiler.ir.verify import verify_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import Message, Sink
from tests.elaborating import build

Array = NDArray[Any]


@dataclass(frozen=True)
class Drawn:
    """Samples that are the same whenever they are asked for: normal numbers, or whole ones."""

    graph: Graph
    sizes: Mapping[str, int]
    seed: int = 0
    synthetic: bool = False

    def batches(self, rows: int, size: int = 32) -> Iterator[Mapping[str, Array]]:
        draw = np.random.default_rng(self.seed)
        for start in range(0, rows, size):
            sizes = {**self.sizes, "batch": min(size, rows - start)}
            yield {item.name: _draw(item.value.type, sizes, draw) for item in self.graph.inputs}


def _draw(type: Any, sizes: Mapping[str, int], draw: np.random.Generator) -> Array:
    shape = [dim.evaluate(sizes) for dim in type.shape]
    if type.dtype.is_float:
        return draw.standard_normal(shape).astype(type.dtype.numpy)
    return draw.integers(0, 8, shape).astype(type.dtype.numpy)


def make_net(text: str, seed: int = 0) -> WeightedNet:
    """The net of a spec with random weights; batch norms have statistics that are not trivial."""
    graph = build(text).graph
    weights = draw_weights(graph, seed)
    draw = np.random.default_rng(seed)
    for path, array in weights.items():
        if path.endswith(("running_mean", "running_var")):
            low = 0.5 if path.endswith("var") else -0.3
            weights[path] = draw.uniform(low, low + 1.0, array.shape).astype(array.dtype)
    return WeightedNet(graph, weights)


def check_net(net: WeightedNet, folder: Path, before: Graph) -> tuple[VerifyReport, list[Message]]:
    """Verifies a net that a pass made: its graph, its generated PyTorch, its ONNX file."""
    verify_graph(net.graph, before)
    assert set(net.weights) == set(net.graph.parameter)
    assert not net.graph.constants
    module = load_module(emit_module([net.graph], title=net.graph.name), net.graph)
    assign_weights(module, net.weights)
    path = folder / "net.onnx"
    compile_onnx(net.graph, net.weights, path)
    sink = Sink()
    report = verify(
        net.graph,
        net.weights,
        torch_module=module,
        onnx_path=path,
        device=Device.CPU,
        sink=sink,
    )
    return report, sink.messages
