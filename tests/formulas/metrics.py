"""Metrics: the figure of a whole split, from its arrays, of which masks and weights may be None."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.formulas.quoted import Formulas

Array = NDArray[Any]
FORMULAS = Formulas("metric")
HITS = "(Σ_i w_i h_i) / (Σ_i w_i)"


def _count(o: Any, labels: Array, mask: Any, weight: Any) -> Array:
    """How much every label counts."""
    w = np.ones(labels.shape)
    w = w if mask is None else w * mask
    w = w if weight is None else w * weight.astype(np.float64)
    if getattr(o, "ignore_index", None) is not None:
        w = np.where(labels == o.ignore_index, 0, w)
    if getattr(o, "weight", None) is not None:
        w = w * np.array(o.weight)[np.clip(labels, 0, len(o.weight) - 1)]
    return w


def _rows(o: Any, scores: Array, labels: Array, mask: Any, weight: Any) -> tuple[Array, ...]:
    """The scores of every label that counts, the labels, and how much they count."""
    w = _count(o, labels, mask, weight).ravel()
    rows = np.moveaxis(scores, o.axis, -1).reshape(-1, scores.shape[o.axis]).astype(np.float64)
    return rows[w > 0], labels.ravel()[w > 0], w[w > 0]


def _softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@FORMULAS.of("accuracy", HITS)
def accuracy(o: Any, scores: Array, labels: Array, mask: Any = None, weight: Any = None) -> float:
    rows, y, w = _rows(o, scores, labels, mask, weight)
    h = np.array([list(row).index(max(row)) == label for row, label in zip(rows, y, strict=True)])
    return float((w * h).sum() / w.sum())


@FORMULAS.of("top_k", HITS)
def top_k(o: Any, scores: Array, labels: Array, mask: Any = None, weight: Any = None) -> float:
    rows, y, w = _rows(o, scores, labels, mask, weight)
    h = []
    for row, label in zip(rows, y, strict=True):
        before = [
            row[c] > row[label] or (row[c] == row[label] and c < label) for c in range(len(row))
        ]
        h.append(sum(before) < o.k)
    return float((w * np.array(h)).sum() / w.sum())


@FORMULAS.of("perplexity", "exp(-(Σ_i w_i log(p_i)) / (Σ_i w_i))")
def perplexity(o: Any, scores: Array, labels: Array, mask: Any = None, weight: Any = None) -> float:
    rows, y, w = _rows(o, scores, labels, mask, weight)
    p = _softmax(rows)[np.arange(len(y)), y]
    return float(np.exp(-(w * np.log(p)).sum() / w.sum()))


@FORMULAS.of("nll_of_probability", "-(Σ_i w_i log(max(p_i, eps))) / (Σ_i w_i)")
def nll_of_probability(
    o: Any, scores: Array, labels: Array, mask: Any = None, weight: Any = None
) -> float:
    rows, y, w = _rows(o, scores, labels, mask, weight)
    p = [max(float(row[label]), o.eps) for row, label in zip(rows, y, strict=True)]
    return float(-(w * np.log(p)).sum() / w.sum())


@FORMULAS.of(
    "calibration_error",
    "b / bins",
    "(b + 1) / bins",
    "Σ_b n_b / n * |accuracy_b - confidence_b|",
)
def calibration_error(
    o: Any, scores: Array, labels: Array, mask: Any = None, weight: Any = None
) -> float:
    rows, y, w = _rows(o, scores, labels, mask, weight)
    confidence = _softmax(rows).max(axis=1)
    right = rows.argmax(axis=1) == y
    found = 0.0
    for b in range(o.bins):
        last = b == o.bins - 1
        held = (b / o.bins <= confidence) & ((confidence < (b + 1) / o.bins) | last)
        n_b = w[held].sum()
        if n_b:
            share, trust = (w * right)[held].sum() / n_b, (w * confidence)[held].sum() / n_b
            found += n_b / w.sum() * abs(share - trust)
    return found


def _of_classes(o: Any, arrays: tuple[Any, ...], ratio: Any) -> float:
    """A ratio of TP, FP, FN of each class, averaged over the classes as the option says."""
    rows, y, w = _rows(o, *arrays, *[None] * (4 - len(arrays)))
    said = rows.argmax(axis=1)
    classes = range(rows.shape[1]) if o.classes is None else o.classes
    parts, weights = [], []
    for c in classes:
        tp, fp, fn = (
            float(w[chosen].sum())
            for chosen in ((said == c) & (y == c), (said == c) & (y != c), (said != c) & (y == c))
        )
        parts.append(ratio(tp, fp, fn))
        weights.append((tp + fn, tp + fp + fn))
    average = getattr(o, "average", "macro")
    if average == "micro":
        return float(np.divide(*np.sum(parts, axis=0)))
    shares = [over / under if under else 0.0 for over, under in parts]
    by = [actual if average == "weighted" else float(any_ > 0) for actual, any_ in weights]
    return float(np.average(shares, weights=by))


@FORMULAS.of("precision", "TP / (TP + FP)")
def precision(o: Any, *arrays: Any) -> float:
    return _of_classes(o, arrays, lambda tp, fp, fn: (tp, tp + fp))


@FORMULAS.of("recall", "TP / (TP + FN)")
def recall(o: Any, *arrays: Any) -> float:
    return _of_classes(o, arrays, lambda tp, fp, fn: (tp, tp + fn))


@FORMULAS.of("f1", "2 TP / (2 TP + FP + FN)")
def f1(o: Any, *arrays: Any) -> float:
    return _of_classes(o, arrays, lambda tp, fp, fn: (2 * tp, 2 * tp + fp + fn))


@FORMULAS.of("iou", "TP / (TP + FP + FN)")
def iou(o: Any, *arrays: Any) -> float:
    return _of_classes(o, arrays, lambda tp, fp, fn: (tp, tp + fp + fn))


@FORMULAS.of("balanced_accuracy", "mean_c (TP_c / (TP_c + FN_c))")
def balanced_accuracy(
    o: Any, scores: Array, labels: Array, mask: Any = None, weight: Any = None
) -> float:
    rows, y, w = _rows(o, scores, labels, mask, weight)
    right = rows.argmax(axis=1) == y
    classes = set(y.tolist()) & set(range(rows.shape[1]) if o.classes is None else o.classes)
    return float(np.mean([(w * right)[y == c].sum() / w[y == c].sum() for c in classes]))


def _counts(
    o: Any, logits: Array, labels: Array, mask: Any = None, weight: Any = None
) -> tuple[float, float, float, float]:
    """TP, FP, FN and TN."""
    w = _count(o, labels, mask, weight)
    said, true = logits > getattr(o, "threshold", 0.0), labels == 1
    kinds = (said & true, said & ~true, ~said & true, ~said & ~true)
    tp, fp, fn, tn = (float(w[kind].sum()) for kind in kinds)
    return tp, fp, fn, tn


def _divide(over: float, under: float) -> float:
    """0 where there is nothing to divide by."""
    return over / under if under else 0.0


@FORMULAS.of("binary_accuracy", "(TP + TN) / (TP + TN + FP + FN)")
def binary_accuracy(o: Any, *arrays: Any) -> float:
    tp, fp, fn, tn = _counts(o, *arrays)
    return (tp + tn) / (tp + tn + fp + fn)


@FORMULAS.of("binary_precision", "TP / (TP + FP)")
def binary_precision(o: Any, *arrays: Any) -> float:
    tp, fp, _, _ = _counts(o, *arrays)
    return _divide(tp, tp + fp)


@FORMULAS.of("binary_recall", "TP / (TP + FN)")
def binary_recall(o: Any, *arrays: Any) -> float:
    tp, _, fn, _ = _counts(o, *arrays)
    return _divide(tp, tp + fn)


@FORMULAS.of("binary_f1", "2 TP / (2 TP + FP + FN)")
def binary_f1(o: Any, *arrays: Any) -> float:
    tp, fp, fn, _ = _counts(o, *arrays)
    return _divide(2 * tp, 2 * tp + fp + fn)


@FORMULAS.of("binary_iou", "TP / (TP + FP + FN)")
def binary_iou(o: Any, *arrays: Any) -> float:
    tp, fp, fn, _ = _counts(o, *arrays)
    return _divide(tp, tp + fp + fn)


@FORMULAS.of("binary_balanced_accuracy", "(TP / (TP + FN) + TN / (TN + FP)) / 2")
def binary_balanced_accuracy(o: Any, *arrays: Any) -> float:
    tp, fp, fn, tn = _counts(o, *arrays)
    if not tp + fn or not tn + fp:
        return (tp + tn) / (tp + fn + tn + fp)
    return (tp / (tp + fn) + tn / (tn + fp)) / 2


def _rank(o: Any, arrays: tuple[Any, ...], measure: Any) -> float:
    """A figure of one score a row, or the mean of those of the classes that are labels."""
    scores, labels = arrays[0].astype(np.float64), arrays[1].ravel()
    w = _count(o, *arrays[1:], *[None] * (4 - len(arrays))).ravel()
    kept = w > 0
    if scores.ndim == 1 or scores.shape[1] == 1:
        return float(measure(scores.ravel()[kept], labels[kept] == 1, w[kept]))
    classes = np.unique(labels[kept])
    return float(np.mean([measure(scores[kept, c], labels[kept] == c, w[kept]) for c in classes]))


@FORMULAS.of("auroc", "(Σ_{i, j} v_i w_j u(a_i - b_j)) / (Σ_{i, j} v_i w_j)")
def auroc(o: Any, *arrays: Any) -> float:
    def measure(scores: Array, positive: Array, w: Array) -> float:
        apart = scores[positive][:, None] - scores[~positive]
        pairs = np.outer(w[positive], w[~positive])
        return float((pairs * np.heaviside(apart, 0.5)).sum() / pairs.sum())

    return _rank(o, arrays, measure)


@FORMULAS.of(
    "average_precision",
    "Σ_k (R_k - R_{k-1}) P_k,   R_k = TP_k / (TP_k + FN_k),   P_k = TP_k / (TP_k + FP_k)",
)
def average_precision(o: Any, *arrays: Any) -> float:
    def measure(scores: Array, positive: Array, w: Array) -> float:
        total, before = 0.0, 0.0
        for least in sorted(set(scores.tolist()), reverse=True):
            said = scores >= least
            tp, fp = w[said & positive].sum(), w[said & ~positive].sum()
            reached = tp / w[positive].sum()
            total, before = total + (reached - before) * tp / (tp + fp), reached
        return total

    return _rank(o, arrays, measure)


def _differ(o: Any, arrays: tuple[Any, ...]) -> tuple[Array, Array, Array]:
    """Predictions, targets, and how much each counts."""
    prediction, target = (a.astype(np.float64) for a in arrays[:2])
    return prediction, target, _count(o, *arrays[1:], *[None] * (4 - len(arrays)))


@FORMULAS.of("mse", "(Σ w (prediction - target)²) / (Σ w)")
def mse(o: Any, *arrays: Any) -> float:
    prediction, target, w = _differ(o, arrays)
    return float((w * (prediction - target) ** 2).sum() / w.sum())


@FORMULAS.of("rmse", "√((Σ w (prediction - target)²) / (Σ w))")
def rmse(o: Any, *arrays: Any) -> float:
    prediction, target, w = _differ(o, arrays)
    return float(np.sqrt((w * (prediction - target) ** 2).sum() / w.sum()))


@FORMULAS.of("mae", "(Σ w |prediction - target|) / (Σ w)")
def mae(o: Any, *arrays: Any) -> float:
    prediction, target, w = _differ(o, arrays)
    return float((w * abs(prediction - target)).sum() / w.sum())


@FORMULAS.of("mape", "e = |prediction - target| / max(|target|, 1.17e-6)", "(Σ w e) / (Σ w)")
def mape(o: Any, *arrays: Any) -> float:
    prediction, target, w = _differ(o, arrays)
    e = abs(prediction - target) / np.maximum(abs(target), 1.17e-6)
    return float((w * e).sum() / w.sum())


@FORMULAS.of(
    "r2",
    "1 - (Σ w (target - prediction)²) / (Σ w (target - mean)²)",
    "mean = (Σ w target) / (Σ w)",
)
def r2(o: Any, *arrays: Any) -> float:
    prediction, target, w = _differ(o, arrays)
    mean = (w * target).sum() / w.sum()
    return float(1 - (w * (target - prediction) ** 2).sum() / (w * (target - mean) ** 2).sum())


@FORMULAS.of("psnr", "10 log10(data_range² / mse)")
def psnr(o: Any, prediction: Array, target: Array) -> float:
    error = np.mean((prediction.astype(np.float64) - target) ** 2)
    return float(10 * np.log10(o.data_range**2 / error))


@FORMULAS.of(
    "ssim",
    "(2 μ_x μ_y + C_1) (2 σ_xy + C_2) / ((μ_x² + μ_y² + C_1) (σ_x² + σ_y² + C_2))",
    "C_1 = (0.01 L)²,   C_2 = (0.03 L)²",
)
def ssim(o: Any, prediction: Array, target: Array) -> float:
    """Window by window, each as a distribution of pixels with the Gaussian's probabilities."""
    places = np.arange(-5, 6)
    share = np.exp(-(places[:, None] ** 2 + places**2) / (2 * 1.5**2))
    share /= share.sum()
    c1, c2 = (0.01 * o.data_range) ** 2, (0.03 * o.data_range) ** 2
    edges = ((0, 0), (0, 0), (5, 5), (5, 5))
    x, y = (np.pad(a.astype(np.float64), edges, mode="reflect") for a in (prediction, target))
    found = []
    for n, c, i, j in np.ndindex(prediction.shape):
        a, b = (image[n, c, i : i + 11, j : j + 11] for image in (x, y))
        mean_a, mean_b = (share * a).sum(), (share * b).sum()
        spread = (share * (a - mean_a) ** 2).sum() + (share * (b - mean_b) ** 2).sum()
        both = (share * (a - mean_a) * (b - mean_b)).sum()
        under = (mean_a**2 + mean_b**2 + c1) * (spread + c2)
        found.append((2 * mean_a * mean_b + c1) * (2 * both + c2) / under)
    return float(np.mean(found))


@FORMULAS.of("frechet_distance", "‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½)")
def frechet_distance(o: Any, first: Array, second: Array) -> float:
    """The root has the trace of that of the symmetric matrix `A Σ₂ A` with `A² = Σ₁`."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    spread = [(x - x.mean(0)).T @ (x - x.mean(0)) / (len(x) - 1) for x in (a, b)]
    values, axes = np.linalg.eigh(spread[0])
    half = axes * np.sqrt(np.maximum(values, 0)) @ axes.T
    inner = np.linalg.eigvalsh(half @ spread[1] @ half)
    roots = np.sqrt(np.maximum(inner, 0)).sum()
    apart = np.sum((a.mean(0) - b.mean(0)) ** 2)
    return float(apart + np.trace(spread[0] + spread[1]) - 2 * roots)
