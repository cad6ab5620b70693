"""How a metric lines up its two tensors: equal shapes, or class numbers against scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from compiler.ops.axes import resolve_axis
from compiler.report.diagnostics import Fault
from compiler.report.messages.items import metric_arguments
from compiler.types.dims import Dim, equal
from compiler.types.tensor import DType, TensorType


def refuse(metric: str, reason: str, advice: str = "", operand: int = 0) -> Fault:
    """The fault of arguments that a metric cannot compare; of a mask or weights, `operand`."""
    places = (operand, 1) if operand else (0, 1)
    return Fault(
        lambda where: metric_arguments(
            where.call, metric, reason, advice, tuple(map(where.operand, places))
        )
    )


def require_same_shape(metric: str, types: Sequence[TensorType]) -> None:
    """Raises `Fault` unless both tensors have one shape, and neither is bool."""
    left, right = types
    if not _may_equal(left.shape, right.shape):
        raise refuse(metric, f"the shapes differ: {left} and {right}", _advise(left, right))
    for tensor in types:
        if tensor.dtype is DType.BOOL:
            raise refuse(metric, f"{tensor} holds no numbers", "`cast(x, f32)` makes numbers")


def find_class_axis(metric: str, types: Sequence[TensorType], axis: int | None) -> int:
    """The axis of the classes: the one without which scores have the shape of the labels. Where
    two would do, axis 1, as in PyTorch.

    Raises:
        Fault: there is none, or labels are no whole numbers.
    """
    scores, labels = types
    if not scores.dtype.is_float:
        raise refuse(metric, f"{scores} are not scores", "the first argument is what the net says")
    if not labels.dtype.is_integer:
        raise refuse(
            metric,
            f"{labels} are not class numbers",
            "class numbers are integers: a categorical column, integers, or `cast(label, i64)`",
        )
    if scores.rank != labels.rank + 1:
        raise refuse(
            metric,
            f"{scores} has {scores.rank} axes and {labels} has {labels.rank}",
            "scores have one axis more than labels: their classes",
        )
    wanted = (1, scores.rank - 1) if axis is None else (resolve_axis(metric, axis, scores),)
    for candidate in wanted:
        if _may_equal(scores.shape[:candidate] + scores.shape[candidate + 1 :], labels.shape):
            return candidate
    raise refuse(
        metric,
        f"no axis of {scores} leaves {labels}",
        "scores are `[n, classes]` for labels `[n]`, or `[n, classes, …]` for `[n, …]`",
    )


def average(values: NDArray[Any], weights: NDArray[Any]) -> float:
    """The weighted mean of all entries; not a number where nothing counts."""
    total = float(weights.sum())
    return float((values * weights).sum()) / total if total else math.nan


def _may_equal(left: Sequence[Dim], right: Sequence[Dim]) -> bool:
    return len(left) == len(right) and all(
        equal(a, b) is not False for a, b in zip(left, right, strict=True)
    )


def _advise(left: TensorType, right: TensorType) -> str:
    if left.rank == right.rank + 1 and left.shape[-1] == 1:
        return "the first has an axis of size 1 at its end: `x[:, 0]` drops it"
    if right.rank == left.rank + 1 and right.shape[-1] == 1:
        return "the second has an axis of size 1 at its end: `x[:, 0]` drops it"
    if right.dtype.is_integer and left.rank == right.rank + 1:
        return "class numbers are compared with scores by `accuracy` or `top_k`"
    return ""
