"""Shortcuts of NumPy's meaning against the long way: windows, levels, stored weights, spectra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compiler.compression.low_rank.matrices import split_matrix
from compiler.compression.low_rank.spectra import LARGE, SMALL, Spectrum, multiply_self
from compiler.compression.quantization.ranges import scale_channels
from compiler.ir.builder import Builder
from compiler.ir.evaluate import decode_weights, evaluate
from compiler.ir.frame import Frame, Site
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.convolution import Conv
from compiler.ops.linear import Dense
from compiler.ops.quantization import (
    FakeQuantize,
    dequantize_array,
    quantize_array,
    round_array,
)
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.given import Zeros

Array = NDArray[Any]

# --- windows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "channels", "side", "kernel", "stride", "groups"),
    [
        (3, 16, 128, 3, 1, 1),  # more windows than are laid out together: row by row
        (2, 8, 9, 9, 1, 1),  # more entries in a window than places for it
        (5, 6, 11, 3, 2, 6),
        (4, 12, 10, 2, 1, 3),
    ],
)
def test_convolutions_laid_out_in_parts_are_those_of_torch(
    rows: int, channels: int, side: int, kernel: int, stride: int, groups: int
) -> None:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((rows, channels, side, side)).astype(np.float32)
    weight = draw.standard_normal((12, channels // groups, kernel, kernel)).astype(np.float32)
    op = Conv(12, kernel, stride=stride, groups=groups, bias=False)
    (found,) = op.evaluate(x, weight)
    wanted = torch.nn.functional.conv2d(
        torch.from_numpy(x), torch.from_numpy(weight), stride=stride, groups=groups
    ).numpy()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


# --- levels -------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["i4", "u4", "i8", "u8"]),
    st.sampled_from([np.float16, np.float32]),
    st.sampled_from(
        [((), ()), ((70_000,), ()), ((3, 4), (3, 1)), ((2, 5, 3), (1, 5, 1)), ((4, 6), (6,))]
    ),
    st.integers(0, 99),
)
def test_rounding_in_place_is_rounding_to_levels_and_back(
    dtype: str, kind: type, shapes: tuple[tuple[int, ...], tuple[int, ...]], seed: int
) -> None:
    draw = np.random.default_rng(seed)
    x: Array = np.asarray(10 * draw.standard_normal(shapes[0])).astype(kind)
    scale = np.asarray(draw.uniform(0.01, 1, shapes[1]), np.float32)
    zero = np.asarray(draw.integers(-8, 16, shapes[1]), np.int32)
    wanted: Array = dequantize_array(quantize_array(x, scale, zero, dtype), scale, zero).astype(
        kind
    )
    found = round_array(x, scale, zero, dtype)
    assert found.dtype == x.dtype
    assert np.array_equal(found, wanted)


def test_scales_of_rows_do_not_depend_on_the_rows_around_them() -> None:
    weight = np.random.default_rng(0).standard_normal((300, 1000)).astype(np.float32)
    whole = scale_channels(weight, "mse", bits=8, per_channel=True)
    alone = [scale_channels(row[None], "mse", bits=8, per_channel=True) for row in weight[::50]]
    assert np.array_equal(whole[::50], np.concatenate(alone))


def make_rounded_net() -> WeightedNet:
    """A dense layer whose weight is rounded, twice, and whose input is."""
    frame = Frame("Net", "", 0)
    build = Builder("net", frame)
    f32, i32 = DType.F32, DType.I32
    x = build.input("x", TensorType.of(f32, (5, 4)))
    weight = build.parameter("weight", TensorType.of(f32, (3, 4)), Zeros())
    scale = build.parameter("scale", TensorType.of(f32, ()), Zeros())
    zero = build.parameter("zero", TensorType.of(i32, ()), Zeros())
    site = Site(name="")
    for dtype in ("i8", "i4"):
        (weight,) = build.apply(FakeQuantize(dtype), [weight, scale, zero], frame, site)
    (x,) = build.apply(FakeQuantize("i8"), [x, scale, zero], frame, site)
    (y,) = build.apply(Dense(3, bias=False), [x, weight], frame, site)
    build.output("y", y)
    draw = np.random.default_rng(0)
    numbers = {
        "weight": draw.standard_normal((3, 4)).astype(np.float32),
        "scale": np.asarray(0.1, np.float32),
        "zero": np.asarray(0, np.int32),
    }
    return WeightedNet(build.graph(), numbers)


def test_decoded_weights_leave_the_outputs_and_the_rounding_of_inputs() -> None:
    net = make_rounded_net()
    x = {"x": np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)}
    graph, numbers = decode_weights(net.graph, net.weights)
    assert [node.op.name for node in graph.nodes] == ["fake_quantize", "dense"]
    wanted = evaluate(net.graph, net.weights, x)["y"]
    assert np.array_equal(evaluate(graph, numbers, x)["y"], wanted)
    assert not np.array_equal(x["x"] @ net.weights["weight"].T, wanted)


# --- spectra ------------------------------------------------------------------------------------


def draw_matrix(rows: int, columns: int, condition: float) -> Array:
    """A matrix whose singular values fall evenly, on a logarithmic scale, from 1."""
    draw = np.random.default_rng(0)
    left, _ = np.linalg.qr(draw.standard_normal((rows, rows)))
    right, _ = np.linalg.qr(draw.standard_normal((columns, rows)))
    values = np.geomspace(1, 1 / condition, rows)
    made: Array = ((left * values) @ right.T).astype(np.float32)
    return made


@pytest.mark.parametrize("condition", [1.0, 1e3, 1e8])
@pytest.mark.parametrize("rows", [SMALL // 2, SMALL + 44])
def test_energies_are_squared_singular_values(rows: int, condition: float) -> None:
    matrix = draw_matrix(rows, rows + 100, condition)
    wanted = np.square(np.linalg.svd(matrix.astype(np.float64), compute_uv=False))
    spectrum = Spectrum(multiply_self(matrix))
    alone = spectrum.energies
    assert np.abs(alone - wanted).max() <= 1e-12 * wanted[0]
    lost = np.append(np.cumsum(wanted[::-1])[::-1], 0.0)
    assert np.abs(spectrum.lost() - lost).max() <= 1e-10 * wanted.sum()
    assert spectrum.directions.shape == (rows, rows)
    assert np.abs(spectrum.energies - alone).max() <= 1e-12 * wanted[0]


@pytest.mark.parametrize("condition", [1.0, 1e8])
def test_products_lose_what_their_shares_say_and_nothing_at_full_rank(condition: float) -> None:
    for matrix in (draw_matrix(300, 400, condition), draw_matrix(300, 400, condition).T):
        product = split_matrix(matrix)
        energy = np.square(matrix, dtype=np.float64).sum()
        for rank in (1, 10, 150, 300):
            left, right = product.cut(rank)
            assert (left.shape[1], right.shape[0]) == (rank, rank)
            lost = np.square(matrix - left.astype(np.float64) @ right).sum() / energy
            assert abs(lost - product.shares[rank]) <= 1e-6
        x = np.random.default_rng(1).standard_normal((50, matrix.shape[1])).astype(np.float32)
        left, right = product.cut(300)
        wanted = x @ matrix.T
        assert np.abs(x @ right.T @ left.T - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_large_matrices_keep_their_energies_in_single_precision() -> None:
    draw = np.random.default_rng(0)
    matrix = draw.standard_normal((LARGE, 300)).astype(np.float32)
    wanted = np.square(np.linalg.svd(matrix.astype(np.float64), compute_uv=False))
    energies = Spectrum(multiply_self(matrix)).energies
    assert np.abs(energies[:300] - wanted).max() <= 1e-5 * wanted[0]
    assert energies[300:].max() <= 1e-5 * wanted[0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_scale_of_zero_is_no_warning(dtype: type[np.floating[Any]]) -> None:
    x = np.array([-1, 0, 1], dtype)
    with np.errstate(all="raise"):
        round_array(x, np.zeros(1, np.float32), np.zeros(1, np.int8), "i8")
