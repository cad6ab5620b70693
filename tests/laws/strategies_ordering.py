"""Cases of entries in another order, and of entries put where tensors of positions say."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ir.operands import Array
from compiler.ops.ordering import Roll, Sort, TopK
from compiler.ops.scattering import IndexAdd, Scatter, ScatterAdd, ScatterReduce
from compiler.types.dims import Dim
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_arithmetic import NUMBERS
from tests.laws.strategies_reduction import draw_symbols

KINDS = st.sampled_from(NUMBERS)
REDUCE = st.sampled_from(("sum", "prod", "amax", "amin"))


def draw_axis(draw: Any, shape: tuple[int, ...]) -> int:
    return int(draw(st.integers(-len(shape), len(shape) - 1)))


def draw_alike(draw: Any, shape: tuple[int, ...]) -> Array:
    """Numbers of which some are equal."""
    dtype = draw(KINDS)
    x = draw_numbers(draw, shape, dtype, 0 if dtype == "uint8" else -2, 3)
    return np.round(x) if draw(st.booleans()) else x


@cases("sort")
def draw_sort(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 3)
    x = draw_alike(draw, shape)
    op = Sort(draw_axis(draw, shape), draw(st.booleans()))
    return make_case(op, x, symbols=draw_symbols(draw, len(shape)))


@cases("topk")
def draw_topk(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 3)
    axis = draw_axis(draw, shape)
    k: int | Dim = draw(st.integers(1, shape[axis]))
    x = draw_alike(draw, shape)
    symbols = draw_symbols(draw, len(shape))
    name = symbols.get((0, axis % len(shape)))
    if name is not None and draw(st.booleans()):
        k = Dim.of(name)
    return make_case(TopK(k, axis, draw(st.booleans())), x, symbols=symbols)


@cases("roll")
def draw_roll(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 4)
    x = draw_numbers(draw, shape, draw(st.sampled_from((*NUMBERS, "bool"))), 0, 9)
    axes = draw(st.lists(st.sampled_from(range(len(shape))), min_size=1, max_size=2, unique=True))
    shifts = tuple(draw(st.integers(-7, 7)) for _ in axes)
    op = Roll(shifts, tuple(axes))
    if len(axes) == 1 and draw(st.booleans()):
        op = Roll(shifts[0], axes[0] - len(shape))
    return make_case(op, x, symbols=draw_symbols(draw, len(shape)))


@cases("scatter", "scatter_add", "scatter_reduce")
def draw_scatter(draw: Any, name: str) -> Case:
    shape = draw_shape(draw, 1, 3)
    axis = draw_axis(draw, shape)
    dtype = draw(KINDS)
    own = [draw(st.integers(1, n)) for n in shape]
    if name != "scatter":
        own[axis] = draw(st.integers(1, 6))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    index = generator.random(own).argsort(axis=axis)  # no position twice
    if name != "scatter":
        index = generator.integers(0, shape[axis], own)
    index = index.astype(draw(st.sampled_from(("int64", "int32"))))
    made = {
        "scatter": lambda: Scatter(axis),
        "scatter_add": lambda: ScatterAdd(axis),
        "scatter_reduce": lambda: ScatterReduce(axis, draw(REDUCE)),
    }
    x, update = (draw_numbers(draw, s, dtype, 0, 3) for s in (shape, own))
    symbols = {}
    if own[axis] != shape[axis]:
        symbols = {(1, axis % len(shape)): "k", (2, axis % len(shape)): "k"}
    return make_case(made[name](), x, index, update, symbols=symbols)


@cases("index_add")
def draw_index_add(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 3)
    axis = draw_axis(draw, shape)
    own = list(shape)
    own[axis] = draw(st.integers(1, 6))
    dtype = draw(KINDS)
    index = draw_numbers(
        draw, (own[axis],), draw(st.sampled_from(("int64", "int32"))), 0, shape[axis]
    )
    x, update = (draw_numbers(draw, s, dtype, 0, 3) for s in (shape, own))
    symbols = {}
    for (_, a), size in draw_symbols(draw, len(shape)).items():
        symbols[0, a] = size
        if a != axis % len(shape):
            symbols[2, a] = size
    symbols |= {(1, 0): "k", (2, axis % len(shape)): "k"}
    return make_case(IndexAdd(axis), x, index, update, symbols=symbols)
