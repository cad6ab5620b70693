"""Metrics of regression: mse, rmse, mae and r2; and the mean of any value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import METRICS, Direction, Kept, Metric, MetricCode
from compiler.training.batch_mean import BatchMean
from compiler.training.comparing import average, refuse, require_same_shape
from compiler.training.weighting import Comparison, Names
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand, compare

Array = NDArray[Any]
COMPARED = compare("prediction", "target")


@METRICS.register
@final
@dataclass(frozen=True)
class MeanSquaredError(Comparison):
    """Mean of the squared differences of two tensors of one shape.

        (Σ w (prediction - target)²) / (Σ w)

    w is how much an entry counts: 1, or as `mask` and `weight` say.

    - `mask`: a bool for each entry of the target: whether it counts.
    - `weight`: a number for each entry: how much it counts.

    Example: `metric mse = mse(prediction, target)`
    Source:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.mean_squared_error.html
    """

    name: ClassVar[str] = "mse"
    better: ClassVar[Direction | None] = "lower"
    best: ClassVar[float | None] = 0.0
    operands: ClassVar[tuple[Operand, ...]] = COMPARED

    def check(self, types: Sequence[TensorType]) -> None:
        require_same_shape(self.name, types[:2])

    def evaluate(self, *arrays: Array | None) -> float:
        return average(np.square(_difference(arrays)), self.weigh(arrays))

    def code(self, arguments: Names) -> MetricCode:
        return _average(self, "squares", "square()", "squares / count", arguments)


@METRICS.register
@final
@dataclass(frozen=True)
class RootMeanSquaredError(Comparison):
    """Square root of the mean squared difference, in the unit of the target.

        √((Σ w (prediction - target)²) / (Σ w))

    w is how much an entry counts: 1, or as `mask` and `weight` say.

    - `mask`: a bool for each entry of the target: whether it counts.
    - `weight`: a number for each entry: how much it counts.

    Example: `metric rmse = rmse(prediction, target)`
    Source:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.root_mean_squared_error.html
    """

    name: ClassVar[str] = "rmse"
    better: ClassVar[Direction | None] = "lower"
    best: ClassVar[float | None] = 0.0
    operands: ClassVar[tuple[Operand, ...]] = COMPARED

    def check(self, types: Sequence[TensorType]) -> None:
        require_same_shape(self.name, types[:2])

    def evaluate(self, *arrays: Array | None) -> float:
        return math.sqrt(average(np.square(_difference(arrays)), self.weigh(arrays)))

    def code(self, arguments: Names) -> MetricCode:
        return _average(self, "squares", "square()", "math.sqrt(squares / count)", arguments)


@METRICS.register
@final
@dataclass(frozen=True)
class MeanAbsoluteError(Comparison):
    """Mean of the absolute differences of two tensors of one shape, in the target's unit.

        (Σ w |prediction - target|) / (Σ w)

    w is how much an entry counts: 1, or as `mask` and `weight` say.

    - `mask`: a bool for each entry of the target: whether it counts.
    - `weight`: a number for each entry: how much it counts.

    Example: `metric mae = mae(prediction, target)`
    Source:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.mean_absolute_error.html
    """

    name: ClassVar[str] = "mae"
    better: ClassVar[Direction | None] = "lower"
    best: ClassVar[float | None] = 0.0
    operands: ClassVar[tuple[Operand, ...]] = COMPARED

    def check(self, types: Sequence[TensorType]) -> None:
        require_same_shape(self.name, types[:2])

    def evaluate(self, *arrays: Array | None) -> float:
        return average(np.abs(_difference(arrays)), self.weigh(arrays))

    def code(self, arguments: Names) -> MetricCode:
        return _average(self, "total", "abs()", "total / count", arguments)


@METRICS.register
@final
@dataclass(frozen=True)
class MeanAbsolutePercentageError(Comparison):
    """Mean of the absolute differences as parts of the target; 0.1 is 10 %.

        e = |prediction - target| / max(|target|, 1.17e-6)
        (Σ w e) / (Σ w)

    w is how much an entry counts: 1, or as `mask` and `weight` say.

    - `mask`: a bool for each entry of the target: whether it counts.
    - `weight`: a number for each entry: how much it counts.

    Example: `metric mape = mape(prediction, target + 1)`
    Source:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.mean_absolute_percentage_error.html
    """

    name: ClassVar[str] = "mape"
    better: ClassVar[Direction | None] = "lower"
    best: ClassVar[float | None] = 0.0
    operands: ClassVar[tuple[Operand, ...]] = COMPARED

    def check(self, types: Sequence[TensorType]) -> None:
        require_same_shape(self.name, types[:2])

    def evaluate(self, *arrays: Array | None) -> float:
        whole = np.maximum(np.abs(np.asarray(arrays[1], np.float64)), 1.17e-6)
        return average(np.abs(_difference(arrays)) / whole, self.weigh(arrays))

    def code(self, arguments: Names) -> MetricCode:
        whole = f"{arguments[1]}.double().abs().clamp(min=1.17e-6)"
        return _average(self, "total", f"div({whole}).abs()", "total / count", arguments)


@METRICS.register
@final
@dataclass(frozen=True)
class R2(Comparison):
    """Share of the target's variance that is explained: 1 is perfect, 0 is as good as the
    target's mean, below 0 worse. Takes one number per row: `[n]` or `[n, 1]`. Where the target
    does not vary it is 1 for a perfect prediction and 0 for any other, as in scikit-learn.

        1 - (Σ w (target - prediction)²) / (Σ w (target - mean)²)
        mean = (Σ w target) / (Σ w)

    w is how much an entry counts: 1, or as `mask` and `weight` say.

    - `mask`: a bool for each entry of the target, in its shape: whether it counts. To a target
      `[n, 1]` belongs a mask `[n, 1]`.
    - `weight`: a number for each entry, in the same shape: how much it counts.

    Example: `metric r2 = r2(prediction, target)`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.r2_score.html
    """

    name: ClassVar[str] = "r2"
    better: ClassVar[Direction | None] = "higher"
    best: ClassVar[float | None] = 1.0
    operands: ClassVar[tuple[Operand, ...]] = COMPARED

    def check(self, types: Sequence[TensorType]) -> None:
        require_same_shape(self.name, types[:2])
        for tensor in types[:2]:
            if tensor.rank != 1 and not (tensor.rank == 2 and tensor.shape[1] == 1):
                advice = "give each column a metric of its own: `r2(y[:, 0], target[:, 0])`"
                raise refuse(self.name, f"{tensor} has more than one number per row", advice)

    def evaluate(self, *arrays: Array | None) -> float:
        target, weights = np.asarray(arrays[1], np.float64), self.weigh(arrays)
        if not weights.sum():
            return math.nan
        residual = float((weights * np.square(_difference(arrays))).sum())
        # Measured from one of them, targets that do not vary have a spread of exactly 0.
        shifted = target - target.flat[weights.argmax()]
        spread = float((weights * np.square(shifted - average(shifted, weights))).sum())
        return 1 - residual / (spread or residual or 1)

    def code(self, arguments: Names) -> MetricCode:
        prediction, target = arguments[:2]
        difference = f"({prediction}.double() - {target})"
        sums = (("residual", self.spell_total(f"{difference}.square()", arguments)),)
        kept = (Kept("targets", f"{target}.flatten()"),)
        text = "1 - residual / (spread or residual or 1)"
        if not self.spell_factors(arguments):
            # Measured from one of them, targets that do not vary have a spread of exactly 0.
            finals: tuple[tuple[str, str], ...] = (
                ("shifted", "targets - targets[0]"),
                ("spread", "(shifted - shifted.mean()).square().sum().item()"),
            )
            return MetricCode(sums, text, kept=kept, finals=finals)
        weight = self.spell_weight(arguments)
        finals = (
            ("shifted", "targets - targets[counts.argmax()]"),
            ("center", "(counts * shifted).sum() / counts.sum()"),
            ("spread", "(counts * (shifted - center).square()).sum().item()"),
        )
        return MetricCode(
            (*sums, ("count", self.spell_count(arguments))),
            self.spell_result(text, arguments),
            self.spell_steps(arguments),
            kept=(*kept, Kept("counts", f"{weight}.flatten()")),
            finals=finals,
        )


@final
@dataclass(frozen=True)
class Mean(Metric):
    """The mean over a split of a value that is one number per row. A metric that is no call of a
    registered one means this: `metric margin = logits[:, 1] - logits[:, 0]`.
    """

    name: ClassVar[str] = "mean"
    better: ClassVar[Direction | None] = None
    operands: ClassVar[tuple[Operand, ...]] = (Operand("value"),)

    def check(self, types: Sequence[TensorType]) -> None:
        """The clause refuses what is more than one number per row."""

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        return BatchMean() if types[0].rank == 0 else self

    def evaluate(self, *arrays: Array | None) -> float:
        return float(np.mean(np.asarray(arrays[0], np.float64)))

    def code(self, arguments: Names) -> MetricCode:
        (value,) = arguments
        return MetricCode(
            (("total", f"{value}.double().sum()"), ("count", f"{value}.numel()")), "total / count"
        )


def _difference(arrays: Sequence[Array | None]) -> Array:
    prediction, target = (np.asarray(a, np.float64) for a in arrays[:2])
    return np.asarray(prediction - target)


def _average(
    metric: Comparison, name: str, method: str, result: str, arguments: Names
) -> MetricCode:
    """The weighted mean of a function of the differences."""
    prediction, target = arguments[:2]
    values = f"({prediction}.double() - {target}).{method}"
    sums = ((name, metric.spell_total(values, arguments)), ("count", metric.spell_count(arguments)))
    return MetricCode(sums, metric.spell_result(result, arguments), metric.spell_steps(arguments))
