"""Initializers whose numbers the spec gives."""

from __future__ import annotations

from typing import final

import numpy as np

from compiler.records import dataclass
from compiler.vocabulary.initializers.base import INITIALIZERS, Initializer, Numbers
from compiler.vocabulary.spelling import Attribute, Call, Leaf, Method, Sequence, Term


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Zeros(Initializer):
    """All 0.

    Example: `param shift: f32[64] = zeros`, `y = x + shift`
    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.zeros_
    """

    name = "zeros"
    maker = "torch.zeros"

    @property
    def is_zero(self) -> bool:
        return True

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return np.zeros(shape, np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.zeros_", (target,))


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Ones(Initializer):
    """All 1.

    Example: `param scale: f32[64] = ones`, `y = x * scale`
    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.ones_
    """

    name = "ones"
    maker = "torch.ones"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return np.ones(shape, np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.ones_", (target,))


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Constant(Initializer):
    """One number everywhere.

    Example: `param temperature: f32[] = constant(0.07)`, `y = x / temperature`
    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.constant_
    """

    name = "constant"
    value: float

    @property
    def given(self) -> float:
        """The number."""
        return self.value

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return np.full(shape, self.value, np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.constant_", (target, Leaf(self.value, "value", field="value")))


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Values(Initializer):
    """Given numbers, row by row: what a list stands for.

    Example: `buffer mean: f32[3] = [0.485, 0.456, 0.406]`
    """

    name = "values"
    written = False
    numbers: tuple[float, ...]

    @property
    def given(self) -> tuple[float, ...]:
        """The numbers."""
        return self.numbers

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return np.array(self.numbers, np.float32).reshape(shape)

    def spell(self, target: Term) -> Term:
        numbers = Call("torch.tensor", (Sequence(tuple(Leaf(n) for n in self.numbers), "[]"),))
        return Method(Attribute(target, "data"), "copy_", (Method(numbers, "view_as", (target,)),))
