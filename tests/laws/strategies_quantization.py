"""Cases of quantization."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops.quantization import LEVELS, FakeQuantize
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case


@cases("fake_quantize")
def draw_fake_quantize(draw: Any) -> Case:
    x = draw_numbers(draw, draw_shape(draw, 1, 4), "float32", -40, 40)
    axis = draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    dtype = draw(st.sampled_from(sorted(LEVELS)))
    skip = {"reference": "onnx.reference has no DequantizeLinear of opset 18"}
    return make_case(FakeQuantize(dtype, axis), x, skip=skip)
