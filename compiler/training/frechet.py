"""The Fréchet distance between two sets of features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import METRICS, Direction, Metric, MetricCode, Table
from compiler.training.comparing import refuse, require_same_shape
from compiler.training.settings import refuse as refuse_setting
from compiler.training.weighting import Names
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand

Array = NDArray[Any]

_DISTANCE = '''
def frechet_distance(sums: list[Tensor], products: list[Tensor], rows: float) -> float:
    """The distance of two normal distributions, from the sums over their samples."""
    if rows < 2:
        return math.nan
    means = [total / rows for total in sums]
    first, second = (
        (product - rows * torch.outer(mean, mean)) / (rows - 1)
        for product, mean in zip(products, means, strict=True)
    )
    roots = torch.linalg.eigvals(first @ second).sqrt().real.sum()
    apart = (means[0] - means[1]).square().sum()
    return (apart + first.trace() + second.trace() - 2 * roots).item()
'''


@METRICS.register
@final
@dataclass(frozen=True)
class FrechetDistance(Metric):
    """Distance of two sets of features `[n, d]`, each taken for a normal distribution (Fréchet
    1957; Heusel et al. 2017 of Inception's features).

        ‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½)

    μ are the means and Σ the covariances, which divide by n - 1. It takes two rows at least, and
    says little below some times d of them.

    - `features`: how many there are; found from the types.

    Example: `metric distance = frechet_distance(decoded, x)`
    Source: Heusel et al. 2017, https://arxiv.org/abs/1706.08500
    """

    name: ClassVar[str] = "frechet_distance"
    better: ClassVar[Direction | None] = "lower"
    best: ClassVar[float | None] = 0.0
    operands: ClassVar[tuple[Operand, ...]] = (Operand("first"), Operand("second"))
    features: int | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        require_same_shape(self.name, types[:2])
        first = types[0]
        if first.rank != 2 or first.shape[1].known is None:
            advice = "features are `[n, d]`, of which d is known"
            raise refuse(self.name, f"{first} are no features of rows", advice)
        known = first.shape[1].known
        if self.features is not None and self.features != known:
            refuse_setting(self.name, "features", self.features, f"{known}, as the types say")
        return replace(self, features=known)

    def evaluate(self, *arrays: Array | None) -> float:
        first, second = (np.asarray(a, np.float64) for a in arrays[:2])
        if len(first) < 2:
            return math.nan
        spread = [np.atleast_2d(np.cov(a, rowvar=False)) for a in (first, second)]
        roots = np.sqrt(np.linalg.eigvals(spread[0] @ spread[1]).astype(complex)).real.sum()
        apart = np.square(first.mean(0) - second.mean(0)).sum()
        return float(apart + np.trace(spread[0]) + np.trace(spread[1]) - 2 * roots)

    def code(self, arguments: Names) -> MetricCode:
        size = self.features or 0
        tables = []
        for word, name in zip(("first", "second"), arguments, strict=True):
            tables.append(Table(f"{word}_sum", (size,), f"{name}.double().sum(0)"))
            product = f"{name}.double().T @ {name}.double()"
            tables.append(Table(f"{word}_products", (size, size), product))
        sums, products = "[first_sum, second_sum]", "[first_products, second_products]"
        call = f"frechet_distance({sums}, {products}, count)"
        return MetricCode(
            (("count", f"len({arguments[0]})"),),
            "distance",
            tables=tuple(tables),
            finals=(("distance", call),),
            functions=(_DISTANCE,),
        )
