"""Formulas of docs/textbook/optimization.md."""

from __future__ import annotations

from itertools import product
from math import cos, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
HESSIAN = np.array([[3.0, 1.0], [1.0, 2.0]])


def gradient_descent(curvature: Array, w: Array) -> Array:
    return (1 - 0.05 * curvature[0]) ** 3 * w


def too_fast(curvature: Array, w: Array) -> Array:
    return (1 - 0.25 * curvature[0]) ** 4 * w


def best_rate(curvature: Array, w: Array) -> Array:
    low, high = curvature[0].min(), curvature[0].max()
    return ((high / low - 1) / (high / low + 1)) ** 2 * w


def newton(w: Array) -> Array:
    assert w.shape == (2, 1)
    return np.array([[1.0], [-2.0]])


def conjugate_gradients(b: Array) -> Array:
    """The lowest points in the spaces that `b`, and `b` and `H b`, span."""
    path = []
    for size in (1, 2):
        basis = np.stack([np.linalg.matrix_power(HESSIAN, i) @ b for i in range(size)], axis=1)
        path.append(basis @ np.linalg.solve(basis.T @ HESSIAN @ basis, basis.T @ b))
    return np.array(path)


def quasi_newton(x: Array, target: Array, fc_weight: Array, fc_bias: Array) -> dict[str, Array]:
    assert not np.any(fc_weight)
    assert not np.any(fc_bias)
    padded = np.hstack([x, np.ones((len(x), 1))])
    found = np.linalg.lstsq(padded, target, rcond=None)[0]
    return {"fc.weight": found[:2].T, "fc.bias": found[2]}


def momentum(curvature: Array, w: Array) -> Array:
    v = np.zeros(2)
    for _ in range(3):
        v = 0.9 * v + curvature[0] * w
        w = w - 0.05 * v
    return w


def velocity_of_steps(slope: Array, w: Array) -> Array:
    v = 0.0
    for rate in (0.1, 0.1, 0.01, 0.01):
        v = 0.5 * v + rate * slope[0]
        w = w + v
    return w


def velocity_of_gradients(slope: Array, w: Array) -> Array:
    v = 0.0
    for rate in (0.1, 0.1, 0.01, 0.01):
        v = 0.5 * v + slope[0]
        w = w + rate * v
    return w


def nesterov(curvature: Array, w: Array) -> Array:
    v = np.zeros(2)
    for _ in range(3):
        g = curvature[0] * w
        v = 0.9 * v + g
        w = w - 0.05 * (g + 0.9 * v)
    return w


def adagrad(curvature: Array, w: Array) -> Array:
    s = np.zeros(2)
    for _ in range(3):
        g = curvature[0] * w
        s = s + g**2
        w = w - 0.1 * g / (np.sqrt(s) + 1e-10)
    return w


def rmsprop(curvature: Array, w: Array) -> Array:
    s = np.zeros(2)
    for _ in range(3):
        g = curvature[0] * w
        s = 0.9 * s + 0.1 * g**2
        w = w - 0.01 * g / (np.sqrt(s) + 1e-8)
    return w


def _adam(curvature: Array, w: Array, decay: float) -> Array:
    m, v = np.zeros(2), np.zeros(2)
    for k in range(1, 4):
        g = curvature[0] * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        mean, square = m / (1 - 0.9**k), v / (1 - 0.999**k)
        w = (1 - 0.01 * decay) * w - 0.01 * mean / (np.sqrt(square) + 1e-8)
    return w


def adam(curvature: Array, w: Array) -> Array:
    return _adam(curvature, w, 0)


def adamw(curvature: Array, w: Array) -> Array:
    return _adam(curvature, w, 0.5)


def lion(curvature: Array, w: Array) -> Array:
    m = np.zeros(2)
    for _ in range(3):
        g = curvature[0] * w
        w = w - 0.001 * (np.sign(0.9 * m + 0.1 * g) + 0.1 * w)
        m = 0.99 * m + 0.01 * g
    return w


def lamb(curvature: Array, w: Array) -> Array:
    """At the first step the mean of gradients over the root of that of their squares is a sign."""
    r = np.sign(curvature[0] * w)
    return w - 0.1 * np.linalg.norm(w) / np.linalg.norm(r) * r


def clip_value(curvature: Array, w: Array) -> Array:
    return w - 0.1 * np.clip(curvature[0] * w, -2, 2)


def groups(x: Array, target: Array, body_weight: Array, head_weight: Array) -> dict[str, Array]:
    error = 2 * (head_weight * body_weight * x - target)
    return {
        "body.weight": body_weight - 0.001 * error * head_weight * x,
        "head.weight": head_weight - 0.1 * error * body_weight * x,
    }


def warmup_and_cosine(slope: Array, w: Array) -> Array:
    rates = [1 / 3, 2 / 3, *((1 + cos(pi * k / 4)) / 2 for k in range(4))]
    return w + sum(rates) * slope[0]


def steps_down(slope: Array, w: Array) -> Array:
    return w + (5 * 1 + 3 * 0.1 + 2 * 0.01) * slope[0]


def inverse_root(slope: Array, w: Array) -> Array:
    rates = [1 / 3, 2 / 3, *(sqrt(2 / k) for k in (2, 3, 4))]
    return w + sum(rates) * slope[0]


def exponential_decay(slope: Array, w: Array) -> Array:
    return w + sum(0.5 ** (k / 2) for k in range(4)) * slope[0]


def batch_noise(gradients: Array) -> dict[str, Any]:
    pairs = [(a + b) / 2 for a, b in product(gradients.tolist(), repeat=2)]
    return {"single": np.var(gradients), "pair": np.var(pairs)}
