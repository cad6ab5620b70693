"""Metrics of regression: mse, rmse, mae and r2; and the mean of any value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.signature import Operand
from compiler.tensor import TensorType
from compiler.training.base import METRICS, Metric, MetricCode
from compiler.training.comparing import refuse, require_same_shape

Array = NDArray[Any]
COMPARED = (Operand("prediction"), Operand("target"))


@METRICS.register
@final
@dataclass(frozen=True)
class MeanSquaredError(Metric):
    """Mean of the squared differences of two tensors of one shape."""

    name: ClassVar[str] = "mse"
    best: ClassVar[float | None] = 0.0
    higher_is_better: ClassVar[bool] = False
    operands: ClassVar[tuple[Operand, ...]] = COMPARED

    def check(self, types: Sequence[TensorType]) -> None:
        require_same_shape(self.name, types)

    def evaluate(self, *arrays: Array) -> float:
        return float(np.mean(np.square(_difference(arrays))))

    def code(self, arguments: Sequence[str]) -> MetricCode:
        return MetricCode(_squares(arguments), "squares / count")


@METRICS.register
@final
@dataclass(frozen=True)
class RootMeanSquaredError(Metric):
    """Square root of the mean squared difference, in the unit of the target."""

    name: ClassVar[str] = "rmse"
    best: ClassVar[float | None] = 0.0
    higher_is_better: ClassVar[bool] = False
    operands: ClassVar[tuple[Operand, ...]] = COMPARED

    def check(self, types: Sequence[TensorType]) -> None:
        require_same_shape(self.name, types)

    def evaluate(self, *arrays: Array) -> float:
        return math.sqrt(float(np.mean(np.square(_difference(arrays)))))

    def code(self, arguments: Sequence[str]) -> MetricCode:
        return MetricCode(_squares(arguments), "math.sqrt(squares / count)")


@METRICS.register
@final
@dataclass(frozen=True)
class MeanAbsoluteError(Metric):
    """Mean of the absolute differences of two tensors of one shape, in the target's unit."""

    name: ClassVar[str] = "mae"
    best: ClassVar[float | None] = 0.0
    higher_is_better: ClassVar[bool] = False
    operands: ClassVar[tuple[Operand, ...]] = COMPARED

    def check(self, types: Sequence[TensorType]) -> None:
        require_same_shape(self.name, types)

    def evaluate(self, *arrays: Array) -> float:
        return float(np.mean(np.abs(_difference(arrays))))

    def code(self, arguments: Sequence[str]) -> MetricCode:
        prediction, target = arguments
        return MetricCode(
            (
                ("total", f"({prediction}.double() - {target}).abs().sum()"),
                ("count", f"{target}.numel()"),
            ),
            "total / count",
        )


@METRICS.register
@final
@dataclass(frozen=True)
class R2(Metric):
    """Share of the target's variance that is explained: 1 is perfect, 0 is as good as the
    target's mean, below 0 worse. Takes one number per row: `[n]` or `[n, 1]`. Where the target
    does not vary it is 1 for a perfect prediction and 0 for any other, as in scikit-learn.
    """

    name: ClassVar[str] = "r2"
    best: ClassVar[float | None] = 1.0
    operands: ClassVar[tuple[Operand, ...]] = COMPARED

    def check(self, types: Sequence[TensorType]) -> None:
        require_same_shape(self.name, types)
        for tensor in types:
            if tensor.rank != 1 and not (tensor.rank == 2 and tensor.shape[1] == 1):
                advice = "give each column a metric of its own: `r2(y[:, 0], target[:, 0])`"
                raise refuse(self.name, f"{tensor} has more than one number per row", advice)

    def evaluate(self, *arrays: Array) -> float:
        target = arrays[1].astype(np.float64)
        residual = float(np.sum(np.square(_difference(arrays))))
        spread = float(np.sum(np.square(target - target.mean())))
        if spread == 0:
            return 1.0 if residual == 0 else 0.0
        return 1 - residual / spread

    def code(self, arguments: Sequence[str]) -> MetricCode:
        prediction, target = arguments
        spread = "(squares - total**2 / rows)"
        return MetricCode(
            (
                ("residual", f"({prediction}.double() - {target}).square().sum()"),
                ("total", f"{target}.double().sum()"),
                ("squares", f"{target}.double().square().sum()"),
            ),
            f"1 - residual / {spread} if {spread} > 0 else float(residual == 0)",
        )


@final
@dataclass(frozen=True)
class Mean(Metric):
    """The mean of a value over all its elements in a split. A metric that is no call of a
    registered one means this: `metric margin = logits[:, 1] - logits[:, 0]`.
    """

    name: ClassVar[str] = "mean"
    higher_is_better: ClassVar[bool] = False
    operands: ClassVar[tuple[Operand, ...]] = (Operand("value"),)

    def check(self, types: Sequence[TensorType]) -> None:
        """Any tensor has a mean."""

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        return BatchMean() if types[0].rank == 0 else self

    def evaluate(self, *arrays: Array) -> float:
        return float(np.mean(arrays[0].astype(np.float64)))

    def code(self, arguments: Sequence[str]) -> MetricCode:
        (value,) = arguments
        return MetricCode(
            (("total", f"{value}.double().sum()"), ("count", f"{value}.numel()")), "total / count"
        )


@final
@dataclass(frozen=True)
class BatchMean(Metric):
    """The mean over a split of a value that is one number per batch, such as a loss: each batch
    counts by its rows.
    """

    name: ClassVar[str] = "batch_mean"
    higher_is_better: ClassVar[bool] = False
    operands: ClassVar[tuple[Operand, ...]] = (Operand("value"),)

    def check(self, types: Sequence[TensorType]) -> None:
        """`Mean.resolve` chooses it where it fits."""

    def evaluate(self, *arrays: Array) -> float:
        return float(arrays[0])

    def code(self, arguments: Sequence[str]) -> MetricCode:
        (value,) = arguments
        return MetricCode((("total", f"{value}.double() * rows"),), "total / rows")


def _difference(arrays: Sequence[Array]) -> Array:
    prediction, target = (a.astype(np.float64) for a in arrays)
    return np.asarray(prediction - target)


def _squares(arguments: Sequence[str]) -> tuple[tuple[str, str], ...]:
    prediction, target = arguments
    return (
        ("squares", f"({prediction}.double() - {target}).square().sum()"),
        ("count", f"{target}.numel()"),
    )
