"""Metrics of classifiers: accuracy, accuracy of two classes, top-k and perplexity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.ir.target_range import TargetRange
from compiler.records import dataclass
from compiler.training.base import METRICS, Direction, Metric, MetricCode
from compiler.training.comparing import average, refuse, require_same_shape
from compiler.training.settings import refuse as refuse_setting
from compiler.training.weighting import LabelComparison, Names, ScoreComparison
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand, compare, write_value

Array = NDArray[Any]


@METRICS.register
@final
@dataclass(frozen=True)
class Accuracy(ScoreComparison):
    """Share of labels that are the class of the highest score.

        (Σ_i w_i h_i) / (Σ_i w_i)

    h_i is 1 where the highest score, the first of equal ones, is that of label i, else 0; w_i is
    how much the label counts: 1, or as the options say.

    Scores are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`. Where both have
    one shape, there are two classes: see `binary_accuracy`.

    - `mask`: a bool for each label: whether it counts.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.
    - `axis`: the axis of the classes; found from the shapes where it is not given.

    Where the highest score of a label that counts is NaN or infinite, the figure is not a number.

    Example: `metric accuracy = accuracy(logits, label)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.accuracy_score.html
    """

    name: ClassVar[str] = "accuracy"
    better: ClassVar[Direction | None] = "higher"
    best: ClassVar[float | None] = 1.0
    counts_rows: ClassVar[bool] = True
    hides_nan: ClassVar[bool] = True
    operands: ClassVar[tuple[Operand, ...]] = compare("scores", "labels")
    axis: int | None = None
    ignore_index: int = -100
    weight: tuple[float, ...] | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        scores, labels = types[:2]
        if scores.rank != labels.rank:
            return replace(self, axis=self.find_axis(types[:2]))
        if self.weight is not None:
            expected = "a tensor where there are two classes in one score"
            refuse_setting(self.name, "weight", write_value(self.weight), expected)
        default = self.ignore_index == Accuracy.ignore_index
        binary = BinaryAccuracy(None if default else self.ignore_index)
        binary.check(types)
        return binary

    def evaluate(self, *arrays: Array | None) -> float:
        scores, labels = arrays[0], arrays[1]
        assert scores is not None, "only masks and weights may be left out"
        axis = _axis_of(self.axis, scores)
        return self.average_hits(np.argmax(scores, axis=axis) == labels, arrays, axis)

    def code(self, arguments: Names) -> MetricCode:
        scores, labels = arguments[:2]
        axis = -1 if self.axis is None else self.axis
        hits = self.spell_hits(f"({scores}.argmax({axis}) == {labels})", arguments)
        count = ("count", self.spell_count(arguments))
        return MetricCode(
            (("correct", hits), count, self.spell_unscored(arguments, axis)),
            self.spell_result("correct / count", arguments),
            self.spell_steps(arguments),
        )


@METRICS.register
@final
@dataclass(frozen=True)
class BinaryAccuracy(LabelComparison):
    """Share of labels of two classes that are told right: a logit above 0 says 1, which is a
    probability above 0.5. Logits and labels (0 and 1, or bool) have one shape.

        (TP + TN) / (TP + TN + FP + FN)

    Each label counts 1, or as the options say.

    - `mask`: a bool for each label: whether it counts.
    - `weight`: a number for each label: how much it counts.
    - `ignore_index`: a label that does not count.

    Where a logit that counts is NaN, the figure is not a number.

    Example: `metric accuracy = binary_accuracy(score, even)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.accuracy_score.html
    """

    name: ClassVar[str] = "binary_accuracy"
    better: ClassVar[Direction | None] = "higher"
    best: ClassVar[float | None] = 1.0
    counts_rows: ClassVar[bool] = True
    hides_nan: ClassVar[bool] = True
    of_logits: ClassVar[tuple[str, str] | None] = (
        "takes every number above 0 for a 1, as every probability is",
        "p - 0.5",
    )
    operands: ClassVar[tuple[Operand, ...]] = compare("logits", "labels")
    ignore_index: int | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        logits, labels = types[:2]
        if not logits.dtype.is_float:
            raise refuse(self.name, f"{logits} are not logits", "the net's output comes first")
        require_same_shape(self.name, (logits, replace(labels, dtype=logits.dtype)))

    def target_range(self, types: Sequence[TensorType]) -> TargetRange | None:
        return TargetRange(0, 1, self.ignore_index, whole=True)

    def evaluate(self, *arrays: Array | None) -> float:
        logits, labels = arrays[0], arrays[1]
        assert logits is not None, "only masks and weights may be left out"
        assert labels is not None, "only masks and weights may be left out"
        weights = self.weigh(arrays)
        if (np.isnan(logits) & (weights > 0)).any():
            return math.nan
        return average((logits > 0) == (labels > 0), weights)

    def code(self, arguments: Names) -> MetricCode:
        logits, labels = arguments[:2]
        hits = self.spell_total(f"(({logits} > 0) == ({labels} > 0))", arguments)
        undefined = self.spell_undefined(f"{logits}.isnan()", arguments)
        return MetricCode(
            (("correct", hits), ("count", self.spell_count(arguments)), undefined),
            self.spell_result("correct / count", arguments),
            self.spell_steps(arguments),
        )


@METRICS.register
@final
@dataclass(frozen=True)
class TopK(ScoreComparison):
    """Share of labels that are among the k classes of the highest scores.

        (Σ_i w_i h_i) / (Σ_i w_i)

    h_i is 1 where less than k classes have a higher score than label i, or an equal one and a lower
    number, else 0; w_i is how much the label counts: 1, or as the options say.

    Scores are `[n, classes]` and labels `[n]`, or `[n, classes, …]` and `[n, …]`.

    - `mask`: a bool for each label: whether it counts.
    - `k`: how many classes may be named.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.

    Where the highest score of a label that counts is NaN or infinite, the figure is not a number.

    Example: `metric top3 = top_k(logits, label, k=3)`
    Source:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.top_k_accuracy_score.html
    """

    name: ClassVar[str] = "top_k"
    better: ClassVar[Direction | None] = "higher"
    best: ClassVar[float | None] = 1.0
    counts_rows: ClassVar[bool] = True
    hides_nan: ClassVar[bool] = True
    operands: ClassVar[tuple[Operand, ...]] = compare("scores", "labels")
    k: int = 5
    axis: int | None = None
    ignore_index: int = -100
    weight: tuple[float, ...] | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        axis = self.find_axis(types[:2])
        classes = types[0].shape[axis].known
        if self.k < 1:
            refuse_setting(self.name, "k", self.k, "1 or above")
        if classes is not None and self.k > classes:
            refuse_setting(self.name, "k", self.k, f"at most {classes}, the number of classes")
        return replace(self, axis=axis)

    def evaluate(self, *arrays: Array | None) -> float:
        scores, labels = arrays[0], arrays[1]
        assert scores is not None, "only masks and weights may be left out"
        assert labels is not None, "only masks and weights may be left out"
        axis = _axis_of(self.axis, scores)
        best = np.argsort(-scores, axis=axis, kind="stable").take(range(self.k), axis=axis)
        hits = (best == np.expand_dims(labels, axis)).any(axis)
        return self.average_hits(hits, arrays, axis)

    def code(self, arguments: Names) -> MetricCode:
        scores, labels = arguments[:2]
        axis = -1 if self.axis is None else self.axis
        # `topk` may name any of equal scores, and then other ones than the meaning.
        order = f"{scores}.argsort(dim={axis}, descending=True, stable=True)"
        hits = f"(ranked.narrow({axis}, 0, {self.k}) == {labels}.unsqueeze({axis}))"
        return MetricCode(
            (
                ("correct", self.spell_hits(hits, arguments, f".any({axis})")),
                ("count", self.spell_count(arguments)),
                self.spell_unscored(arguments, axis),
            ),
            self.spell_result("correct / count", arguments),
            (("ranked", order), *self.spell_steps(arguments)),
        )


@METRICS.register
@final
@dataclass(frozen=True)
class Perplexity(ScoreComparison):
    """`exp` of the mean cross-entropy: between how many classes the net still wavers (1 is
    best). Scores are logits `[n, classes]` for labels `[n]`, or `[n, …, classes]` for `[n, …]`.

        exp(-(Σ_i w_i log(p_i)) / (Σ_i w_i))

    p_i is the probability of label i, w_i how much it counts: 1, or as the options say.

    - `mask`: a bool for each label: whether it counts.
    - `axis`: the axis of the classes; found from the shapes where it is not given.
    - `ignore_index`: a label that does not count; -100, as in losses.
    - `weight`: how much labels count: a number for each class, or a tensor with one for each label.

    Example: `metric perplexity = perplexity(logits, label)`
    Source: Jelinek et al. 1977, https://doi.org/10.1121/1.2016299
    """

    name: ClassVar[str] = "perplexity"
    better: ClassVar[Direction | None] = "lower"
    best: ClassVar[float | None] = 1.0
    of_logits: ClassVar[tuple[str, str] | None] = ("applies a softmax itself", "log(p)")
    operands: ClassVar[tuple[Operand, ...]] = compare("logits", "labels")
    axis: int | None = None
    ignore_index: int = -100
    weight: tuple[float, ...] | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        return replace(self, axis=self.find_axis(types[:2]))

    def evaluate(self, *arrays: Array | None) -> float:
        scores = arrays[0]
        assert scores is not None, "only masks and weights may be left out"
        axis = _axis_of(self.axis, scores)
        scores = scores.astype(np.float64)
        shifted = scores - scores.max(axis=axis, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
        classes = np.expand_dims(self.choose_classes(arrays[1]), axis)
        chosen = np.take_along_axis(logs, classes, axis=axis).squeeze(axis)
        with np.errstate(over="ignore"):  # infinite, where the mean is above 709
            return float(np.exp(-average(chosen, self.weigh(arrays))))

    def code(self, arguments: Names) -> MetricCode:
        axis = -1 if self.axis is None else self.axis
        logs = f"{arguments[0]}.double().log_softmax({axis})"
        chosen = f"logs.gather({axis}, classes.unsqueeze({axis})).squeeze({axis})"
        steps = {"logs": logs, "classes": self.spell_classes(arguments)}
        steps |= self.spell_steps(arguments)
        return MetricCode(
            (
                ("total", self.spell_total(chosen, arguments)),
                ("count", self.spell_count(arguments)),
            ),
            # Of what is above 709, `math.exp` would raise an error.
            self.spell_result(
                "float(torch.tensor(-total / count, dtype=torch.float64).exp())", arguments
            ),
            tuple(steps.items()),
        )


def _axis_of(axis: int | None, scores: Array) -> int:
    return axis if axis is not None else scores.ndim - 1
