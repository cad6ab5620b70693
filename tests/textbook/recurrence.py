"""Formulas of docs/textbook/recurrence.md."""

from __future__ import annotations

from itertools import pairwise, product
from math import exp, log, tanh
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def moving_average(x: Array) -> Array:
    length = x.shape[1]
    age = np.arange(length)[:, None] - np.arange(length)
    return x @ np.where(age >= 0, 0.25 * 0.75 ** np.maximum(age, 0), 0).T


def autoregression(last: Array, before: Array) -> Array:
    """The sixth roots of one: `x_t = A cos(π t / 3) + B sin(π t / 3)`."""
    turns = np.pi / 3 * np.arange(2, 8)[:, None]
    sine = (last - before * np.cos(np.pi / 3)) / np.sin(np.pi / 3)
    return before * np.cos(turns) + sine * np.sin(turns)


def state_space(x: Array) -> Array:
    age = np.arange(x.shape[1])
    kernel = 0.5**age + 0.5 * (-0.5) ** age
    return np.array([np.convolve(row, kernel)[: len(row)] for row in x])


def kalman_filter(x: Array) -> dict[str, Array]:
    """The posterior of a Gaussian random walk, from its whole covariance."""
    length = x.shape[1]
    spread = np.array([[100 + 0.5 * (min(i, j) + 1) for j in range(length)] for i in range(length)])
    means, variances = np.zeros(x.shape), np.zeros(x.shape)
    for t in range(length):
        seen = spread[: t + 1, : t + 1]
        towards = np.linalg.solve(seen + np.eye(t + 1), seen[t])
        means[:, t] = x[:, : t + 1] @ towards
        variances[:, t] = spread[t, t] - towards @ seen[t]
    return {"means": means, "variances": variances}


def hidden_markov(letters: Array) -> Array:
    start, moves = [0.6, 0.4], [[0.7, 0.3], [0.2, 0.8]]
    emits = [[0.9, 0.1], [0.3, 0.7]]
    found = []
    for row in letters:
        total = 0.0
        for path in product(range(2), repeat=len(row)):
            p = start[path[0]]
            for one, other in pairwise(path):
                p *= moves[one][other]
            for state, letter in zip(path, row, strict=True):
                p *= emits[state][letter]
            total += p
        found.append(log(total))
    return np.array(found)


def elman_network(
    x: Array,
    rnn_weight_ih_l0: Array,
    rnn_weight_hh_l0: Array,
    rnn_bias_ih_l0: Array,
    rnn_bias_hh_l0: Array,
) -> dict[str, Any]:
    rows = []
    for row in x:
        h, states = np.zeros(2), []
        for x_t in row:
            h = np.tanh(
                rnn_weight_ih_l0 @ x_t + rnn_bias_ih_l0 + rnn_weight_hh_l0 @ h + rnn_bias_hh_l0
            )
            states.append(h)
        rows.append(states)
    return {"states": np.array(rows), "parameters": 2 * (1 + 2 + 2)}


def powers(w: Array) -> Array:
    return w.astype(float) ** 50


def through_time(x: Array, target: Array, w: Array) -> Array:
    total = 0.0
    for row, t in zip(x, target, strict=True):
        error = w**2 * row[0] + w * row[1] + row[2] - t
        total += 2 * error * (2 * w * row[0] + row[1])
    return w - 0.1 * np.float32(total / len(x))


def clipping(x: Array, target: Array, fc_weight: Array, fc_bias: Array) -> dict[str, Array]:
    error = 2 * (x @ fc_weight.T + fc_bias - target)
    gradient = np.append(error[0, 0] * x[0], error[0, 0])
    step = 0.1 * gradient * min(1, 1 / np.linalg.norm(gradient))
    return {"fc.weight": fc_weight - step[:2], "fc.bias": fc_bias - step[2:]}


def lstm_cell(
    x: Array,
    lstm_weight_ih_l0: Array,
    lstm_weight_hh_l0: Array,
    lstm_bias_ih_l0: Array,
    lstm_bias_hh_l0: Array,
) -> dict[str, Any]:
    w, u = lstm_weight_ih_l0[:, 0], lstm_weight_hh_l0[:, 0]
    b = lstm_bias_ih_l0 + lstm_bias_hh_l0
    rows = []
    for row in x[:, :, 0]:
        h, c, states = 0.0, 0.0, []
        for x_t in row:
            i, f, g, o = w * x_t + u * h + b
            c = _logistic(f) * c + _logistic(i) * tanh(g)
            h = _logistic(o) * tanh(c)
            states.append([h])
        rows.append(states)
    return {"states": np.array(rows), "parameters": 4 * 1 * (1 + 1 + 2)}


def lstm_count() -> int:
    h = 512
    layers = 4 * h * (128 + h + 2) + 4 * h * (h + h + 2)
    return 100 * 128 + layers + 100 * (h + 1)


def peepholes(x: Array, peep: Array) -> Array:
    rows = []
    for row in x:
        h, c, states = 0.0, 0.0, []
        for x_t in row:
            i = 1 / (1 + exp(-(x_t + h + peep[0] * c)))
            f = 1 / (1 + exp(-(x_t - h + peep[1] * c + 1)))
            c = f * c + i * tanh(x_t + h)
            h = tanh(c) / (1 + exp(-(x_t + peep[2] * c)))
            states.append(h)
        rows.append(states)
    return np.array(rows)


def _gru(x: Array, w: Array, u: Array, b: Array, c: Array) -> Array:
    rows = []
    for row in x[:, :, 0]:
        h, states = 0.0, []
        for x_t in row:
            r = _logistic(w[0, 0] * x_t + b[0] + u[0, 0] * h + c[0])
            z = _logistic(w[1, 0] * x_t + b[1] + u[1, 0] * h + c[1])
            n = tanh(w[2, 0] * x_t + b[2] + r * (u[2, 0] * h + c[2]))
            h = (1 - z) * n + z * h
            states.append([h])
        rows.append(states)
    return np.array(rows)


def gru_cell(
    x: Array,
    gru_weight_ih_l0: Array,
    gru_weight_hh_l0: Array,
    gru_bias_ih_l0: Array,
    gru_bias_hh_l0: Array,
) -> dict[str, Any]:
    states = _gru(x, gru_weight_ih_l0, gru_weight_hh_l0, gru_bias_ih_l0, gru_bias_hh_l0)
    return {"states": states, "parameters": 3 * 1 * (1 + 1 + 2)}


def both_directions(
    x: Array,
    rnn_weight_ih_l0: Array,
    rnn_weight_hh_l0: Array,
    rnn_weight_ih_l0_reverse: Array,
    rnn_weight_hh_l0_reverse: Array,
) -> Array:
    def read(row: Array, w: float, u: float) -> list[float]:
        return [
            sum(u ** (t - s) * w * row[s] for s in range(t + 1))  # nothing is below 0 here
            for t in range(len(row))
        ]

    w, u = rnn_weight_ih_l0.item(), rnn_weight_hh_l0.item()
    back, again = rnn_weight_ih_l0_reverse.item(), rnn_weight_hh_l0_reverse.item()
    rows = x[:, :, 0]
    return np.array(
        [np.stack([read(row, w, u), read(row[::-1], back, again)[::-1]], 1) for row in rows]
    )


def lengths(
    x: Array, lengths: Array, rnn_weight_ih_l0: Array, rnn_weight_hh_l0: Array
) -> dict[str, Array]:
    y, last = np.zeros(x.shape), np.zeros((len(x), 1))
    for n, length in enumerate(lengths):
        h = 0.0
        for t in range(length):
            h = max(0.0, rnn_weight_ih_l0.item() * x[n, t, 0] + rnn_weight_hh_l0.item() * h)
            y[n, t] = h
        last[n] = h
    return {"y": y, "last": last}


def in_pieces(
    x: Array,
    cell_weight_ih_l0: Array,
    cell_weight_hh_l0: Array,
    cell_bias_ih_l0: Array,
    cell_bias_hh_l0: Array,
) -> dict[str, Array]:
    whole = _gru(x, cell_weight_ih_l0, cell_weight_hh_l0, cell_bias_ih_l0, cell_bias_hh_l0)
    return {"whole": whole, "pieces": whole}


def encoder_decoder(x: Array) -> Array:
    columns = []
    for row in x:
        h, word, written = 0.0, 0.0, []
        for x_t in row:
            h = tanh(0.5 * h + x_t)
        for _ in range(3):
            h = tanh(h - word)
            word = h / 2
            written.append(word)
        columns.append(written)
    return np.array(columns).T
