"""Cases of running totals along an axis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops.cumulative import CumProd, CumSum
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_arithmetic import NUMBERS
from tests.laws.strategies_reduction import draw_symbols


@cases("cumsum", "cumprod")
def draw_running(draw: Any, name: str) -> Case:
    shape = draw_shape(draw, 1, 4)
    dtype = draw(st.sampled_from((*NUMBERS, "bool")))
    x = draw_numbers(draw, shape, dtype, 0 if dtype == "uint8" else -2, 3)
    op = {"cumsum": CumSum, "cumprod": CumProd}[name](
        draw(st.integers(-len(shape), len(shape) - 1))
    )
    return make_case(op, x, symbols=draw_symbols(draw, len(shape)))
