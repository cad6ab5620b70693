"""Cases of spectra."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops.spectra import Stft
from tests.laws.harness import Case, cases, draw_numbers, make_case


@cases("stft")
def draw_stft(draw: Any) -> Case:
    size = draw(st.integers(2, 9))
    hop = draw(st.sampled_from((None, 1, 2, 3))) if size >= 4 else draw(st.integers(1, 3))
    op = Stft(size, hop, draw(st.booleans()))
    x = draw_numbers(draw, (draw(st.integers(1, 3)), size + draw(st.integers(0, 12))))
    symbols = {(0, a): "nt"[a] for a in (0, 1) if draw(st.booleans())}
    return make_case(op, x, draw_numbers(draw, (size,)), symbols=symbols)
