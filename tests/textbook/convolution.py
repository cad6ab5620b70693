"""Formulas of docs/textbook/convolution.md."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _correlate(x: Array, w: Array, stride: int = 1, dilation: int = 1) -> Array:
    """Windows `[n, c, t]` of kernels `[out, c, k]`, sum by sum."""
    k = w.shape[-1]
    length = (x.shape[-1] - dilation * (k - 1) - 1) // stride + 1
    y = np.zeros((len(x), len(w), length))
    for n, o, i in np.ndindex(*y.shape):
        for c, j in product(range(x.shape[1]), range(k)):
            y[n, o, i] += w[o, c, j] * x[n, c, stride * i + dilation * j]
    return y


def _correlate_image(x: Array, w: Array, stride: int = 1, padding: int = 0) -> Array:
    """The same over images."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    (kh, kw), (h, width) = w.shape[2:], x.shape[2:]
    y = np.zeros((len(x), len(w), (h - kh) // stride + 1, (width - kw) // stride + 1))
    for n, o, i, j in np.ndindex(*y.shape):
        window = x[n, :, stride * i : stride * i + kh, stride * j : stride * j + kw]
        y[n, o, i, j] = np.sum(w[o] * window)
    return y


def correlation(x: Array, conv_weight: Array) -> Array:
    return _correlate(x, conv_weight)


def true_convolution(x: Array, kernel: Array) -> Array:
    return np.array([np.convolve(row[0], kernel) for row in x])


def channels(x: Array, conv_weight: Array, conv_bias: Array) -> dict[str, Any]:
    return {
        "y": _correlate(x, conv_weight) + conv_bias[:, None],
        "parameters": 2 * (2 * 2 + 1),
    }


def causal_convolution(x: Array, conv_weight: Array) -> Array:
    w = conv_weight[0, 0]
    past = [0.0] * (len(w) - 1)
    rows = []
    for row in x[:, 0]:
        whole = [*past, *row]
        rows.append([[w @ whole[t : t + len(w)] for t in range(len(row))]])
    return np.array(rows)


def dilation(x: Array, conv_weight: Array) -> Array:
    return _correlate(x, conv_weight, dilation=2)


def receptive_field(
    x: Array, conv_weight: Array, conv_2_weight: Array, conv_3_weight: Array
) -> Array:
    ways = conv_weight[0, 0]
    for w in (conv_2_weight, conv_3_weight):
        ways = np.convolve(ways, w[0, 0])
    return np.array([[np.convolve(row[0], ways, mode="same")] for row in x])


def sobel(image: Array, conv_weight: Array) -> Array:
    return _correlate_image(image, conv_weight)


def stride_and_padding(image: Array, conv_weight: Array) -> Array:
    return _correlate_image(image, conv_weight, stride=2, padding=1)


def unfolded(image: Array, kernels: Array) -> Array:
    return _correlate_image(image, kernels)


def one_by_one(image: Array, conv_weight: Array) -> Array:
    return np.einsum("oc,nchw->nohw", conv_weight[:, :, 0, 0], image)


def separable_count() -> int:
    return 32 * 3 * 3 + 32 * 64


def gaussian_blur(image: Array, conv_weight: Array, conv_2_weight: Array) -> Array:
    kernel = np.outer(conv_2_weight, conv_weight)[None, None]
    return _correlate_image(image, kernel, padding=1)


def equivariance(x: Array, f_weight: Array) -> dict[str, Array]:
    length = x.shape[-1]
    y = [
        [[f_weight[0, 0] @ [row[0, (i + j - 3) % length] for j in range(3)] for i in range(length)]]
        for row in x
    ]
    return {"after": np.array(y), "before": np.array(y)}


def pooling(image: Array) -> dict[str, Array]:
    n, c, h, w = image.shape
    blocks = image.reshape(n, c, h // 2, 2, w // 2, 2)
    return {"largest": blocks.max((3, 5)), "middle": blocks.mean((3, 5))}


def global_average(features: Array) -> Array:
    return features.mean((2, 3))


def transposed(x: Array, conv_transpose_weight: Array) -> Array:
    kernel = conv_transpose_weight[0, 0]
    y = np.zeros((len(x), 1, (x.shape[-1] - 1) * 2 + len(kernel)))
    for n, i, j in np.ndindex(len(x), x.shape[-1], len(kernel)):
        y[n, 0, 2 * i + j] += kernel[j] * x[n, 0, i]
    return y


def interpolation(x: Array) -> dict[str, Array]:
    places = (np.arange(2 * x.shape[-1]) + 0.5) / 2 - 0.5
    linear = [[np.interp(places, np.arange(x.shape[-1]), row[0])] for row in x]
    return {"nearest": np.repeat(x, 2, axis=-1), "linear": np.array(linear)}


def sub_pixel(x: Array) -> Array:
    n, c, h, w = x.shape
    y = np.zeros((n, c // 4, 2 * h, 2 * w))
    for a, b in product(range(2), range(2)):
        y[:, :, a::2, b::2] = x[:, 2 * a + b :: 4]
    return y


def group_normalization(x: Array) -> Array:
    y = np.empty_like(x)
    for n, first in product(range(len(x)), (0, 2)):
        group = x[n, first : first + 2]
        y[n, first : first + 2] = (group - group.mean()) / np.sqrt(group.var() + 1e-5)
    return y
