"""Resizing by fractions of sizes that are not known, and with antialiasing, beside PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from backends.onnx_graph.single import lower_op
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import load_module
from compiler.ops.resizing import Resize
from compiler.report.messages.tensor_operands import bad_option
from compiler.types.tensor import TensorType
from tests.elaborating import build
from tests.faults import fault_of
from tests.laws.harness import run_onnx_runtime
from tests.pytorch_compare import assert_means_the_same

OPEN = TensorType.of("f32", [1, 1, "s"])
SIZES = np.arange(1, 100_000)


@pytest.mark.parametrize("scale", [0.1, 0.3, 0.6, 1.1, 1.3, 2.4, 1 / 3, 2 / 3, 4 / 3, 1.25, 0.5])
def test_an_open_size_times_a_fraction_is_pytorchs(scale: float) -> None:
    (made,) = Resize(scale=scale).infer(lambda *_: None, OPEN)
    expected = np.floor(SIZES * scale).astype(np.int64)
    for at in (*range(0, 400), *range(70_000, 99_000, 997)):
        assert made.shape[2].evaluate({"s": int(SIZES[at])}) == expected[at]
    (first, *rest) = (int(n) for n in range(1, 64) if int(n * scale) >= 1)
    model = lower_op(Resize(scale=scale), [OPEN])
    for size in (first, *rest):
        x = torch.arange(size, dtype=torch.float32).view(1, 1, -1)
        wanted = functional.interpolate(x, scale_factor=scale).numpy()
        assert wanted.shape[2] == expected[size - 1]
        (found,) = run_onnx_runtime(model, {"x0": x.numpy()})
        assert found.shape == wanted.shape


@pytest.mark.parametrize(("scale", "above", "below"), [(0.7, 7, 10), (0.29, 29, 100), (1.4, 7, 5)])
def test_what_pytorch_rounds_to_one_less_is_the_fraction(
    scale: float, above: int, below: int
) -> None:
    """90 * 0.7 is 62.99999999999999 in floating-point numbers; sizes are known or open alike."""
    (made,) = Resize(scale=scale).infer(lambda *_: None, OPEN)
    sizes = [int(size) for size in SIZES[10:400]]
    expected = [size * above // below for size in sizes]
    assert [int(size * scale) for size in sizes] != expected
    model = lower_op(Resize(scale=scale), [OPEN])
    spec = f"model M {{\n    input x: f32[1, 1, s]\n    output y = x -> resize(scale={scale})\n}}"
    graph = build(spec).graph
    module = load_module(emit_module([graph], title="M"), graph)
    for size, wanted in zip(sizes, expected, strict=True):
        assert made.shape[2].evaluate({"s": size}) == wanted
        fixed = Resize(scale=scale).infer(lambda *_: None, TensorType.of("f32", [1, 1, size]))
        assert fixed[0].shape[2].known == wanted
        x = torch.zeros(1, 1, size)
        assert module(x).shape[2] == wanted
        (found,) = run_onnx_runtime(model, {"x0": x.numpy()})
        assert found.shape[2] == wanted


@pytest.mark.parametrize("scale", [0.123456, 1e-9])
def test_what_is_no_simple_fraction_is_refused(scale: float) -> None:
    message = fault_of(lambda: Resize(scale=scale).infer(lambda *_: None, OPEN))
    assert message.kind is bad_option
    assert "which is not known" in message.text.label


@pytest.mark.parametrize(
    "op",
    [
        Resize(2, mode="nearest", antialias=True),
        Resize(2, mode="linear", antialias=True),
        Resize((2, 2), mode="bilinear", align_corners=True, antialias=True),
    ],
)
def test_antialiasing_has_its_modes(op: Resize) -> None:
    kind = OPEN if op.mode == "linear" else TensorType.of("f32", [1, 1, 4, 4])
    assert fault_of(lambda: op.infer(lambda *_: None, kind)).kind is bad_option


def test_a_net_with_antialiasing_is_printed_as_pytorch_has_it() -> None:
    text = """
model M {
    input x: f32[n, 3, h, w]
    output small: f32[n, 3, 5, 7] = x -> resize([5, 7], mode="bicubic", antialias=true)
    output half = x -> resize(scale=0.5, mode="bilinear", antialias=true)
    output third = x -> resize(scale=1 / 3, mode="bilinear")
}
"""
    graph = build(text).graph
    for sizes in ({"n": 1, "h": 9, "w": 12}, {"n": 2, "h": 17, "w": 7}):
        code = assert_means_the_same(graph, sizes)
    assert 'mode="bicubic", antialias=True' in code
