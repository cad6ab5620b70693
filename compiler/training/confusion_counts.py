"""How often each class is said where each is the label: what metrics of classes are made of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import Measured, Metric, MetricCode, Table
from compiler.training.binary import BinaryCounts
from compiler.training.comparing import refuse
from compiler.training.settings import refuse as refuse_setting
from compiler.training.weighting import Names, ScoreComparison
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand, compare, write_value

Array = NDArray[Any]


@dataclass(frozen=True)
class ConfusionCounts(ScoreComparison):
    """Base of metrics of the confusion matrix: a row for each label, a column for each class that
    is said, which is that of the highest score."""

    hides_nan: ClassVar[bool] = True
    operands: ClassVar[tuple[Operand, ...]] = compare("scores", "labels")
    binary: ClassVar[type[BinaryCounts]]
    """The metric of one score for two classes."""
    axis: int | None = None
    num_classes: int | None = None
    ignore_index: int = -100
    weight: tuple[float, ...] | None = None

    @abstractmethod
    def summarize(self, counts: Array) -> Measured:
        """The figure of a confusion matrix."""

    @abstractmethod
    def spell_summary(self) -> tuple[dict[str, str], str]:
        """The same in PyTorch, of the tensor `confusion`: values by name, and the figure."""

    def check_classes(self, size: int) -> None:
        """Refuses options that do not fit so many classes.

        Raises:
            Fault: what does not fit.
        """

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        scores, labels = types[:2]
        if scores.rank == labels.rank:
            return self._resolve_binary(types)
        axis = self.find_axis(types[:2])
        size = scores.shape[axis].known
        if size is None:
            advice = "give the axis of the classes a known size"
            raise refuse(self.name, f"the number of classes of {scores} is open", advice)
        if self.num_classes is not None and self.num_classes != size:
            refuse_setting(self.name, "num_classes", self.num_classes, f"{size}, as scores say")
        self.check_classes(size)
        return replace(self, axis=axis, num_classes=size)

    def _resolve_binary(self, types: Sequence[TensorType]) -> Metric:
        for option in type(self).options():
            given = getattr(self, option.field)
            if option.name != "ignore_index" and given != option.default:
                expected = "left out where there are two classes in one score"
                refuse_setting(self.name, option.name, write_value(given), expected)
        default = self.ignore_index == ConfusionCounts.ignore_index
        binary = self.binary(None if default else self.ignore_index)
        binary.check(types)
        return binary

    def evaluate(self, *arrays: Array | None) -> Measured:
        scores = arrays[0]
        assert scores is not None, "only masks and weights may be left out"
        axis = scores.ndim - 1 if self.axis is None else self.axis
        weights, size = self.weigh(arrays), scores.shape[axis]
        undefined = ~np.isfinite(scores.max(axis=axis)) & (weights > 0)
        if undefined.any() or not weights.sum():
            return self.nothing
        places = self.choose_classes(arrays[1]) * size + scores.argmax(axis)
        counts = np.bincount(places.ravel(), weights.ravel(), size * size).reshape(size, size)
        return self.summarize(counts)

    def code(self, arguments: Names) -> MetricCode:
        scores, size = arguments[0], self.num_classes
        assert size is not None, "of a checked train it is known"
        axis = -1 if self.axis is None else self.axis
        steps = {"classes": self.spell_classes(arguments), **dict(self.spell_steps(arguments))}
        steps["places"] = f"({size} * classes + {scores}.argmax({axis})).flatten()"
        weight = self.spell_weight(arguments)
        given = f"{weight}.double().flatten(), " if weight else ""
        counted = f"torch.bincount(places, {given}minlength={size * size}).view({size}, {size})"
        finals, figure = self.spell_summary()
        return MetricCode(
            (("count", self.spell_count(arguments)), self.spell_unscored(arguments, axis)),
            self.spell_result(figure, arguments),
            tuple(steps.items()),
            tables=(Table("confusion", (size, size), counted),),
            finals=tuple(finals.items()),
        )
