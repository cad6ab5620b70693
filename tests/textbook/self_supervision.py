"""Formulas of docs/textbook/self-supervision.md."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _unit(rows: Array) -> Array:
    return rows / np.sqrt((rows**2).sum(-1, keepdims=True))


def _shares(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def denoising(x: Array) -> dict[str, Any]:
    noisy = np.concatenate([x - 1, x + 1])
    slope = np.linalg.lstsq(noisy[:, None], np.tile(x, 2), rcond=None)[0][0]
    power = (x**2).mean()
    return {"slope": slope, "shrink": 1 - 1 / (power + 1)}


def masked_patches(patches: Array, drawn: Array, hidden: Array) -> Any:
    losses = []
    for patch, guess, missing in zip(patches[0], drawn[0], hidden[0], strict=True):
        if missing:
            target = (patch - patch.mean()) / np.sqrt(((patch - patch.mean()) ** 2).mean() + 1e-6)
            losses.append(((guess - target) ** 2).mean())
    return np.mean(losses)


def replaced_words(scores: Array, replaced: Array) -> float:
    right = np.where(replaced == 1, scores, -scores).ravel().tolist()
    return sum(log(1 + exp(-s)) for s in right) / len(right)


def rotations(image: Array) -> dict[str, Array]:
    turns = [np.rot90(image[0], k) for k in range(4)]
    return {"turned": np.stack(turns), "label": np.arange(4)}


def cluster_labels(z: Array, centres: Array, scores: Array) -> dict[str, Any]:
    label = [int(np.argmin([np.sum((row - c) ** 2) for c in centres])) for row in z]
    logs = [log(_shares(row)[y]) for row, y in zip(scores, label, strict=True)]
    return {"label": np.array(label), "loss": -np.mean(logs)}


def guessed_features(
    whole: Array, part: Array, online_w_weight: Array, slow_w_weight: Array
) -> dict[str, Array]:
    error = part @ online_w_weight[0] - whole @ slow_w_weight[0]
    gradient = np.mean([2 * e * x for e, x in zip(error, part, strict=True)], axis=0)
    return {"online.w.weight": online_w_weight - 0.1 * gradient, "slow.w.weight": slow_w_weight}


def predictive_coding(context: Array, next: Array, w_weight: Array) -> dict[str, Any]:
    loss = 0.0
    for i, x in enumerate(context):
        powers = [exp(y @ w_weight @ x) for y in next]
        loss -= log(powers[i] / sum(powers)) / 3
    return {"loss": loss, "information": log(3) - loss}


def _two_views(a: Array, b: Array, heat: float) -> float:
    rows = np.concatenate([_unit(a), _unit(b)])
    n, total = len(a), 0.0
    for i, row in enumerate(rows):
        powers = {j: exp(row @ other / heat) for j, other in enumerate(rows) if j != i}
        total -= log(powers[(i + n) % (2 * n)] / sum(powers.values()))
    return total / len(rows)


def two_views(a: Array, b: Array) -> dict[str, float]:
    def perfect(heat: float) -> float:  # one twin at 1, the six others at 0
        return log(1 + 6 * exp(-1 / heat))

    return {"warm": perfect(0.5), "cold": perfect(0.25), "turned": _two_views(a, b[::-1], 0.5)}


def pull_and_push(keys: Array, own: Array, q: Array) -> Array:
    p = _shares(keys[0] @ q / 0.5)
    return q + 0.1 * (keys[0, own[0]] - p @ keys[0]) / 0.5


def alignment_and_uniformity(z: Array, twin: Array) -> dict[str, Any]:
    between = [np.sum((z[i] - z[j]) ** 2) for i in range(4) for j in range(i)]
    apart = [np.sum((a - b) ** 2) for a, b in zip(z, twin, strict=True)]
    uniformity = log(sum(exp(-2 * d) for d in between) / len(between))
    return {"alignment": np.mean(apart), "uniformity": uniformity}


def queue(q: Array, k: Array, queue: Array) -> dict[str, Any]:
    losses = []
    for query, key in zip(q, k, strict=True):
        others = sum(exp((query @ other - query @ key) / 0.2) for other in queue)
        losses.append(log(1 + others))
    return {"loss": np.mean(losses), "later": np.array([*queue[2:], *k])}


def supervised_contrast(z: Array, label: Array) -> Any:
    unit, losses = _unit(z), []
    for i, row in enumerate(unit):
        whole = sum(exp(row @ other / 0.5) for j, other in enumerate(unit) if j != i)
        friends = [j for j in range(len(z)) if j != i and label[j] == label[i]]
        losses.append(-np.mean([row @ unit[p] / 0.5 - log(whole) for p in friends]))
    return np.mean(losses)


def image_and_text(image: Array, text: Array, log_scale: Array) -> float:
    s = exp(log_scale) * _unit(image) @ _unit(text).T
    n = len(s)
    rows = -sum(log(_shares(s[i])[i]) for i in range(n)) / n
    columns = -sum(log(_shares(s[:, i])[i]) for i in range(n)) / n
    return (rows + columns) / 2


def pairwise_sigmoid(image: Array, text: Array) -> float:
    s = 10 * _unit(image) @ _unit(text).T - 10
    return (
        sum(log(1 + exp(-s[i, j] if i == j else s[i, j])) for i in range(3) for j in range(3)) / 3
    )


def effective_rank(z: Array) -> float:
    values = np.linalg.svd(z.astype(float), compute_uv=False)
    p = values / values.sum()
    return exp(-sum(p * np.log(p)))


def bootstrap_step(
    view: Array, other: Array, online_w_weight: Array, slow_w_weight: Array
) -> dict[str, Array]:
    p, t = view[0] @ online_w_weight.T, _unit(other[0] @ slow_w_weight.T)
    length = np.sqrt(p @ p)
    turn = (t - (p @ t) / length * p / length) / length
    step = 0.1 * 2 * np.outer(turn, view[0])
    return {"online.w.weight": online_w_weight + step, "slow.w.weight": slow_w_weight}


def barlow_twins(a: Array, b: Array) -> dict[str, Any]:
    c = np.corrcoef(a.T, b.T)[:2, 2:]
    loss = (1 - c[0, 0]) ** 2 + (1 - c[1, 1]) ** 2 + 0.005 * (c[0, 1] ** 2 + c[1, 0] ** 2)
    return {"correlations": c, "loss": loss}


def variance_covariance(z: Array, twin: Array) -> dict[str, Any]:
    c = np.cov(z.T)
    return {
        "invariance": ((z - twin) ** 2).sum() / len(z),
        "variance": np.mean([max(0, 1 - (c[j, j] + 1e-4) ** 0.5) for j in range(2)]),
        "covariance": (c[0, 1] ** 2 + c[1, 0] ** 2) / 2,
    }


def equal_shares(scores: Array) -> Array:
    """For two prototypes, the share of the first is a sigmoid, with a shift that halves the sum."""
    apart = (scores[:, 0] - scores[:, 1]).astype(float) / 0.5
    low, high = -50.0, 50.0
    for _ in range(100):
        shift = (low + high) / 2
        first = 1 / (1 + np.exp(shift - apart))
        low, high = (shift, high) if first.sum() > 2 else (low, shift)
    return np.stack([first, 1 - first], axis=1)


def teacher_of_itself(student: Array, teacher: Array, centre: Array) -> dict[str, Any]:
    target = _shares((teacher - centre) / 0.04)
    loss = -np.mean([p @ np.log(_shares(s / 0.1)) for p, s in zip(target, student, strict=True)])
    return {"target": target, "loss": loss, "later": 0.9 * centre + 0.1 * teacher.mean(0)}


def linear_probe(
    x: Array, label: Array, body_weight: Array, body_bias: Array, head_weight: Array
) -> dict[str, Array]:
    assert not np.any(head_weight)
    gradient = np.zeros((2, 2))
    for row, y in zip(x, label, strict=True):
        features = np.maximum(body_weight @ row + body_bias, 0)
        gradient += np.outer(np.full(2, 0.5) - np.eye(2)[y], features) / len(x)
    return {"head.weight": -gradient, "body.weight": body_weight}


def neighbours(z: Array, rows: Array, label: Array) -> Array:
    scores = np.zeros((len(z), 2))
    for i, query in enumerate(_unit(z)):
        cosines = [float(query @ row) for row in _unit(rows)]
        for j in sorted(range(len(rows)), key=lambda j: -cosines[j])[:3]:
            scores[i, label[j]] += exp(cosines[j] / 0.5)
    return scores


def zero_shot(image: Array, names: Array) -> Array:
    weight = [_unit(sum(_unit(sentences))) for sentences in names]
    return np.array([_shares(np.array([100 * row @ w for w in weight])) for row in _unit(image)])
