"""Cases of tensors joined and cut."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops.joining import Chunk, Concat, Split, Stack, Unbind
from compiler.types.dims import Dim
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_arithmetic import NUMBERS
from tests.laws.strategies_reduction import draw_symbols

DTYPES = st.sampled_from((*NUMBERS, "bool"))


def _draw_axis(draw: Any, rank: int) -> int:
    return draw(st.integers(-rank, rank - 1))  # type: ignore[no-any-return]


@cases("concat")
def draw_concat(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 4)
    axis = _draw_axis(draw, len(shape))
    joined = axis % len(shape)
    count = draw(st.integers(1, 3))
    dtypes = [draw(DTYPES)] * count if draw(st.booleans()) else [draw(DTYPES) for _ in range(count)]
    arrays, symbols = [], {}
    named = [draw(st.booleans()) for _ in shape]
    for index, dtype in enumerate(dtypes):
        own = list(shape)
        own[joined] = draw(st.integers(1, 4))
        arrays.append(draw_numbers(draw, own, dtype, 0, 6))
        for a in range(len(shape)):
            if named[a]:
                symbols[index, a] = f"{'abcd'[a]}{index if a == joined else ''}"
    return make_case(Concat(axis), *arrays, symbols=symbols)


@cases("stack")
def draw_stack(draw: Any) -> Case:
    shape = draw_shape(draw, 0, 3)
    count = draw(st.integers(1, 3))
    dtypes = [draw(DTYPES)] * count if draw(st.booleans()) else [draw(DTYPES) for _ in range(count)]
    arrays = [draw_numbers(draw, shape, dtype, 0, 6) for dtype in dtypes]
    named = draw_symbols(draw, len(shape))
    symbols = {(index, a): name for index in range(count) for (_, a), name in named.items()}
    return make_case(Stack(_draw_axis(draw, len(shape) + 1)), *arrays, symbols=symbols)


def _draw_cut(draw: Any) -> tuple[Any, int, dict[tuple[int, int], str]]:
    """A tensor, an axis of known size that is to be cut, and symbols for the others."""
    shape = list(draw_shape(draw, 1, 4))
    axis = _draw_axis(draw, len(shape))
    shape[axis] = draw(st.integers(1, 9))
    symbols = draw_symbols(draw, len(shape))
    symbols.pop((0, axis % len(shape)), None)
    return draw_numbers(draw, shape, draw(DTYPES), 0, 6), axis, symbols


@cases("split")
def draw_split(draw: Any) -> Case:
    x, axis, symbols = _draw_cut(draw)
    size = x.shape[axis]
    if draw(st.booleans()):
        return make_case(Split(draw(st.integers(1, size)), axis), x, symbols=symbols)
    sizes: list[int | Dim] = []
    while size:
        sizes.append(draw(st.integers(1, size)))
        size -= sizes[-1]  # type: ignore[operator]
    if len(sizes) == 2 and draw(st.booleans()):  # a size that is not known: all but the first
        symbols[0, axis % x.ndim] = "whole"
        sizes[1] = Dim.of("whole") - sizes[0]
    return make_case(Split(tuple(sizes), axis), x, symbols=symbols)


@cases("chunk")
def draw_chunk(draw: Any) -> Case:
    x, axis, symbols = _draw_cut(draw)
    size = x.shape[axis]
    fitting = [n for n in range(1, size + 1) if -(-size // -(-size // n)) == n]
    return make_case(Chunk(draw(st.sampled_from(fitting)), axis), x, symbols=symbols)


@cases("unbind")
def draw_unbind(draw: Any) -> Case:
    x, axis, symbols = _draw_cut(draw)
    return make_case(Unbind(axis), x, symbols=symbols)
