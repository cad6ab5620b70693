"""Cases of arithmetic, comparisons, logic and choosing: broadcasting and promotion."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ir.operands import Array
from compiler.ops.choosing import Cast, Clip, Where
from compiler.ops.registry import OPS
from compiler.types.tensor import DType
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case

FLOATS = ("float32", "float64", "float16")
WHOLE = ("int64", "int32", "int16", "int8", "uint8")
NUMBERS = (*FLOATS, *WHOLE)
NO_KERNEL = {"onnxruntime": "ONNX Runtime has no kernel of f64 for it"}


def draw_operands(
    draw: Any, dtypes: tuple[str, ...], low: float = -5, high: float = 6
) -> tuple[list[Array], dict[tuple[int, int], str]]:
    """Operands of these dtypes that broadcast, and symbols for some of their sizes."""
    base = draw_shape(draw, 0, 4)
    arrays, symbols = [], {}
    named = [draw(st.booleans()) for _ in base]
    for index, dtype in enumerate(dtypes):
        first = draw(st.integers(0, len(base)))
        shape = []
        for axis in range(first, len(base)):
            single = draw(st.integers(0, 3)) == 0
            shape.append(1 if single else base[axis])
            if named[axis] and not single:
                symbols[index, axis - first] = "abcd"[axis]
        lowest = 0 if dtype in ("uint8", "bool") else low
        arrays.append(draw_numbers(draw, shape, dtype, lowest, high))
    return arrays, symbols


def draw_pair(draw: Any) -> tuple[str, str]:
    """Two dtypes, often the same, one at least of numbers."""
    left = draw(st.sampled_from(NUMBERS))
    right = draw(st.sampled_from((left, left, *NUMBERS, "bool")))
    return (left, right) if draw(st.booleans()) else (right, left)


@cases("add", "mul", "div", "maximum", "minimum")
def draw_arithmetic(draw: Any, name: str) -> Case:
    arrays, symbols = draw_operands(draw, draw_pair(draw))
    return make_case(OPS.get(name)(), *arrays, symbols=symbols)  # type: ignore[misc]


@cases("sub")
def draw_sub(draw: Any) -> Case:
    left = draw(st.sampled_from(NUMBERS))
    arrays, symbols = draw_operands(draw, (left, draw(st.sampled_from((left, *NUMBERS)))))
    return make_case(OPS.get("sub")(), *arrays, symbols=symbols)  # type: ignore[misc]


@cases("floor_divide", "remainder")
def draw_division(draw: Any, name: str) -> Case:
    left = draw(st.sampled_from(("float32", "float64", "int64", "int32", "int8", "uint8")))
    (a, b), symbols = draw_operands(draw, (left, left))
    b = np.where(b == 0, np.ones_like(b), b)
    if np.dtype(left).kind == "f" and draw(st.booleans()):
        a, b = np.round(a, 1), np.round(b, 1)  # quotients that are nearly whole
        b = np.where(b == 0, np.ones_like(b), b)
    return make_case(OPS.get(name)(), a, b, symbols=symbols)  # type: ignore[misc]


@cases("pow")
def draw_pow(draw: Any) -> Case:
    if draw(st.booleans()):
        pair = (draw(st.sampled_from(("float32", "float64"))), draw(st.sampled_from(NUMBERS)))
        (a, b), symbols = draw_operands(draw, pair, -2, 3)
        return make_case(OPS.get("pow")(), np.abs(a) + 1, b, symbols=symbols)  # type: ignore[misc]
    pair = (draw(st.sampled_from(WHOLE)), draw(st.sampled_from(WHOLE)))
    arrays, symbols = draw_operands(draw, pair, 0, 4)
    return make_case(OPS.get("pow")(), *arrays, symbols=symbols)  # type: ignore[misc]


@cases("neg")
def draw_neg(draw: Any) -> Case:
    (x,), symbols = draw_operands(draw, (draw(st.sampled_from(NUMBERS)),))
    return make_case(OPS.get("neg")(), x, symbols=symbols)  # type: ignore[misc]


@cases("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
def draw_comparison(draw: Any, name: str) -> Case:
    left = draw(st.sampled_from((*NUMBERS, "bool")))
    pair = (left, draw(st.sampled_from((left, *NUMBERS, "bool"))))
    arrays, symbols = draw_operands(draw, pair, -2, 3)
    whole = [np.round(a) if a.dtype.kind == "f" else a for a in arrays]  # so that some are equal
    return make_case(OPS.get(name)(), *whole, symbols=symbols)  # type: ignore[misc]


@cases("logical_and", "logical_or")
def draw_logic(draw: Any, name: str) -> Case:
    arrays, symbols = draw_operands(draw, ("bool", "bool"))
    return make_case(OPS.get(name)(), *arrays, symbols=symbols)  # type: ignore[misc]


@cases("logical_not")
def draw_not(draw: Any) -> Case:
    (x,), symbols = draw_operands(draw, ("bool",))
    return make_case(OPS.get("logical_not")(), x, symbols=symbols)  # type: ignore[misc]


@cases("where")
def draw_where(draw: Any) -> Case:
    both = draw(st.sampled_from((draw_pair(draw), ("bool", "bool"))))
    arrays, symbols = draw_operands(draw, ("bool", *both))
    return make_case(Where(), *arrays, symbols=symbols)


@cases("clip")
def draw_clip(draw: Any) -> Case:
    (x,), symbols = draw_operands(draw, (draw(st.sampled_from(NUMBERS)),))
    bounds = st.one_of(st.none(), st.integers(0, 4), st.sampled_from((0.5, 1.5, 2.0)))
    low, high = draw(bounds), draw(bounds)
    if low is None and high is None:
        low = 1
    return make_case(Clip(low, high), x, symbols=symbols)


@cases("cast")
def draw_cast(draw: Any) -> Case:
    dtype = draw(st.sampled_from((*NUMBERS, "bool")))
    (x,), symbols = draw_operands(draw, (dtype,), 0, 6)
    return make_case(
        Cast(draw(st.sampled_from([d for d in DType if d is not DType.BF16]))), x, symbols=symbols
    )
