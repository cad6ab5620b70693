"""The arithmetic of rounding weights: blocks, books, GPTQ, smoothing, packing."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from backends.onnx_graph.dtypes import PackedArray
from compiler.compression.quantization.rounding import (
    collect_moments,
    learn_book,
    round_weight,
    space_blocks,
    space_symmetric,
)
from compiler.compression.quantization.smooth import find_sites, smooth_net
from compiler.compression.quantization.storing import measure_loss
from compiler.ir.evaluate import evaluate
from compiler.ops.packed import pack_blocks
from compiler.ops.stored import find_gaps
from compiler.types.tensor import DType
from tests.elaborating import elaborate
from tests.quantizing import Drawn, make_net
from tests.test_quantize_random import EXAMPLES
from tests.weight_formats import IMAGES, TOKENS

seeds = st.integers(0, 2**32 - 1)


@EXAMPLES
@given(seed=seeds, density=st.floats(0, 1), width=st.sampled_from((4, 8)))
def test_gaps_say_where_codes_stand(seed: int, density: float, width: int) -> None:
    draw = np.random.default_rng(seed)
    size = int(draw.integers(1, 3000))
    flat = np.where(draw.random(size) < density, draw.integers(-8, 8, size), 0).astype(np.int8)
    gaps, values = find_gaps(flat, width)
    assert gaps.max(initial=0) < 2**width
    made = np.zeros_like(flat)
    np.put(made, np.cumsum(gaps, dtype=np.int64), values)
    np.testing.assert_array_equal(made, flat)


@EXAMPLES
@given(seed=seeds, signed=st.booleans())
def test_packed_integers_are_onnx_own(seed: int, signed: bool) -> None:
    draw = np.random.default_rng(seed)
    shape = tuple(draw.integers(1, 6, 2))
    low, high, kind = (-8, 8, np.int8) if signed else (0, 16, np.uint8)
    codes = draw.integers(low, high, shape).astype(kind)
    packed = PackedArray.pack(codes)
    proto = onnx.TensorProto(
        dims=shape, data_type=int(packed.kind), raw_data=packed.memory.tobytes()
    )
    np.testing.assert_array_equal(numpy_helper.to_array(proto).astype(kind), codes)
    with pytest.raises(ValueError, match="do not fit into 4 bits"):
        PackedArray.pack(np.full((2,), high, kind))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_blocks_are_those_of_onnx_runtime(bits: int, symmetric: bool) -> None:
    """ONNX Runtime's own quantizer makes the same codes and scales."""
    from onnxruntime.capi._pybind_state import quantize_matmul_4bits, quantize_matmul_8bits

    out, size, block = 6, 64, 32
    weight = np.random.default_rng(0).standard_normal((out, size)).astype(np.float32)
    blocks = size // block
    packed = np.zeros((out, blocks, block * bits // 8), np.uint8)
    scales = np.zeros(out * blocks, np.float32)
    zeros = np.zeros(out * math.ceil(blocks * bits / 8), np.uint8)
    run = quantize_matmul_4bits if bits == 4 else quantize_matmul_8bits
    run(packed, np.ascontiguousarray(weight.T), scales, zeros, block, out, size, symmetric)
    levels = space_blocks(weight, bits, block, symmetric=symmetric)
    codes = round_weight(weight, levels, None)
    np.testing.assert_allclose(levels.scale.ravel(), scales, rtol=1e-6)
    ours = pack_blocks(codes.astype(np.uint8), bits, block, 1 << (bits - 1))
    assert np.mean(ours != packed) < 0.01  # it multiplies by the inverse: ties fall otherwise


@EXAMPLES
@given(seed=seeds)
def test_books_are_no_worse_than_even_levels(seed: int) -> None:
    draw = np.random.default_rng(seed)
    weight = draw.standard_t(4, (12, 80)).astype(np.float32)
    book = learn_book(weight, 16)
    assert len(book.entries) <= 16
    learned = book.value(round_weight(weight, book, None), 0)
    even = space_symmetric(weight, 4, per_row=False)
    assert measure_loss(weight, learned) > measure_loss(
        weight, even.value(even.round(weight, 0), 0)
    )


def test_books_keep_zeros_first() -> None:
    weight = np.array([[0.0, 1.0, -2.0, 0.0, 1.5]], np.float32)
    book = learn_book(weight, 16)
    assert book.entries[0] == 0
    codes = round_weight(weight, book, None)
    np.testing.assert_array_equal(codes == 0, weight == 0)
    np.testing.assert_array_equal(book.value(codes, 0), weight)
    assert learn_book(np.zeros((2, 2), np.float32), 16).entries.tolist() == [0]


@EXAMPLES
@given(seed=seeds, per_row=st.booleans())
def test_gptq_moves_results_less(seed: int, per_row: bool) -> None:
    draw = np.random.default_rng(seed)
    mix = draw.standard_normal((48, 48)) / 4
    rows = (draw.standard_normal((400, 48)) @ mix).astype(np.float64)
    weight = draw.standard_normal((24, 48)).astype(np.float32)
    weight[draw.random(weight.shape) < 0.2] = 0
    levels = space_symmetric(weight, 4, per_row=per_row)

    def error(moments: np.ndarray | None) -> float:
        codes = round_weight(weight, levels, moments)
        assert codes.min() >= -8
        assert codes.max() <= 7
        assert not codes[weight == 0].any()
        return float(np.square(rows @ (levels.value(codes, 0) - weight).T).sum())

    assert error(rows.T @ rows) < 0.9 * error(None)


def test_moments_are_those_of_what_layers_read() -> None:
    """A convolution is a dense layer on patches: PyTorch's `unfold` makes the same."""
    net = make_net(IMAGES)
    node = next(n for n in net.graph.nodes if n.origin.name == "second")
    batches = list(Drawn(net.graph, {}).batches(4))
    found = collect_moments(net, [node], batches)["second.weight"]
    seen = {}
    evaluate(
        net.graph,
        net.weights,
        batches[0],
        watch=lambda n, results: seen.update({n.outputs[0].name: results[0]}),
    )
    assert node.inputs[0] is not None
    patches = torch.nn.functional.unfold(torch.from_numpy(seen[node.inputs[0].name]), 3, padding=1)
    rows = patches.transpose(1, 2).reshape(-1, patches.shape[1]).double().numpy()
    np.testing.assert_allclose(found, rows.T @ rows, rtol=1e-5, atol=1e-5)


def test_smoothing_changes_nothing_but_magnitudes() -> None:
    net = make_net(TOKENS)
    weights = dict(net.weights)
    weights["blocks.0.ln_1.weight"] = weights["blocks.0.ln_1.weight"].copy()
    weights["blocks.0.ln_1.weight"][3] = 60.0  # an outlier
    outlier = type(net)(net.graph, weights)
    batches = list(Drawn(net.graph, {}).batches(32))
    smooth, done = smooth_net(outlier, batches, 0.5)
    assert len(done) == len(find_sites(net.graph)) == 5
    (before,) = evaluate(net.graph, outlier.weights, batches[0]).values()
    (after,) = evaluate(net.graph, smooth.weights, batches[0]).values()
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max())
    assert smooth.weights["blocks.0.ln_1.weight"].max() < 20


def test_bf16_is_pytorchs() -> None:
    draw = np.random.default_rng(0)
    numbers = (draw.standard_normal(5000) * 10.0 ** draw.uniform(-30, 30, 5000)).astype(np.float32)
    numbers[:4] = [np.inf, -np.inf, 0.0, 1.00390625]
    expected = torch.from_numpy(numbers).bfloat16().float().numpy()
    np.testing.assert_array_equal(DType.BF16.round(numbers), expected)


def test_every_value_of_bf16_is_rounded_as_in_pytorch() -> None:
    text = """model Brain {
        input x: f32[n]
        a = cast(x, bf16)
        output y = cast(a * a + a, f32)
        output z = cast(exp(a), f32)
    }"""
    nets, _ = elaborate(text)
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    found = evaluate(nets["Brain"].graph, {}, {"x": x})
    a = torch.from_numpy(x).bfloat16()
    np.testing.assert_array_equal(found["y"], (a * a + a).float().numpy())
    np.testing.assert_array_equal(found["z"], torch.exp(a).float().numpy())
