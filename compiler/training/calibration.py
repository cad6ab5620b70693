"""Whether the confidence of a classifier is how often it is right."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import METRICS, Chart, Direction, Measured, Metric, MetricCode, Table
from compiler.training.settings import refuse as refuse_setting
from compiler.training.weighting import Names, ScoreComparison
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand, compare

Array = NDArray[Any]


@dataclass(frozen=True)
class ConfidenceBins(ScoreComparison):
    """Base of metrics of labels in bins of equal width by the confidence of a classifier, its
    highest probability."""

    hides_nan: ClassVar[bool] = True
    of_logits: ClassVar[tuple[str, str] | None] = ("applies a softmax itself", "log(p)")
    operands: ClassVar[tuple[Operand, ...]] = compare("logits", "labels")
    bins: int = 15
    axis: int | None = None
    ignore_index: int = -100
    weight: tuple[float, ...] | None = None

    @abstractmethod
    def summarize(self, counts: Array, confidences: Array, hits: Array) -> Measured:
        """The figure of bins: what their labels count, and how much of that is confidence and how
        much is right, each added up."""

    bin_figures: ClassVar[tuple[tuple[str, str], ...]]
    """The same in PyTorch, as values by name of the three rows of `binned`; the last is the
    figure."""

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        if not 1 <= self.bins <= 10_000:
            refuse_setting(self.name, "bins", self.bins, "from 1 to 10000")
        return replace(self, axis=self.find_axis(types[:2]))

    def evaluate(self, *arrays: Array | None) -> Measured:
        scores = arrays[0]
        assert scores is not None, "only masks and weights may be left out"
        axis = scores.ndim - 1 if self.axis is None else self.axis
        weights = self.weigh(arrays)
        undefined = ~np.isfinite(scores.max(axis=axis)) & (weights > 0)
        if undefined.any() or not weights.sum():
            return self.nothing
        shifted = scores.astype(np.float64) - scores.max(axis=axis, keepdims=True)
        confidence = np.nan_to_num(1 / np.exp(shifted).sum(axis=axis))
        right = scores.argmax(axis) == self.choose_classes(arrays[1])
        place = np.minimum((confidence * self.bins).astype(np.int64), self.bins - 1)
        counts, confidences, hits = (
            np.bincount(place.ravel(), (weights * values).ravel(), self.bins)
            for values in (1, confidence, right)
        )
        return self.summarize(counts, confidences, hits)

    def code(self, arguments: Names) -> MetricCode:
        axis, bins = -1 if self.axis is None else self.axis, self.bins
        steps = {"classes": self.spell_classes(arguments), **dict(self.spell_steps(arguments))}
        steps["found"] = f"{arguments[0]}.double().softmax({axis}).max({axis})"
        steps["confidence"] = "found.values.nan_to_num()"
        steps["hits"] = "(found.indices == classes).double()"
        steps["places"] = f"(confidence * {bins}).long().clamp(max={bins - 1}).flatten()"
        weight = self.spell_weight(arguments)
        rows = ("torch.ones_like(hits)", "confidence", "hits")
        steps["parts"] = f"torch.stack([{', '.join(rows)}])"
        weighted = f"({weight} * parts)" if weight else "parts"
        added = f"parts.new_zeros(3, {bins}).index_add(1, places, {weighted}.flatten(1))"
        return MetricCode(
            (("count", self.spell_count(arguments)), self.spell_unscored(arguments, axis)),
            self.spell_result(self.bin_figures[-1][0], arguments),
            tuple(steps.items()),
            tables=(Table("binned", (3, bins), added),),
            finals=self.bin_figures,
        )


@METRICS.register
@final
@dataclass(frozen=True)
class CalibrationError(ConfidenceBins):
    """Expected calibration error: how far confidence is from how often it is right (Naeini et al.
    2015; Guo et al. 2017).

        Σ_b n_b / n * |accuracy_b - confidence_b|

    Confidence is the highest probability. Bin b of `bins`, counted from 0, holds the n_b of n
    labels with a confidence from `b / bins` to below `(b + 1) / bins`, the last those of 1 too;
    accuracy_b is the share of them that is told right, confidence_b their mean confidence.

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
    bin_figures: ClassVar[tuple[tuple[str, str], ...]] = (
        ("distance", "((binned[2] - binned[1]).abs().sum() / binned[0].sum()).item()"),
    )

    def summarize(self, counts: Array, confidences: Array, hits: Array) -> float:
        return float(np.abs(hits - confidences).sum() / counts.sum())


@METRICS.register
@final
@dataclass(frozen=True)
class CalibrationCurve(ConfidenceBins):
    """Reliability diagram: how often a classifier is right over how confident it is (Guo et al.
    2017, https://arxiv.org/abs/1706.04599). Confidence is the highest probability; labels are put
    into `bins` of equal width by it, and a bin that holds any is a point: their mean confidence,
    and the share of them that is told right. A curve and no number: it chooses nothing, and is a
    picture in the report; how far it is from the diagonal is `calibration_error`.

    Logits are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`; of two classes
    give two logits.

    - `mask`: a bool for each label: whether it counts.
    - `bins`: how many.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.

    Where the highest logit of a label that counts is NaN or infinite, there is no curve.

    Example: `metric reliability = calibration_curve(logits, label)`
    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """

    name: ClassVar[str] = "calibration_curve"
    better: ClassVar[Direction | None] = None
    chart: ClassVar[Chart | None] = Chart(
        "curve",
        "confidence",
        "share that is right",
        "calibration_error",
        "perfect calibration",
    )
    bin_figures: ClassVar[tuple[tuple[str, str], ...]] = (
        ("filled", "binned[:, binned[0] > 0]"),
        ("curve", "(filled[1:] / filled[0]).tolist()"),
    )

    def summarize(self, counts: Array, confidences: Array, hits: Array) -> Array:
        filled = counts > 0
        return np.stack([confidences[filled], hits[filled]]) / counts[filled]
