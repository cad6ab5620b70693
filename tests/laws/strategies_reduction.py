"""Cases of reductions and statistics along axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ops.registry import OPS
from compiler.ops.statistics import ArgMax, ArgMin, L2Normalize, LogSumExp, Norm, Std, Var
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_arithmetic import FLOATS, NUMBERS


def draw_axes(draw: Any, rank: int) -> int | tuple[int, ...] | None:
    """One axis, several or all, from the front or from the end."""
    if rank == 0:
        return None
    axis = st.integers(-rank, rank - 1)
    some = st.lists(axis, min_size=1, max_size=rank, unique_by=lambda a: a % rank).map(tuple)
    return draw(st.one_of(st.none(), axis, some))  # type: ignore[no-any-return]


def draw_symbols(draw: Any, rank: int) -> dict[tuple[int, int], str]:
    """Names for some sizes of the only operand."""
    return {(0, a): "abcde"[a] for a in range(rank) if draw(st.booleans())}


@cases("sum", "prod", "max", "min")
def draw_reduction(draw: Any, name: str) -> Case:
    shape = draw_shape(draw, 0, 4)
    dtype = draw(st.sampled_from((*NUMBERS, "bool")))
    x = draw_numbers(draw, shape, dtype, 0 if dtype == "uint8" else -1.5, 3)
    if name == "prod":
        x = np.sign(x) if x.dtype.kind == "i" else x  # products that do not overflow
        x = (x / 30 + np.where(x < 0, -1, 1)).astype(x.dtype) if x.dtype == np.float16 else x
    op = OPS.get(name)(axis=draw_axes(draw, len(shape)), keep=draw(st.booleans()))  # type: ignore[misc]
    return make_case(op, x, symbols=draw_symbols(draw, len(shape)))


@cases("mean", "var", "std", "logsumexp", "norm")
def draw_statistic(draw: Any, name: str) -> Case:
    shape = (*draw_shape(draw, 0, 3), draw(st.integers(2, 5)))
    dtype = draw(st.sampled_from(FLOATS if name == "mean" else ("float32", "float64")))
    x = draw_numbers(draw, shape, dtype)
    axis, keep = draw_axes(draw, len(shape)), draw(st.booleans())
    unbiased = draw(st.booleans())
    order = draw(st.sampled_from((2.0, 1.0, 3.0, math.inf)))
    op = {
        "mean": lambda: OPS.get("mean")(axis, keep),  # type: ignore[misc]
        "var": lambda: Var(axis, keep, unbiased),
        "std": lambda: Std(axis, keep, unbiased),
        "logsumexp": lambda: LogSumExp(axis, keep),
        "norm": lambda: Norm(axis, keep, order),
    }[name]()
    return make_case(op, x, symbols=draw_symbols(draw, len(shape)))


@cases("any", "all")
def draw_quantifier(draw: Any, name: str) -> Case:
    shape = draw_shape(draw, 0, 4)
    op = OPS.get(name)(axis=draw_axes(draw, len(shape)), keep=draw(st.booleans()))  # type: ignore[misc]
    x = draw_numbers(draw, shape, "bool")
    return make_case(op, x, symbols=draw_symbols(draw, len(shape)))


@cases("argmax", "argmin")
def draw_position(draw: Any, name: str) -> Case:
    shape = draw_shape(draw, 1, 4)
    axis = draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
    dtype = draw(st.sampled_from(("float32", "float64", "int64", "int32", "int16", "uint8")))
    distinct = np.arange(math.prod(shape)).reshape(shape)  # PyTorch promises nothing for equals
    numbers = (distinct * 7 % 251 if dtype == "uint8" else distinct * 37 % 1009).astype(dtype)
    op = {"argmax": ArgMax, "argmin": ArgMin}[name](axis, draw(st.booleans()))
    return make_case(op, numbers, symbols=draw_symbols(draw, len(shape)))


@cases("l2_normalize")
def draw_l2_normalize(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 4)
    op = L2Normalize(draw(st.integers(-len(shape), len(shape) - 1)))
    x = draw_numbers(draw, shape, draw(st.sampled_from(("float32", "float64"))))
    return make_case(op, x, symbols=draw_symbols(draw, len(shape)))
