"""Cases of attention."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ops.attention import ScaledDotProductAttention
from tests.laws.harness import Case, cases, draw_numbers, make_case


def draw_mask(draw: Any, scores: tuple[int, ...]) -> Any:
    """No mask, truth values or fractions, over all of the scores or fewer axes of them."""
    kind = draw(st.sampled_from(("none", "bool", "float", "-inf")))
    if kind == "none":
        return None
    rank = draw(st.integers(2, len(scores)))
    shape = [size if draw(st.booleans()) else 1 for size in scores[-rank:]]
    mask = draw_numbers(draw, shape, "bool" if kind == "bool" else "float32")
    return np.where(mask > 0, mask, -np.inf).astype(np.float32) if kind == "-inf" else mask


@cases("scaled_dot_product_attention")
def draw_attention(draw: Any) -> Case:
    grouped = draw(st.booleans())
    lead = tuple(draw(st.lists(st.integers(1, 3), min_size=int(grouped), max_size=2)))
    t, s, d, v = (draw(st.integers(1, 5)) for _ in range(4))
    heads = (*lead[:-1], lead[-1] * draw(st.integers(1, 3))) if grouped else lead
    arrays = [
        draw_numbers(draw, (*heads, t, d)),
        draw_numbers(draw, (*lead, s, d)),
        draw_numbers(draw, (*lead, s, v)),
        draw_mask(draw, (*heads, t, s)),
    ]
    causal = arrays[3] is None and draw(st.booleans())
    op = ScaledDotProductAttention(
        causal=causal, scale=draw(st.sampled_from((None, 0.25))), grouped=grouped
    )
    symbols: dict[tuple[int, int], str] = {}
    if draw(st.booleans()):
        symbols.update({(0, len(heads)): "t", (1, len(lead)): "s", (2, len(lead)): "s"})
    if len(lead) == 2 and draw(st.booleans()):
        symbols.update({(0, 0): "batch", (1, 0): "batch", (2, 0): "batch"})
    return make_case(op, *arrays, symbols=symbols)
