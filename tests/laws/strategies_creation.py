"""Cases of tensors made from nothing."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from compiler.ops.creation import Constant, Full, OnesLike, ZerosLike
from compiler.ops.ranges import Arange, Linspace
from compiler.ops.registry import OPS
from compiler.ops.sizes import Size
from compiler.types.dims import Dim
from compiler.types.tensor import DType
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_arithmetic import NUMBERS
from tests.laws.strategies_reduction import draw_symbols

DTYPES = st.sampled_from([d for d in DType if d is not DType.BF16])
VALUES = st.sampled_from((0, 1, 3, True, 0.5, -1.25, math.inf, math.pi))


def draw_large_shape(draw: Any) -> tuple[int, ...]:
    """Mostly small; sometimes too large to be written as numbers."""
    return (70, 80) if draw(st.integers(0, 5)) == 0 else draw_shape(draw, 0, 3)


@cases("constant")
def draw_constant(draw: Any) -> Case:
    shape = draw_shape(draw, 0, 3, 3)
    dtype = draw(DTYPES)
    if not shape or draw(st.booleans()):
        value = draw(VALUES) if dtype.is_float else draw(st.sampled_from((0, 1, 3)))
        return make_case(Constant(bool(value) if dtype is DType.BOOL else value, dtype, shape))
    return make_case(Constant.of(draw_numbers(draw, shape, dtype.numpy.name, 0, 6), dtype))


@cases("size")
def draw_size(draw: Any) -> Case:
    dtype = draw(st.sampled_from((DType.I64, DType.F32, DType.I32, DType.F64)))
    return make_case(Size(Dim.of(draw(st.integers(1, 1000))), dtype))


@cases("zeros", "ones")
def draw_filled(draw: Any, name: str) -> Case:
    return make_case(OPS.get(name)(draw_large_shape(draw), draw(DTYPES)))  # type: ignore[misc]


@cases("full")
def draw_full(draw: Any) -> Case:
    value = draw(VALUES)
    floats = st.sampled_from((None, DType.F32, DType.F64, DType.F16))
    dtype = draw(floats if isinstance(value, float) else st.one_of(st.none(), DTYPES))
    return make_case(Full(draw_large_shape(draw), value, dtype))


@cases("zeros_like", "ones_like")
def draw_like(draw: Any, name: str) -> Case:
    shape = draw_large_shape(draw)
    x = draw_numbers(draw, shape, draw(st.sampled_from((*NUMBERS, "bool"))), 0, 6)
    op = {"zeros_like": ZerosLike, "ones_like": OnesLike}[name](draw(st.one_of(st.none(), DTYPES)))
    return make_case(op, x, symbols=draw_symbols(draw, x.ndim))


@cases("arange")
def draw_arange(draw: Any) -> Case:
    dtype = draw(st.sampled_from((None, DType.F32, DType.I32, DType.F64)))
    if draw(st.integers(0, 3)) == 0:
        return make_case(Arange(draw(st.sampled_from((1, 7, 5000))), dtype=dtype))
    step = draw(st.sampled_from((1, 2, 3, -1, -2, 0.5, 0.25)))
    start = draw(st.integers(-5, 5))
    count = draw(st.integers(1, 8))
    if isinstance(step, float):
        return make_case(Arange(float(start), start + step * (count - 0.5), step))
    return make_case(Arange(start, start + step * count, step, dtype))


@cases("linspace")
def draw_linspace(draw: Any) -> Case:
    bounds = st.sampled_from((-1.0, 0.0, 1e-4, 0.02, 5.0))
    return make_case(Linspace(draw(bounds), draw(bounds), draw(st.integers(1, 40))))
