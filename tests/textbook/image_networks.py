"""Formulas of docs/textbook/image-networks.md."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _conv(inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> int:
    """Weights of a convolution."""
    return outputs * (inputs * kernel**2 + bias)


def _norm(channels: int) -> int:
    return 2 * channels


def _bottleneck(inputs: int, width: int) -> int:
    parts = [(inputs, width, 1), (width, width, 3), (width, 4 * width, 1)]
    if inputs != 4 * width:
        parts.append((inputs, 4 * width, 1))
    return sum(_conv(*part, bias=False) + _norm(part[1]) for part in parts)


def lenet_count() -> int:
    return 6 * 26 + 16 * 151 + 120 * 401 + 84 * 121 + 10 * 85


def vgg_count() -> int:
    stages = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]
    widths = [3, *(width for width, times in stages for _ in range(times))]
    dense = [512 * 7 * 7, 4096, 4096, 1000]
    convolutions = sum(_conv(a, b, 3) for a, b in pairwise(widths))
    return convolutions + sum(_conv(a, b, 1) for a, b in pairwise(dense))


def inception_count() -> int:
    three = _conv(192, 96, 1) + _conv(96, 128, 3)
    five = _conv(192, 16, 1) + _conv(16, 32, 5)
    return _conv(192, 64, 1) + three + five + _conv(192, 32, 1)


def residual_block(x: Array, **weights: Array) -> Array:
    row = x[0, 0, 0].astype(float)

    def convolve(y: Array, number: int) -> Array:
        kernel = weights[f"b_conv{number}_weight"][0, 0, 1]  # the rows above and below are zeros
        padded = np.pad(y, 1)
        y = np.array([kernel @ padded[i : i + 3] for i in range(3)])
        mean, variance = (weights[f"b_bn{number}_running_{what}"] for what in ("mean", "var"))
        scale = weights[f"b_bn{number}_weight"] / np.sqrt(variance + 1e-5)
        return (y - mean) * scale + weights[f"b_bn{number}_bias"]

    y = convolve(np.maximum(convolve(row, 1), 0), 2)
    return np.maximum(row + y, 0)[None, None, None]


def bottleneck_count() -> int:
    return _bottleneck(256, 64)


def resnet50_count() -> int:
    total, channels = _conv(3, 64, 7, bias=False) + _norm(64), 64
    for i, depth in enumerate([3, 4, 6, 3]):
        for _ in range(depth):
            total += _bottleneck(channels, 64 * 2**i)
            channels = 4 * 64 * 2**i
    return total + 1000 * (channels + 1)


def dense_block(x: Array, **weights: Array) -> Array:
    assert all(np.all(w == 1) for w in weights.values())
    channels = x[0, :, 0, 0].tolist()
    for _ in range(3):
        channels += [sum(channels)] * 2
    return np.array([channels])


def squeeze_and_excite(
    x: Array, se_fc1_weight: Array, se_fc1_bias: Array, se_fc2_weight: Array, se_fc2_bias: Array
) -> Array:
    hidden = np.maximum(se_fc1_weight @ x[0].mean((1, 2)) + se_fc1_bias, 0)
    gate = 1 / (1 + np.exp(-(se_fc2_weight @ hidden + se_fc2_bias)))
    return np.stack([[g * channel for g, channel in zip(gate, x[0], strict=True)]])


def inverted_bottleneck_count() -> int:
    c, t = 24, 6
    return c * t * c + 9 * t * c + t * c * c + 2 * (2 * t * c + c)


def compound_scaling(phi: Array) -> dict[str, Array]:
    depth, width, side = 1.2**phi, 1.1**phi, 1.15**phi
    return {"depth": depth, "cost": depth * width**2 * side**2}


def patches(image: Array, t_proj_weight: Array, t_proj_bias: Array) -> Array:
    tokens = []
    for left in (0, 2):
        patch = image[0, 0, :, left : left + 2]
        tokens.append(
            [np.sum(w[0] * patch) + b for w, b in zip(t_proj_weight, t_proj_bias, strict=True)]
        )
    return np.array([tokens])


def vision_transformer_count() -> int:
    d = 768
    tokens = d * (3 * 16 * 16 + 1) + d * (1 + 14 * 14 + 1)
    return tokens + 12 * (12 * d**2 + 13 * d) + 2 * d + 1000 * (d + 1)


def shifted_windows(x: Array) -> dict[str, Array]:
    def cut(rows: Any, columns: Any) -> Array:
        return x[0][np.ix_(rows, columns)].ravel()

    halves, moved = [(0, 1), (2, 3)], [(1, 2), (3, 0)]
    return {
        "windows": np.array([[cut(r, c) for r in halves for c in halves]]),
        "shifted": np.array([[cut(r, c) for r in moved for c in moved]]),
    }


def mixer_count() -> int:
    places, d = 196, 768
    across = _conv(places, 384, 1) + _conv(384, places, 1)
    return across + _conv(d, 3072, 1) + _conv(3072, d, 1) + 2 * _norm(d)


def skip_across(image: Array, conv_weight: Array) -> Array:
    fine, coarse = conv_weight[0, :, 0, 0]
    y = np.empty_like(image)
    for j in (0, 2):
        block = image[:, :, :, j : j + 2]
        y[:, :, :, j : j + 2] = fine * block + coarse * block.mean()
    return y


def pixel_classes(scores: Array, label: Array) -> Any:
    total, count = 0.0, 0
    for place, y in enumerate(label[0, 0]):
        if y != 255:
            z = scores[0, :, 0, place]
            total += np.log(np.exp(z).sum()) - z[y]
            count += 1
    return total / count


def activation_map(features: Array) -> dict[str, Array]:
    heat = 3 * features[:, 0] - features[:, 1]
    return {"score": heat.mean((1, 2)), "map": heat}


def gram_matrix(x: Array) -> Array:
    return np.einsum("ncij,ndij->ncd", x, x) / x[0].size


def _overlap(a: Array, b: Array) -> tuple[float, float]:
    """Intersection over union, counted on a grid of tenths, and the share of the box around both
    that is empty."""
    low, high = np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])
    xs, ys = (np.arange(low[i] + 0.05, high[i], 0.1) for i in range(2))
    inside = [
        np.outer((xs > box[0]) & (xs < box[2]), (ys > box[1]) & (ys < box[3])) for box in (a, b)
    ]
    both, either = np.sum(inside[0] & inside[1]), np.sum(inside[0] | inside[1])
    return both / either, 1 - either / inside[0].size


def box_overlap(a: Array, b: Array) -> dict[str, Array]:
    found = np.array([[_overlap(p, q) for q in b] for p in a])
    return {"iou": found[..., 0], "general": found[..., 0] - found[..., 1]}


def anchors(anchor: Array, t: Array) -> Array:
    x, y, w, h = anchor.T
    x, y, w, h = x + w * t[:, 0], y + h * t[:, 1], w * np.exp(t[:, 2]), h * np.exp(t[:, 3])
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)


def best_boxes(boxes: Array, scores: Array) -> Array:
    kept: list[int] = []
    for i in np.argsort(-scores).tolist():
        if all(_overlap(boxes[i], boxes[j])[0] <= 0.5 for j in kept):
            kept.append(i)
    return np.array(kept)
