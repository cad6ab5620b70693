"""What PyTorch's modules draw by themselves when they are made."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from compiler.records import dataclass
from compiler.vocabulary.initializers import INITIALIZERS, Initializer, Numbers
from compiler.vocabulary.spelling import Call, Index, Leaf, Term


class ModuleInitializer(Initializer):
    """Base of what a module draws by itself."""

    by_module = True
    written = False


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class ModuleUniform(ModuleInitializer):
    """PyTorch's own default of `nn.Linear`, `nn.Conv2d` and their like, weight and bias alike:
    uniform within ±1 / √inputs. (PyTorch writes it as `kaiming_uniform_` with a = √5.)"""

    name = "module_uniform"
    inputs: int

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        bound = 1 / math.sqrt(self.inputs)
        return generator.uniform(-bound, bound, shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        bound = 1 / math.sqrt(self.inputs)
        return Call("nn.init.uniform_", (target, Leaf(-bound, "low"), Leaf(bound, "high")))


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class ModuleConstant(ModuleInitializer):
    """PyTorch's own default of the weights of normalisations, `nn.PReLU` and their like: one
    number everywhere."""

    name = "module_constant"
    value: float

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return np.full(shape, self.value, np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.constant_", (target, Leaf(self.value, "value")))


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class ModuleEmbedding(ModuleInitializer):
    """PyTorch's own default of `nn.Embedding`: normal with standard deviation 1, and zeros in
    the row that stands for padding."""

    name = "module_embedding"
    padding_idx: int | None = None

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        numbers = generator.normal(0, 1, shape).astype(np.float32)
        if self.padding_idx is not None:
            numbers[self.padding_idx] = 0
        return numbers

    def spell(self, target: Term) -> Term:
        # An embedding has no second weight, so one that is made is owned, and its module puts
        # the zeros.
        return Call("nn.init.normal_", (target,))


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class PaddedRows(Initializer):
    """Rows that start as another initializer says, and zeros in the row that stands for padding:
    `embedding(9, 4, padding_idx=0, init=normal(0.02))`."""

    name = "padded_rows"
    written = False
    start: Initializer
    row: int

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        numbers = self.start.draw(shape, generator)
        numbers[self.row] = 0
        return numbers

    def spell(self, target: Term) -> Term:
        return self.start.spell(target)

    def torch(self, target: Term) -> tuple[Term, ...]:
        """Two statements: the row is written over."""
        row = Index(target, (Leaf(self.row, "padding_idx", field="padding_idx"),))
        return (*self.start.torch(target), Call("nn.init.zeros_", (row,)))
