"""Cases of linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ir.operands import Array
from compiler.ops.matrices import Cholesky, Det, Inverse, LogDet, Solve
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case

NONE = dict.fromkeys(("onnxruntime", "reference"), "ONNX has no such operator")


def draw_matrices(draw: Any) -> tuple[Array, dict[tuple[int, int], str]]:
    """Symmetric positive definite matrices, and names of some sizes."""
    n = draw(st.integers(1, 4))
    front = draw_shape(draw, 0, 2)
    x = draw_numbers(draw, (*front, n, n))
    x = x @ np.swapaxes(x, -2, -1) + np.eye(n, dtype=np.float32)
    symbols = {(0, a): "ab"[a] for a in range(len(front)) if draw(st.booleans())}
    if draw(st.booleans()):
        symbols |= {(0, len(front)): "n", (0, len(front) + 1): "n"}
    return x, symbols


@cases("det")
def draw_det(draw: Any) -> Case:
    x, symbols = draw_matrices(draw)
    return make_case(Det(), x - 2, symbols=symbols)


@cases("logdet", "cholesky")
def draw_definite(draw: Any, name: str) -> Case:
    x, symbols = draw_matrices(draw)
    op = LogDet() if name == "logdet" else Cholesky()
    return make_case(op, x, symbols=symbols, skip=NONE)


@cases("inverse")
def draw_inverse(draw: Any) -> Case:
    x, symbols = draw_matrices(draw)
    return make_case(Inverse(), -np.flip(x, -1), symbols=symbols, skip=NONE)


@cases("solve")
def draw_solve(draw: Any) -> Case:
    x, symbols = draw_matrices(draw)
    b = draw_numbers(draw, (*x.shape[:-1], draw(st.integers(1, 3))))
    symbols |= {(1, a): name for (_, a), name in symbols.items() if a < x.ndim - 1}
    return make_case(Solve(), np.flip(x, -1), b, symbols=symbols, skip=NONE)
