"""Metrics of classes counted in a confusion matrix: precision, recall, F1, IoU."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import METRICS, Direction
from compiler.training.binary import (
    BinaryBalancedAccuracy,
    BinaryCounts,
    BinaryF1,
    BinaryIoU,
    BinaryPrecision,
    BinaryRecall,
)
from compiler.training.confusion_counts import ConfusionCounts
from compiler.training.settings import refuse as refuse_setting
from compiler.vocabulary.signature import write_value

Array = NDArray[Any]
Average = Literal["macro", "micro", "weighted"]


@dataclass(frozen=True)
class ClassRatio(ConfusionCounts):
    """Base of metrics that are a ratio for each class, of how often it is said, how often it is
    the label, and how often both."""

    better: ClassVar[Direction | None] = "higher"
    best: ClassVar[float | None] = 1.0
    ratio: ClassVar[tuple[str, str]]
    """Numerator and denominator of a class in PyTorch, over `hits`, `predicted` and `actual`."""
    present: ClassVar[str] = "predicted + actual > 0"
    """The classes that a mean over classes counts."""
    classes: tuple[int, ...] | None = None

    @property
    def averaging(self) -> Average:
        """How the ratios of classes become one figure."""
        return "macro"

    @abstractmethod
    def divide(self, hits: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        """Numerator and denominator of each class."""

    def is_present(self, predicted: Array, actual: Array) -> Array:
        """The classes that a mean over classes counts: those that are said or are labels."""
        return np.asarray(predicted + actual > 0)

    def check_classes(self, size: int) -> None:
        if self.classes is None:
            return
        once = len(set(self.classes)) == len(self.classes) > 0
        if not once or not all(0 <= number < size for number in self.classes):
            expected = f"numbers of classes from 0 to {size - 1}, each once"
            refuse_setting(self.name, "classes", write_value(self.classes), expected)

    def summarize(self, counts: Array) -> float:
        """The average over classes; of no class at all it is not a number."""
        chosen = slice(None) if self.classes is None else list(self.classes)
        hits, predicted, actual = (
            each[chosen] for each in (counts.diagonal(), counts.sum(0), counts.sum(1))
        )
        part, whole = self.divide(hits, predicted, actual)
        if self.averaging == "micro":
            return float(part.sum() / whole.sum()) if whole.sum() else math.nan
        ratios = part / np.where(whole > 0, whole, 1)
        weighted = self.averaging == "weighted"
        weights = actual if weighted else self.is_present(predicted, actual)
        return float((ratios * weights).sum() / weights.sum()) if weights.sum() else math.nan

    def spell_summary(self) -> tuple[dict[str, str], str]:
        chosen = "" if self.classes is None else f"[{list(self.classes)}]"
        part, whole = (f"({text})" if " " in text else text for text in self.ratio)
        means = {
            "micro": f"({part}.sum() / {whole}.sum()).item()",
            "macro": "ratios[present].mean().item()",
            "weighted": "((ratios * actual).sum() / actual.sum()).item()",
        }
        finals = {
            "hits": f"confusion.diagonal(){chosen}",
            "predicted": f"confusion.sum(0){chosen}",
            "actual": f"confusion.sum(1){chosen}",
            "ratios": f"({self.ratio[0]} / {whole}).nan_to_num()",
            "present": self.present,
            "ratio": means[self.averaging],
        }
        unread = {"micro": ("ratios", "present"), "weighted": ("present",), "macro": ()}
        for name in unread[self.averaging]:
            del finals[name]
        return finals, "ratio"


@dataclass(frozen=True)
class AveragedRatio(ClassRatio):
    """One that classes may be averaged for in several ways."""

    average: Average = "macro"

    @property
    def averaging(self) -> Average:
        return self.average


@METRICS.register
@final
@dataclass(frozen=True)
class Precision(AveragedRatio):
    """Share of what is said to be of a class that is: `TP / (TP + FP)`; 0 of a class that is
    never said.

    Scores are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`; the class that
    is said is that of the highest score. Where scores and labels have one shape, there are two
    classes: see `binary_precision`.

    - `mask`: a bool for each label: whether it counts.
    - `average`: "macro" is the mean over the classes that are said or are labels, "weighted" the
      mean by how often each is the label, "micro" counts all of them together.
    - `classes`: averages over these classes only: `[1]` is the figure of class 1, `[1, 2]` leaves
      out a background 0.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    - `num_classes`: how many there are; found from the scores.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.

    Where the highest score of a label that counts is NaN or infinite, the figure is not a number.

    Example: `metric precision = precision(logits, label)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.precision_score.html
    """

    name: ClassVar[str] = "precision"
    binary: ClassVar[type[BinaryCounts]] = BinaryPrecision
    ratio: ClassVar[tuple[str, str]] = ("hits", "predicted")

    def divide(self, hits: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return hits, predicted


@METRICS.register
@final
@dataclass(frozen=True)
class Recall(AveragedRatio):
    """Share of a class that is said to be: `TP / (TP + FN)`; 0 of a class that is no label, but
    said.

    Scores are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`; the class that
    is said is that of the highest score. Where scores and labels have one shape, there are two
    classes: see `binary_recall`.

    - `mask`: a bool for each label: whether it counts.
    - `average`: "macro" is the mean over the classes that are said or are labels, "weighted" the
      mean by how often each is the label, "micro" counts all of them together.
    - `classes`: averages over these classes only: `[1]` is the figure of class 1, `[1, 2]` leaves
      out a background 0.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    - `num_classes`: how many there are; found from the scores.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.

    Where the highest score of a label that counts is NaN or infinite, the figure is not a number.

    Example: `metric recall = recall(logits, label, classes=[1])`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.recall_score.html
    """

    name: ClassVar[str] = "recall"
    binary: ClassVar[type[BinaryCounts]] = BinaryRecall
    ratio: ClassVar[tuple[str, str]] = ("hits", "actual")

    def divide(self, hits: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return hits, actual


@METRICS.register
@final
@dataclass(frozen=True)
class F1(AveragedRatio):
    """Harmonic mean of precision and recall of each class: `2 TP / (2 TP + FP + FN)`. It is
    Dice's coefficient of what is said and what is.

    Scores are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`; the class that
    is said is that of the highest score. Where scores and labels have one shape, there are two
    classes: see `binary_f1`.

    - `mask`: a bool for each label: whether it counts.
    - `average`: "macro" is the mean over the classes that are said or are labels, "weighted" the
      mean by how often each is the label, "micro" counts all of them together.
    - `classes`: averages over these classes only: `[1]` is the figure of class 1, `[1, 2]` leaves
      out a background 0.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    - `num_classes`: how many there are; found from the scores.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.

    Where the highest score of a label that counts is NaN or infinite, the figure is not a number.

    Example: `metric f1 = f1(logits, label, average="weighted")`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html
    """

    name: ClassVar[str] = "f1"
    aliases: ClassVar[tuple[str, ...]] = ("dice",)
    binary: ClassVar[type[BinaryCounts]] = BinaryF1
    ratio: ClassVar[tuple[str, str]] = ("2 * hits", "predicted + actual")

    def divide(self, hits: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return 2 * hits, predicted + actual


@METRICS.register
@final
@dataclass(frozen=True)
class IoU(AveragedRatio):
    """Intersection over union of what is said to be of a class and what is, the Jaccard index:
    `TP / (TP + FP + FN)`.

    Scores are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`; the class that
    is said is that of the highest score. Where scores and labels have one shape, there are two
    classes: see `binary_iou`.

    - `mask`: a bool for each label: whether it counts.
    - `average`: "macro" is the mean over the classes that are said or are labels, "weighted" the
      mean by how often each is the label, "micro" counts all of them together.
    - `classes`: averages over these classes only: `[1]` is the figure of class 1, `[1, 2]` leaves
      out a background 0.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    - `num_classes`: how many there are; found from the scores.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.

    Where the highest score of a label that counts is NaN or infinite, the figure is not a number.

    Example: `metric iou = iou(logits, label)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.jaccard_score.html
    """

    name: ClassVar[str] = "iou"
    binary: ClassVar[type[BinaryCounts]] = BinaryIoU
    ratio: ClassVar[tuple[str, str]] = ("hits", "predicted + actual - hits")

    def divide(self, hits: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return hits, predicted + actual - hits


@METRICS.register
@final
@dataclass(frozen=True)
class BalancedAccuracy(ClassRatio):
    """Mean over classes of the share of their labels that is told right, whatever their numbers;
    classes that are no label do not count.

        mean_c (TP_c / (TP_c + FN_c))

    over the classes c.

    Scores are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`; the class that
    is said is that of the highest score. Where scores and labels have one shape, there are two
    classes: see `binary_balanced_accuracy`.

    - `mask`: a bool for each label: whether it counts.
    - `classes`: averages over these classes only: `[1]` is the figure of class 1, `[1, 2]` leaves
      out a background 0.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    - `num_classes`: how many there are; found from the scores.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.

    Where the highest score of a label that counts is NaN or infinite, the figure is not a number.

    Example: `metric balanced = balanced_accuracy(logits, label)`
    Source:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.balanced_accuracy_score.html
    """

    name: ClassVar[str] = "balanced_accuracy"
    counts_rows: ClassVar[bool] = True
    present: ClassVar[str] = "actual > 0"
    binary: ClassVar[type[BinaryCounts]] = BinaryBalancedAccuracy
    ratio: ClassVar[tuple[str, str]] = ("hits", "actual")

    def divide(self, hits: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return hits, actual

    def is_present(self, predicted: Array, actual: Array) -> Array:
        return np.asarray(actual > 0)
