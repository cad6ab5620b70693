"""Formulas of docs/textbook/losses-and-likelihoods.md."""

from __future__ import annotations

from itertools import groupby, product
from math import exp, log, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softmax(scores: Array) -> Array:
    shares = np.exp(np.asarray(scores, np.float64) - scores.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def coin(heads: Array, theta: Array) -> Array:
    likelihood = [np.prod(np.where(heads == 1, p, 1 - p)) for p in theta.astype(float)]
    return -np.log(likelihood)


def maximum_a_posteriori(heads: Array) -> float:
    places = np.linspace(0, 1, 100_001)[1:-1]
    up, down = heads.sum() + 2, len(heads) - heads.sum() + 2
    return float(places[np.argmax(up * np.log(places) + down * np.log(1 - places))])


def squared(prediction: Array, target: Array) -> Array:
    return np.array([np.var(target) + (p - target.mean()) ** 2 for p in prediction])


def gaussian(mu: Array, variance: Array, target: Array) -> Array:
    density = np.exp(-((target - mu) ** 2) / (2 * variance)) / np.sqrt(2 * pi * variance)
    return -np.log(density) - log(2 * pi) / 2


def absolute(prediction: Array, target: Array) -> Array:
    return np.array([sum(abs(t - p) for t in target) / len(target) for p in prediction])


def huber_and_log_cosh(prediction: Array, target: Array) -> dict[str, Array]:
    e = np.abs(prediction - target)
    near = np.minimum(e, 1)
    return {"huber": near**2 / 2 + (e - near), "smooth": np.log(np.cosh(e))}


def quantiles(prediction: Array, target: Array) -> dict[str, Array]:
    low, high = np.maximum(target - prediction, 0), np.maximum(prediction - target, 0)
    return {"high": 0.9 * low + 0.1 * high, "middle": 0.5 * low + 0.5 * high}


def poisson(log_rate: Array, count: Array) -> Array:
    """From the probability, to which the factorial is given back."""
    found = []
    for z, y in zip(log_rate.astype(float), count, strict=True):
        factorial = np.prod(np.arange(1, y + 1))
        p = exp(z) ** y * exp(-exp(z)) / factorial
        found.append(-log(p) - log(factorial))
    return np.array(found)


def mixture_density(scores: Array, mu: Array, log_sigma: Array, target: Array) -> Array:
    sigma = np.exp(log_sigma)
    bells = np.exp(-(((target[:, None] - mu) / sigma) ** 2) / 2) / (sigma * sqrt(2 * pi))
    return -np.log((_softmax(scores) * bells).sum(1))


def binary(score: Array, target: Array) -> Array:
    z = score.astype(float)
    p = _logistic(z)
    return -target * np.log(p) - (1 - target) * np.log(1 - p)


def many_classes(scores: Array, label: Array) -> Array:
    return -np.log([p[y] for p, y in zip(_softmax(scores), label, strict=True)])


def softmax_gradient(one: Array, label: Array, z: Array) -> Array:
    seen = np.bincount(label, minlength=3) / len(one)
    return z - (_softmax(z[None])[0] - seen)


def label_smoothing(scores: Array, label: Array, soft: Array) -> dict[str, Array]:
    logs = np.log(_softmax(scores))
    target = 0.7 * np.eye(3)[label] + 0.3 / 3
    return {"smoothed": -(target * logs).sum(1), "given": -(soft * logs).sum(1)}


def weighted_and_focal(scores: Array, label: Array) -> dict[str, Any]:
    p = _softmax(scores)[np.arange(len(label)), label]
    w = np.array([1.0, 9.0])[label]
    return {"weighted": -(w * np.log(p)).sum() / w.sum(), "focal": -((1 - p) ** 2) * np.log(p)}


def margins(score: Array, sign: Array, scores: Array, label: Array) -> dict[str, Array]:
    many = [
        sum(max(0.0, 1 - row[y] + row[c]) for c in range(3) if c != y) / 3
        for row, y in zip(scores, label, strict=True)
    ]
    return {"two": np.maximum(0, 1 - sign * score), "many": np.array(many)}


def temporal_classification(p: Array, target: Array) -> Array:
    found = []
    for places, labels in zip(p.astype(float), target.tolist(), strict=True):
        total = 0.0
        for path in product(range(3), repeat=len(places)):
            read = [c for c, _ in groupby(path) if c != 0]
            if read == labels:
                total += float(np.prod(places[np.arange(len(path)), path]))
        found.append(-log(total))
    return np.array(found)


def dice(logits: Array, mask: Array) -> dict[str, Any]:
    p = _logistic(logits)
    both, either = (p * mask).sum(), (p + mask - p * mask).sum()
    return {
        "dice": 1 - (2 * both + 1) / (p.sum() + mask.sum() + 1),
        "iou": 1 - (both + 1) / (either + 1),
    }


def entropies(p: Array, q: Array) -> dict[str, Array]:
    entropy = np.array([-sum(a * log(a) for a in row) for row in p])
    cross = np.array(
        [-sum(a * log(b) for a, b in zip(*rows, strict=True)) for rows in zip(p, q, strict=True)]
    )
    return {"cross": cross, "entropy": entropy, "divergence": cross - entropy}


def directions(p: Array, q: Array) -> dict[str, Any]:
    def divergence(a: Array, b: Array) -> Any:
        return np.sum(a * np.log(a / b))

    middle = (p + q) / 2
    return {
        "forward": divergence(p, q),
        "backward": divergence(q, p),
        "shannon": (divergence(p, middle) + divergence(q, middle)) / 2,
    }


def gaussian_divergence(mu: Array, log_variance: Array) -> Array:
    """The integral of `p ln(p / q)`, sum by sum."""
    z = np.linspace(-12, 12, 24_001)
    total = np.zeros(len(mu))
    for n, d in np.ndindex(*mu.shape):
        m, s = float(mu[n, d]), exp(log_variance[n, d] / 2)
        log_p = -(((z - m) / s) ** 2) / 2 - log(s)
        p = np.exp(log_p) / sqrt(2 * pi)
        total[n] += np.sum(p * (log_p + z**2 / 2)) * (z[1] - z[0])
    return total


def pairs_and_triplets(a: Array, b: Array, c: Array) -> dict[str, Array]:
    near, far = (np.linalg.norm(a - x, axis=1) for x in (b, c))
    return {
        "same": near**2 / 2,
        "other": np.maximum(0, 3 - far) ** 2 / 2,
        "triplet": np.maximum(0, near - far + 0.5),
    }
