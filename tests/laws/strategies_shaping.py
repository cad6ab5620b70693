"""Cases of reshaping and of axes moved, added, dropped and repeated."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from compiler.ops.items import Rest, ShapeItem
from compiler.ops.repeating import Repeat, RepeatInterleave
from compiler.ops.reshaping import Flatten, Reshape
from compiler.ops.shaping import Expand, Flip, Permute, Squeeze, Transpose, Unsqueeze
from compiler.types.dims import Dim, product
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_arithmetic import NUMBERS
from tests.laws.strategies_reduction import draw_axes, draw_symbols

DTYPES = st.sampled_from((*NUMBERS, "bool"))


def draw_tensor(draw: Any, least: int = 0, most: int = 4) -> Any:
    """A tensor of any dtype."""
    return draw_numbers(draw, draw_shape(draw, least, most), draw(DTYPES), 0, 6)


def draw_groups(draw: Any, shape: tuple[int, ...]) -> list[int]:
    """Sizes that hold the same elements: factors of the size, in some order."""
    left = math.prod(shape)
    sizes = []
    while left > 1 and len(sizes) < 4:
        factor = draw(st.sampled_from([n for n in range(1, left + 1) if left % n == 0]))
        sizes.append(factor)
        left //= factor
    return [*sizes, left] if left > 1 or not sizes else sizes


@cases("reshape")
def draw_reshape(draw: Any) -> Case:
    kept = draw_shape(draw, 0, 2, 3)
    moved = draw_shape(draw, 0, 3, 4)
    x = draw_numbers(draw, (*kept, *moved), draw(DTYPES), 0, 6)
    names = ["ab"[i] if draw(st.booleans()) else n for i, n in enumerate(kept)]
    symbols = {(0, i): n for i, n in enumerate(names) if isinstance(n, str)}
    front: list[ShapeItem] = [Dim.of(n) for n in names]
    behind: list[ShapeItem] = [*draw_groups(draw, moved)]
    kind = draw(st.sampled_from(("plain", "rest", "open", "merge")))
    if kind == "rest" and kept:
        front[draw(st.integers(0, len(kept) - 1)) :] = [Rest()]
    elif kind == "open":
        behind[draw(st.integers(0, len(behind) - 1))] = -1
    elif kind == "merge" and kept:
        front, behind = [], [product(Dim.of(n) for n in names), *behind]
    return make_case(Reshape((*front, *behind)), x, symbols=symbols)


@cases("flatten")
def draw_flatten(draw: Any) -> Case:
    x = draw_tensor(draw, 2)
    start = draw(st.integers(0, x.ndim - 1))
    end = draw(st.integers(start, x.ndim - 1))
    signs = [draw(st.booleans()) for _ in range(2)]
    bounds = [n - x.ndim if s else n for n, s in zip((start, end), signs, strict=True)]
    op = Flatten() if draw(st.booleans()) else Flatten(*bounds)
    return make_case(op, x, symbols=draw_symbols(draw, x.ndim))


@cases("transpose")
def draw_transpose(draw: Any) -> Case:
    x = draw_tensor(draw, 1)
    axis = st.integers(-x.ndim, x.ndim - 1)
    return make_case(Transpose(draw(axis), draw(axis)), x, symbols=draw_symbols(draw, x.ndim))


@cases("permute")
def draw_permute(draw: Any) -> Case:
    x = draw_tensor(draw, 1)
    order = draw(st.permutations(range(x.ndim)))
    axes = tuple(a - x.ndim if draw(st.booleans()) else a for a in order)
    return make_case(Permute(axes), x, symbols=draw_symbols(draw, x.ndim))


@cases("squeeze")
def draw_squeeze(draw: Any) -> Case:
    shape = list(draw_shape(draw, 1, 4))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=2, unique=True))
    for axis in axes:
        shape[axis] = 1
    x = draw_numbers(draw, shape, draw(DTYPES), 0, 6)
    named = {k: n for k, n in draw_symbols(draw, x.ndim).items() if k[1] not in axes}
    signed = tuple(a - x.ndim if draw(st.booleans()) else a for a in axes)
    axis = draw(st.sampled_from((signed, signed[0])))
    return make_case(Squeeze(axis), x, symbols=named)


@cases("unsqueeze")
def draw_unsqueeze(draw: Any) -> Case:
    x = draw_tensor(draw)
    op = Unsqueeze(draw(st.integers(-x.ndim - 1, x.ndim)))
    return make_case(op, x, symbols=draw_symbols(draw, x.ndim))


@cases("expand")
def draw_expand(draw: Any) -> Case:
    target = draw_shape(draw, 1, 4, 4)
    first = draw(st.integers(0, len(target)))
    single = [draw(st.booleans()) for _ in target]
    shape = [1 if single[a] else target[a] for a in range(first, len(target))]
    x = draw_numbers(draw, shape, draw(DTYPES), 0, 6)
    symbols = {
        (0, a - first): "abcd"[a]
        for a in range(first, len(target))
        if not single[a] and draw(st.booleans())
    }
    sizes: list[int | Dim] = []
    for axis, size in enumerate(target):
        kept = axis >= first and not single[axis]
        name = symbols.get((0, axis - first))
        sizes.append(-1 if kept and draw(st.booleans()) else Dim.of(name or size))
    return make_case(Expand(tuple(sizes)), x, symbols=symbols)


@cases("flip")
def draw_flip(draw: Any) -> Case:
    x = draw_tensor(draw, 1)
    axis = draw_axes(draw, x.ndim)
    op = Flip(tuple(range(x.ndim)) if axis is None else axis)
    return make_case(op, x, symbols=draw_symbols(draw, x.ndim))


@cases("repeat")
def draw_repeat(draw: Any) -> Case:
    x = draw_tensor(draw, 0, 3)
    times = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=4)))
    return make_case(Repeat(times), x, symbols=draw_symbols(draw, x.ndim))


@cases("repeat_interleave")
def draw_repeat_interleave(draw: Any) -> Case:
    x = draw_tensor(draw, 1)
    op = RepeatInterleave(draw(st.integers(1, 3)), draw(st.integers(-x.ndim, x.ndim - 1)))
    return make_case(op, x, symbols=draw_symbols(draw, x.ndim))
