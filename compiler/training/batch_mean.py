"""The figure over a split of what is one number for a batch, such as a loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import Batches, Direction, Metric, MetricCode
from compiler.training.weighting import Names
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand

Array = NDArray[Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Counting:
    """How much each class number of a loss's target counts: a weighted mean divides by the sum.
    `ignore_index` is None where the target cannot hold it."""

    weight: tuple[float, ...] | None
    ignore_index: int | None
    operands: ClassVar[int] = 1
    """How many tensors say how much entries count: the target."""

    def weigh(self, target: Array) -> float:
        """What all entries of a target count together."""
        return float(self.weigh_each(target).sum())

    def weigh_each(self, target: Array) -> Array:
        """What each entry of a target counts."""
        counted = np.ones(target.shape, bool)
        if self.ignore_index is not None:
            counted = target != self.ignore_index
        if self.weight is None:
            return counted
        classes = np.where(counted, target, 0).astype(np.int64)
        return np.asarray(np.asarray(self.weight, np.float64)[classes] * counted)

    def spell(self, targets: Sequence[str], size: str, mark: str) -> Iterator[tuple[str, str]]:
        """The same as steps of a batch, the last of which is `size`."""
        (target,) = targets
        counted = "" if self.ignore_index is None else f"({target} != {self.ignore_index})"
        if self.weight is None:
            yield size, f"{counted}.sum()"
            return
        table, classes = f"class_weights{mark}", f"classes{mark}"
        yield table, f"{target}.new_tensor({list(self.weight)}, dtype=torch.float64)"
        if not counted:
            yield size, f"{table}[{target}.long()].sum()"
            return
        yield classes, f"{target}.long().where({counted[1:-1]}, 0)"
        yield size, f"({counted} * {table}[{classes}]).sum()"


@dataclass(frozen=True)
class EntryCounting:
    """How much each entry of what a loss compares counts: by a mask, by weights, or by both, which
    are operands of their own."""

    operands: int

    def weigh(self, *counts: Array) -> float:
        """What all entries count together."""
        first, *others = (np.asarray(array, np.float64) for array in counts)
        return float(math.prod(others, start=first).sum())

    def spell(self, counts: Sequence[str], size: str, mark: str) -> Iterator[tuple[str, str]]:
        """The same as a step of a batch."""
        factors = [f"{counts[0]}.double()", *counts[1:]]
        product = " * ".join(factors)
        yield size, f"({product}).sum()" if counts[1:] else f"{product}.sum()"


@dataclass(frozen=True)
class Part:
    """One of the terms that a figure adds up: a value times a factor. Where `counting` says how
    entries count, operands of their own, behind the value, are the target whose entries do, or what
    says how much they do; where there is none, each batch counts by its rows, or is added to the
    others (`summed`)."""

    factor: float = 1.0
    counting: Counting | EntryCounting | None = None
    summed: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is the mean of the batches by their rows."""
        return self.counting is None and not self.summed


@final
@dataclass(frozen=True)
class BatchMean(Metric):
    """The mean over a split of a value that is one number per batch, such as a loss. Each batch
    counts by its rows; in a term that is a weighted mean itself, by the weights of its targets.
    Terms that are sums are added up.
    """

    name: ClassVar[str] = "batch_mean"
    better: ClassVar[Direction | None] = None
    operands: ClassVar[tuple[Operand, ...]] = (Operand("value"),)
    parts: tuple[Part, ...] = (Part(),)

    def check(self, types: Sequence[TensorType]) -> None:
        """`Mean.resolve` chooses it where it fits."""

    def evaluate(self, *arrays: Array | None) -> float:
        values = (np.asarray(value, np.float64) for _, value, _ in self.pair(arrays))
        return float(sum(p.factor * v for p, v in zip(self.parts, values, strict=True)))

    def combine(self, batches: Batches) -> float:
        figure = 0.0
        for place, part in enumerate(self.parts):
            total = count = 0.0
            for rows, arrays in batches:
                _, value, counted = list(self.pair(arrays))[place]
                size = float(rows)
                if part.counting is not None:
                    size = part.counting.weigh(*map(np.asarray, counted))
                size = 1.0 if part.summed else size
                total += size * float(np.asarray(value)) if size else 0.0
                count += size
            count = 1.0 if part.summed else count
            figure += part.factor * (total / count if count else math.nan)
        return figure

    def pair(self, operands: Sequence[T]) -> Iterator[tuple[Part, T, tuple[T, ...]]]:
        """Each part with its value, and what its entries are counted by."""
        rest = iter(operands)
        for part in self.parts:
            value = next(rest)
            count = part.counting.operands if part.counting is not None else 0
            yield part, value, tuple(islice(rest, count))

    def code(self, arguments: Names) -> MetricCode:
        sums: list[tuple[str, str]] = []
        steps: list[tuple[str, str]] = []
        terms = []
        for number, (part, value, counted) in enumerate(self.pair(arguments), 1):
            mark = f"_{number}" if self.parts[1:] else ""
            total, count, size = f"total{mark}", "rows", "rows"
            if part.counting is not None:
                count, size = f"count{mark}", f"counted{mark}"
                steps += part.counting.spell([f"{name}" for name in counted], size, mark)
                sums.append((total, f"torch.where({size} > 0, {value}.double() * {size}, 0)"))
                sums.append((count, size))
            else:
                times = "" if part.summed else " * rows"
                sums.append((total, f"{value}.double(){times}"))
            figure = total if part.summed else f"{total} / {count}"
            if part.counting is not None:
                figure += f" if {count} else math.nan"
                figure = f"({figure})" if part.factor != 1 else figure
            terms.append(figure if part.factor == 1 else f"{part.factor!r} * {figure}")
        result = f"sum([{', '.join(terms)}])" if terms[1:] else terms[0]
        return MetricCode(tuple(sums), result, tuple(steps))
