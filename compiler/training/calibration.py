"""Whether the confidence of a classifier is how often it is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import METRICS, Direction, Metric, MetricCode, Table
from compiler.training.settings import refuse as refuse_setting
from compiler.training.weighting import Names, ScoreComparison, compare
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand

Array = NDArray[Any]


@METRICS.register
@final
@dataclass(frozen=True)
class CalibrationError(ScoreComparison):
    """Expected calibration error: how far confidence is from how often it is right (Naeini et al.
    2015; Guo et al. 2017). Confidence is the highest probability; labels are put into `bins` of
    equal width by it, and `Σ_b n_b / n * |accuracy_b - confidence_b|` is taken over the bins.

    Logits are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`; of two classes
    give two logits.

    - `mask`: a bool for each label: whether it counts.
    - `bins`: how many.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.

    Where the highest logit of a label that counts is NaN or infinite, the figure is not a number.

    Example: `metric calibration = calibration_error(logits, label)`
    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """

    name: ClassVar[str] = "calibration_error"
    better: ClassVar[Direction | None] = "lower"
    best: ClassVar[float | None] = 0.0
    hides_nan: ClassVar[bool] = True
    of_logits: ClassVar[tuple[str, str] | None] = ("applies a softmax itself", "log(p)")
    operands: ClassVar[tuple[Operand, ...]] = compare("logits", "labels")
    bins: int = 15
    axis: int | None = None
    ignore_index: int = -100
    weight: tuple[float, ...] | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        if not 1 <= self.bins <= 10_000:
            refuse_setting(self.name, "bins", self.bins, "from 1 to 10000")
        return replace(self, axis=self.find_axis(types[:2]))

    def evaluate(self, *arrays: Array | None) -> float:
        scores = arrays[0]
        assert scores is not None, "only masks and weights may be left out"
        axis = scores.ndim - 1 if self.axis is None else self.axis
        weights = self.weigh(arrays)
        undefined = ~np.isfinite(scores.max(axis=axis)) & (weights > 0)
        if undefined.any() or not weights.sum():
            return math.nan
        shifted = scores.astype(np.float64) - scores.max(axis=axis, keepdims=True)
        confidence = np.nan_to_num(1 / np.exp(shifted).sum(axis=axis))
        right = scores.argmax(axis) == self.choose_classes(arrays[1])
        place = np.minimum((confidence * self.bins).astype(np.int64), self.bins - 1)
        gaps = np.bincount(place.ravel(), (weights * (right - confidence)).ravel(), self.bins)
        return float(np.abs(gaps).sum() / weights.sum())

    def code(self, arguments: Names) -> MetricCode:
        axis, bins = -1 if self.axis is None else self.axis, self.bins
        steps = {"classes": self.spell_classes(arguments), **dict(self.spell_steps(arguments))}
        steps["found"] = f"{arguments[0]}.double().softmax({axis}).max({axis})"
        steps["confidence"] = "found.values.nan_to_num()"
        steps["gaps"] = "(found.indices == classes).double() - confidence"
        steps["places"] = f"(confidence * {bins}).long().clamp(max={bins - 1}).flatten()"
        weight = self.spell_weight(arguments)
        gaps = f"({weight} * gaps)" if weight else "gaps"
        binned = f"torch.bincount(places, {gaps}.flatten(), minlength={bins})"
        return MetricCode(
            (("count", self.spell_count(arguments)), self.spell_unscored(arguments, axis)),
            self.spell_result("distance / count", arguments),
            tuple(steps.items()),
            tables=(Table("binned", (bins,), binned),),
            finals=(("distance", "binned.abs().sum().item()"),),
        )
