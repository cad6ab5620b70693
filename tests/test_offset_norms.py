"""Norms and variances of large numbers that vary little: every backend keeps their differences,
and verification tries such numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, open_session
from backends.verification.cases import OFFSETS, make_cases
from backends.verification.verify import verify
from compiler.ir.evaluate import evaluate
from compiler.ir.inputs import OnnxInput, list_values
from compiler.ir.sizes import SizeSearch
from compiler.ir.weights import draw_weights
from compiler.ops.group_normalization import GroupNorm
from compiler.report.diagnostics import Sink
from tests.elaborating import build
from weft.api import Model

NORMS = {
    "group_norm(4) as n": (2, 3),
    "group_norm(2) as n": (2, 3),
    "instance_norm": (2, 3),
    "instance_norm(affine=true) as n": (2, 3),
    "layer_norm(axes=2) as n": (2, 3),
    "layer_norm as n": (3,),
    "layer_norm(affine=false)": (3,),
}
IMAGES = {
    "one colour": lambda draw: np.full((1, 4, 64, 64), 7.1),
    "bright": lambda draw: draw.normal(100, 0.1, (1, 4, 64, 64)),
    "pressure": lambda draw: draw.normal(101_325, 300, (1, 4, 64, 64)),
}


def make(chain: str, sizes: str = "h, w") -> Any:
    return build(f"model M {{\n    input x: f32[b, 4, {sizes}]\n    output y = x -> {chain}\n}}")


def normalize(image: Any, axes: Sequence[int], groups: int) -> Any:
    """In double precision, from its meaning."""
    wide = image.astype(np.float64).reshape(1, groups, -1, *image.shape[2:])
    inner = (2, 3, 4) if groups < 4 else tuple(a + 1 for a in axes)
    centred = wide - wide.mean(axis=inner, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=inner, keepdims=True) + 1e-5)
    return (centred / deviation).reshape(image.shape), float(deviation.min())


def run_everywhere(net: Any, folder: Path, image: Any) -> dict[str, Any]:
    weights = draw_weights(net.graph)
    compile_onnx(net.graph, weights, folder / "net.onnx")
    session = open_session(folder / "net.onnx", device=Device.CPU)
    module = Model(net, folder).torch(weights)
    with torch.no_grad():
        found = module(torch.from_numpy(image)).numpy()
    return {
        "NumPy": evaluate(net.graph, weights, {"x": image})["y"],
        "PyTorch": found,
        "ONNX Runtime": session.run({"x": image})["y"],
    }


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("chain", NORMS)
def test_norms_keep_small_differences(chain: str, kind: str, tmp_path: Path) -> None:
    image = IMAGES[kind](np.random.default_rng(0)).astype(np.float32)
    groups = 2 if chain.startswith("group_norm(2)") else 4
    wanted, deviation = normalize(image, NORMS[chain], groups)
    steps = 16 * 2.0**-23 * (1 + np.abs(image).max() / deviation)
    sizes = "64, 64" if "layer_norm" in chain and "affine=false" not in chain else "h, w"
    for backend, found in run_everywhere(make(chain, sizes), tmp_path, image).items():
        assert np.abs(found - wanted).max() < steps, backend


@pytest.mark.parametrize("op", ["var", "std"])
def test_variances_keep_small_differences(op: str, tmp_path: Path) -> None:
    net = make(f"{op}(axis=[2, 3])")
    for size, image in (
        (1e-12, np.full((1, 4, 224, 224), 100.3, np.float32)),
        (0.1, np.random.default_rng(0).normal(1000, 0.1, (1, 4, 64, 64)).astype(np.float32)),
    ):
        wanted = getattr(np, op)(image.astype(np.float64), axis=(2, 3), ddof=1)
        for backend, found in run_everywhere(net, tmp_path, image).items():
            assert np.abs(found - wanted).max() <= 1e-4 * size, backend


def test_verification_tries_numbers_with_an_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain form of ONNX Runtime, which loses the variance of such numbers, is found."""

    def write(op: Any, build: Any, outputs: Any, *inputs: OnnxInput) -> Any:
        attributes = {"num_groups": op.groups, "epsilon": op.eps}
        return [build.op("GroupNormalization", list_values(*inputs), attributes)]

    graph = make("group_norm(2) as n").graph
    weights = draw_weights(graph)
    monkeypatch.setattr(GroupNorm, "onnx", write)
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    monkeypatch.undo()
    sink = Sink()
    report = verify(graph, weights, onnx_path=tmp_path / "net.onnx", device=Device.CPU, sink=sink)
    assert not report.passed
    assert "offset" in sink.messages[0].text.title


def test_only_networks_that_center_are_given_offsets() -> None:
    def find_kinds(chain: str) -> set[str]:
        graph = make(chain).graph
        return {case.kind for case in make_cases(graph, SizeSearch(graph, {}))}

    assert set(OFFSETS) <= find_kinds("relu -> std(axis=1)")
    assert not set(OFFSETS) & find_kinds("relu -> conv(3, kernel=1) as c")
