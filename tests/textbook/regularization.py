"""Formulas of docs/textbook/regularization.md."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
RATE = 0.1


def _descend(
    x: Array, target: Array, weight: Array, bias: Array, pull: Callable[[Array], Array]
) -> Array:
    """Two steps of a line, with the gradient of a penalty on its weights."""
    for _ in range(2):
        error = 2 * (x @ weight.T + bias - target) / len(x)
        weight, bias = (
            weight - RATE * (error.T @ x + pull(weight)),
            bias - RATE * error.sum(),
        )
    return weight


def bias_and_variance(predictions: Array, truth: Array) -> dict[str, Any]:
    middle = sum(predictions) / len(predictions)
    variance = sum((predictions - middle) ** 2) / len(predictions)
    bias = (middle - truth) ** 2
    return {"error": bias + variance, "bias": bias, "variance": variance}


def degrees_of_freedom(x: Array, strength: Array) -> Any:
    values = np.linalg.svd(x, compute_uv=False) ** 2
    return np.sum(values / (values + strength))


def squares(x: Array, target: Array, fc_weight: Array, fc_bias: Array) -> Array:
    return _descend(x, target, fc_weight, fc_bias, lambda w: 2 * 0.1 * w)


def weight_decay(x: Array, target: Array, fc_weight: Array, fc_bias: Array) -> Array:
    return _descend(x, target, fc_weight, fc_bias, lambda w: 0.2 * w)


def sizes(x: Array, target: Array, fc_weight: Array, fc_bias: Array) -> Array:
    return _descend(x, target, fc_weight, fc_bias, lambda w: 0.1 * np.sign(w))


def elastic(x: Array, target: Array, fc_weight: Array, fc_bias: Array) -> Array:
    return _descend(x, target, fc_weight, fc_bias, lambda w: 0.1 * np.sign(w) + 2 * 0.05 * w)


def group_lasso(x: Array, fc_weight: Array) -> Array:
    assert x.shape[1] == 2
    rows = []
    for w in fc_weight:
        length = np.sqrt(w @ w)
        rows.append(w * max(0.0, 1 - RATE * np.sqrt(2) / length))
    return np.array(rows)


def max_norm(w: Array) -> Array:
    return np.array([row * min(1.0, 2 / np.sqrt(row @ row)) for row in w])


def spectral_norm(w: Array) -> dict[str, Any]:
    sigma = np.linalg.svd(w, compute_uv=False)[0]
    return {"sigma": sigma, "scaled": w / sigma}


def weight_normalization(x: Array, fc_weight_g: Array, fc_weight_v: Array, fc_bias: Array) -> Array:
    w = fc_weight_g[0, 0] * fc_weight_v[0] / np.sqrt((fc_weight_v**2).sum())
    return (x @ w + fc_bias)[:, None]


def dropout_masks(x: Array) -> dict[str, Any]:
    products = np.array([1.0, -2.0, 0.5]) * x
    whole = products.sum()
    return {"mean": whole, "variance": (products**2).sum(), "without": whole}


def input_noise(x: Array, target: Array) -> dict[str, Any]:
    w = np.array([2.0, -1.0])
    loss = (w @ x - target) ** 2 + 0.25 * w @ w
    return {"noisy": loss, "penalized": loss}


def adversarial(x: Array, label: Array) -> dict[str, Array]:
    w = np.array([1.0, -2.0, 0.5])
    margin = label * (x @ w)
    return {"clean": margin, "attacked": margin - 0.1 * np.abs(w).sum()}


def stochastic_depth(x: Array) -> Array:
    return x * 1.5**4


def mixing(x: Array, label: Array, dense_weight: Array) -> Any:
    total = 0.0
    for i, j in ((0, 1), (1, 0)):
        scores = dense_weight @ (0.75 * x[i] + 0.25 * x[j])
        logs = scores - np.log(np.exp(scores).sum())
        total -= 0.75 * logs[label[i]] + 0.25 * logs[label[j]]
    return total / 2


def early_stopping(curvature: Array, w: Array) -> Array:
    assert not np.any(w)
    return 1 - (1 - 0.05 * curvature[0]) ** 3


def frozen_body(
    x: Array, target: Array, body_weight: Array, head_weight: Array
) -> dict[str, Array]:
    h = np.maximum(x @ body_weight.T, 0)
    error = 2 * (h @ head_weight.T - target) / len(x)
    return {"body.weight": body_weight, "head.weight": head_weight - RATE * error.T @ h}


def ensemble(scores: Array, label: Array) -> dict[str, Any]:
    shares = np.exp(scores)
    shares = shares / shares.sum(2, keepdims=True)
    own = shares[:, np.arange(len(label)), label]
    return {"together": -np.log(own.mean(0)).mean(), "alone": -np.log(own).mean(1)}


def averaged_weights(steps: Array) -> Array:
    return np.array([1 / 8, 1 / 8, 1 / 4, 1 / 2]) @ steps


def shared_weights(x: Array, target: Array, f_weight: Array) -> Array:
    w = f_weight[0, 0]
    return f_weight - RATE * 2 * (w**2 * x - target) * 2 * w * x


def mirror(image: Array, f_fc_weight: Array, f_fc_bias: Array) -> dict[str, Array]:
    pixels = image.reshape(len(image), 3)
    values = []
    for row in pixels:
        both = [f_fc_weight[0] @ seen + f_fc_bias[0] for seen in (row, row[::-1])]
        values.append([sum(1 / (1 + exp(-z)) for z in both) / 2])
    return {"straight": np.array(values), "mirrored": np.array(values)}
