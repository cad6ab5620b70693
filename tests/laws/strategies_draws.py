"""Cases of random draws; their numbers are judged in `tests/test_draws.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ops.draws import (
    Bernoulli,
    BernoulliLike,
    Normal,
    NormalLike,
    Uniform,
    UniformLike,
)
from compiler.ops.whole_draws import Categorical, Permutation, Randint
from compiler.types.tensor import DType
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_reduction import draw_symbols

FLOATS = st.sampled_from((DType.F32, DType.F64, DType.F16))
NEWEST = 21
"""ONNX Runtime has no kernels of later versions of its random operators."""
STANDARD = "onnx.reference has no Multinomial"


@cases("normal")
def draw_normal(draw: Any) -> Case:
    mean, std = draw(st.sampled_from(((0.0, 1.0), (0.0, 0.5), (-2.0, 1.0), (3.0, 0.0))))
    return make_case(Normal(draw_shape(draw, 0, 3), mean, std, draw(FLOATS)), newest=NEWEST)


@cases("uniform")
def draw_uniform(draw: Any) -> Case:
    low, high = draw(st.sampled_from(((0.0, 1.0), (-1.0, 1.0), (0.5, 3.0))))
    return make_case(Uniform(draw_shape(draw, 0, 3), low, high, draw(FLOATS)), newest=NEWEST)


@cases("normal_like", "uniform_like", "bernoulli_like")
def draw_like(draw: Any, name: str) -> Case:
    dtype = draw(st.sampled_from(("float32", "float64")))
    x = draw_numbers(draw, draw_shape(draw, 0, 4), dtype)
    op = {
        "normal_like": NormalLike(*draw(st.sampled_from(((0.0, 1.0), (1.0, 1.0), (0.0, 0.1))))),
        "uniform_like": UniformLike(*draw(st.sampled_from(((0.0, 1.0), (-3.0, -1.0))))),
        "bernoulli_like": BernoulliLike(draw(st.sampled_from((0.0, 0.3, 1.0)))),
    }[name]
    return make_case(op, x, symbols=draw_symbols(draw, x.ndim), newest=NEWEST)


@cases("bernoulli")
def draw_bernoulli(draw: Any) -> Case:
    dtype = draw(st.one_of(st.none(), st.sampled_from((DType.F32, DType.BOOL, DType.I64))))
    if draw(st.booleans()):
        p = draw_numbers(draw, draw_shape(draw, 0, 3), low=0, high=1)
        return make_case(
            Bernoulli(None, dtype), p, symbols=draw_symbols(draw, p.ndim), newest=NEWEST
        )
    shape = draw_shape(draw, 1, 3)
    own = draw(st.sampled_from(((), shape[-1:], (1, *shape[1:]))))
    p = draw_numbers(draw, own, low=0, high=1)
    return make_case(Bernoulli(shape, dtype), p, newest=NEWEST)


@cases("randint")
def draw_randint(draw: Any) -> Case:
    low = draw(st.sampled_from((0, -3, 5)))
    high = low + draw(st.sampled_from((1, 2, 1000, 2**40)))
    return make_case(Randint(low, high, draw_shape(draw, 0, 3)), newest=NEWEST)


@cases("permutation")
def draw_permutation(draw: Any) -> Case:
    return make_case(Permutation(draw(st.integers(1, 20))), newest=NEWEST)


@cases("categorical")
def draw_categorical(draw: Any) -> Case:
    logits = draw_numbers(draw, draw_shape(draw, 1, 4))
    if logits.shape[-1] > 1 and draw(st.booleans()):
        logits[..., 0] = -np.inf
    skip = {"reference": STANDARD}
    return make_case(
        Categorical(), logits, symbols=draw_symbols(draw, logits.ndim), skip=skip, newest=NEWEST
    )
