"""Factorisations against NumPy's own singular value decomposition and plain references."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compiler.compression.low_rank import spectra
from compiler.compression.low_rank.convolutions import (
    ChannelFactoring,
    Seen,
    SpatialFactoring,
    TuckerFactoring,
)
from compiler.compression.low_rank.factoring import Factoring, Factors, Setting, balance
from compiler.compression.low_rank.matrices import DenseFactoring, EmbeddingFactoring
from compiler.compression.low_rank.moments import Moments
from compiler.ops.convolution import Conv, ConvTranspose
from compiler.ops.linear import Dense, Embedding

Array = NDArray[Any]


def draw(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def observe(rows: Array) -> Moments:
    size = rows.shape[1]
    moments = Moments(0, np.zeros(size), np.zeros((size, size)))
    moments.add(rows)
    return moments


def run(factors: Factors, x: Array, bias: Array | None = None) -> Array:
    for part in factors.parts:
        given = [part.weight]
        if getattr(part.op, "bias", False):
            assert bias is not None
            given.append(bias + (factors.shift if factors.shift is not None else 0))
        (x,) = part.op.evaluate(x, *given)
    return x


def run_whole(op: Any, weight: Array, x: Array, bias: Array | None = None) -> Array:
    (y,) = op.evaluate(x, weight, *([] if bias is None else [bias]))
    return np.asarray(y)


def assemble(factors: Factors) -> Array:
    """The weight of the product of two dense layers."""
    return factors.parts[1].weight @ factors.parts[0].weight


@pytest.mark.parametrize("shape", [(7, 12), (12, 7), (9, 9), (1, 6), (6, 1)])
def test_dense_loses_what_eckart_and_young_say(shape: tuple[int, int]) -> None:
    weight = draw(1, *shape)
    way = DenseFactoring(Dense(shape[0], bias=False), weight)
    values = np.linalg.svd(weight.astype(np.float64), compute_uv=False)
    for rank in range(1, min(shape) + 1):
        setting = way.at_rank(rank)
        error = np.sum(np.square(weight - assemble(way.make(setting))))
        tail = np.sum(values[rank:] ** 2)
        assert error == pytest.approx(tail, rel=1e-4, abs=1e-9)
        assert setting.lost == pytest.approx(tail / np.sum(values**2), rel=1e-6, abs=1e-9)
        assert setting.parameters == rank * sum(shape)


def test_energy_counts_squared_singular_values() -> None:
    weight = np.diag([4.0, 2.0, 1.0, 0.0]).astype(np.float32)  # energies 16, 4, 1: 21 in all
    way = DenseFactoring(Dense(4, bias=False), weight)
    for energy, rank in ((0.76, 1), (0.77, 2), (0.95, 2), (0.96, 3), (1.0, 3)):
        assert way.smallest(1 - energy).ranks == (rank,), energy


@pytest.mark.parametrize("shape", [(6, 10), (10, 6)])
@pytest.mark.parametrize("bias", [False, True])
def test_rows_make_the_product_best_for_them(shape: tuple[int, int], *, bias: bool) -> None:
    """Against the definition: SVD of W S, S = chol(G + εI), and S⁻¹ folded back."""
    out, inputs = shape
    weight = draw(2, out, inputs)
    rows = draw(3, 500, inputs) @ draw(4, inputs, inputs) + draw(5, inputs)
    given = draw(6, out) if bias else None
    wide = out <= inputs
    moments = observe(rows @ weight.T + (given if given is not None else 0) if wide else rows)
    way = DenseFactoring(Dense(out, bias=bias), weight, given, moments)
    mean = rows.mean(axis=0)
    shown = (rows - mean) if bias else rows
    gram = (shown.T @ shown / len(rows)).astype(np.float64)
    rank = 3
    root = np.linalg.cholesky(gram)
    u, s, vt = np.linalg.svd(weight @ root)
    best = (u[:, :rank] * s[:rank]) @ vt[:rank] @ np.linalg.inv(root)

    def error(made: Array) -> float:
        off = (weight - made) @ root
        return float(np.sum(off * off))

    factors = way.make(way.at_rank(rank))
    plain = DenseFactoring(Dense(out, bias=bias), weight)
    assert error(assemble(factors)) == pytest.approx(error(best), rel=0.05)
    assert error(assemble(factors)) < error(assemble(plain.make(plain.at_rank(rank))))
    if bias:
        whole = run_whole(way.op, weight, rows, given)
        found = run(factors, rows, given)
        np.testing.assert_allclose(found.mean(axis=0), whole.mean(axis=0), rtol=1e-3, atol=1e-3)


CONVS = (
    Conv(3, 3, padding=1),
    Conv(64, 3, padding=1),
    Conv(8, 3, padding=1),
    Conv(8, (3, 5), stride=2, padding=(1, 2)),
    Conv(8, 3, stride=(2, 1), dilation=(1, 2), padding="same"),
    Conv(8, 3, padding="valid", bias=False),
)


def ways_of(op: Conv, weight: Array, moments: Moments | None = None) -> list[Factoring]:
    seen = Seen(weight, moments)
    return [ChannelFactoring(op, seen), SpatialFactoring(op, seen), TuckerFactoring(op, seen)]


def kernel_of(op: Conv, inputs: int) -> tuple[int, ...]:
    size = op.kernel if isinstance(op.kernel, tuple) else (op.kernel, op.kernel)
    return (op.out, inputs, *size)


@pytest.mark.parametrize("op", CONVS, ids=str)
@pytest.mark.parametrize("aware", [False, True])
def test_full_rank_convolutions_are_exact(op: Conv, *, aware: bool) -> None:
    weight, x = draw(1, *kernel_of(op, 5)), draw(2, 2, 5, 11, 12)
    bias = draw(3, op.out) if op.bias else None
    moments = observe(x.transpose(0, 2, 3, 1).reshape(-1, 5)) if aware else None
    whole = run_whole(op, weight, x, bias)
    for way in ways_of(op, weight, moments):
        setting = way.at_rank(10**6)
        assert setting.lost == pytest.approx(0, abs=1e-9)
        found = run(way.make(setting), x, bias)
        np.testing.assert_allclose(found, whole, rtol=1e-4, atol=2e-5, err_msg=way.method)


def test_convolutions_lose_what_they_say() -> None:
    """Impulses read the kernel off the factors; unfoldings and NumPy's SVD are the reference."""
    op, weight = Conv(6, 3, padding=1, bias=False), draw(7, 6, 4, 3, 3)
    eye = np.zeros((4, 4, 5, 5), np.float32)
    eye[range(4), range(4), 2, 2] = 1
    total = np.sum(weight.astype(np.float64) ** 2)
    for way in ways_of(op, weight):
        setting = way.at_rank(3)
        response = run(way.make(setting), eye)[:, :, 1:4, 1:4]  # [in, out, 3, 3], turned round
        found = response.swapaxes(0, 1)[:, :, ::-1, ::-1]
        lost = np.sum((weight - found) ** 2) / total
        assert lost == pytest.approx(setting.lost, rel=1e-4), way.method
    for matrix, way in (
        (weight.reshape(6, -1), ways_of(op, weight)[0]),
        (weight.transpose(1, 2, 0, 3).reshape(12, 18), ways_of(op, weight)[1]),
    ):
        values = np.linalg.svd(matrix, compute_uv=False)
        assert way.at_rank(3).lost == pytest.approx(np.sum(values[3:] ** 2) / total, rel=1e-5)


def test_tucker_is_the_projection_on_both_unfoldings() -> None:
    op, weight = Conv(6, 3, bias=False), draw(8, 6, 4, 3, 3)
    way = TuckerFactoring(op, Seen(weight, None))
    outer = np.linalg.svd(weight.reshape(6, -1))[0]
    inner = np.linalg.svd(weight.swapaxes(0, 1).reshape(4, -1))[0]
    for out, inputs in ((2, 3), (5, 1), (6, 4)):
        p, q = outer[:, :out] @ outer[:, :out].T, inner[:, :inputs] @ inner[:, :inputs].T
        kept = np.einsum("ab,bcij,cd->adij", p, weight, q)
        expected = np.sum((weight - kept) ** 2) / np.sum(weight**2)
        assert way.lost[out, inputs] == pytest.approx(expected, abs=1e-6)
        first, core, last = way.make(Setting((inputs, out), 0, 0.0)).parts
        made = np.einsum(
            "or,rsij,sc->ocij", last.weight[:, :, 0, 0], core.weight, first.weight[:, :, 0, 0]
        )
        np.testing.assert_allclose(made, kept, atol=1e-5)


def test_tucker_takes_the_cheapest_ranks() -> None:
    way = TuckerFactoring(Conv(6, 3), Seen(draw(8, 6, 4, 3, 3), None))
    for lost in (0.05, 0.3, 0.6):
        setting = way.smallest(lost)
        pairs = [(a, b) for a in range(1, 7) for b in range(1, 5) if way.lost[a, b] <= lost]
        assert setting.parameters == min(b * 4 + a * b * 9 + a * 6 for a, b in pairs)
    within = way.within(100)
    assert within is not None
    assert within.parameters <= 100
    assert way.within(3) is None


@pytest.mark.parametrize("axes", [1, 3])
def test_other_numbers_of_axes(axes: int) -> None:
    op, weight = Conv(6, 3, padding=1, bias=False), draw(3, 6, 4, *[3] * axes)
    x = draw(4, 2, 4, *[6] * axes)
    seen = Seen(weight, None)
    whole = run_whole(op, weight, x)
    for way in (ChannelFactoring(op, seen), TuckerFactoring(op, seen)):
        found = run(way.make(way.at_rank(99)), x)
        np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-5)


def test_transposed_convolution() -> None:
    op, weight = ConvTranspose(6, 3, stride=2, padding=1, output_padding=1), draw(3, 4, 6, 3, 3)
    x, bias = draw(4, 2, 4, 5, 5), draw(5, 6)
    way = ChannelFactoring(op, Seen(weight.swapaxes(0, 1), None))
    found = run(way.make(way.at_rank(99)), x, bias)
    np.testing.assert_allclose(found, run_whole(op, weight, x, bias), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(50, 6), (4, 9)])
def test_embedding(shape: tuple[int, int]) -> None:
    weight = draw(1, *shape)
    weight[2] = 0  # the padding
    way = EmbeddingFactoring(Embedding(*shape, padding_idx=2), weight)
    x = np.array([[0, 1, 2, 3]])
    factors = way.make(way.at_rank(99))
    np.testing.assert_allclose(run(factors, x), weight[x], atol=1e-5)
    assert np.abs(way.make(way.at_rank(3)).parts[0].weight[2]).max() < 1e-6
    values = np.linalg.svd(weight, compute_uv=False)
    lost = np.sum(values[2:] ** 2) / np.sum(values**2)
    assert way.at_rank(2).lost == pytest.approx(lost, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    seed=st.integers(0, 10**6),
    gap=st.booleans(),
)
def test_balanced_factors_have_one_product(
    *, rows: int, columns: int, seed: int, gap: bool
) -> None:
    left, right = draw(seed, rows, 4) * 100, draw(seed + 1, 4, columns)
    if gap:
        left[:, 1], right[2] = 0, 0
    a, b = balance(left, right)
    np.testing.assert_allclose(a @ b, left @ right, rtol=1e-3, atol=1e-3)
    lengths = np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=1)
    for k in (0, 3):
        assert lengths[0][k] == pytest.approx(lengths[1][k], rel=1e-3, abs=1e-6)
    assert all(math.isfinite(x) for x in (a.sum(), b.sum()))


def test_few_directions_of_a_large_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """By subspace iteration: as good as the best to a thousandth."""
    monkeypatch.setattr(spectra, "LARGE", 100)
    weight = (draw(1, 120, 150) * np.geomspace(1, 0.05, 150)).astype(np.float32)
    way = DenseFactoring(Dense(120, bias=False), weight, most=20)
    values = np.linalg.svd(weight, compute_uv=False)
    for rank in (1, 10, 20):
        setting = way.at_rank(rank)
        tail = float(np.sum(values[rank:] ** 2))
        assert setting.ranks == (rank,)
        assert setting.lost == pytest.approx(tail / np.sum(values**2), rel=1e-3)
        error = np.sum(np.square(weight - assemble(way.make(setting))))
        assert error == pytest.approx(tail, rel=1e-3)
    assert way.at_rank(50).ranks == (20,), "no more were found"
