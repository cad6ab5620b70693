"""Cases of the ops of column expressions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ops.fitted import ClassWeight, Fill, Standardize
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case

DTYPES = st.sampled_from(("float32", "int64", "uint8", "float64"))


@cases("standardize")
def draw_standardize(draw: Any) -> Case:
    shape = draw_shape(draw, 0, 3)
    axes = draw(
        st.one_of(st.none(), st.sets(st.integers(0, len(shape) - 1)) if shape else st.none())
    )
    op = Standardize(
        None if axes is None else tuple(a - draw(st.sampled_from((0, len(shape)))) for a in axes)
    )
    return make_case(op, draw_numbers(draw, shape, draw(DTYPES), 0, 9))


@cases("fill")
def draw_fill(draw: Any) -> Case:
    x = draw_numbers(draw, draw_shape(draw, 0, 3), draw(DTYPES), 0, 9)
    if x.dtype.kind == "f":
        x = np.where(draw_numbers(draw, x.shape, "bool"), np.asarray(np.nan, x.dtype), x)
    fillers = ("median", "mean", 0.0, 2.5, *(() if x.ndim else ("most_frequent",)))
    return make_case(Fill(draw(st.sampled_from(fillers))), x)


@cases("class_weight")
def draw_class_weight(draw: Any) -> Case:
    classes = draw(st.integers(1, 5))
    dtype = draw(st.sampled_from(("int64", "int32")))
    x = draw_numbers(draw, draw_shape(draw, 0, 3), dtype, 0, classes)
    return make_case(ClassWeight(classes), x)
