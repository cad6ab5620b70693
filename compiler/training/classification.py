"""Metrics of classifiers: accuracy, accuracy of two classes, top-k and perplexity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.signature import Operand
from compiler.tensor import TensorType
from compiler.training.base import METRICS, Metric, MetricCode
from compiler.training.comparing import find_class_axis, refuse, require_same_shape
from compiler.training.settings import refuse as refuse_setting

Array = NDArray[Any]


@METRICS.register
@final
@dataclass(frozen=True)
class Accuracy(Metric):
    """Share of labels that are the class of the highest score.

    Scores are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`; every label
    counts alike. Where scores and labels have one shape, there are two classes: see
    `binary_accuracy`.

    - `axis`: the axis of the classes; found from the shapes where it is not given.
    """

    name: ClassVar[str] = "accuracy"
    best: ClassVar[float | None] = 1.0
    counts_rows: ClassVar[bool] = True
    operands: ClassVar[tuple[Operand, ...]] = (Operand("scores"), Operand("labels"))
    axis: int | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        scores, labels = types
        if scores.rank == labels.rank:
            binary = BinaryAccuracy()
            binary.check(types)
            return binary
        return replace(self, axis=find_class_axis(self.name, types, self.axis))

    def evaluate(self, *arrays: Array) -> float:
        scores, labels = arrays
        axis = _axis_of(self.axis, scores)
        return float(np.mean(np.argmax(scores, axis=axis) == labels))

    def code(self, arguments: Sequence[str]) -> MetricCode:
        scores, labels = arguments
        axis = "-1" if self.axis is None else self.axis
        return MetricCode(
            (
                ("correct", f"({scores}.argmax({axis}) == {labels}).sum()"),
                ("count", f"{labels}.numel()"),
            ),
            "correct / count",
        )


@METRICS.register
@final
@dataclass(frozen=True)
class BinaryAccuracy(Metric):
    """Share of labels of two classes that are told right: a logit above 0 says 1, which is a
    probability above 0.5. Logits and labels (0 and 1, or bool) have one shape.
    """

    name: ClassVar[str] = "binary_accuracy"
    best: ClassVar[float | None] = 1.0
    counts_rows: ClassVar[bool] = True
    operands: ClassVar[tuple[Operand, ...]] = (Operand("logits"), Operand("labels"))

    def check(self, types: Sequence[TensorType]) -> None:
        logits, labels = types
        if not logits.dtype.is_float:
            raise refuse(self.name, f"{logits} are no logits", "the net's output comes first")
        require_same_shape(self.name, (logits, replace(labels, dtype=logits.dtype)))

    def evaluate(self, *arrays: Array) -> float:
        logits, labels = arrays
        return float(np.mean((logits > 0) == (labels > 0)))

    def code(self, arguments: Sequence[str]) -> MetricCode:
        logits, labels = arguments
        return MetricCode(
            (
                ("correct", f"(({logits} > 0) == ({labels} > 0)).sum()"),
                ("count", f"{labels}.numel()"),
            ),
            "correct / count",
        )


@METRICS.register
@final
@dataclass(frozen=True)
class TopK(Metric):
    """Share of labels that are among the k classes of the highest scores.

    Scores are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`.

    - `k`: how many classes may be named.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    """

    name: ClassVar[str] = "top_k"
    best: ClassVar[float | None] = 1.0
    counts_rows: ClassVar[bool] = True
    operands: ClassVar[tuple[Operand, ...]] = (Operand("scores"), Operand("labels"))
    k: int = 5
    axis: int | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        axis = find_class_axis(self.name, types, self.axis)
        classes = types[0].shape[axis].known
        if self.k < 1:
            refuse_setting(self.name, "k", self.k, "1 or above")
        if classes is not None and self.k > classes:
            refuse_setting(self.name, "k", self.k, f"at most {classes}, the number of classes")
        return replace(self, axis=axis)

    def evaluate(self, *arrays: Array) -> float:
        scores, labels = arrays
        axis = _axis_of(self.axis, scores)
        best = np.argsort(-scores, axis=axis, kind="stable").take(range(self.k), axis=axis)
        return float(np.mean((best == np.expand_dims(labels, axis)).any(axis)))

    def code(self, arguments: Sequence[str]) -> MetricCode:
        scores, labels = arguments
        axis = -1 if self.axis is None else self.axis
        best = f"{scores}.topk({self.k}, dim={axis}).indices"
        return MetricCode(
            (
                ("correct", f"({best} == {labels}.unsqueeze({axis})).sum()"),
                ("count", f"{labels}.numel()"),
            ),
            "correct / count",
        )


@METRICS.register
@final
@dataclass(frozen=True)
class Perplexity(Metric):
    """`exp` of the mean cross-entropy: between how many classes the net still wavers (1 is
    best). Scores are logits `[n, classes]` for labels `[n]`, or `[n, …, classes]` for `[n, …]`.

    - `axis`: the axis of the classes; found from the shapes where it is not given.
    """

    name: ClassVar[str] = "perplexity"
    best: ClassVar[float | None] = 1.0
    higher_is_better: ClassVar[bool] = False
    operands: ClassVar[tuple[Operand, ...]] = (Operand("logits"), Operand("labels"))
    axis: int | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        return replace(self, axis=find_class_axis(self.name, types, self.axis))

    def evaluate(self, *arrays: Array) -> float:
        scores, labels = arrays
        axis = _axis_of(self.axis, scores)
        scores = scores.astype(np.float64)
        shifted = scores - scores.max(axis=axis, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
        chosen = np.take_along_axis(logs, np.expand_dims(labels, axis), axis=axis)
        return float(np.exp(-chosen.mean()))

    def code(self, arguments: Sequence[str]) -> MetricCode:
        scores, labels = arguments
        axis = -1 if self.axis is None else self.axis
        logs = f"{scores}.double().log_softmax({axis})"
        return MetricCode(
            (
                ("total", f"-{logs}.gather({axis}, {labels}.unsqueeze({axis})).sum()"),
                ("count", f"{labels}.numel()"),
            ),
            "math.exp(total / count)",
        )


def _axis_of(axis: int | None, scores: Array) -> int:
    return axis if axis is not None else scores.ndim - 1
