"""Losses of the library: from arrays in double precision, with the options of their blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.formulas.quoted import Formulas

Array = NDArray[Any]
FORMULAS = Formulas("block")


def _softmax(x: Array, axis: int = -1) -> Array:
    return np.asarray(np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True))


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


@FORMULAS.of("reduce_loss", "y = (Σ weight * loss) / (Σ weight)")
def reduce_loss(loss: Array, reduction: str = "mean", weight: Any = None) -> Array:
    w = np.ones(loss.shape) if weight is None else np.broadcast_to(weight, loss.shape)
    match reduction:
        case "none":
            return np.asarray(w * loss)
        case "sum":
            return np.asarray((w * loss).sum())
        case _:
            return np.asarray((w * loss).sum() / w.sum())


@FORMULAS.of("focal", "-(1 - p)^gamma ln p")
def focal(
    logits: Array,
    target: Array,
    weight: Any = None,
    gamma: float = 2.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    counts = (target != ignore_index) * (1 if weight is None else weight)
    label = np.where(target == ignore_index, 0, target)
    p = np.take_along_axis(_softmax(logits, 1), label[:, None], 1)[:, 0]
    return reduce_loss(-((1 - p) ** gamma) * np.log(p), reduction, counts)


@FORMULAS.of("binary_focal", "-alpha_t (1 - p_t)^gamma ln p_t", "1 - alpha")
def binary_focal(
    logits: Array,
    target: Array,
    weight: Any = None,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Array:
    p = np.where(target == 1, _sigmoid(logits), 1 - _sigmoid(logits))
    loss = -np.where(target == 1, alpha, 1 - alpha) * (1 - p) ** gamma * np.log(p)
    return reduce_loss(loss, reduction, weight)


def _overlap(
    logits: Array,
    target: Array,
    background: bool,
    per_row: bool,
    ratio: Any,
    ignore_index: int | None,
    mask: Array | None,
) -> Array:
    """One minus the mean of a ratio of probabilities and targets, for each class and row, of the
    entries that count."""
    counts = np.ones(target.shape, bool) if mask is None else mask
    counts = counts & (target != ignore_index)
    if logits.ndim > target.ndim:
        p = _softmax(logits, 1)
        t = np.stack([target == c for c in range(logits.shape[1])], axis=1).astype(np.float64)
        groups = [(p[:, c], t[:, c]) for c in range(0 if background else 1, p.shape[1])]
    else:
        groups = [(_sigmoid(logits), target.astype(np.float64))]
    chosen = [(a, b, counts) for a, b in groups]
    if per_row:
        chosen = [(a[n], b[n], counts[n]) for a, b in groups for n in range(len(a))]
    return np.asarray(1 - np.mean([ratio(p[seen], t[seen]) for p, t, seen in chosen]))


@FORMULAS.of("soft_dice", "1 - (2 α + eps) / (β + eps)")
def soft_dice(
    logits: Array,
    target: Array,
    eps: float = 1.0,
    background: bool = True,
    per_row: bool = False,
    ignore_index: int | None = None,
    mask: Array | None = None,
) -> Array:
    def ratio(p: Array, t: Array) -> Any:
        alpha, beta = (p * t).sum(), p.sum() + t.sum()
        return (2 * alpha + eps) / (beta + eps)

    return _overlap(logits, target, background, per_row, ratio, ignore_index, mask)


@FORMULAS.of("soft_iou", "1 - (α + eps) / (β - α + eps)")
def soft_iou(
    logits: Array,
    target: Array,
    eps: float = 1.0,
    background: bool = True,
    per_row: bool = False,
    ignore_index: int | None = None,
    mask: Array | None = None,
) -> Array:
    def ratio(p: Array, t: Array) -> Any:
        alpha, beta = (p * t).sum(), p.sum() + t.sum()
        return (alpha + eps) / (beta - alpha + eps)

    return _overlap(logits, target, background, per_row, ratio, ignore_index, mask)


@FORMULAS.of("tversky", "1 - (TP + eps) / (TP + alpha FP + beta FN + eps)")
def tversky(
    logits: Array,
    target: Array,
    alpha: float = 0.3,
    beta: float = 0.7,
    eps: float = 1.0,
    per_row: bool = False,
    ignore_index: int | None = None,
    mask: Array | None = None,
) -> Array:
    def ratio(p: Array, t: Array) -> Any:
        tp, fp, fn = (p * t).sum(), (p * (1 - t)).sum(), ((1 - p) * t).sum()
        return (tp + eps) / (tp + alpha * fp + beta * fn + eps)

    return _overlap(logits, target, True, per_row, ratio, ignore_index, mask)


def _diverge(p: Array, q: Array, axis: int) -> Any:
    return (p * np.log(p / q)).sum(axis=axis)


@FORMULAS.of("kl_of_logits", "KL(target ‖ logits)", "KL(logits ‖ target)")
def kl_of_logits(
    logits: Array,
    target_logits: Array,
    weight: Any = None,
    axis: int = -1,
    reverse: bool = False,
    reduction: str = "mean",
) -> Array:
    p, q = _softmax(target_logits, axis), _softmax(logits, axis)
    losses = _diverge(q, p, axis) if reverse else _diverge(p, q, axis)
    return reduce_loss(losses, reduction, weight)


@FORMULAS.of("jensen_shannon", "loss = (KL(p ‖ m) + KL(q ‖ m)) / 2,   m = (p + q) / 2")
def jensen_shannon(
    a: Array, b: Array, weight: Any = None, axis: int = -1, reduction: str = "mean"
) -> Array:
    p, q = _softmax(a, axis), _softmax(b, axis)
    m = (p + q) / 2
    return reduce_loss((_diverge(p, m, axis) + _diverge(q, m, axis)) / 2, reduction, weight)


@FORMULAS.of("gaussian_kl", "loss = -½ Σ (1 + ln (σ² / τ²) - (μ - ν)² / τ² - σ² / τ²)")
def gaussian_kl(
    mu: Array,
    log_variance: Array,
    prior_mean: float = 0.0,
    prior_log_variance: float = 0.0,
    reduction: str = "mean",
) -> Array:
    own, prior = np.exp(log_variance), np.exp(prior_log_variance)
    terms = 1 + np.log(own / prior) - (mu - prior_mean) ** 2 / prior - own / prior
    return reduce_loss(-0.5 * terms.sum(axis=-1), reduction)


@FORMULAS.of("gaussian_nll", "½ (ln σ² + (t - μ)² / σ²)")
def gaussian_nll(
    mu: Array,
    target: Array,
    variance: Array,
    weight: Any = None,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Array:
    square = np.maximum(variance, eps)
    loss = 0.5 * (np.log(square) + (target - mu) ** 2 / square)
    return reduce_loss(loss + 0.5 * np.log(2 * np.pi) * full, reduction, weight)


@FORMULAS.of("laplace_nll", "ln (2 b) + |t - μ| / b")
def laplace_nll(
    mu: Array,
    target: Array,
    scale: Array,
    weight: Any = None,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Array:
    b = np.maximum(scale, eps)
    return reduce_loss(np.log(2 * b) + abs(target - mu) / b, reduction, weight)


@FORMULAS.of("poisson_nll", "rate - t ln rate", "t ln t - t + ½ ln (2 π t)")
def poisson_nll(
    log_rate: Array,
    target: Array,
    weight: Any = None,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Array:
    rate = np.exp(log_rate) if log_input else log_rate
    loss = rate - target * np.log(rate if log_input else rate + eps)
    if full:
        t = np.maximum(target, 1)
        stirling = t * np.log(t) - t + 0.5 * np.log(2 * np.pi * t)
        loss = loss + np.where(target > 1, stirling, 0)
    return reduce_loss(loss, reduction, weight)


@FORMULAS.of("bernoulli_nll", "loss = -t * log(p) - (1 - t) * log(1 - p)")
def bernoulli_nll(
    logits: Array, target: Array, weight: Any = None, reduction: str = "mean"
) -> Array:
    p = _sigmoid(logits)
    loss = -target * np.log(p) - (1 - target) * np.log(1 - p)
    return reduce_loss(loss, reduction, weight)


@FORMULAS.of("log_cosh", "loss = log(cosh(prediction - target))")
def log_cosh(
    prediction: Array, target: Array, weight: Any = None, reduction: str = "mean"
) -> Array:
    return reduce_loss(np.log(np.cosh(prediction - target)), reduction, weight)


@FORMULAS.of("quantile_loss", "max(q (t - y), (q - 1) (t - y))")
def quantile_loss(
    prediction: Array,
    target: Array,
    weight: Any = None,
    quantile: float = 0.5,
    reduction: str = "mean",
) -> Array:
    error = target - prediction
    return reduce_loss(np.maximum(quantile * error, (quantile - 1) * error), reduction, weight)


@FORMULAS.of("hinge", "max(0, 1 - t y)")
def hinge(
    score: Array,
    target: Array,
    weight: Any = None,
    squared: bool = False,
    reduction: str = "mean",
) -> Array:
    loss = np.maximum(0, 1 - target * score)
    return reduce_loss(loss**2 if squared else loss, reduction, weight)


@FORMULAS.of("soft_margin", "ln (1 + exp(-t y))")
def soft_margin(score: Array, target: Array, weight: Any = None, reduction: str = "mean") -> Array:
    return reduce_loss(np.log(1 + np.exp(-target * score)), reduction, weight)


@FORMULAS.of("hinge_embedding", "max(0, margin - d)")
def hinge_embedding(
    distance: Array,
    target: Array,
    weight: Any = None,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Array:
    loss = np.where(target == 1, distance, np.maximum(0, margin - distance))
    return reduce_loss(loss, reduction, weight)


@FORMULAS.of("multi_label_margin", "loss = (Σ_{t, c} max(0, 1 - x[t] + x[c])) / classes")
def multi_label_margin(
    scores: Array, target: Array, weight: Any = None, reduction: str = "mean"
) -> Array:
    losses = []
    for x, row in zip(scores, target.tolist(), strict=True):
        end = next((n for n, t in enumerate(row) if t < 0), len(row))
        others = set(range(len(x))) - set(row[:end])
        losses.append(sum(max(0.0, 1 - x[t] + x[c]) for t in row[:end] for c in others) / len(x))
    return reduce_loss(np.array(losses), reduction, weight)


@FORMULAS.of(
    "multi_label_soft_margin",
    "loss = -mean_c (t_c * log(sigmoid(x_c)) + (1 - t_c) * log(sigmoid(-x_c)))",
)
def multi_label_soft_margin(
    logits: Array, target: Array, weight: Any = None, reduction: str = "mean"
) -> Array:
    terms = target * np.log(_sigmoid(logits)) + (1 - target) * np.log(_sigmoid(-logits))
    return reduce_loss(-terms.mean(axis=-1), reduction, weight)


@FORMULAS.of("multi_margin", "loss = (Σ_{c != t} max(0, margin - x[t] + x[c])^p) / classes")
def multi_margin(
    scores: Array,
    target: Array,
    weight: Any = None,
    p: int = 1,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Array:
    losses = [
        sum(max(0.0, margin - x[t] + x[c]) ** p for c in range(len(x)) if c != t) / len(x)
        for x, t in zip(scores, target.tolist(), strict=True)
    ]
    return reduce_loss(np.array(losses), reduction, weight)


def _apart(a: Array, b: Array, p: float = 2.0) -> Array:
    """`pair_distance`."""
    return np.asarray((abs(a - b + 1e-6) ** p).sum(axis=-1) ** (1 / p))


@FORMULAS.of("contrastive", "½ d²", "½ max(0, margin - d)²")
def contrastive(
    a: Array,
    b: Array,
    same: Array,
    weight: Any = None,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Array:
    d = _apart(a, b)
    loss = np.where(same == 1, 0.5 * d**2, 0.5 * np.maximum(0, margin - d) ** 2)
    return reduce_loss(loss, reduction, weight)


@FORMULAS.of("triplet", "max(0, d(anchor, positive) - d(anchor, negative) + margin)")
def triplet(
    anchor: Array,
    positive: Array,
    negative: Array,
    weight: Any = None,
    margin: float = 1.0,
    p: float = 2.0,
    reduction: str = "mean",
) -> Array:
    loss = np.maximum(0, _apart(anchor, positive, p) - _apart(anchor, negative, p) + margin)
    return reduce_loss(loss, reduction, weight)


def _cosine(a: Array, b: Array) -> Array:
    """Those of all pairs of rows."""
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    return np.asarray(a @ b.T / lengths)


@FORMULAS.of("cosine_embedding", "1 - cos(a, b)", "max(0, cos(a, b) - margin)")
def cosine_embedding(
    a: Array,
    b: Array,
    same: Array,
    weight: Any = None,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Array:
    cosine = _cosine(a, b).diagonal()
    loss = np.where(same == 1, 1 - cosine, np.maximum(0, cosine - margin))
    return reduce_loss(loss, reduction, weight)


@FORMULAS.of("margin_ranking", "max(0, -t (a - b) + margin)")
def margin_ranking(
    a: Array,
    b: Array,
    target: Array,
    weight: Any = None,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Array:
    return reduce_loss(np.maximum(0, -target * (a - b) + margin), reduction, weight)


@FORMULAS.of(
    "nt_xent", "loss_i = -log(exp(s_ij / temperature) / Σ_{k != i} exp(s_ik / temperature))"
)
def nt_xent(a: Array, b: Array, temperature: float = 0.5, reduction: str = "mean") -> Array:
    rows = np.concatenate([a, b])
    powers = np.exp(_cosine(rows, rows) / temperature)
    losses = [
        -np.log(powers[i, (i + len(a)) % len(rows)] / np.delete(powers[i], i).sum())
        for i in range(len(rows))
    ]
    return reduce_loss(np.array(losses), reduction)


@FORMULAS.of("info_nce", "loss_i = -log(exp(s_ii / temperature) / Σ_k exp(s_ik / temperature))")
def info_nce(query: Array, key: Array, temperature: float = 0.07, reduction: str = "mean") -> Array:
    powers = np.exp(_cosine(query, key) / temperature)
    return reduce_loss(-np.log(powers.diagonal() / powers.sum(axis=1)), reduction)


@FORMULAS.of("clip_loss", "loss = (CE(scale * s) + CE(scale * sᵀ)) / 2")
def clip_loss(
    image: Array, text: Array, scale: float = 14.285714, reduction: str = "mean"
) -> Array:
    s = _cosine(image, text)

    def entropy(scores: Array) -> Any:
        return -np.log(_softmax(scores).diagonal())

    return reduce_loss((entropy(scale * s) + entropy(scale * s.T)) / 2, reduction)


@FORMULAS.of(
    "gan_discriminator",
    "-ln σ(r) - ln (1 - σ(f))",
    "½ (r - 1)² + ½ f²",
    "max(0, 1 - r) + max(0, 1 + f)",
)
def gan_discriminator(real: Array, fake: Array, form: str = "non_saturating") -> Array:
    """Means over real and made rows, of which the numbers may differ."""
    match form:
        case "saturating" | "non_saturating":
            parts = -np.log(_sigmoid(real)), -np.log(1 - _sigmoid(fake))
        case "least_squares":
            parts = 0.5 * (real - 1) ** 2, 0.5 * fake**2
        case "hinge":
            parts = np.maximum(0, 1 - real), np.maximum(0, 1 + fake)
        case _:
            parts = -real, fake
    return np.asarray(parts[0].mean() + parts[1].mean())


@FORMULAS.of("gan_generator", "ln (1 - σ(f))", "½ (f - 1)²")
def gan_generator(fake: Array, form: str = "non_saturating") -> Array:
    losses = {
        "saturating": np.log(1 - _sigmoid(fake)),
        "non_saturating": -np.log(_sigmoid(fake)),
        "least_squares": 0.5 * (fake - 1) ** 2,
        "hinge": -fake,
        "wasserstein": -fake,
    }
    return np.asarray(losses[form].mean())
