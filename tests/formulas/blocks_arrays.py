"""Boxes, signals, tensors and images of the library: from arrays in double precision, with the
options of their blocks."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.formulas.quoted import Formulas

Array = NDArray[Any]
FORMULAS = Formulas("block")

# --- boxes ---


@FORMULAS.of(
    "center_to_edges",
    "left = x - w / 2,   right = x + w / 2",
    "top = y - h / 2,   bottom = y + h / 2",
)
def center_to_edges(boxes: Array) -> Array:
    x, y, w, h = np.moveaxis(boxes, -1, 0)
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=-1)


@FORMULAS.of(
    "edges_to_center",
    "x = (left + right) / 2,   w = right - left",
    "y = (top + bottom) / 2,   h = bottom - top",
)
def edges_to_center(boxes: Array) -> Array:
    left, top, right, bottom = np.moveaxis(boxes, -1, 0)
    parts = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    return np.stack(parts, axis=-1)


@FORMULAS.of("box_area", "y = (right - left) * (bottom - top)")
def box_area(boxes: Array) -> Array:
    left, top, right, bottom = np.moveaxis(boxes, -1, 0)
    return np.asarray((right - left) * (bottom - top))


@FORMULAS.of("box_overlaps", "union = area(a) + area(b) - intersection")
def box_overlaps(a: Array, b: Array) -> tuple[Array, Array]:
    """Edge by edge; boxes that do not meet have nothing in common."""
    both, either = np.zeros((2, len(a), len(b)))
    for i, j in np.ndindex(len(a), len(b)):
        width = min(a[i, 2], b[j, 2]) - max(a[i, 0], b[j, 0])
        height = min(a[i, 3], b[j, 3]) - max(a[i, 1], b[j, 1])
        both[i, j] = max(width, 0) * max(height, 0)
        either[i, j] = box_area(a[i]) + box_area(b[j]) - both[i, j]
    return both, either


@FORMULAS.of("box_iou", "y = intersection / union")
def box_iou(a: Array, b: Array) -> Array:
    intersection, union = box_overlaps(a, b)
    return np.asarray(intersection / union)


@FORMULAS.of("generalized_box_iou", "iou - (C - union) / C")
def generalized_box_iou(a: Array, b: Array) -> Array:
    intersection, union = box_overlaps(a, b)
    around = np.zeros(union.shape)
    for i, j in np.ndindex(union.shape):
        left, top = np.minimum(a[i, :2], b[j, :2])
        right, bottom = np.maximum(a[i, 2:], b[j, 2:])
        around[i, j] = (right - left) * (bottom - top)
    return np.asarray(intersection / union - (around - union) / around)


# --- signals ---


@FORMULAS.of("hann_window", "(1 - cos(2πk / n)) / 2")
def hann_window(n: int) -> Array:
    return np.asarray((1 - np.cos(2 * np.pi * np.arange(n) / n)) / 2)


@FORMULAS.of("hamming_window", "0.54 - 0.46 cos(2πk / n)")
def hamming_window(n: int) -> Array:
    return np.asarray(0.54 - 0.46 * np.cos(2 * np.pi * np.arange(n) / n))


@FORMULAS.of("power_spectrum", "y[n, f, t] = |STFT(x)[n, f, t]|²")
def power_spectrum(x: Array, n_fft: int = 400, hop_length: int = 160, center: bool = True) -> Array:
    """The transform as sums over the places of each window."""
    if center:
        x = np.pad(x, ((0, 0), (n_fft // 2, n_fft // 2)), mode="reflect")
    k = np.arange(n_fft)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(n_fft // 2 + 1), k) / n_fft)
    begins = range(0, x.shape[1] - n_fft + 1, hop_length)
    frames = [waves @ (x[:, s : s + n_fft] * hann_window(n_fft)).T for s in begins]
    return np.abs(np.stack(frames, axis=-1).transpose(1, 0, 2)) ** 2


@FORMULAS.of(
    "mel_filters",
    "2595 log10(1 + f / 700)",
    "y[k, m] = max(0, min((f_k - e_m) / (e_{m+1} - e_m), (e_{m+2} - f_k) / (e_{m+2} - e_{m+1})))",
)
def mel_filters(
    bins: int, mels: int, rate: float, low: float = 0.0, high: float | None = None
) -> Array:
    high = rate / 2 if high is None else high
    ends = [2595 * np.log10(1 + f / 700) for f in (low, high)]
    e = 700 * (10 ** (np.linspace(*ends, mels + 2) / 2595) - 1)
    y = np.zeros((bins, mels))
    for k, m in np.ndindex(bins, mels):
        f = k * rate / 2 / (bins - 1)
        rise, fall = (f - e[m]) / (e[m + 1] - e[m]), (e[m + 2] - f) / (e[m + 2] - e[m + 1])
        y[k, m] = max(0, min(rise, fall))
    return y


@FORMULAS.of("log_mel", "y[n, m, t] = log(max(Σ_k power[n, k, t] filters[k, m], floor))")
def log_mel(
    x: Array,
    mels: int = 80,
    n_fft: int = 400,
    hop_length: int = 160,
    rate: float = 16000.0,
    low: float = 0.0,
    high: float | None = None,
    floor: float = 1e-10,
) -> Array:
    power = power_spectrum(x, n_fft, hop_length)
    filters = mel_filters(n_fft // 2 + 1, mels, rate, low, high)
    return np.log(np.maximum(np.einsum("nkt,km->nmt", power, filters), floor))


@FORMULAS.of("cross_correlation", "y[..., k] = Σ_i a[..., i + k - (t - 1)] b[..., i]", "2 t - 1")
def cross_correlation(a: Array, b: Array) -> Array:
    t = a.shape[-1]
    y = np.zeros((*a.shape[:-1], 2 * t - 1))
    for k, i in np.ndindex(2 * t - 1, t):
        if 0 <= i + k - (t - 1) < t:
            y[..., k] += a[..., i + k - (t - 1)] * b[..., i]
    return y


@FORMULAS.of("autocorrelation", "y[..., k] = Σ_i x[..., i + k] x[..., i]")
def autocorrelation(x: Array, lags: int, normalized: bool = False) -> Array:
    t = x.shape[-1]
    y = np.stack([(x[..., k:] * x[..., : t - k]).sum(-1) for k in range(lags + 1)], axis=-1)
    return np.asarray(y / y[..., :1] if normalized else y)


# --- tensors ---


@FORMULAS.of("diff", "y[i] = x[i + 1] - x[i]")
def diff(x: Array, n: int = 1, axis: int = -1) -> Array:
    x = np.moveaxis(x, axis, 0)
    for _ in range(n):
        x = np.stack([x[i + 1] - x[i] for i in range(len(x) - 1)])
    return np.moveaxis(x, 0, axis)


@FORMULAS.of("eye", "y[i, j] = 1 where i = j, else 0")
def eye(n: int) -> Array:
    return np.array([[1.0 if i == j else 0.0 for j in range(n)] for i in range(n)])


@FORMULAS.of("diagonal", "y[i] = x[i, i + offset]")
def diagonal(x: Array, offset: int = 0) -> Array:
    size = x.shape[-1]
    pairs = [(i, i + offset) for i in range(size) if 0 <= i + offset < size]
    return np.stack([x[..., i, j] for i, j in pairs], axis=-1)


@FORMULAS.of("diag_embed", "y[i, i] = x[i]")
def diag_embed(x: Array) -> Array:
    y = np.zeros((*x.shape, x.shape[-1]))
    for i in range(x.shape[-1]):
        y[..., i, i] = x[..., i]
    return y


@FORMULAS.of("trace", "y = Σ_i x[i, i]")
def trace(x: Array) -> Array:
    return np.asarray(sum(x[..., i, i] for i in range(x.shape[-1])))


@FORMULAS.of("outer", "y[..., i, j] = a[..., i] * b[..., j]")
def outer(a: Array, b: Array) -> Array:
    y = np.zeros((*a.shape, b.shape[-1]))
    for i, j in product(range(a.shape[-1]), range(b.shape[-1])):
        y[..., i, j] = a[..., i] * b[..., j]
    return y


@FORMULAS.of("cross", "y[i] = a[i + 1] * b[i + 2] - a[i + 2] * b[i + 1]")
def cross(a: Array, b: Array, axis: int = -1) -> Array:
    a, b = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)
    one, two = (1, 2, 0), (2, 0, 1)
    rows = [a[one[i]] * b[two[i]] - a[two[i]] * b[one[i]] for i in range(3)]
    return np.moveaxis(np.stack(rows), 0, axis)


def _length(x: Array, p: float) -> Array:
    if np.isinf(p):
        return np.asarray(abs(x).max(axis=-1))
    return np.asarray((abs(x) ** p).sum(axis=-1) ** (1 / p))


@FORMULAS.of("cdist", "y[..., i, j] = ‖a[..., i] - b[..., j]‖_p")
def cdist(a: Array, b: Array, p: float = 2.0) -> Array:
    y = np.zeros((*a.shape[:-1], b.shape[-2]))
    for i, j in np.ndindex(a.shape[-2], b.shape[-2]):
        y[..., i, j] = _length(a[..., i, :] - b[..., j, :], p)
    return y


@FORMULAS.of("pair_distance", "y = ‖a - b + eps‖_p")
def pair_distance(a: Array, b: Array, p: float = 2.0, eps: float = 1e-6) -> Array:
    return _length(a - b + eps, p)


# --- images ---


@FORMULAS.of("channel_shuffle", "g * (c / groups) + i", "i * groups + g")
def channel_shuffle(x: Array, groups: int) -> Array:
    y, size = np.empty_like(x), x.shape[1] // groups
    for g, i in np.ndindex(groups, size):
        y[:, i * groups + g] = x[:, g * size + i]
    return y


@FORMULAS.of("lp_pool", "(Σ |x|^p)^(1/p)")
def lp_pool(
    x: Array, kernel: int, stride: int | None = None, p: float = 2.0, ceil_mode: bool = False
) -> Array:
    step, space = kernel if stride is None else stride, x.ndim - 2
    counts = [(size - kernel) // step + 1 for size in x.shape[2:]]
    if ceil_mode:
        counts = [-(-(size - kernel) // step) + 1 for size in x.shape[2:]]
    y = np.zeros((*x.shape[:2], *counts))
    for place in np.ndindex(*counts):
        cut = tuple(slice(i * step, i * step + kernel) for i in place)
        window = x[(slice(None), slice(None), *cut)].reshape(*x.shape[:2], -1)
        missed = kernel**space / window.shape[2]
        y[(slice(None), slice(None), *place)] = (missed * (abs(window) ** p).sum(-1)) ** (1 / p)
    return y


@FORMULAS.of("pixel_places", "y[i] = 2 * i / (size - 1) - 1", "y[i] = (2 * i + 1) / size - 1")
def pixel_places(size: int, align_corners: bool = False) -> Array:
    if align_corners:
        return np.array([2 * i / (size - 1) - 1 if size > 1 else 0 for i in range(size)])
    return np.array([(2 * i + 1) / size - 1 for i in range(size)])


@FORMULAS.of("affine_grid", "theta @ [x, y, 1]")
def affine_grid(theta: Array, h: int, w: int, align_corners: bool = False) -> Array:
    grid = np.zeros((len(theta), h, w, 2))
    x, y = (pixel_places(size, align_corners) for size in (w, h))
    for n, i, j in np.ndindex(len(theta), h, w):
        grid[n, i, j] = theta[n] @ [x[j], y[i], 1]
    return grid
