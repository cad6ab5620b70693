"""How much each entry counts for a metric: masks, weights, and labels that are ignored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from compiler.ir.target_range import TargetRange
from compiler.training.base import Measured, Metric
from compiler.training.comparing import average, find_class_axis, refuse
from compiler.training.settings import refuse as refuse_setting
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import MASK, WEIGHT, write_value

Array = NDArray[Any]
Arrays = Sequence[Array | None]
Names = Sequence[str | None]
Kinds = Sequence[TensorType | None]
Steps = tuple[tuple[str, str], ...]


class Comparison(Metric):
    """Base of metrics of two tensors, entry by entry, of which each counts by its weight: its
    `mask` and its `weight`, both of the shape of the second tensor, multiplied."""

    hides_nan: ClassVar[bool] = False
    """Whether it compares or orders numbers, so that NaN among them would give a figure like any
    other: such entries are counted as `undefined`, and leave the figure without a number."""

    def check_weights(self, types: Kinds) -> None:
        """Refuses masks and weights that do not fit.

        Raises:
            Fault: what does not fit.
        """
        target = types[1]
        assert target is not None, "only masks and weights may be left out"
        for place, name in ((MASK, "mask"), (WEIGHT, "weight")):
            given = types[place] if place < len(types) else None
            if given is None:
                continue
            if given.shape != target.shape:
                reason = f"`{name}` is {given}, and there is one for each entry of {target}"
                raise refuse(self.name, reason, f"give it the shape of {target}", place)
            if name == "mask" and given.dtype is not DType.BOOL:
                advice = "compare, as in `tokens != 0`; numbers are a `weight`"
                raise refuse(self.name, f"`mask` is {given}, not bool", advice, place)
            if name == "weight" and given.dtype is DType.BOOL:
                raise refuse(self.name, f"`weight` is {given}", "this is a `mask`", place)

    def weigh(self, arrays: Arrays) -> Array:
        """How much each entry counts."""
        target = arrays[1]
        assert target is not None, "only masks and weights may be left out"
        weights = np.ones(target.shape)
        for array in arrays[MASK:]:
            if array is not None:
                weights = weights * array
        return weights

    def spell_factors(self, names: Names) -> list[str]:
        """Factors of the weight of each entry, as Python expressions; none where all count once."""
        factors = []
        if len(names) > MASK and names[MASK] is not None:
            factors.append(f"{names[MASK]}")
        if len(names) > WEIGHT and names[WEIGHT] is not None:
            factors.append(f"{names[WEIGHT]}.double()")
        return factors

    def spell_steps(self, names: Names) -> Steps:
        """What is computed once a batch, because the sums read it: the weights, where they are a
        product."""
        factors = self.spell_factors(names)
        return (("weights", " * ".join(factors)),) if factors[1:] else ()

    def spell_weight(self, names: Names) -> str:
        """The weight of each entry, as an expression; empty where all count once."""
        factors = self.spell_factors(names)
        return "weights" if factors[1:] else "".join(factors)

    def spell_total(self, values: str, names: Names) -> str:
        """The weighted sum of `values`, an expression in brackets or a call."""
        weight = self.spell_weight(names)
        return f"({weight} * {values}).sum()" if weight else f"{values}.sum()"

    def spell_count(self, names: Names) -> str:
        """What all entries count together."""
        weight = self.spell_weight(names)
        return f"{weight}.sum()" if weight else f"{names[1]}.numel()"

    def spell_undefined(self, undefined: str, names: Names) -> tuple[str, str]:
        """The sum of the entries that count and for which `undefined`, an expression in brackets
        or a call, is true."""
        return "undefined", self.spell_total(undefined, names)

    @property
    def nothing(self) -> Measured:
        """The figure where there is none."""
        return math.nan if self.chart is None else np.empty((0, 0))

    def spell_result(self, text: str, names: Names) -> str:
        """A result that divides by `count`; there is none where nothing counts, which only a mask
        or weights can bring about, or where the sum `undefined` is not 0."""
        nothing = "math.nan" if self.chart is None else "[]"
        conditions = ["count"] if any(names[MASK:]) else []
        conditions += ["not undefined"] if self.hides_nan else []
        return f"{text} if {' and '.join(conditions)} else {nothing}" if conditions else text


class LabelComparison(Comparison):
    """Base of metrics of labels, of which one number may say that the entry does not count."""

    ignore_index: int | None

    def weigh(self, arrays: Arrays) -> Array:
        weights = super().weigh(arrays)
        if self.ignore_index is None:
            return weights
        counted: Array = np.asarray(arrays[1]) != self.ignore_index
        return weights * counted

    def spell_factors(self, names: Names) -> list[str]:
        factors = super().spell_factors(names)
        ignored = [] if self.ignore_index is None else [f"({names[1]} != {self.ignore_index})"]
        return [*ignored, *factors]


class ScoreComparison(LabelComparison):
    """Base of metrics of class numbers against a score for each class."""

    weight: tuple[float, ...] | None
    axis: int | None

    def find_axis(self, types: Sequence[TensorType]) -> int:
        """The axis of the classes; the class weights are one for each.

        Raises:
            Fault: there is none, or the weights do not fit.
        """
        axis = find_class_axis(self.name, types, self.axis)
        classes = types[0].shape[axis].known
        if self.weight is None:
            return axis
        if classes is not None and len(self.weight) != classes:
            expected = f"one number for each of {classes} classes"
            refuse_setting(self.name, "weight", write_value(self.weight), expected)
        if not all(math.isfinite(w) and w >= 0 for w in self.weight) or not sum(self.weight):
            refuse_setting(self.name, "weight", write_value(self.weight), "0 or above, not all 0")
        return axis

    def target_range(self, types: Sequence[TensorType]) -> TargetRange | None:
        classes = types[0].shape[-1 if self.axis is None else self.axis].known
        return None if classes is None else TargetRange(0, classes - 1, self.ignore_index)

    def weigh(self, arrays: Arrays) -> Array:
        weights = super().weigh(arrays)
        if self.weight is None:
            return weights
        table: Array = np.asarray(self.weight)
        return np.multiply(weights, table[self.choose_classes(arrays[1])])

    def choose_classes(self, labels: Array | None) -> Array:
        """The labels, 0 in place of those that are ignored."""
        assert labels is not None, "only masks and weights may be left out"
        if self.ignore_index is None:
            return labels.astype(np.int64)
        return np.where(labels == self.ignore_index, 0, labels).astype(np.int64)

    def spell_factors(self, names: Names) -> list[str]:
        factors = super().spell_factors(names)
        return factors if self.weight is None else [*factors, "class_weights[classes]"]

    def spell_steps(self, names: Names) -> Steps:
        table = f"{names[1]}.new_tensor({list(self.weight or ())}, dtype=torch.float64)"
        tables = (("class_weights", table), ("classes", self.spell_classes(names)))
        return (*(tables if self.weight is not None else ()), *super().spell_steps(names))

    def spell_classes(self, names: Names) -> str:
        """The labels, 0 in place of those that are ignored."""
        ignored = self.ignore_index
        rest = "" if ignored is None else f".where({names[1]} != {ignored}, 0)"
        return f"{names[1]}.long(){rest}"

    def average_hits(self, hits: Array, arrays: Arrays, axis: int) -> float:
        """The share of labels that are hit; not a number where the highest score of one that
        counts is none, or is infinite."""
        assert arrays[0] is not None, "only masks and weights may be left out"
        weights = self.weigh(arrays)
        undefined = ~np.isfinite(arrays[0].max(axis=axis))
        return math.nan if (undefined & (weights > 0)).any() else average(hits, weights)

    def spell_hits(self, hits: str, names: Names, joined: str = "") -> str:
        """The weighted sum of what is right; `joined` makes one of several hits of a label. An
        ignored label that is no class is never among it."""
        plain = self.weight is None and not any(names[MASK:])
        if plain and (self.ignore_index is None or self.ignore_index < 0):
            return f"{hits}.sum()"
        return self.spell_total(f"{hits}{joined}", names)

    def spell_unscored(self, names: Names, axis: int) -> tuple[str, str]:
        """The sum of the labels whose highest score is not a number, or infinite."""
        return self.spell_undefined(f"(~{names[0]}.amax({axis}).isfinite())", names)
