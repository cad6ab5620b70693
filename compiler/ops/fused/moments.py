"""Numbers that follow from how far a training is: what `step`, `epoch` and ramps stand for in a
train."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal, NoReturn, final

import numpy as np

from compiler.ir.graph import Node, Op
from compiler.ir.hint import Hint, HintName
from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import Array, Arrays, Assume, Limits, Results
from compiler.records import dataclass
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.duration import Duration
from compiler.vocabulary.ramps import RAMPS, Ramp
from compiler.vocabulary.spelling import Call, Leaf, Spelling


@dataclass(frozen=True)
class Moment:
    """How far a training is: `step` of `steps` and `epoch` count from 1."""

    step: int
    epoch: int
    steps: int
    steps_per_epoch: int


FIRST = Moment(1, 1, 1, 1)


class OfTime(Op):
    """Base of numbers that the moment of a training says. The training script computes them; what
    is evaluated is the last moment (`compiler.rows.moments`), and what looks at a train before it
    is run sees the first."""

    of_time = True
    dtype: DType

    @abstractmethod
    def find(self, moment: Moment) -> float:
        """The number at a moment."""

    def infer(self, assume: Assume, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        return (TensorType.of(self.dtype, ()),)

    def evaluate(self, *inputs: Array | None) -> tuple[Array, ...]:
        return (np.array(self.find(FIRST), self.dtype.numpy),)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(results[0])]

    def torch(self, node: Node) -> Spelling:
        """The first moment: a training script writes another op in its place."""
        return Spelling(Call("torch.tensor", (Leaf(self.find(FIRST)),)))

    def onnx(self, build: OnnxBuilder, outputs: Results) -> NoReturn:
        """It is never lowered: no deployed net reads it."""
        raise AssertionError(f"{self.name} belongs to a training")


@final
@dataclass(frozen=True)
class Count(OfTime):
    """The step of a training, or its epoch, from 1."""

    name = "count"
    dtype = DType.I64
    of: Literal["step", "epoch"]

    def find(self, moment: Moment) -> float:
        return moment.step if self.of == "step" else moment.epoch

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return 1.0, np.inf

    def write_number(self, *operands: Hint) -> Hint | None:
        return HintName(self.of)


@final
@dataclass(frozen=True)
class Ramped(OfTime):
    """A number that changes over the training: `linear(0.04, 0.07, over_first=30epochs)`."""

    name = "ramped"
    dtype = DType.F32
    kind: str
    start: float
    end: float
    length: float
    unit: str

    @staticmethod
    def of(ramp: Ramp) -> Ramped:
        """The op of a ramp."""
        stretch = ramp.over_first
        return Ramped(ramp.name, ramp.start, ramp.end, stretch.value, stretch.unit)

    @property
    def ramp(self) -> Ramp:
        """What it follows."""
        cls = RAMPS.get(self.kind)
        assert cls is not None, f"the ramp {self.kind} is missing"
        return cls(self.start, self.end, Duration(self.length, self.unit))  # type: ignore[call-arg]

    def find(self, moment: Moment) -> float:
        return self.ramp.value(moment.step - 1, moment.steps, moment.steps_per_epoch)

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return self.ramp.bounds
