"""Cases of weights in few bits, and of layers that compute with them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops.packed import DynamicDense, PackedDense
from compiler.ops.stored import Codebook, Stored
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case


@cases("stored")
def draw_stored(draw: Any) -> Case:
    bits = draw(st.sampled_from([4, 8]))
    shape = draw_shape(draw, 1, 4)
    if draw(st.booleans()) and bits == 8:
        return make_case(Stored(), draw_numbers(draw, shape).astype("float16"), None)
    signed = draw(st.booleans())
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    codes = draw_numbers(draw, shape, "int8" if signed else "uint8", low, high)
    axis = draw(st.none() | st.integers(0, len(shape) - 1))
    of = () if axis is None else tuple(n if a == axis else 1 for a, n in enumerate(shape))
    return make_case(Stored(bits), codes, draw_numbers(draw, of, "float32", 0.01, 0.1))


@cases("codebook")
def draw_codebook(draw: Any) -> Case:
    bits = draw(st.sampled_from([4, 8]))
    count = draw(st.integers(1, 2**bits))
    codes = draw_numbers(draw, draw_shape(draw, 1, 4), "uint8", 0, count)
    return make_case(Codebook(bits), codes, draw_numbers(draw, (count,)))


@cases("dynamic_dense")
def draw_dynamic_dense(draw: Any) -> Case:
    x = draw_numbers(draw, (*draw_shape(draw, 0, 2), draw(st.integers(1, 9))))
    op = DynamicDense(draw(st.integers(1, 6)), bias=draw(st.booleans()))
    rows = "the levels are those of all rows together"
    return make_case(op, x, skip={"rows": rows})


@cases("packed_dense")
def draw_packed_dense(draw: Any) -> Case:
    x = draw_numbers(draw, (*draw_shape(draw, 1, 2), draw(st.integers(1, 40))))
    op = PackedDense(
        draw(st.integers(1, 6)),
        bias=draw(st.booleans()),
        bits=draw(st.sampled_from([4, 8])),
        block=draw(st.sampled_from([16, 32])),
        symmetric=draw(st.booleans()),
        accuracy_level=1,
    )
    return make_case(op, x, skip={"reference": "onnx.reference has no MatMulNBits"})
