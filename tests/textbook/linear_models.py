"""Formulas of docs/textbook/linear-models.md."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _logistic(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def _softmax(z: Array) -> Array:
    shares = np.exp(z)
    return shares / shares.sum(axis=1, keepdims=True)


def _gauss(a: Array, b: Array, gamma: float) -> Array:
    return np.exp([[-gamma * sum((p - q) ** 2) for q in b] for p in a])


def linear_regression(x: Array, dense_weight: Array, dense_bias: Array) -> dict[str, Any]:
    rows = [[float(dense_weight[0] @ row + dense_bias[0])] for row in x]
    return {"y": np.array(rows), "parameters": x.shape[1] + 1}


def squared_error(x: Array, target: Array, w: Array) -> float:
    return sum((w @ row - t) ** 2 for row, t in zip(x, target, strict=True)) / len(x)


def normal_equations(x: Array, target: Array) -> Array:
    return np.linalg.lstsq(x, target, rcond=None)[0]


def gradient_step(x: Array, target: Array, w: Array) -> Array:
    return w - 0.1 * 2 / len(x) * x.T @ (x @ w - target)


def ridge(x: Array, target: Array) -> Array:
    longer = np.vstack([x, np.sqrt(0.5) * np.eye(2)])
    return np.linalg.lstsq(longer, np.vstack([target, np.zeros((2, 1))]), rcond=None)[0]


def ridge_training(x: Array, target: Array) -> dict[str, Array]:
    """Of what is centred the bias has no part."""
    rows, goal = x - x.mean(0), target - target.mean(0)
    longer = np.vstack([rows, np.sqrt(0.1 * len(x)) * np.eye(2)])
    w = np.linalg.lstsq(longer, np.vstack([goal, np.zeros((2, 1))]), rcond=None)[0]
    return {"fc.weight": w.T, "fc.bias": target.mean(0) - x.mean(0) @ w}


def lasso_orthonormal(x: Array, target: Array) -> Array:
    z = x.T @ target
    return np.sign(z) * np.maximum(np.abs(z) - 0.5, 0)


def polynomial_regression(x: Array, w: Array) -> Array:
    return np.polyval(w[::-1], x)


def weighted_least_squares(x: Array, target: Array, weight: Array) -> Array:
    root = np.sqrt(weight)[:, None]
    return np.linalg.lstsq(root * x, root * target, rcond=None)[0]


def r_squared(prediction: Array, target: Array) -> Array:
    return 1 - np.mean((target - prediction) ** 2) / np.var(target)


def bayesian_regression(x: Array, target: Array, query: Array) -> dict[str, Array]:
    spread = np.linalg.inv(np.eye(2) + 4 * x.T @ x)
    middle = 4 * spread @ x.T @ target
    return {
        "mean": query @ middle,
        "variance": np.array([1 / 4 + q @ spread @ q for q in query]),
    }


def standardization(x: Array) -> Array:
    return (x - x.mean(0)) / x.std(0)


def principal_component(x: Array) -> dict[str, Array]:
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    first = vectors[:, -1] * np.sign(vectors[0, -1])
    return {"direction": first, "variance": values[-1]}


def logistic_regression(x: Array, dense_weight: Array, dense_bias: Array) -> Array:
    return _logistic(x @ dense_weight.T + dense_bias)


def logistic_step(x: Array, target: Array, w: Array) -> Array:
    for _ in range(2):
        w = w - 0.5 / len(x) * x.T @ (_logistic(x @ w) - target)
    return w


def newton_step(x: Array, target: Array, w: Array) -> Array:
    p = _logistic(x @ w)
    s = np.diag((p * (1 - p))[:, 0])
    return w + np.linalg.inv(x.T @ s @ x) @ x.T @ (target - p)


def softmax_regression(x: Array, dense_weight: Array, dense_bias: Array) -> Array:
    return _softmax(x @ dense_weight.T + dense_bias)


def digits_count() -> int:
    return 10 * (28 * 28 + 1)


def linear_discriminant(x: Array, centres: Array, covariance: Array, share: Array) -> Array:
    inverse = np.linalg.inv(covariance)
    apart = x[:, None] - centres
    density = share * np.exp(-0.5 * np.einsum("nkd,de,nke->nk", apart, inverse, apart))
    return density / density.sum(axis=1, keepdims=True)


def perceptron_step(x: Array, target: Array, w: Array) -> Array:
    wrong = target * (x @ w) <= 0
    return w + (target * wrong) @ x


def support_vector_machine(x: Array, target: Array, w: Array) -> Array:
    return 0.05 * w @ w + np.mean(np.maximum(0, 1 - target * (x @ w)))


def kernel_ridge(x: Array, target: Array, query: Array) -> Array:
    k = _gauss(x, x, 0.5)
    return _gauss(query, x, 0.5) @ np.linalg.inv(k + 0.1 * np.eye(len(x))) @ target


def kernel_smoother(x: Array, rows: Array, values: Array) -> dict[str, Array]:
    near = _gauss(x, rows, 1 / (2 * 0.8**2))
    weights = near / near.sum(axis=1, keepdims=True)
    return {"y": weights @ values, "weights": weights}
