"""Formulas of docs/textbook/generative-models.md."""

from __future__ import annotations

from math import exp, log, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def autoencoder(x: Array, encoder_weight: Array, decoder_weight: Array) -> dict[str, Any]:
    direction = np.array([0.6, 0.8])
    assert np.allclose(encoder_weight[0], direction)
    assert np.allclose(decoder_weight[:, 0], direction)
    rebuilt = x @ np.outer(direction, direction)
    return {"rebuilt": rebuilt, "loss": np.mean(((x - rebuilt) ** 2).sum(1))}


def reparameterization(mu: Array, log_variance: Array, noise: Array) -> Array:
    return mu + np.sqrt(np.exp(log_variance)) * noise


def evidence_bound(x: Array, rebuilt: Array, mu: Array, log_variance: Array) -> float:
    total = 0.0
    for row, guess, m, lv in zip(x, rebuilt, mu, log_variance, strict=True):
        density = np.prod(np.exp(-((row - guess) ** 2) / 2) / sqrt(2 * pi))
        total += -log(density) + sum((m**2 + np.exp(lv) - 1 - lv) / 2)
    return total / len(x)


def importance_bound(log_weight: Array) -> dict[str, Array]:
    return {"one": log_weight.mean(1), "several": np.log(np.exp(log_weight).mean(1))}


def vector_quantization(z: Array, list: Array) -> dict[str, Any]:
    squares = np.array([[np.sum((row - e) ** 2) for e in list] for row in z])
    return {"place": squares.argmin(1), "loss": 1.25 * squares.min(1).mean()}


def best_discriminator(p: Array, q: Array) -> dict[str, Any]:
    m = (p + q) / 2
    shannon = (np.sum(p * np.log(p / m)) + np.sum(q * np.log(q / m))) / 2
    loss = 2 * log(2) - 2 * shannon
    return {"loss": loss, "shannon": loss}


def discriminator_step(
    real: Array, noise: Array, generator_g_weight: Array, judge_d_weight: Array
) -> dict[str, Array]:
    made = noise * generator_g_weight
    up = np.mean((1 - _logistic(real * judge_d_weight)) * real)
    down = np.mean(_logistic(made * judge_d_weight) * made)
    return {
        "judge.d.weight": judge_d_weight + 0.1 * (up - down),
        "generator.g.weight": generator_g_weight,
    }


def generator_losses(score: Array) -> dict[str, Any]:
    d = _logistic(score)
    return {
        "saturating": np.mean(np.log(1 - d)),
        "non_saturating": -np.mean(np.log(d)),
        "least_squares": np.mean((score - 1) ** 2) / 2,
        "wasserstein": -np.mean(score),
    }


def wasserstein(a: Array, b: Array) -> float:
    """The area between the distribution functions."""
    places = np.sort(np.concatenate([a, b])).astype(float)
    below = [abs(np.mean(a <= x) - np.mean(b <= x)) for x in places[:-1]]
    return float(np.sum(below * np.diff(places)))


def frechet(first: Array, second: Array, a: Array, b: Array) -> float:
    values = np.linalg.eigvals(a.astype(float) @ b)
    return float(np.sum((first - second) ** 2) + np.trace(a + b) - 2 * np.sum(np.sqrt(values)))


def linear_flow(x: Array) -> Array:
    w = np.array([[2.0, 0.0], [1.0, 0.5]])
    covariance = np.linalg.inv(w.T @ w)
    far = np.array([row @ np.linalg.inv(covariance) @ row for row in x])
    return -far / 2 - np.log(2 * pi * np.sqrt(np.linalg.det(covariance)))


def coupling(x: Array) -> dict[str, Array]:
    a, b = x.T.astype(float)
    z = np.stack([a, b * np.exp(np.tanh(a)) + 2 * a], axis=1)
    step = 1e-6
    slope = ((b + step) * np.exp(np.tanh(a)) - b * np.exp(np.tanh(a))) / step
    return {"z": z, "back": x, "log_det": np.log(slope)}


def masked_convolution(image: Array, conv_weight: Array) -> Array:
    _, _, height, width = image.shape
    y = np.zeros(image.shape)
    past = [(-1, -1), (-1, 0), (-1, 1), (0, -1)]
    assert conv_weight.sum() == len(past)
    for i, j in np.ndindex(height, width):
        for down, right in past:
            if i + down >= 0 and 0 <= j + right < width:
                y[0, 0, i, j] += image[0, 0, i + down, j + right]
    return y


def noising(x: Array, noise: Array) -> dict[str, Array]:
    beta = [1e-4 + (0.02 - 1e-4) * t / 999 for t in range(1000)]
    left = [exp(sum(log(1 - b) for b in beta[:t])) for t in (500, 1000)]
    half = sqrt(left[0]) * x + sqrt(1 - left[0]) * noise
    return {"half": half, "left": np.array(left)}


def denoising_loss(x: Array, noise: Array, keep: Array, predictor_weight: Array) -> Any:
    noisy = np.sqrt(keep) * x + np.sqrt(1 - keep) * noise
    return np.mean((noisy @ predictor_weight.T - noise) ** 2)


def denoising_step(x: Array, guess: Array, beta: Array, keep: Array) -> Array:
    """At the first step, where `keep` is one less `beta`, the guess of the picture itself."""
    assert np.isclose(keep, 1 - beta)
    return (x - np.sqrt(1 - keep) * guess) / np.sqrt(keep)


def implicit_step(x: Array, guess: Array, now: Array, later: Array) -> dict[str, Array]:
    clean = (x - 0.8 * guess) / 0.6
    assert np.isclose(now, 0.36)
    assert np.isclose(later, 0.64)
    return {"clean": clean, "x_later": 0.8 * clean + 0.6 * guess}


def score_walk(x: Array, noise: Array) -> Array:
    """The slope of the logarithm of a sum of two bells, by shares."""
    for z in noise:
        bells = [np.exp(-((x - m) ** 2) / 2) for m in (-2, 2)]
        slope = sum(bell * (m - x) for bell, m in zip(bells, (-2, 2), strict=True)) / sum(bells)
        x = x + 0.05 * slope + sqrt(0.1) * z
    return x


def guidance(free: Array, given: Array) -> Array:
    return 3 * given - 2 * free


def flow_matching(x: Array) -> dict[str, Array]:
    goal = np.array([1.0, -2.0])
    return {"half": (x + goal) / 2, "end": np.broadcast_to(goal, x.shape)}
