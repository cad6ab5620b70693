"""Losses and metrics for random specs, and what they are: losses in PyTorch, metrics in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tests.random_trains.data import Data, Target

Array = NDArray[Any]
Tensors = Mapping[str, Tensor]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Loss:
    """An objective, and its value for outputs and columns; None where these do not tell it.
    `counts`: it divides by the weights of the labels, or by the number that are not ignored."""

    text: str
    value: Callable[[Tensors], Tensor] | None

    @property
    def counts(self) -> bool:
        return ", weight=" in self.text or ", ignore_index=" in self.text


@dataclass(frozen=True)
class Score:
    """A metric, and its value for a split. `jumps`: a share, which differs by whole rows where two
    scores are nearly equal. `directed`: it is known which figure is better."""

    text: str
    value: Callable[[Arrays], float]
    jumps: bool = False
    directed: bool = True


def draw_loss(rng: Random, target: Target, data: Data) -> Loss:
    """A loss of the output `z` for a target."""
    losses = list(_list_losses(rng, target.name, target.kind, target.size))
    if data.extras and target.kind in ("class", "number", "some", "bit"):
        losses += _list_weighted(target.name, target.kind)
    return rng.choice(losses)


def draw_term(rng: Random, weight: str) -> Loss:
    """What is added to an objective; mostly nothing."""
    if rng.random() < 0.7:
        return Loss("", lambda v: torch.zeros(()))
    return rng.choice(
        (
            Loss(" + 1e-3 * mean(square(z))", lambda v: 1e-3 * v["z"].square().mean()),
            Loss(" + 0.01 * mean(abs(z) + z)", lambda v: 0.01 * (v["z"].abs() + v["z"]).mean()),
            Loss(f" + 1e-3 * sum(square({weight}))", None),
            Loss(" + 1e-3 * mean(dropout(z, 50%))", lambda v: 1e-3 * v["z"].mean()),
        )
    )


def _list_losses(rng: Random, t: str, kind: str, size: int) -> list[Loss]:
    match kind:
        case "class" | "some":
            return _class_losses(rng, t, kind, size)
        case "sequence":
            return _sequence_losses(t, size)
        case "number" | "numbers":
            return _number_losses(t, kind)
        case "bits":
            return _bits_losses(t)
    return _bit_losses(t)


def _class_losses(rng: Random, t: str, kind: str, size: int) -> list[Loss]:
    weights = [rng.choice((0.5, 1.0, 2.0)) for _ in range(size)]
    table = torch.tensor(weights, dtype=torch.float64)
    return [
        Loss(f"cross_entropy(z, {t})", lambda v: F.cross_entropy(v["z"], v[t])),
        Loss(
            f"cross_entropy(z, {t}, label_smoothing=0.1)",
            lambda v: F.cross_entropy(v["z"], v[t], label_smoothing=0.1),
        ),
        Loss(
            f"cross_entropy(z, {t}, weight={weights})",
            lambda v: F.cross_entropy(v["z"], v[t], weight=table),
        ),
        Loss(
            f"cross_entropy(z, {t}, ignore_index=1)"
            if kind == "class"
            else f"cross_entropy(z, {t}, ignore_index=-100)",
            lambda v: F.cross_entropy(v["z"], v[t], ignore_index=1 if kind == "class" else -100),
        ),
        Loss(
            f"nll(log_softmax(z, axis=1), {t})",
            lambda v: F.nll_loss(v["z"].log_softmax(1), v[t]),
        ),
        Loss(
            f'cross_entropy(z, {t}, reduction="sum") / batch',
            lambda v: F.cross_entropy(v["z"], v[t], reduction="sum") / len(v["z"]),
        ),
        *(_divergences(t, size) if kind == "class" else ()),
    ]


def _divergences(t: str, size: int) -> list[Loss]:
    """Divergences from a distribution that is made of class numbers."""
    hot = f"one_hot({t}, {size}, dtype=f32)"

    def target(v: Tensors, share: float) -> Tensor:
        return share * F.one_hot(v[t].long(), size).double() + (1 - share) / size

    return [
        Loss(
            f'kl(log_softmax(z, axis=-1), {hot}, reduction="batchmean")',
            lambda v: F.kl_div(v["z"].log_softmax(-1), target(v, 1), reduction="batchmean"),
        ),
        Loss(
            f"kl(log_softmax(z / 2, axis=-1), 0.9 * {hot} + {0.1 / size!r})",
            lambda v: F.kl_div((v["z"] / 2).log_softmax(-1), target(v, 0.9), reduction="mean"),
        ),
        Loss(
            f"kl(log_softmax(z, axis=-1), log(0.9 * {hot} + {0.1 / size!r}), log_target=true)",
            lambda v: F.kl_div(
                v["z"].log_softmax(-1), target(v, 0.9).log(), reduction="mean", log_target=True
            ),
        ),
    ]


def _sequence_losses(t: str, size: int) -> list[Loss]:
    return [
        Loss(
            f"cross_entropy(z, {t}, axis=-1)",
            lambda v: F.cross_entropy(v["z"].transpose(1, 2), v[t]),
        ),
        Loss(
            f"cross_entropy(z -> reshape([-1, {size}]), {t} -> reshape([-1]))",
            lambda v: F.cross_entropy(v["z"].flatten(0, 1), v[t].flatten()),
        ),
    ]


def _number_losses(t: str, kind: str) -> list[Loss]:
    z, own = ("z[:, 0]", "z") if kind == "number" else ("z", "z")
    return [
        Loss(f"mse({z}, {t})", lambda v: F.mse_loss(_squeeze(v, own), v[t])),
        Loss(f"l1({z}, {t})", lambda v: F.l1_loss(_squeeze(v, own), v[t])),
        Loss(
            f"huber({z}, {t}, delta=0.5)",
            lambda v: F.huber_loss(_squeeze(v, own), v[t], delta=0.5),
        ),
        Loss(
            f"smooth_l1({z}, {t}, beta=0.3)",
            lambda v: F.smooth_l1_loss(_squeeze(v, own), v[t], beta=0.3),
        ),
        Loss(f"mean(square({z} - {t}))", lambda v: (_squeeze(v, own) - v[t]).square().mean()),
    ]


def _bits_losses(t: str) -> list[Loss]:
    return [
        Loss(
            f"bce_with_logits(z, {t})",
            lambda v: F.binary_cross_entropy_with_logits(v["z"], v[t]),
        ),
        Loss(
            f"bce_with_logits(z, {t}, pos_weight=3.0)",
            lambda v: F.binary_cross_entropy_with_logits(
                v["z"], v[t], pos_weight=torch.tensor(3.0)
            ),
        ),
        Loss(
            f"bce(sigmoid(z), {t})",
            lambda v: F.binary_cross_entropy(v["z"].sigmoid(), v[t]),
        ),
        Loss(
            f"kl(log_sigmoid(z), {t})",
            lambda v: F.kl_div(F.logsigmoid(v["z"]), v[t].to(v["z"].dtype)),
        ),
        Loss(
            f'bce(sigmoid(z), {t}, reduction="sum") / batch',
            lambda v: F.binary_cross_entropy(v["z"].sigmoid(), v[t], reduction="sum") / len(v["z"]),
        ),
    ]


def _bit_losses(t: str) -> list[Loss]:
    return [
        Loss(
            f"bce_with_logits(z[:, 0], {t})",
            lambda v: F.binary_cross_entropy_with_logits(v["z"][:, 0], v[t]),
        ),
        Loss(
            f"bce(sigmoid(z[:, 0]), {t})",
            lambda v: F.binary_cross_entropy(v["z"][:, 0].sigmoid(), v[t]),
        ),
    ]


def _list_weighted(t: str, kind: str) -> list[Loss]:
    """Losses in which every row counts by the columns `weight` and `counts`."""

    def each(v: Tensors) -> Tensor:
        if kind in ("class", "some"):
            return F.cross_entropy(v["z"], v[t], reduction="none")
        if kind == "number":
            return F.mse_loss(v["z"][:, 0], v[t], reduction="none")
        return F.binary_cross_entropy_with_logits(v["z"][:, 0], v[t], reduction="none")

    call = {
        "number": f'mse(z[:, 0], {t}, reduction="none")',
        "bit": f'bce_with_logits(z[:, 0], {t}, reduction="none")',
    }.get(kind, f'cross_entropy(z, {t}, reduction="none")')
    return [
        Loss(f"mean(weight * {call})", lambda v: (v["weight"] * each(v)).mean()),
        Loss(
            f"sum(weight * {call}) / sum(weight)",
            lambda v: (v["weight"] * each(v)).sum() / v["weight"].sum(),
        ),
        Loss(f"mean(where(counts, {call}, 0))", lambda v: each(v).where(v["counts"], 0).mean()),
    ]


def _squeeze(values: Tensors, name: str) -> Tensor:
    """A column of numbers without its axis of size 1."""
    found = values[name]
    return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found


# --- metrics ----------------------------------------------------------------------------------


def draw_scores(rng: Random, target: Target, data: Data) -> dict[str, Score]:
    """Some metrics of the output `z`, by name."""
    made = list(_list_scores(rng, target, data))
    made.append(Score("mean(z, axis=-1)", lambda v: _rows(v["z"]).mean(), directed=False))
    if target.kind == "sequence":
        made.pop()
    return {f"m{i}": score for i, score in enumerate(rng.sample(made, min(3, len(made))))}


def _rows(values: Array) -> Array:
    return values.mean(-1)


def _list_scores(rng: Random, target: Target, data: Data) -> list[Score]:
    t, kind = target.name, target.kind
    options, weigh = _draw_weights(rng, kind, data)
    match kind:
        case "class" | "some" | "sequence":
            return _score_classes(rng, target, options, weigh)
        case "bits":
            return [
                Score(
                    f"binary_accuracy(z, {t})",
                    lambda v: float(((v["z"] > 0) == (v[t] > 0)).mean()),
                    jumps=True,
                ),
                Score(f"mse(sigmoid(z), {t})", lambda v: np.square(_sigmoid(v["z"]) - v[t]).mean()),
            ]
    z, shown = ("z[:, 0]", lambda v: v["z"][:, 0]) if kind != "numbers" else ("z", lambda v: v["z"])

    def off(v: Arrays) -> Array:
        return np.asarray(shown(v) - v[t])

    found = [
        Score(f"mse({z}, {t}{options})", lambda v: _mean(np.square(off(v)), weigh(v))),
        Score(f"rmse({z}, {t}{options})", lambda v: _mean(np.square(off(v)), weigh(v)) ** 0.5),
        Score(f"mae({z}, {t}{options})", lambda v: _mean(np.abs(off(v)), weigh(v))),
    ]
    if kind != "numbers":
        residual = lambda v: _mean(np.square(off(v)), weigh(v))  # noqa: E731
        found.append(
            Score(f"r2({z}, {t}{options})", lambda v: _explain(residual(v), v[t], weigh(v)))
        )
    return found


def _explain(residual: float, target: Array, weights: Array) -> float:
    spread = _mean(np.square(target - _mean(target, weights)), weights)
    return 1 - residual / spread if spread > 0 else float(residual == 0)


def _score_classes(
    rng: Random, target: Target, options: str, weigh: Callable[[Arrays], Array]
) -> list[Score]:
    t, size = target.name, target.size
    k = rng.randrange(1, size + 1)
    ignored = rng.choice((None, None, 0)) if target.kind == "class" else None
    weights = [rng.choice((0.5, 1.0, 2.0)) for _ in range(size)] if rng.random() < 0.3 else None
    if "weight=" in options:
        weights = None
    if target.kind == "sequence":
        options += ", axis=-1"
    if ignored is not None:
        options += f", ignore_index={ignored}"
    if weights is not None:
        options += f", weight={weights}"

    def count(v: Arrays) -> Array:
        found = weigh(v) * (v[t] != (-100 if ignored is None else ignored))
        return found if weights is None else found * np.array(weights)[np.maximum(v[t], 0)]

    def place(v: Arrays) -> Array:
        """How many classes have a higher score than the right one."""
        right = np.take_along_axis(v["z"], np.maximum(v[t], 0)[..., None], -1)
        return (v["z"] > right).sum(-1)

    def likelihood(v: Arrays) -> Array:
        scores = v["z"] - v["z"].max(-1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
        return np.take_along_axis(logs, np.maximum(v[t], 0)[..., None], -1)[..., 0]

    return [
        Score(f"accuracy(z, {t}{options})", lambda v: _mean(place(v) < 1, count(v)), jumps=True),
        Score(
            f"top_k(z, {t}, k={k}{options})", lambda v: _mean(place(v) < k, count(v)), jumps=True
        ),
        Score(
            f"perplexity(z, {t}{options})",
            lambda v: float(np.exp(-_mean(likelihood(v), count(v)))),
        ),
    ]


def _draw_weights(rng: Random, kind: str, data: Data) -> tuple[str, Callable[[Arrays], Array]]:
    """The arguments `mask` and `weight` of a metric, and what they say of each row."""
    form = rng.choice((0, 0, 0, 1, 2, 3)) if kind in ("class", "some", "number", "bit") else 0
    if not data.extras:
        form = 0
    text = (", mask=counts" if form & 1 else "") + (", weight=weight" if form & 2 else "")

    def weigh(v: Arrays) -> Array:
        found = np.ones(len(v["z"])) if kind != "sequence" else np.ones(v["z"].shape[:2])
        if kind == "numbers":
            found = np.ones_like(v["z"])
        found = found * v["counts"] if form & 1 else found
        return found * v["weight"] if form & 2 else found

    return text, weigh


def _mean(values: Array, weights: Array) -> float:
    """The weighted mean, not a number where nothing counts."""
    total = weights.sum()
    return float((values * weights).sum() / total) if total else float("nan")


def _sigmoid(values: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-values)))
