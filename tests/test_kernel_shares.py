"""Kernels of ONNX Runtime are traced back to the layers of a file, however they are renamed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.profile import profile_kernels
from tests.elaborating import build as build_net

CONVOLUTIONS = """
model M() {
    input image: f32[batch, 3, 8, 8]
    h = image -> conv(8, kernel=3, padding=1) as plain
        -> conv(8, kernel=3, padding=1) as first -> relu
        -> conv(8, kernel=3, padding=1) as second -> leaky_relu
    g = h -> conv(8, kernel=1) as third
    output y = (h * g) -> global_avg_pool
}
"""
DENSE = """
model M() {
    input x: f32[batch, 16]
    output y = x -> dense(32) as first -> relu -> dense(32) as second -> sigmoid
        -> dense(32) as third -> tanh -> dense(32) as fourth -> leaky_relu -> dense(8) as fifth
        -> silu -> dense(8) as sixth -> gelu
}
"""
ATTENTION = """
model M() {
    input x: f32[batch, 8, 16]
    h = x -> layer_norm as norm -> dense(16) as query
    a = (h, h, h) -> scaled_dot_product_attention
    output y = a -> dense(64) as up -> gelu -> dense(16) as down -> relu
}
"""


def profile(spec: str, folder: Path, opset: int, rows: int = 4) -> list[tuple[str, ...]]:
    """The nodes of the file in each kernel of a real profile."""
    net = build_net(spec)
    rng = np.random.default_rng(0)
    weights = {
        p.path: rng.normal(size=p.value.type.known_shape).astype(np.float32)
        for p in net.graph.parameters
    }
    path = folder / "net.onnx"
    compile_onnx(net.graph, weights, path, opset=opset)
    (given,) = net.graph.inputs
    shape = [d.known or rows for d in given.value.type.shape]
    inputs = {given.name: rng.normal(size=shape).astype(np.float32)}
    return list(profile_kernels(path, inputs, rounds=3))


@pytest.mark.parametrize("opset", [18, 21])
@pytest.mark.parametrize(
    ("spec", "layers"),
    [
        (CONVOLUTIONS, {"plain", "first", "second", "third"}),
        (DENSE, {"first", "second", "third", "fourth", "fifth", "sixth"}),
        (ATTENTION, {"norm", "query", "scaled_dot_product_attention/MatMul", "up", "down"}),
    ],
    ids=["convolutions", "dense", "attention"],
)
def test_every_layer_has_a_kernel(tmp_path: Path, spec: str, layers: set[str], opset: int) -> None:
    kernels = profile(spec, tmp_path, opset)
    owners = [next((name for name in names if name in layers), None) for names in kernels]
    assert layers <= set(owners), kernels
