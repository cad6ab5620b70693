"""Formulas of docs/textbook/small-and-fast-models.md."""

from __future__ import annotations

from collections import Counter
from math import inf, log2, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def roofline(rows: Array) -> dict[str, Array]:
    d = 4096
    compute = [2 * b * d * d / 1e9 for b in rows.tolist()]
    fetch = [(2 * d * d + 4 * b * d) / 4e6 for b in rows.tolist()]
    time = [max(pair) for pair in zip(compute, fetch, strict=True)]
    return {"compute": np.array(compute), "fetch": np.array(fetch), "time": np.array(time)}


def amdahl(s: Array) -> Array:
    return np.array([1 / (0.2 + (0 if each == inf else 0.8 / each)) for each in s.tolist()])


def rank_one(w: Array) -> dict[str, Any]:
    u, values, v = np.linalg.svd(w, full_matrices=False)
    return {"best": values[0] * np.outer(u[:, 0], v[0]), "left": (values[1:] ** 2).sum()}


def factored_count() -> int:
    return 64 * (1024 + 1024) + 1024


def factored_embedding_count() -> int:
    return 30000 * 128 + 128 * 768


def quotient_remainder(
    id: Array, quotient_weight: Array, remainder_weight: Array
) -> dict[str, Any]:
    pairs = [divmod(i, 3) for i in id.tolist()]
    vectors = [np.diag(quotient_weight[q]) @ remainder_weight[r] for q, r in pairs]
    return {"y": np.array(vectors), "parameters": (2 + 3) * 2}


def shared_layer_count() -> int:
    d = 768
    attention = 4 * d * (d + 1)
    feed_forward = 4 * d * (d + 1) + d * (4 * d + 1)
    return attention + feed_forward + 2 * 2 * d


def lora_step(
    x: Array, target: Array, base_weight: Array, a_weight: Array, b_weight: Array
) -> dict[str, Array]:
    a, b = a_weight.astype(float), b_weight.astype(float)
    for _ in range(2):
        error = x @ (base_weight + 2 * b @ a).T - target
        whole = 2 * error.T @ x / error.size  # the gradient of W + 2 B A
        a, b = a - 0.1 * 2 * b.T @ whole, b - 0.1 * 2 * whole @ a.T
    return {"base.weight": base_weight, "a.weight": a, "b.weight": b}


def _keep(row: Array, most: int) -> Array:
    order = sorted(range(len(row)), key=lambda j: -abs(row[j]))
    return np.array([w if j in order[:most] else 0.0 for j, w in enumerate(row)])


def magnitude(w: Array) -> Array:
    return _keep(w, 3)


def two_of_four(w: Array) -> Array:
    return np.array([np.concatenate([_keep(row[:4], 2), _keep(row[4:], 2)]) for row in w])


def saliency(x: Array, w: Array) -> dict[str, Array]:
    def loss(used: Array) -> Any:
        return np.mean((x * (used - w)) ** 2, axis=0)  # column by column, 0 where all are used

    step = 0.5
    hessian = (loss(w + step) - 2 * loss(w) + loss(w - step)) / step**2
    return {"worth": hessian * w**2 / 2, "loss": loss(np.zeros(3))}


def brain_surgeon(x: Array, w: Array) -> dict[str, Any]:
    target = x @ w
    first = (x[:, 0] @ target) / (x[:, 0] @ x[:, 0])  # least squares with the first column alone
    left = np.sum((target - first * x[:, 0]) ** 2)
    alone = np.sum((target - w[0] * x[:, 0]) ** 2)
    return {"next": np.array([first, 0.0]), "alone": alone, "together": left}


def narrower(x: Array, **weights: Array) -> dict[str, Array]:
    assert len(weights) == 4
    y = np.array([[2 * max(a + 2 * b, 0) - max(b, 0)] for a, b in x.tolist()])
    return {"wide": y, "narrow": y}


def gradual(t: Array) -> Array:
    return 0.9 - 0.9 * (1 - t / 4) ** 3


def affine_quantization(x: Array) -> dict[str, Array]:
    low, high = float(x.min()), float(x.max())
    step = (high - low) / 3
    zero = round(-low / step)
    q = [min(max(round(each / step) + zero, 0), 3) for each in x.tolist()]
    return {"q": np.array(q), "y": np.array([step * (each - zero) for each in q])}


def fake_quantized(x: Array, q_scale: Array, q_zero_point: Array) -> Array:
    levels = [min(max(round(v / float(q_scale)) + int(q_zero_point), 0), 255) for v in x.tolist()]
    return np.array([(level - int(q_zero_point)) * float(q_scale) for level in levels])


def rounding_noise(levels: Array) -> dict[str, Array]:
    points = 65536
    error = (1 - (levels / points) ** 2) / levels**2 / 12  # of a grid, as fine as it is
    signal = (1 - points**-2) / 12
    return {"error": error, "decibels": np.array([10 * log10(signal / e) for e in error])}


def scale_of_rows(w: Array) -> dict[str, Array]:
    def rounded(rows: Array) -> Array:
        step = np.abs(rows).max() / 7
        return np.rint(rows / step) * step

    return {"one": rounded(w), "each": np.stack([rounded(row) for row in w])}


def integer_product(q: Array, v: Array) -> dict[str, Array]:
    total = (q - 128) @ v
    return {"total": total, "y": (q - 128) * 0.02 @ (v * 0.005)}


def clipping_range(x: Array, bound: Array) -> Array:
    errors = []
    for c in bound.tolist():
        levels = np.arange(-3, 4) * c / 3
        errors.append(sum(np.abs(levels - each).min() ** 2 for each in x))
    return np.array(errors)


def smoothing(x: Array, w: Array) -> dict[str, Array]:
    s = [(np.abs(x[:, j]).max() / np.abs(w[j]).max()) ** 0.5 for j in range(2)]
    return {"inputs": x / s, "weights": np.diag(s) @ w, "product": x @ w}


def straight_through(x: Array, target: Array, w: Array, **grid: Array) -> Any:
    assert grid["grid_scale"] == 1
    at = float(w)
    for _ in range(4):
        at -= 0.05 * 2 * (round(at) * float(x[0]) - float(target[0])) * float(x[0])
    return at


def code_book(w: Array, book: Array) -> dict[str, Any]:
    codes = [min(range(3), key=lambda k: abs(each - book[k])) for each in w]
    means = [np.mean([x for x, c in zip(w, codes, strict=True) if c == k]) for k in range(3)]
    return {"codes": np.array(codes), "next": np.array(means)}


def entropy_bits(codes: Array) -> float:
    counts = Counter(codes.tolist())
    return sum(n / len(codes) * log2(len(codes) / n) for n in counts.values())


def binary_weights(x: Array, w: Array) -> dict[str, Array]:
    signs = np.where(w > 0, 1.0, -1.0)
    alpha = np.linalg.lstsq(signs.T, w[0], rcond=None)[0]
    return {"alpha": alpha, "y": x @ (alpha * signs).T}


def half_precision(x: Array) -> dict[str, Array]:
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    odd = (bits >> np.uint64(16)) & np.uint64(1)
    kept = (bits + np.uint64(0x7FFF) + odd) >> np.uint64(16)  # to nearest, halves to even
    brain = (kept << np.uint64(16)).astype(np.uint32).view(np.float32)
    return {"half": x.astype(np.float16).astype(np.float32), "brain": brain}


def folded_norm(
    x: Array,
    w: Array,
    bn_weight: Array,
    bn_bias: Array,
    bn_running_mean: Array,
    bn_running_var: Array,
    **_: Array,
) -> dict[str, Array]:
    y = (x @ w[0] - bn_running_mean) / np.sqrt(bn_running_var + 1e-5) * bn_weight + bn_bias
    return {"normed": y[:, None], "folded": y[:, None]}


def winograd(x: Array, g: Array) -> Array:
    return np.array([np.correlate(row, g, mode="valid") for row in x])


def speculation(a: Array) -> Array:
    return (1 - a**5) / (1 - a)


def distillation(student: Array, teacher: Array) -> dict[str, Any]:
    def divergence(heat: float) -> Any:
        p, q = (np.exp(each[0] / heat) for each in (teacher, student))
        p, q = p / p.sum(), q / q.sum()
        return heat**2 * np.sum(p * np.log(p / q))

    limit = np.sum((student - teacher) ** 2) / (2 * 3)
    return {"hard": divergence(1), "soft": divergence(4), "limit": limit}
