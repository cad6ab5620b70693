"""Initializers that draw from a distribution which the spec states."""

from __future__ import annotations

import math
from typing import final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.vocabulary.initializers.base import INITIALIZERS, Initializer, Numbers
from compiler.vocabulary.spelling import Call, Leaf, Method, Term


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Normal(Initializer):
    """The normal distribution with standard deviation `std` around `mean`.

    Example: `param position: f32[50, 64] = normal(0.02)`, `y = sequence + position[:t]`
    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.normal_
    """

    name = "normal"
    std: float = 1.0
    mean: float = 0.0

    def check(self) -> None:
        self.need_positive("std", self.std)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return generator.normal(self.mean, self.std, shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        options = (
            ("mean", Leaf(self.mean, "mean", 0.0, "mean")),
            ("std", Leaf(self.std, "std", 1.0, "std")),
        )
        return Call("nn.init.normal_", (target,), options)


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Uniform(Initializer):
    """The uniform distribution from `low` to `high`.

    Example: `param shift: f32[64] = uniform(-0.1, 0.1)`, `y = x + shift`
    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.uniform_
    """

    name = "uniform"
    low: float = 0.0
    high: float = 1.0

    def check(self) -> None:
        if self.high < self.low:
            self.refuse("high", self.high, f"at least `low`, {self.low:g}")

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return generator.uniform(self.low, self.high, shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        return Call(
            "nn.init.uniform_",
            (target, Leaf(self.low, "low", field="low"), Leaf(self.high, "high", field="high")),
        )


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class TruncNormal(Initializer):
    """The normal distribution around `mean`, drawn anew wherever it falls outside `low` to
    `high`. As in PyTorch the bounds are values, not multiples of `std`.

    Example: `param prototypes: f32[10, 64] = trunc_normal(0.02)`, `y = cdist(x, prototypes)`
    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.trunc_normal_
    """

    name = "trunc_normal"
    aliases = ("truncated_normal",)
    std: float = 1.0
    mean: float = 0.0
    low: float = -2.0
    high: float = 2.0

    def check(self) -> None:
        self.need_positive("std", self.std)
        if self.high <= self.low:
            self.refuse("high", self.high, f"above `low`, {self.low:g}")

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        numbers = np.full(shape, min(max(self.mean, self.low), self.high))
        missing = np.ones(shape, bool)
        while missing.any():
            drawn, kept = self._propose(int(missing.sum()), generator)
            places = np.flatnonzero(missing)[kept]
            numbers.flat[places] = drawn[kept]
            missing.flat[places] = False
        return numbers.astype(np.float32)

    def _propose(
        self, count: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Candidates, and which of them to keep (rejection sampling). Candidates are normal
        where the bounds leave room for a standard deviation, else uniform between the bounds."""
        if self.low <= self.mean <= self.high and self.high - self.low >= self.std:
            drawn = generator.normal(self.mean, self.std, count)
            return drawn, (drawn >= self.low) & (drawn <= self.high)
        drawn = generator.uniform(self.low, self.high, count)
        nearest = min(max(self.mean, self.low), self.high)
        exponent = ((nearest - self.mean) ** 2 - (drawn - self.mean) ** 2) / (2 * self.std**2)
        return drawn, generator.uniform(size=count) < np.exp(exponent)

    def spell(self, target: Term) -> Term:
        options = (
            ("mean", Leaf(self.mean, "mean", 0.0, "mean")),
            ("std", Leaf(self.std, "std", 1.0, "std")),
            ("a", Leaf(self.low, "low", -2.0, "low")),
            ("b", Leaf(self.high, "high", 2.0, "high")),
        )
        return Call("nn.init.trunc_normal_", (target,), options)


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class UnitVector(Initializer):
    """A random direction: normal numbers divided by their length, so that their squares sum to 1;
    what a power iteration starts from.

    Example: `param direction: f32[64] = unit_vector()`, `y = sequence * direction`
    Source: Muller 1959, https://doi.org/10.1145/377939.377946
    """

    name = "unit_vector"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        drawn = generator.normal(size=shape)
        made: Numbers = (drawn / math.sqrt(np.square(drawn).sum())).astype(np.float32)
        return made

    def spell(self, target: Term) -> Term:
        # An orthogonal matrix of one row.
        return Call("nn.init.orthogonal_", (Method(target, "view", (Leaf(1), Leaf(-1))),))
