"""How far two computations of the same thing may lie apart, and how far they do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.ir.graph import Graph
from compiler.tensor import DType

Array = NDArray[Any]

_STEP = {DType.F64: 2.0**-52, DType.F32: 2.0**-23, DType.F16: 2.0**-10, DType.BF16: 2.0**-7}
ROUNDINGS = 16
"""Rounding steps that one layer may lose: sums of some thousand products in another order."""


@dataclass(frozen=True)
class Difference:
    """Where two arrays lie furthest apart. `error` is relative to the largest magnitude of the
    reference; infinite where shapes, dtypes or the places of NaN differ."""

    error: float
    index: tuple[int, ...] = ()
    found: float = math.nan
    expected: float = math.nan
    reason: str = ""


def derive_tolerance(graph: Graph) -> float:
    """The error allowed relative to the largest magnitude of a tensor: a number of rounding
    steps of the coarsest float dtype, growing with the square root of the depth, as independent
    errors add up."""
    dtypes = {v.type.dtype for node in graph.nodes for v in node.outputs}
    dtypes |= {i.value.type.dtype for i in graph.inputs}
    step = max((_STEP[d] for d in dtypes if d in _STEP), default=_STEP[DType.F32])
    return ROUNDINGS * step * math.sqrt(max(1, measure_depth(graph)))


def measure_depth(graph: Graph) -> int:
    """The largest number of nodes that compute on a way from an input to an output."""
    depth: dict[str, int] = {}
    for node in graph.nodes:
        types = [v.type if v is not None else None for v in node.inputs]
        work = node.op.multiply_adds(types, [v.type for v in node.outputs]) != 0
        before = max((depth.get(v.name, 0) for v in node.inputs if v is not None), default=0)
        for value in node.outputs:
            depth[value.name] = before + int(work or node.op.broadcasts)
    return max((depth.get(o.value.name, 0) for o in graph.outputs), default=0)


def compare(expected: Array, found: Array, *, by_rows: bool = False) -> Difference:
    """The largest difference of two arrays, in proportion to the reference. With `by_rows`,
    every row along the first axis has a magnitude of its own: rows may be independent inputs."""
    if expected.shape != found.shape:
        return Difference(math.inf, reason=f"shape {found.shape}, not {expected.shape}")
    if expected.dtype != found.dtype:
        return Difference(math.inf, reason=f"dtype {found.dtype}, not {expected.dtype}")
    if expected.size == 0:
        return Difference(0.0)
    if expected.dtype.kind not in "fV":
        return _compare_whole(expected, found)
    left, right = expected.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(left)
    strange = (finite != np.isfinite(right)) | (~finite & ~_same(left, right))
    if strange.any():
        return _describe(left, right, strange, math.inf)
    sizes = np.abs(np.where(finite, left, 0.0))
    axes = tuple(range(1, left.ndim)) if by_rows and left.ndim else None
    scale = np.maximum(sizes.max(axis=axes, keepdims=True), np.finfo(np.float32).tiny)
    apart = np.where(finite, left, 0.0) - np.where(finite, right, 0.0)
    error = np.abs(apart) / scale
    return _describe(left, right, error, float(error.max()))


def _compare_whole(expected: Array, found: Array) -> Difference:
    wrong = expected != found
    error = math.inf if wrong.any() else 0.0
    return _describe(expected.astype(np.float64), found.astype(np.float64), wrong, error)


def _same(left: Array, right: Array) -> Array:
    return np.asarray((left == right) | (np.isnan(left) & np.isnan(right)))


def _describe(expected: Array, found: Array, badness: Array, error: float) -> Difference:
    index = np.unravel_index(int(np.argmax(badness)), badness.shape)
    place = tuple(int(i) for i in index)
    return Difference(error, place, float(found[index]), float(expected[index]))


def compare_all(
    expected: Mapping[str, Array], found: Mapping[str, Array], *, by_rows: bool = False
) -> tuple[str, Difference]:
    """The output with the largest difference, and the difference."""
    differences = {
        name: compare(array, found[name], by_rows=by_rows) for name, array in expected.items()
    }
    worst = max(differences, key=lambda name: differences[name].error)
    return worst, differences[worst]
