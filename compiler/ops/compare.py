"""Comparisons and logic, element by element: what `== != < <= > >=` and `and or not` stand for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import final

import numpy as np

from compiler.ir.graph import Node
from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Results
from compiler.ops.axes import need_bool
from compiler.ops.broadcasting import (
    Elementwise,
    Paired,
    cast_operands,
    promote_types,
    promoted,
)
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Prefix, Spelling


class Comparison(Paired):
    """Base of comparisons: two tensors in, booleans out."""

    scalar = True

    def result_dtype(self, types: Sequence[TensorType]) -> DType:
        return DType.BOOL

    def inner_dtype(self, types: Sequence[TensorType]) -> DType:
        return promote_types(types)

    def evaluate(self, a: Array, b: Array) -> tuple[Array, ...]:
        left, right = promoted(a, b)
        return (np.asarray(self.calculate(left, right)),)

    @abstractmethod
    def calculate(self, left: Array, right: Array) -> Array:
        """The meaning for arrays of one dtype."""

    def onnx(self, build: OnnxBuilder, outputs: Results, a: OnnxInput, b: OnnxInput) -> Values:
        common = self.inner_dtype((a.type, b.type))
        if common is DType.BOOL and self.onnx_type != "Equal":
            common = DType.U8  # ONNX orders numbers only
        return [build.op(self.onnx_type, cast_operands(build, (a, b), common))]


@OPS.register
@final
@dataclass(frozen=True)
class Equal(Comparison):
    """Whether `a == b`, element by element.

    Shapes broadcast; the operands are compared in their promoted dtype; the result is bool.

    Shapes: a `f32[...]`, b `f32[...]` -> `bool[...]` of their broadcast shape.
    Example: `hit = argmax(logits, axis=-1) == label`
    Errors: W0375 where the shapes do not broadcast.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.eq.html
    """

    name = "equal"
    operator = "=="
    matches = True
    sign = "=="
    onnx_type = "Equal"

    def calculate(self, left: Array, right: Array) -> Array:
        return np.equal(left, right)


@OPS.register
@final
@dataclass(frozen=True)
class NotEqual(Comparison):
    """Whether `a != b`, element by element.

    Shapes broadcast; the operands are compared in their promoted dtype; the result is bool.

    Shapes: a `f32[...]`, b `f32[...]` -> `bool[...]` of their broadcast shape.
    Example: `mask = tokens != 0`
    Errors: W0375 where the shapes do not broadcast.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.ne.html
    """

    name = "not_equal"
    operator = "!="
    matches = True
    sign = "!="
    onnx_type = "Equal"

    def calculate(self, left: Array, right: Array) -> Array:
        return np.not_equal(left, right)

    def onnx(self, build: OnnxBuilder, outputs: Results, a: OnnxInput, b: OnnxInput) -> Values:
        return [build.op("Not", super().onnx(build, outputs, a, b))]


@OPS.register
@final
@dataclass(frozen=True)
class Less(Comparison):
    """Whether `a < b`, element by element.

    Shapes broadcast; the operands are compared in their promoted dtype; the result is bool.

    Shapes: a `f32[...]`, b `f32[...]` -> `bool[...]` of their broadcast shape.
    Errors: W0375 where the shapes do not broadcast.
    Example: `early = mask and arange(t) < length[:, none]`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.lt.html
    """

    name = "less"
    operator = "<"
    sign = "<"
    onnx_type = "Less"

    def calculate(self, left: Array, right: Array) -> Array:
        return np.less(left, right)


@OPS.register
@final
@dataclass(frozen=True)
class LessEqual(Comparison):
    """Whether `a <= b`, element by element.

    Shapes broadcast; the operands are compared in their promoted dtype; the result is bool.

    Shapes: a `f32[...]`, b `f32[...]` -> `bool[...]` of their broadcast shape.
    Errors: W0375 where the shapes do not broadcast.
    Example: `near = abs(a - b) <= 0.5`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.le.html
    """

    name = "less_equal"
    operator = "<="
    sign = "<="
    onnx_type = "LessOrEqual"

    def calculate(self, left: Array, right: Array) -> Array:
        return np.less_equal(left, right)


@OPS.register
@final
@dataclass(frozen=True)
class Greater(Comparison):
    """Whether `a > b`, element by element.

    Shapes broadcast; the operands are compared in their promoted dtype; the result is bool.

    Shapes: a `f32[...]`, b `f32[...]` -> `bool[...]` of their broadcast shape.
    Example: `active = x > 0`
    Errors: W0375 where the shapes do not broadcast.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.gt.html
    """

    name = "greater"
    operator = ">"
    sign = ">"
    onnx_type = "Greater"

    def calculate(self, left: Array, right: Array) -> Array:
        return np.greater(left, right)


@OPS.register
@final
@dataclass(frozen=True)
class GreaterEqual(Comparison):
    """Whether `a >= b`, element by element.

    Shapes broadcast; the operands are compared in their promoted dtype; the result is bool.

    Shapes: a `f32[...]`, b `f32[...]` -> `bool[...]` of their broadcast shape.
    Errors: W0375 where the shapes do not broadcast.
    Example: `late = tokens >= 10`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.ge.html
    """

    name = "greater_equal"
    operator = ">="
    sign = ">="
    onnx_type = "GreaterOrEqual"

    def calculate(self, left: Array, right: Array) -> Array:
        return np.greater_equal(left, right)


class Logic(Paired):
    """Base of `and` and `or`: booleans in, booleans out."""

    def check(self, types: Sequence[TensorType]) -> None:
        for index, found in enumerate(types):
            need_bool(self.name, found, operand=index)

    def onnx(self, build: OnnxBuilder, outputs: Results, a: OnnxInput, b: OnnxInput) -> Values:
        return [build.op(self.onnx_type, [a.value, b.value])]


@OPS.register
@final
@dataclass(frozen=True)
class LogicalAnd(Logic):
    """Whether both are true, element by element: `a and b`.

    Shapes broadcast; both operands are bool.

    Shapes: a `bool[...]`, b `bool[...]` -> `bool[...]` of their broadcast shape.
    Errors: W0375 where the shapes do not broadcast, W0382 where one is not bool.
    Example: `valid = mask and tokens != 0`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.logical_and.html
    """

    name = "logical_and"
    operator = "and"
    sign = "&"
    onnx_type = "And"

    def evaluate(self, a: Array, b: Array) -> tuple[Array, ...]:
        return (np.logical_and(a, b),)


@OPS.register
@final
@dataclass(frozen=True)
class LogicalOr(Logic):
    """Whether one at least is true, element by element: `a or b`.

    Shapes broadcast; both operands are bool.

    Shapes: a `bool[...]`, b `bool[...]` -> `bool[...]` of their broadcast shape.
    Errors: W0375 where the shapes do not broadcast, W0382 where one is not bool.
    Example: `done = tokens == 2 or not mask`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.logical_or.html
    """

    name = "logical_or"
    operator = "or"
    sign = "|"
    onnx_type = "Or"

    def evaluate(self, a: Array, b: Array) -> tuple[Array, ...]:
        return (np.logical_or(a, b),)


@OPS.register
@final
@dataclass(frozen=True)
class LogicalNot(Elementwise):
    """The opposite, element by element: `not x`.

    x is bool; the shape stays.

    Shapes: x `bool[...]` -> the same.
    Errors: W0382 where x is not bool.
    Example: `padding = not mask`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.logical_not.html
    """

    name = "logical_not"
    operands = (Operand("x"),)

    def check(self, types: Sequence[TensorType]) -> None:
        need_bool(self.name, types[0])

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.logical_not(x),)

    def torch(self, node: Node) -> Spelling:
        return Spelling(Prefix("~", In(0)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [build.op("Not", [x.value])]
