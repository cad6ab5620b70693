"""Formulas of docs/textbook/networks.md."""

from __future__ import annotations

from itertools import pairwise
from math import erf, exp, log, sqrt, tanh
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def neuron(x: Array, dense_weight: Array, dense_bias: Array) -> Array:
    return (x @ dense_weight.T + dense_bias >= 0).astype(float)


def exclusive_or(x: Array, hidden_weight: Array, hidden_bias: Array, out_weight: Array) -> Array:
    assert out_weight.shape == (1, hidden_weight.shape[0])
    return np.logical_xor(x[:, :1], x[:, 1:]).astype(float)


def perceptron_count() -> int:
    widths = [28 * 28, 256, 10]
    return sum(k * (d + 1) for d, k in pairwise(widths))


def linear_depth(
    x: Array, first_weight: Array, first_bias: Array, second_weight: Array, second_bias: Array
) -> Array:
    return x @ (second_weight @ first_weight).T + second_weight @ first_bias + second_bias


def hat_function(x: Array, bends_weight: Array, bends_bias: Array, out_weight: Array) -> Array:
    assert bends_weight.size == bends_bias.size == out_weight.size
    return np.maximum(1 - np.abs(x - 1), 0)


def embedding_rows(word: Array, embedding_weight: Array) -> dict[str, Any]:
    hot = np.eye(3)[word]
    return {"vector": hot @ embedding_weight, "parameters": 3 * 2}


def squashing(x: Array) -> dict[str, Array]:
    logistic = _logistic(x)
    return {"logistic": logistic, "hyperbolic": 2 * _logistic(2 * x) - 1}


def rectifying(x: Array) -> dict[str, Array]:
    return {
        "rectified": x * (x > 0),
        "leaky": np.maximum(x, 0.01 * x),
        "exponential": np.where(x > 0, x, np.exp(x) - 1),
    }


def smooth_rectifiers(x: Array) -> dict[str, Array]:
    numbers = x.tolist()
    return {
        "gelu": np.array([z * (1 + erf(z / sqrt(2))) / 2 for z in numbers]),
        "silu": np.array([z / (1 + exp(-z)) for z in numbers]),
        "softplus": np.array([log(1 + exp(z)) for z in numbers]),
        "mish": np.array([z * tanh(log(1 + exp(z))) for z in numbers]),
    }


def gated_feed_forward(
    x: Array,
    ffn_gate_proj_weight: Array,
    ffn_up_proj_weight: Array,
    ffn_down_proj_weight: Array,
) -> dict[str, Any]:
    gate, up = ffn_gate_proj_weight @ x.T, ffn_up_proj_weight @ x.T
    y = ffn_down_proj_weight @ (gate * _logistic(gate) * up)
    return {"y": y.T, "parameters": 3 * 2 * 3}


def maxout_pieces(x: Array, maxout_linear_weight: Array) -> Array:
    return np.max([w * x for w in maxout_linear_weight], axis=0)


def backpropagation(
    x: Array, target: Array, hidden_weight: Array, out_weight: Array
) -> dict[str, Array]:
    h = np.tanh(x @ hidden_weight.T)
    y = h @ out_weight.T
    error = 2 * (y - target) / len(x)
    inner = (error @ out_weight) * (1 - h**2)
    return {
        "hidden.weight": hidden_weight - 0.1 * inner.T @ x,
        "out.weight": out_weight - 0.1 * error.T @ h,
    }


def vanishing_gradient(x: Array) -> dict[str, Array]:
    step = 1e-3

    def stack(h: Any) -> Any:
        for _ in range(10):
            h = _logistic(h)
        return h

    start = x.astype(float)
    slope = (stack(start + step) - stack(start - step)) / (2 * step)
    return {"y": stack(start), "slope": slope}


def residual(x: Array, dense_weight: Array, dense_bias: Array) -> Array:
    return x + _relu(x @ dense_weight.T + dense_bias)


def straight_through(x: Array, target: Array, w: Array) -> Array:
    y = (x @ w >= 0).astype(float)
    return w - 0.1 * 2 / len(x) * (y - target) @ x


def orthogonal_start(x: Array) -> Array:
    return np.linalg.norm(x, axis=1)


def batch_norm_inference(
    x: Array,
    bn_weight: Array,
    bn_bias: Array,
    bn_running_mean: Array,
    bn_running_var: Array,
    bn_num_batches_tracked: Array,
) -> Array:
    assert bn_num_batches_tracked > 0
    factor = bn_weight / np.sqrt(bn_running_var + 1e-5)
    return x * factor + (bn_bias - bn_running_mean * factor)


def layer_and_rms_norm(
    x: Array, layer_norm_weight: Array, layer_norm_bias: Array, rms_norm_weight: Array
) -> dict[str, Array]:
    centred = x - x.mean(1, keepdims=True)
    spread = np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    rms = np.sqrt((x**2).mean(1, keepdims=True))
    return {
        "layer": centred / spread * layer_norm_weight + layer_norm_bias,
        "rms": x / rms * rms_norm_weight,
    }


def deep_sets(
    x: Array, phi_weight: Array, phi_bias: Array, rho_weight: Array, rho_bias: Array
) -> Array:
    each = [[_relu(phi_weight @ member + phi_bias) for member in row] for row in x]
    return np.array([rho_weight @ sum(row) + rho_bias for row in each])
