"""Cases of boxes of objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ops.detection import Nms
from tests.laws.harness import Case, cases, draw_numbers, make_case


@cases("nms")
def draw_nms(draw: Any) -> Case:
    count = draw(st.integers(1, 12))
    boxes = draw_numbers(draw, (count, 4))
    scores = draw_numbers(draw, (count,))
    if draw(st.booleans()):
        scores = np.round(scores)  # some are equal
    op = Nms(draw(st.sampled_from((0.0, 0.1, 0.3, 1.0))), draw(st.integers(1, 14)))
    symbols = {(0, 0): "n", (1, 0): "n"} if draw(st.booleans()) else {}
    return make_case(op, boxes, scores, symbols=symbols)
