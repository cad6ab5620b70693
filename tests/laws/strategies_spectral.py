"""Cases of weights divided by their largest singular value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ops.spectral import SpectralNorm
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case


@cases("spectral_norm")
def draw_spectral_norm(draw: Any) -> Case:
    shape = draw_shape(draw, 2, 4)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    x = draw_numbers(draw, shape)
    matrix = np.moveaxis(x, axis, 0).reshape(shape[axis], -1)
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    near = [draw_numbers(draw, (size,), low=-0.1, high=0.1) for size in matrix.shape]
    u, v = left[:, 0] + near[0], right[0] + near[1]
    assert u.shape[0] * v.shape[0] == math.prod(shape)
    op = SpectralNorm(axis, draw(st.integers(1, 3)), draw(st.sampled_from((1e-12, 1e-4))))
    return make_case(op, x, u.astype(np.float32), v.astype(np.float32))
