"""Cases of matrix products and sums of products."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops.linear_algebra import Einsum, MatMul
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_arithmetic import draw_operands

SIZES = st.integers(1, 4)


@cases("matmul")
def draw_matmul(draw: Any) -> Case:
    dtype = draw(st.sampled_from(("float32", "float64", "int64")))
    inner = draw(SIZES)
    heads, named = draw_operands(draw, (dtype, dtype))
    symbols = dict(named)
    shapes = [(*heads[0].shape, draw(SIZES), inner), (*heads[1].shape, inner, draw(SIZES))]
    symbols[0, len(shapes[0]) - 1] = symbols[1, len(shapes[1]) - 2] = "inner"
    if draw(st.integers(0, 3)) == 0:
        shapes[0] = (inner,)
        symbols = {k: n for k, n in symbols.items() if k[0] != 0} | {(0, 0): "inner"}
    if draw(st.integers(0, 3)) == 0:
        shapes[1] = (inner,)
        symbols = {k: n for k, n in symbols.items() if k[0] != 1} | {(1, 0): "inner"}
    arrays = (draw_numbers(draw, shape, dtype) for shape in shapes)
    return make_case(MatMul(), *arrays, symbols=symbols)


EQUATIONS = (
    ("ij->ji", 0),
    ("ij", 0),
    ("ij->", 0),
    ("nij,njk->nik", 0),
    ("nij, nkj -> nik", 0),
    ("bhid,bhjd->bhij", 0),
    ("i,j->ij", 0),
    ("ij,jk,kl->il", 0),
    ("...ij,...jk->...ik", 2),
    ("...i,i->...", 1),
    ("ji...,j->...i", 1),
    ("ij,jk", 0),
)


@cases("einsum")
def draw_einsum(draw: Any) -> Case:
    equation, rest = draw(st.sampled_from(EQUATIONS))
    sizes = {c: draw(SIZES) for c in sorted(set(equation)) if c.isalpha()}
    dots = draw_shape(draw, 0, rest) if rest else ()
    names = {c for c in sizes if draw(st.booleans())}
    arrays, symbols = [], {}
    dtype = draw(st.sampled_from(("float32", "float64")))
    for index, group in enumerate(equation.replace(" ", "").partition("->")[0].split(",")):
        shape: list[int] = []
        for letter in group.replace("...", "."):
            if letter in names:
                symbols[index, len(shape)] = letter
            shape += dots if letter == "." else [sizes[letter]]
        arrays.append(draw_numbers(draw, shape, dtype))
    return make_case(Einsum(equation), *arrays, symbols=symbols)
