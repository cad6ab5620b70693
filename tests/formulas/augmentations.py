"""Blocks of `std.augment` from arrays and draws, in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.formulas.quoted import Formulas

Array = NDArray[Any]
FORMULAS = Formulas("block")


def by_row(values: Array, like: Array) -> Array:
    """A number for each row, against all entries of it."""
    return np.asarray(values, np.float64).reshape(-1, *[1] * (like.ndim - 1))


@FORMULAS.of("choose_rows", "y[i] = a[i]")
def choose_rows(chosen: Array, a: Array, b: Array) -> Array:
    return np.stack([x if one else z for one, x, z in zip(chosen, a, b, strict=True)])


@FORMULAS.of("luminance", "0.2989 R + 0.587 G + 0.114 B")
def luminance(x: Array) -> Array:
    return np.asarray(0.2989 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3], np.float64)


@FORMULAS.of("blend", "y = factor * x + (1 - factor) * other")
def blend(x: Array, other: Array, factor: Array) -> Array:
    share = by_row(factor, x)
    return np.clip(share * x + (1 - share) * other, 0, 1)


@FORMULAS.of("adjust_brightness", "y = factor * x")
def adjust_brightness(x: Array, factor: Array) -> Array:
    return np.clip(by_row(factor, x) * x, 0, 1)


@FORMULAS.of("adjust_contrast", "y = factor * x + (1 - factor) * mean(luminance(x))")
def adjust_contrast(x: Array, factor: Array) -> Array:
    return blend(x, luminance(x).mean((1, 2, 3), keepdims=True), factor)


@FORMULAS.of("adjust_saturation", "y = factor * x + (1 - factor) * luminance(x)")
def adjust_saturation(x: Array, factor: Array) -> Array:
    return blend(x, luminance(x), factor)


@FORMULAS.of("random_solarize", "y = 1 - x")
def random_solarize(x: Array, threshold: float) -> Array:
    return np.where(x >= threshold, 1 - x, x)


@FORMULAS.of("random_posterize", "2^bits", "y = min(floor(x * 2^bits), 2^bits - 1) / 2^bits")
def random_posterize(x: Array, bits: int) -> Array:
    return np.asarray(np.minimum(np.floor(x * 2.0**bits), 2.0**bits - 1) / 2.0**bits)


@FORMULAS.of("blur_matrix", "exp(-(d / sigma)² / 2)")
def blur_matrix(sigma: Array, size: int, r: int) -> Array:
    """What each pixel gets of each, the image mirrored at its edges."""
    weight = np.exp(-((np.arange(-r, r + 1) / by_row(sigma, np.empty((1, 1)))) ** 2) / 2)
    weight /= weight.sum(1, keepdims=True)
    found = np.zeros((len(sigma), size, size))
    for i, k in np.ndindex(size, 2 * r + 1):
        seen = abs(i + k - r)
        found[:, i, size - 1 - abs(size - 1 - seen)] += weight[:, k]
    return found


@FORMULAS.of("draw_factor", "1 - most", "1 + most")
@FORMULAS.of("color_jitter", "1 - brightness", "1 + brightness")
def draw_factor(u: Array, most: float) -> Array:
    """Factors from draws between 0 and 1."""
    low = max(0.0, 1 - most)
    return np.asarray(low + u * (1 + most - low))


@FORMULAS.of(
    "draw_beta",
    "p = u^(1 / alpha)",
    "c = cos(2πv)",
    "y = (1 + c * sqrt((1 - p) / (p + (1 - p) * c²))) / 2",
)
def draw_beta(u: Array, v: Array, alpha: float) -> Array:
    p, c = u ** (1 / alpha), np.cos(2 * np.pi * v)
    return np.asarray((1 + c * np.sqrt((1 - p) / (p + (1 - p) * c**2))) / 2)


@FORMULAS.of("gaussian_noise", "y = x + std * z")
def gaussian_noise(x: Array, z: Array, std: float) -> Array:
    return np.asarray(x + std * z)


@FORMULAS.of("mixup", "y[i] = share[i] * x[i] + (1 - share[i]) * x[j[i]]")
def mixup(x: Array, share: Array, j: Array) -> Array:
    part = by_row(share, x)
    return np.asarray(part * x + (1 - part) * x[j])


@FORMULAS.of("random_roll", "y[t] = x[t - k]")
def random_roll(x: Array, k: Array) -> Array:
    return np.stack([np.roll(row, moved, axis=-1) for row, moved in zip(x, k, strict=True)])


@FORMULAS.of("random_scale", "1 - most", "1 + most")
def random_scale(x: Array, u: Array, most: float) -> Array:
    return np.asarray(x * by_row(draw_factor(u, most), x))
