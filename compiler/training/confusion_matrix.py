"""The confusion matrix: how often each class is said where each is the label."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import METRICS, Chart, Direction
from compiler.training.binary import BinaryCounts
from compiler.training.confusion_counts import ConfusionCounts

Array = NDArray[Any]

CHART = Chart("matrix", across="predicted", up="label", number="balanced_accuracy")


@METRICS.register
@final
@dataclass(frozen=True)
class BinaryConfusionMatrix(BinaryCounts):
    """How often 0 and 1 are said where 0 and 1 are the labels: `[[TN, FP], [FN, TP]]`, as in
    scikit-learn. A matrix and no number: it chooses nothing, and is a picture in the report.
    Logits and labels (0 and 1, or bool) have one shape.

    - `mask`: a bool for each label: whether it counts.
    - `weight`: a number for each label: how much it counts.
    - `ignore_index`: a label that does not count.
    - `threshold`: the logit above which 1 is said; 0 is a probability of 0.5.

    Where a logit that counts is NaN, there is no matrix.

    Example: `metric confusion = binary_confusion_matrix(score, even)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.confusion_matrix.html
    """

    name: ClassVar[str] = "binary_confusion_matrix"
    better: ClassVar[Direction | None] = None
    chart: ClassVar[Chart | None] = CHART
    text: ClassVar[str] = (
        "[[count - predicted - actual + hits, predicted - hits], [actual - hits, hits]]"
    )

    def rate(self, hits: float, predicted: float, actual: float, count: float) -> Array:
        rejected = count - predicted - actual + hits
        return np.array([[rejected, predicted - hits], [actual - hits, hits]])


@METRICS.register
@final
@dataclass(frozen=True)
class ConfusionMatrix(ConfusionCounts):
    """How often each class is said where each is the label: entry `[i, j]` counts the labels `i`
    of which `j` is said, as in scikit-learn. A matrix and no number: it chooses nothing, and is a
    picture in the report.

    Scores are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`; the class that
    is said is that of the highest score. Where scores and labels have one shape, there are two
    classes: see `binary_confusion_matrix`.

    - `mask`: a bool for each label: whether it counts.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    - `num_classes`: how many there are; found from the scores.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.

    Where the highest score of a label that counts is NaN or infinite, there is no matrix.

    Example: `metric confusion = confusion_matrix(logits, label)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.confusion_matrix.html
    """

    name: ClassVar[str] = "confusion_matrix"
    better: ClassVar[Direction | None] = None
    chart: ClassVar[Chart | None] = CHART
    binary: ClassVar[type[BinaryCounts]] = BinaryConfusionMatrix

    def summarize(self, counts: Array) -> Array:
        return counts

    def spell_summary(self) -> tuple[dict[str, str], str]:
        return {}, "confusion.tolist()"
