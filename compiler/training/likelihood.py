"""A metric of classifiers that put out probabilities: the negative log-likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import METRICS, Direction, Metric, MetricCode
from compiler.training.comparing import average
from compiler.training.settings import refuse
from compiler.training.weighting import Names, ScoreComparison
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand, compare, write_value

Array = NDArray[Any]

ROUNDING = 1e-3
"""How far a probability may lie outside of [0, 1]."""


@METRICS.register
@final
@dataclass(frozen=True)
class NllOfProbability(ScoreComparison):
    """Negative log-likelihood of probabilities: minus the mean logarithm of what the label is
    given. Of logits it is the metric `cross_entropy(logits, label)`. Probabilities are
    `[n, classes]` for labels `[n]`, or `[n, …, classes]` for `[n, …]`.

        -(Σ_i w_i log(max(p_i, eps))) / (Σ_i w_i)

    p_i is the probability of label i, w_i how much it counts: 1, or as the options say. The figure
    is no number where an entry lies outside of [0, 1].

    - `eps`: the smallest probability that is told from 0.
    - `mask`: a bool for each label: whether it counts.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.

    Example: `metric nll = nll_of_probability(softmax(logits, axis=1), label)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.log_loss.html
    """

    name: ClassVar[str] = "nll_of_probability"
    better: ClassVar[Direction | None] = "lower"
    best: ClassVar[float | None] = 0.0
    hides_nan: ClassVar[bool] = True
    operands: ClassVar[tuple[Operand, ...]] = compare("probability", "labels")
    eps: float = 1e-12
    axis: int | None = None
    ignore_index: int = -100
    weight: tuple[float, ...] | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        if not 0 < self.eps < 1:
            refuse(self.name, "eps", write_value(self.eps), "between 0 and 1")
        return replace(self, axis=self.find_axis(types[:2]))

    def evaluate(self, *arrays: Array | None) -> float:
        scores = arrays[0]
        assert scores is not None, "only masks and weights may be left out"
        axis = scores.ndim - 1 if self.axis is None else self.axis
        weights = self.weigh(arrays)
        inside = (scores.min(axis=axis) >= -ROUNDING) & (scores.max(axis=axis) <= 1 + ROUNDING)
        if (~inside & (weights > 0)).any():
            return math.nan
        classes = np.expand_dims(self.choose_classes(arrays[1]), axis)
        chosen = np.take_along_axis(scores.astype(np.float64), classes, axis=axis).squeeze(axis)
        return -average(np.log(np.maximum(chosen, self.eps)), weights)

    def code(self, arguments: Names) -> MetricCode:
        axis, scores = -1 if self.axis is None else self.axis, arguments[0]
        place = f"classes.unsqueeze({axis})"
        steps = {"classes": self.spell_classes(arguments), **dict(self.spell_steps(arguments))}
        steps["chosen"] = f"{scores}.double().gather({axis}, {place}).squeeze({axis})"
        steps["logs"] = f"chosen.clamp(min={self.eps}).log()"
        low = f"{scores}.amin({axis}) >= {-ROUNDING}"
        steps["inside"] = f"({low}) & ({scores}.amax({axis}) <= {1 + ROUNDING})"
        return MetricCode(
            (
                ("total", self.spell_total("logs", arguments)),
                ("count", self.spell_count(arguments)),
                self.spell_undefined("(~inside)", arguments),
            ),
            self.spell_result("-total / count", arguments),
            tuple(steps.items()),
        )
