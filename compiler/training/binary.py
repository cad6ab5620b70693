"""Metrics of two classes told by one score: a logit above a threshold says 1."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.ir.target_range import TargetRange
from compiler.records import dataclass
from compiler.training.base import METRICS, Direction, Measured, MetricCode
from compiler.training.comparing import refuse, require_same_shape
from compiler.training.weighting import LabelComparison, Names
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand, compare

Array = NDArray[Any]


@dataclass(frozen=True)
class BinaryCounts(LabelComparison):
    """Base of metrics of how many entries are said to be 1, are 1, and both. Logits and labels have
    one shape; of several labels for each row, all entries count alike."""

    hides_nan: ClassVar[bool] = True
    of_logits: ClassVar[tuple[str, str] | None] = (
        "takes every number above 0 for a 1, as every probability is",
        "p - 0.5",
    )
    operands: ClassVar[tuple[Operand, ...]] = compare("logits", "labels")
    ignore_index: int | None = None
    threshold: float = 0.0

    @abstractmethod
    def rate(self, hits: float, predicted: float, actual: float, count: float) -> Measured:
        """The figure of what entries that are 1 and said to be, are said to be 1, are 1, and all
        of them count."""

    text: ClassVar[str]
    """The same in Python."""
    functions: ClassVar[tuple[str, ...]] = ()
    """What `text` calls."""

    def check(self, types: Sequence[TensorType]) -> None:
        logits, labels = types[:2]
        if not logits.dtype.is_float:
            raise refuse(self.name, f"{logits} are not logits", "the net's output comes first")
        require_same_shape(self.name, (logits, replace(labels, dtype=logits.dtype)))

    def target_range(self, types: Sequence[TensorType]) -> TargetRange | None:
        return TargetRange(0, 1, self.ignore_index, whole=True)

    def evaluate(self, *arrays: Array | None) -> Measured:
        logits, labels = arrays[0], arrays[1]
        assert logits is not None, "only masks and weights may be left out"
        assert labels is not None, "only masks and weights may be left out"
        weights = self.weigh(arrays)
        count = float(weights.sum())
        if (np.isnan(logits) & (weights > 0)).any() or not count:
            return self.nothing
        said, true = logits > self.threshold, labels > 0
        hits, predicted, actual = (float(weights[k].sum()) for k in (said & true, said, true))
        return self.rate(hits, predicted, actual, count)

    def code(self, arguments: Names) -> MetricCode:
        logits, labels = arguments[:2]
        said, true = f"({logits} > {self.threshold:g})", f"({labels} > 0)"
        sums = (
            ("hits", self.spell_total(f"({said} & {true})", arguments)),
            ("predicted", self.spell_total(said, arguments)),
            ("actual", self.spell_total(true, arguments)),
            ("count", self.spell_count(arguments)),
            self.spell_undefined(f"{logits}.isnan()", arguments),
        )
        steps = self.spell_steps(arguments)
        if not self.functions and self.chart is None:
            return MetricCode(sums, self.spell_result(f"({self.text})", arguments), steps)
        name = "share" if self.chart is None else "matrix"
        result, finals = self.spell_result(name, arguments), ((name, self.text),)
        return MetricCode(sums, result, steps, finals=finals, functions=self.functions)


@dataclass(frozen=True)
class BinaryRatio(BinaryCounts):
    """Base of those that are a ratio."""

    better: ClassVar[Direction | None] = "higher"
    best: ClassVar[float | None] = 1.0

    @abstractmethod
    def rate(self, hits: float, predicted: float, actual: float, count: float) -> float: ...


@METRICS.register
@final
@dataclass(frozen=True)
class BinaryPrecision(BinaryRatio):
    """Share of what is said to be 1 that is 1: `TP / (TP + FP)`; 0 where nothing is said to be.
    Logits and labels (0 and 1, or bool) have one shape.

    - `mask`: a bool for each label: whether it counts.
    - `weight`: a number for each label: how much it counts.
    - `ignore_index`: a label that does not count.
    - `threshold`: the logit above which 1 is said; 0 is a probability of 0.5.

    Where a logit that counts is NaN, the figure is not a number.

    Example: `metric precision = binary_precision(score, even)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.precision_score.html
    """

    name: ClassVar[str] = "binary_precision"
    text: ClassVar[str] = "hits / predicted if predicted else 0.0"

    def rate(self, hits: float, predicted: float, actual: float, count: float) -> float:
        return hits / predicted if predicted else 0.0


@METRICS.register
@final
@dataclass(frozen=True)
class BinaryRecall(BinaryRatio):
    """Share of what is 1 that is said to be: `TP / (TP + FN)`; 0 where nothing is 1. Logits and
    labels (0 and 1, or bool) have one shape.

    - `mask`: a bool for each label: whether it counts.
    - `weight`: a number for each label: how much it counts.
    - `ignore_index`: a label that does not count.
    - `threshold`: the logit above which 1 is said; 0 is a probability of 0.5.

    Where a logit that counts is NaN, the figure is not a number.

    Example: `metric recall = binary_recall(score, even)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.recall_score.html
    """

    name: ClassVar[str] = "binary_recall"
    text: ClassVar[str] = "hits / actual if actual else 0.0"

    def rate(self, hits: float, predicted: float, actual: float, count: float) -> float:
        return hits / actual if actual else 0.0


@METRICS.register
@final
@dataclass(frozen=True)
class BinaryF1(BinaryRatio):
    """Harmonic mean of precision and recall: `2 TP / (2 TP + FP + FN)`; 0 where nothing is 1 nor
    said to be. It is Dice's coefficient of what is said and what is. Logits and labels (0 and 1, or
    bool) have one shape.

    - `mask`: a bool for each label: whether it counts.
    - `weight`: a number for each label: how much it counts.
    - `ignore_index`: a label that does not count.
    - `threshold`: the logit above which 1 is said; 0 is a probability of 0.5.

    Where a logit that counts is NaN, the figure is not a number.

    Example: `metric f1 = binary_f1(score, even)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html
    """

    name: ClassVar[str] = "binary_f1"
    aliases: ClassVar[tuple[str, ...]] = ("binary_dice",)
    text: ClassVar[str] = "2 * hits / (predicted + actual) if predicted + actual else 0.0"

    def rate(self, hits: float, predicted: float, actual: float, count: float) -> float:
        return 2 * hits / (predicted + actual) if predicted + actual else 0.0


@METRICS.register
@final
@dataclass(frozen=True)
class BinaryIoU(BinaryRatio):
    """Intersection over union of what is said to be 1 and what is, the Jaccard index: `TP / (TP +
    FP + FN)`; 0 where both are empty. Logits and labels (0 and 1, or bool) have one shape.

    - `mask`: a bool for each label: whether it counts.
    - `weight`: a number for each label: how much it counts.
    - `ignore_index`: a label that does not count.
    - `threshold`: the logit above which 1 is said; 0 is a probability of 0.5.

    Where a logit that counts is NaN, the figure is not a number.

    Example: `metric iou = binary_iou(score, even)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.jaccard_score.html
    """

    name: ClassVar[str] = "binary_iou"
    text: ClassVar[str] = "hits / (predicted + actual - hits) if predicted + actual else 0.0"

    def rate(self, hits: float, predicted: float, actual: float, count: float) -> float:
        return hits / (predicted + actual - hits) if predicted + actual else 0.0


_MEAN_RECALL = '''
def mean_recall(hits: float, predicted: float, actual: float, count: float) -> float:
    """The mean of the shares of ones and of zeros that are told right."""
    zeros = count - actual
    kinds = ((hits, actual), (zeros - predicted + hits, zeros))
    shares = [right / whole for right, whole in kinds if whole > 0]
    return sum(shares) / len(shares) if shares else math.nan
'''


@METRICS.register
@final
@dataclass(frozen=True)
class BinaryBalancedAccuracy(BinaryRatio):
    """Mean of the shares of ones and of zeros that are told right; the share of one class alone
    where no label is of the other. Logits and labels (0 and 1, or bool) have one shape.

        (TP / (TP + FN) + TN / (TN + FP)) / 2

    - `mask`: a bool for each label: whether it counts.
    - `weight`: a number for each label: how much it counts.
    - `ignore_index`: a label that does not count.
    - `threshold`: the logit above which 1 is said; 0 is a probability of 0.5.

    Where a logit that counts is NaN, the figure is not a number.

    Example: `metric balanced = binary_balanced_accuracy(score, even)`
    Source:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.balanced_accuracy_score.html
    """

    name: ClassVar[str] = "binary_balanced_accuracy"
    counts_rows: ClassVar[bool] = True
    text: ClassVar[str] = "mean_recall(hits, predicted, actual, count)"
    functions: ClassVar[tuple[str, ...]] = (_MEAN_RECALL,)

    def rate(self, hits: float, predicted: float, actual: float, count: float) -> float:
        zeros = count - actual
        kinds = ((hits, actual), (zeros - predicted + hits, zeros))
        shares = [right / whole for right, whole in kinds if whole > 0]
        return sum(shares) / len(shares)
