"""Cases of subscripts and of entries picked and placed by tensors of positions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ir.operands import Array
from compiler.ops.gathering import Gather, OneHot, Put, TakeAlong
from compiler.ops.indexing import Index
from compiler.ops.items import IndexItem, NewAxis, Rest, SliceItem, TensorIndex
from compiler.ops.triangles import Causal, Tril, Triu
from compiler.types.tensor import DType
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_arithmetic import NUMBERS
from tests.laws.strategies_reduction import draw_symbols

DTYPES = st.sampled_from((*NUMBERS, "bool"))
WHOLE = st.sampled_from(("int64", "int32"))


def draw_slice(draw: Any, size: int) -> SliceItem:
    """A slice that takes something."""
    start = draw(st.integers(0, size - 1))
    stop = draw(st.integers(start + 1, size))
    step = draw(st.sampled_from((1, 1, 2, 3)))
    low = draw(st.sampled_from((None, start - size) if start == 0 else (start, start - size)))
    high = draw(st.sampled_from((None, size + 3) if stop == size else (stop, stop - size)))
    return SliceItem(low, high, step)


@cases("index")
def draw_index(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 4)
    x = draw_numbers(draw, shape, draw(DTYPES), 0, 9)
    kinds = [draw(st.sampled_from(("number", "slice", "slice", "whole"))) for _ in shape]
    arrays: list[Array] = [x]
    if draw(st.booleans()):  # tensors on neighbouring axes
        first = draw(st.integers(0, len(shape) - 1))
        count = draw(st.integers(1, min(2, len(shape) - first)))
        kinds[first : first + count] = ["tensor"] * count
    picked = draw_shape(draw, 0, 2, 3)
    items: list[IndexItem] = []
    for kind, size in zip(kinds, shape, strict=True):
        if kind != "tensor" and "tensor" not in kinds and draw(st.integers(0, 4)) == 0:
            items.append(NewAxis())
        match kind:
            case "number":
                items.append(draw(st.integers(-size, size - 1)))
            case "slice":
                items.append(draw_slice(draw, size))
            case "whole":
                items.append(SliceItem())
            case "tensor":
                own = tuple(1 if draw(st.integers(0, 3)) == 0 else n for n in picked)
                arrays.append(draw_numbers(draw, own, draw(WHOLE), -size, size))
                items.append(TensorIndex(len(arrays) - 1))
    names = draw_symbols(draw, len(shape))
    symbols = {k: n for k, n in names.items() if kinds[k[1]] in ("whole", "tensor")}
    return make_case(Index(_shorten(draw, items)), *arrays, symbols=symbols)


def _shorten(draw: Any, items: list[IndexItem]) -> tuple[IndexItem, ...]:
    """Whole axes in a row written as `...`, or left out at the end."""
    whole = [i for i, item in enumerate(items) if item == SliceItem()]
    if whole and draw(st.booleans()):
        first = whole[0]
        last = first
        while last + 1 in whole:
            last += 1
        return (*items[:first], Rest(), *items[last + 1 :])
    while items and items[-1] == SliceItem() and draw(st.booleans()):
        items = items[:-1]
    return tuple(items)


@cases("gather")
def draw_gather(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 4)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    x = draw_numbers(draw, shape, draw(DTYPES), 0, 6)
    own = [draw(st.integers(1, n)) for n in shape]
    own[axis] = draw(st.integers(1, 6))
    index = draw_numbers(draw, own, draw(WHOLE), 0, shape[axis])
    smaller = any(
        a != b for i, (a, b) in enumerate(zip(own, shape, strict=True)) if i != axis % len(shape)
    )
    skip = {"reference": "it wants equal sizes beside the axis"} if smaller else {}
    return make_case(Gather(axis), x, index, skip=skip)


@cases("take_along")
def draw_take_along(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 4)
    axis = draw(st.integers(0, len(shape) - 1))
    x = draw_numbers(draw, shape, draw(DTYPES), 0, 6)
    several = (draw(st.integers(1, 4)),) if draw(st.booleans()) else ()
    index = draw_numbers(draw, (*shape[:axis], *several), draw(WHOLE), 0, shape[axis])
    names = draw_symbols(draw, len(shape))
    symbols = {(o, a): n for (_, a), n in names.items() for o in (0, 1) if a < axis or o == 0}
    signed = axis - len(shape) if draw(st.booleans()) else axis
    return make_case(TakeAlong(signed), x, index, symbols=symbols)


@cases("put")
def draw_put(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 4)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    dtype = draw(DTYPES)
    piece = list(shape)
    piece[axis] = draw(st.integers(1, shape[axis]))
    at = np.array(draw(st.integers(0, shape[axis] - piece[axis])), draw(WHOLE))
    arrays = (draw_numbers(draw, shape, dtype, 0, 6), draw_numbers(draw, piece, dtype, 0, 6), at)
    symbols = {}
    for (_, a), name in draw_symbols(draw, len(shape)).items():
        symbols[0, a] = name
        symbols[1, a] = f"{name}1" if a == axis % len(shape) else name
    return make_case(Put(axis), *arrays, symbols=symbols)


@cases("one_hot")
def draw_one_hot(draw: Any) -> Case:
    classes = draw(st.integers(1, 5))
    dtype = draw(st.sampled_from(("int64", "int32", "int8", "uint8")))
    x = draw_numbers(draw, draw_shape(draw, 0, 3), dtype, 0, classes)
    made = draw(st.sampled_from([d for d in DType if d is not DType.BF16]))
    return make_case(OneHot(classes, made), x, symbols=draw_symbols(draw, x.ndim))


@cases("triu", "tril")
def draw_triangle(draw: Any, name: str) -> Case:
    x = draw_numbers(draw, draw_shape(draw, 2, 4), draw(DTYPES), 1, 6)
    op = {"triu": Triu, "tril": Tril}[name](draw(st.integers(-3, 3)))
    return make_case(op, x, symbols=draw_symbols(draw, x.ndim))


@cases("causal")
def draw_causal(draw: Any) -> Case:
    return make_case(Causal(draw(st.sampled_from((1, 2, 5, 70)))))
