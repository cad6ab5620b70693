"""Cases of functions of one tensor, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ops.registry import OPS
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_arithmetic import NUMBERS


def _draw(draw: Any, name: str, dtypes: tuple[str, ...], low: float, high: float) -> Case:
    dtype = draw(st.sampled_from(dtypes))
    shape = draw_shape(draw, 0, 4)
    x = draw_numbers(draw, shape, dtype, 0 if dtype in ("uint8", "bool") else low, high)
    symbols = {(0, a): "abcd"[a] for a in range(len(shape)) if draw(st.booleans())}
    skip = {}
    if dtype == "float64" and name == "erf":
        skip = dict.fromkeys(("onnxruntime", "reference"), "there is no kernel of f64 for Erf")
    return make_case(OPS.get(name)(), x, symbols=symbols, skip=skip)  # type: ignore[misc]


@cases("exp", "expm1", "sin", "cos", "erf", "square", "abs", "floor", "ceil", "round")
def draw_plain(draw: Any, name: str) -> Case:
    return _draw(draw, name, NUMBERS, -4, 5)


@cases("log", "log1p", "sqrt", "rsqrt", "reciprocal")
def draw_positive(draw: Any, name: str) -> Case:
    return _draw(draw, name, (*NUMBERS, "bool"), 1, 9)


@cases("isnan")
def draw_isnan(draw: Any) -> Case:
    case = _draw(draw, "isnan", ("float32", "float64", "float16"), -1, 1)
    (x,) = case.arrays
    assert x is not None
    holes = np.where(draw_numbers(draw, x.shape, "bool"), x, np.array(np.nan, x.dtype))
    return Case(case.op, (holes,), case.types, case.sizes)
