"""Optimizers: the places of a parameter after each step, from gradients and learning rates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.formulas.quoted import Formulas

Numbers = NDArray[np.float64]
Slope = Callable[[Numbers], Numbers]
FORMULAS = Formulas("optimizer")
MEAN = "m = beta1 * m + (1 - beta1) * g,   m̂ = m / (1 - beta1^t)"
SQUARE = "v = beta2 * v + (1 - beta2) * g²,   v̂ = v / (1 - beta2^t)"
STEP = "p = p - lr * m̂ / (sqrt(v̂) + eps)"
DECAY = "g = g + weight_decay * p"
DECOUPLED = "p = p - lr * weight_decay * p"
LARGEST = ("v̂ = u / (1 - beta2^t)", "u = max(u, v)")


@FORMULAS.of(
    "sgd",
    "p = p - lr * (g + momentum * v)",
    DECAY,
    "v = momentum * v + (1 - dampening) * g",
    "p = p - lr * v",
)
def sgd(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    """With `velocity="steps"` as the option's text says: `v = momentum * v - lr * g`, `p = p + v`,
    and as Keras' SGD with `nesterov`."""
    v: Any = None
    for g_t, lr in zip(g, rates, strict=True):
        g_t = g_t + o.weight_decay * p
        if o.velocity == "steps":
            v = (0 if v is None else o.momentum * v) - lr * g_t
            p = p + (o.momentum * v - lr * g_t if o.nesterov else v)
        else:
            v = g_t if v is None else o.momentum * v + (1 - o.dampening) * g_t
            p = p - lr * (g_t + o.momentum * v if o.nesterov else v if o.momentum else g_t)
        yield p


@FORMULAS.of(
    "adagrad", DECAY, "s = s + g²", "p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)"
)
def adagrad(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    s = np.full_like(p, o.initial_accumulator_value)
    for t, (g_t, lr) in enumerate(zip(g, rates, strict=True), start=1):
        g_t = g_t + o.weight_decay * p
        s = s + g_t**2
        p = p - lr / (1 + (t - 1) * o.lr_decay) * g_t / (np.sqrt(s) + o.eps)
        yield p


@FORMULAS.of(
    "rmsprop",
    "sqrt(s - m²) + eps",
    "m = alpha * m + (1 - alpha) * g",
    DECAY,
    "s = alpha * s + (1 - alpha) * g²",
    "v = momentum * v + g / (sqrt(s) + eps)",
    "p = p - lr * v",
)
def rmsprop(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    s, m, v = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for g_t, lr in zip(g, rates, strict=True):
        g_t = g_t + o.weight_decay * p
        s = o.alpha * s + (1 - o.alpha) * g_t**2
        m = o.alpha * m + (1 - o.alpha) * g_t
        v = o.momentum * v + g_t / (np.sqrt(s - m**2 if o.centered else s) + o.eps)
        p = p - lr * v
        yield p


@FORMULAS.of(
    "adadelta",
    DECAY,
    "s = rho * s + (1 - rho) * g²",
    "d = sqrt(u + eps) / sqrt(s + eps) * g",
    "u = rho * u + (1 - rho) * d²",
    "p = p - lr * d",
)
def adadelta(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    s, u = np.zeros_like(p), np.zeros_like(p)
    for g_t, lr in zip(g, rates, strict=True):
        g_t = g_t + o.weight_decay * p
        s = o.rho * s + (1 - o.rho) * g_t**2
        d = np.sqrt(u + o.eps) / np.sqrt(s + o.eps) * g_t
        u = o.rho * u + (1 - o.rho) * d**2
        p = p - lr * d
        yield p


def _adam(
    o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float], decoupled: bool
) -> Iterator[Numbers]:
    (beta1, beta2), m, v, u = o.betas, np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for t, (g_t, lr) in enumerate(zip(g, rates, strict=True), start=1):
        if decoupled:
            p = p - lr * o.weight_decay * p
        else:
            g_t = g_t + o.weight_decay * p
        m = beta1 * m + (1 - beta1) * g_t
        v = beta2 * v + (1 - beta2) * g_t**2
        u = np.maximum(u, v)
        square = (u if o.amsgrad else v) / (1 - beta2**t)
        p = p - lr * m / (1 - beta1**t) / (np.sqrt(square) + o.eps)
        yield p


@FORMULAS.of("adam", *LARGEST, DECAY, MEAN, SQUARE, STEP)
def adam(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    return _adam(o, g, p, rates, decoupled=False)


@FORMULAS.of(
    "adamw", *LARGEST, MEAN, SQUARE, "p = p - lr * weight_decay * p - lr * m̂ / (sqrt(v̂) + eps)"
)
def adamw(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    return _adam(o, g, p, rates, decoupled=True)


@FORMULAS.of(
    "nadam",
    DECOUPLED,
    DECAY,
    "μ_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2)",
    "m = beta1 * m + (1 - beta1) * g",
    "m̂ = μ_{t+1} m / (1 - ∏_{i <= t+1} μ_i) + (1 - μ_t) g / (1 - ∏_{i <= t} μ_i)",
    SQUARE,
    STEP,
)
def nadam(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    (beta1, beta2), m, v = o.betas, np.zeros_like(p), np.zeros_like(p)

    def mu(t: Any) -> Any:
        return beta1 * (1 - 0.96 ** (t * o.momentum_decay) / 2)

    for t, (g_t, lr) in enumerate(zip(g, rates, strict=True), start=1):
        if o.decoupled_weight_decay:
            p = p - lr * o.weight_decay * p
        else:
            g_t = g_t + o.weight_decay * p
        m = beta1 * m + (1 - beta1) * g_t
        v = beta2 * v + (1 - beta2) * g_t**2
        now, later = (np.prod(mu(np.arange(1, last + 1))) for last in (t, t + 1))
        mean = mu(t + 1) * m / (1 - later) + (1 - mu(t)) * g_t / (1 - now)
        p = p - lr * mean / (np.sqrt(v / (1 - beta2**t)) + o.eps)
        yield p


@FORMULAS.of(
    "radam",
    DECOUPLED,
    DECAY,
    MEAN,
    "v = beta2 * v + (1 - beta2) * g²",
    "a = 2 / (1 - beta2) - 1,   ρ = a - 2 * t * beta2^t / (1 - beta2^t)",
    "r = √((ρ - 4) * (ρ - 2) * a / ((a - 4) * (a - 2) * ρ))",
    "p = p - lr * r * m̂ * √(1 - beta2^t) / (sqrt(v) + eps) where ρ > 5, else p - lr * m̂",
)
def radam(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    (beta1, beta2), m, v = o.betas, np.zeros_like(p), np.zeros_like(p)
    for t, (g_t, lr) in enumerate(zip(g, rates, strict=True), start=1):
        if o.decoupled_weight_decay:
            p = p - lr * o.weight_decay * p
        else:
            g_t = g_t + o.weight_decay * p
        m = beta1 * m + (1 - beta1) * g_t
        v = beta2 * v + (1 - beta2) * g_t**2
        mean = m / (1 - beta1**t)
        a = 2 / (1 - beta2) - 1
        rho = a - 2 * t * beta2**t / (1 - beta2**t)
        if rho > 5:
            r = np.sqrt((rho - 4) * (rho - 2) * a / ((a - 4) * (a - 2) * rho))
            p = p - lr * r * mean * np.sqrt(1 - beta2**t) / (np.sqrt(v) + o.eps)
        else:
            p = p - lr * mean
        yield p


@FORMULAS.of("adamax", DECAY, MEAN, "u = max(beta2 * u, |g| + eps)", "p = p - lr * m̂ / u")
def adamax(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    (beta1, beta2), m, u = o.betas, np.zeros_like(p), np.zeros_like(p)
    for t, (g_t, lr) in enumerate(zip(g, rates, strict=True), start=1):
        g_t = g_t + o.weight_decay * p
        m = beta1 * m + (1 - beta1) * g_t
        u = np.maximum(beta2 * u, np.abs(g_t) + o.eps)
        p = p - lr * m / (1 - beta1**t) / u
        yield p


@FORMULAS.of(
    "lamb", MEAN, SQUARE, "r = m̂ / (sqrt(v̂) + eps) + weight_decay * p", "p = p - lr * ‖p‖ / ‖r‖ * r"
)
def lamb(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    (beta1, beta2), m, v = o.betas, np.zeros_like(p), np.zeros_like(p)
    for t, (g_t, lr) in enumerate(zip(g, rates, strict=True), start=1):
        m = beta1 * m + (1 - beta1) * g_t
        v = beta2 * v + (1 - beta2) * g_t**2
        r = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + o.eps) + o.weight_decay * p
        lengths = np.sqrt(np.sum(p**2)), np.sqrt(np.sum(r**2))
        p = p - lr * (lengths[0] / lengths[1] if all(lengths) else 1) * r
        yield p


@FORMULAS.of(
    "lion",
    "p = p - lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p)",
    "m = beta2 * m + (1 - beta2) * g",
)
def lion(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    (beta1, beta2), m = o.betas, np.zeros_like(p)
    for g_t, lr in zip(g, rates, strict=True):
        p = p - lr * (np.sign(beta1 * m + (1 - beta1) * g_t) + o.weight_decay * p)
        m = beta2 * m + (1 - beta2) * g_t
        yield p


@FORMULAS.of(
    "muon",
    "X = U S Vᵀ",
    "U Vᵀ",
    "m = momentum * m + (1 - momentum) * g",
    "X = momentum * m + (1 - momentum) * g,   X = X / max(‖X‖, eps)",
    "A = X Xᵀ,   X = 3.4445 * X + (-4.775 * A + 2.0315 * A A) X",
    "p = p - lr * weight_decay * p - lr * c * X",
)
def muon(o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    m, (rows, columns) = np.zeros_like(p), p.shape
    c = {
        "original": np.sqrt(max(1, rows / columns)),
        "match_rms_adamw": 0.2 * np.sqrt(max(rows, columns)),
    }[o.adjust_lr_fn or "original"]
    for g_t, lr in zip(g, rates, strict=True):
        m = o.momentum * m + (1 - o.momentum) * g_t
        x = _round_to_bfloat16(o.momentum * m + (1 - o.momentum) * g_t if o.nesterov else m)
        x = x.T if rows > columns else x
        x = _round_to_bfloat16(x / max(_round_to_bfloat16(np.sqrt(np.sum(x**2))), o.eps))
        for _ in range(o.ns_steps):
            a = _round_to_bfloat16(x @ x.T)
            x = _round_to_bfloat16(3.4445 * x + _round_to_bfloat16(-4.775 * a + 2.0315 * a @ a) @ x)
        p = p - lr * o.weight_decay * p - lr * c * (x.T if rows > columns else x)
        yield p


def _round_to_bfloat16(x: Any) -> Numbers:
    """The nearest numbers with eight bits of digits."""
    fraction, power = np.frexp(np.asarray(x, np.float64))
    return np.ldexp(np.round(fraction * 256), power - 8)


@FORMULAS.of("lookahead", "s = s + alpha * (p - s),   p = s")
def lookahead(
    o: Any, g: Iterable[Numbers], p: Numbers, rates: Iterable[float]
) -> Iterator[Numbers]:
    """Around one whose moves do not follow where p is: those from 0."""
    s, before = p, np.zeros_like(p)
    follow = FORMULAS.functions[o.optimizer.name]
    for t, place in enumerate(follow(o.optimizer, g, before, rates), start=1):
        p, before = p + (place - before), place
        if t % o.k == 0:
            s = s + o.alpha * (p - s)
            p = s
        yield p


@FORMULAS.of(
    "lbfgs",
    "I * yᵀ s / yᵀ y",
    "yᵀ s <= 1e-10",
    "p = p - lr * min(1, 1 / Σ |g|) * g",
    "p = p - lr * H g",
    "H = (I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ,   ρ = 1 / yᵀ s",
)
def lbfgs(o: Any, slope: Slope, p: Numbers, rates: Iterable[float]) -> Iterator[Numbers]:
    """With H as a matrix, for steps that nothing ends before `max_iter`."""
    changes: list[tuple[Numbers, Numbers]] = []
    before: tuple[Numbers, Numbers] | None = None
    identity = np.eye(len(p))
    for lr in rates:
        for _ in range(o.max_iter):
            g = slope(p)
            if before is None:
                before, p = (p, g), p - lr * min(1, 1 / np.sum(np.abs(g))) * g
                continue
            if (g - before[1]) @ (p - before[0]) > 1e-10:
                changes = [*changes, (p - before[0], g - before[1])][-o.history_size :]
            s, y = changes[-1]
            h = identity * (y @ s) / (y @ y)
            for s, y in changes:
                rho = 1 / (y @ s)
                left = identity - rho * np.outer(s, y)
                h = left @ h @ left.T + rho * np.outer(s, s)
            before, p = (p, g), p - lr * h @ g
        yield p


@FORMULAS.of("least_squares", "w = (Xᵀ X + c I)⁻¹ Xᵀ t")
def least_squares(x: Numbers, t: Numbers, c: Numbers) -> Numbers:
    """`c` is the diagonal of the second term, which is 0 for biases."""
    return np.asarray(np.linalg.inv(x.T @ x + np.diag(c)) @ x.T @ t)
