"""Schedules: the part of the learning rate at each of the steps `s` of a training of T steps, of
which `epoch` make an epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.formulas.quoted import Formulas

Numbers = NDArray[np.float64]
FORMULAS = Formulas("schedule")
RISES = "r = (s + 1) / (w + 1) where s < w"


def count(time: Any, total: int, epoch: int) -> int:
    """A stretch of training in whole steps."""
    match time.unit:
        case "share":
            return round(time.value * total)
        case "epochs":
            return round(time.value * epoch)
        case _:
            return round(time.value)


def _warm_up(s: Numbers, w: int, then: Any) -> Numbers:
    return np.where(s < w, (s + 1) / (w + 1), then)


@FORMULAS.of("constant", "r = min(1, (s + 1) / (w + 1))")
def constant(o: Any, s: Numbers, total: int, epoch: int) -> Numbers:
    w = count(o.warmup, total, epoch)
    return np.minimum(1, (s + 1) / (w + 1))


@FORMULAS.of("step", "r = factor^⌊s / e⌋ * min(1, (s + 1) / (w + 1))")
def step(o: Any, s: Numbers, total: int, epoch: int) -> Numbers:
    w, e = count(o.warmup, total, epoch), max(1, count(o.every, total, epoch))
    return np.asarray(o.factor ** np.floor(s / e) * np.minimum(1, (s + 1) / (w + 1)))


@FORMULAS.of("multi_step", "r = factor^k * min(1, (s + 1) / (w + 1))")
def multi_step(o: Any, s: Numbers, total: int, epoch: int) -> Numbers:
    w = count(o.warmup, total, epoch)
    times = np.array([count(time, total, epoch) for time in o.at])
    k = (times[:, None] <= s).sum(axis=0)
    return np.asarray(o.factor**k * np.minimum(1, (s + 1) / (w + 1)))


@FORMULAS.of("inverse_time", RISES, "r = 1 / (1 + rate * (s - w) / e) where s >= w")
def inverse_time(o: Any, s: Numbers, total: int, epoch: int) -> Numbers:
    w, e = count(o.warmup, total, epoch), max(1, count(o.every, total, epoch))
    return _warm_up(s, w, 1 / (1 + o.rate * np.maximum(0, s - w) / e))


@FORMULAS.of("inverse_square_root", RISES, "r = √(w / s) where s >= w")
def inverse_square_root(o: Any, s: Numbers, total: int, epoch: int) -> Numbers:
    w = max(1, count(o.warmup, total, epoch))
    return _warm_up(s, w, np.sqrt(w / np.maximum(1, s)))


@FORMULAS.of(
    "polynomial", RISES, "r = minimum + (1 - minimum) * (1 - (s - w) / (T - w))^power where s >= w"
)
def polynomial(o: Any, s: Numbers, total: int, epoch: int) -> Numbers:
    w = count(o.warmup, total, epoch)
    left = 1 - np.maximum(0, s - w) / max(1, total - w)
    return _warm_up(s, w, o.minimum + (1 - o.minimum) * left**o.power)


@FORMULAS.of("exponential", RISES, "r = factor^((s - w) / e) where s >= w")
def exponential(o: Any, s: Numbers, total: int, epoch: int) -> Numbers:
    w, e = count(o.warmup, total, epoch), max(1, count(o.every, total, epoch))
    return _warm_up(s, w, o.factor ** ((s - w) / e))


@FORMULAS.of(
    "cosine",
    RISES,
    "r = minimum + (1 - minimum) * (1 + cos(π * (s - w) / (T - w))) / 2 where s >= w",
)
def cosine(o: Any, s: Numbers, total: int, epoch: int) -> Numbers:
    w = count(o.warmup, total, epoch)
    wave = (1 + np.cos(np.pi * (s - w) / max(1, total - w))) / 2
    return _warm_up(s, w, o.minimum + (1 - o.minimum) * wave)


@FORMULAS.of(
    "cosine_restarts",
    RISES,
    "r = minimum + (1 - minimum) * (1 + cos(π * (s - b_i) / n_i)) / 2 where s >= w",
    "n_i = first * growth^i,   b_i = w + Σ_{j < i} n_j",
)
def cosine_restarts(o: Any, s: Numbers, total: int, epoch: int) -> Numbers:
    w = count(o.warmup, total, epoch)
    n = max(1, count(o.first, total, epoch)) * o.growth ** np.arange(
        min(total, 40), dtype=np.float64
    )
    b = w + np.concatenate([[0], np.cumsum(n)[:-1]])
    i = np.maximum(0, np.searchsorted(b, s, side="right") - 1)
    wave = (1 + np.cos(np.pi * (s - b[i]) / n[i])) / 2
    return _warm_up(s, w, o.minimum + (1 - o.minimum) * wave)


@FORMULAS.of(
    "one_cycle",
    "m = peak * T - 1",
    "start + (1 - start) * s / m",
    "1 - (1 - end) * (s - m) / (T - 1 - m)",
    "r = start + (1 - start) * (1 - cos(π * s / m)) / 2 where s <= m",
    "r = end + (1 - end) * (1 + cos(π * (s - m) / (T - 1 - m))) / 2 where s > m",
)
def one_cycle(o: Any, s: Numbers, total: int, epoch: int) -> Numbers:
    m = o.peak * total - 1
    up, down = s / (m if m > 0 else 1), (s - m) / (total - 1 - m)
    if o.shape == "linear":
        rise, fall = o.start + (1 - o.start) * up, 1 - (1 - o.end) * down
    else:
        rise = o.start + (1 - o.start) * (1 - np.cos(np.pi * up)) / 2
        fall = o.end + (1 - o.end) * (1 + np.cos(np.pi * down)) / 2
    return np.where(s <= m, rise, fall)


@FORMULAS.of("expression", "r = factor(step, epoch, steps) * min(1, (s + 1) / (w + 1))")
def expression(o: Any, s: Numbers, total: int, epoch: int) -> Numbers:
    """The factor is Python as it is printed."""
    named = {"step": s, "epoch": s // epoch, "steps": total, "math": np}
    w = count(o.warmup, total, epoch)
    return np.asarray(eval(str(o.factor), named) * np.minimum(1, (s + 1) / (w + 1)))


@FORMULAS.of(
    "plateau",
    "b * (1 - threshold)",
    "b * (1 + threshold)",
    "b - threshold",
    "b + threshold",
    RISES,
    "r = max(minimum, factor^k) where s >= w",
)
def plateau(o: Any, figures: Numbers, total: int, epoch: int, higher: bool, lr: float) -> Numbers:
    """The part of the learning rate in the last step of every epoch, from the figures of the epochs
    before; falls by no more than `eps` of the rate `lr` do not count."""
    w, sign = count(o.warmup, total, epoch), 1 if higher else -1
    k, bad, rest, best, parts = 0, 0, 0, -sign * np.inf, []
    for number, figure in enumerate(figures):
        last = (number + 1) * epoch - 1
        part = max(o.minimum, o.factor**k)
        parts.append((last + 1) / (w + 1) if last < w else part)
        bound = best * (1 + sign * o.threshold)
        if o.threshold_mode == "abs" or np.isinf(best):
            bound = best + sign * o.threshold
        better = sign * figure > sign * bound
        best = figure if better else best
        bad = 0 if better else bad + 1
        if rest > 0:
            rest, bad = rest - 1, 0
        if bad > o.patience:
            bad, rest = 0, o.cooldown
            falls = lr * (part - max(o.minimum, o.factor ** (k + 1))) > o.eps
            k += falls and last + 1 > w
    return np.array(parts)
