"""Sizes of the numbers that ops go through: what the rounding of a sum or a norm is relative to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from compiler.ir.graph import Op
from compiler.ir.operands import Array

BLOCK = 256
"""Terms whose sum rounds no worse than any other op: kernels add some of them side by side."""


def grow(count: int, dtype: np.dtype[np.generic]) -> float:
    """How many times worse a sum of so many terms rounds: as a random walk does. Half-precision
    terms are added in single precision."""
    return 1.0 if dtype.itemsize < 4 else max(1.0, math.sqrt(count / BLOCK))


def measure_terms(
    op: Op, operands: Sequence[Array | None], results: Sequence[Array], count: int
) -> list[Array | float]:
    """The sum of what an op adds up, with all signs alike; `count` is how many terms there are.
    Results that are no floating-point numbers have none."""
    if results[0].dtype.kind != "f":
        return [0.0]
    with np.errstate(all="ignore"):
        (total,) = op.evaluate(*(np.abs(a) if a is not None else None for a in operands))
    return [total * results[0].dtype.type(grow(count, results[0].dtype))]


def measure_mean(
    op: Op, operands: Sequence[Array | None], results: Sequence[Array]
) -> list[Array | float]:
    """What an op adds up whose results share the entries of its operand evenly."""
    count = np.asarray(operands[0]).size // max(results[0].size, 1)
    return measure_terms(op, operands, results, count)


def measure_norm(
    x: Array, y: Array, scale: Array | None, axes: tuple[int, ...], eps: float
) -> list[Array | float]:
    """What a norm over these axes goes through: the mean that is subtracted rounds as numbers of
    its size do, which the division by the deviation makes larger, and the mean of many numbers
    rounds as their sum does. `scale` is what `y`, shaped as `x` again, was multiplied by."""
    wide = x.astype(np.float64)
    mean, variance = wide.mean(axis=axes, keepdims=True), wide.var(axis=axes, keepdims=True)
    worse = grow(wide.size // max(mean.size, 1), x.dtype)
    shift = np.abs(mean) / np.sqrt(variance + eps) + worse - 1
    if scale is not None:
        shift = shift * np.abs(scale).max(initial=0.0)
    sizes = np.abs(y).reshape(x.shape) * worse + shift
    return [sizes.reshape(y.shape)]
