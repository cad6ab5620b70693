"""Rounding and magnitudes, element by element: floor, ceil, round, abs, square, isnan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_NEGATIVE, Array, Results
from compiler.ir.symbols import Symbol
from compiler.ops.axes import need_float
from compiler.ops.elementwise import Function
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.tensor import DType, TensorType


class Rounding(Function):
    """Base of functions that round; whole numbers stay as they are, and of a compile-time
    number they make an int."""

    @property
    def is_flat(self) -> bool:
        return True

    def compute(self, *numbers: float) -> float:
        return int(super().compute(*numbers))

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return super().write(build, x, type) if type.dtype.is_float else x


@OPS.register
@final
@dataclass(frozen=True)
class Square(Function):
    """The square of each element: `x * x`.

        y = x²

    The shape and dtype stay; booleans have none.

    Shapes: x `f32[...]` -> the same.
    Example: `loss = mean(square(a - b))`
    Errors: W0382 where x is bool.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.square.html
    """

    name = "square"
    flat_at_zero = True

    def find_degree(self, degrees: Sequence[int], numbers: Sequence[float | None]) -> int | None:
        return 2 * degrees[0]

    def calculate(self, x: Array) -> Array:
        return np.square(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return 2 * x

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("Mul", [x, x])


@OPS.register
@final
@dataclass(frozen=True)
class Abs(Function):
    """The absolute value of each element.

        y = |x|

    The shape and dtype stay; booleans have none.

    Shapes: x `f32[...]` -> the same.
    Example: `distance = abs(a - b)`
    Errors: W0382 where x is bool.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.abs.html
    """

    name = "abs"
    flat_at_zero = True
    limits = NOT_NEGATIVE
    onnx_type = "Abs"

    def calculate(self, x: Array) -> Array:
        return np.abs(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return x.apply("sign")


@OPS.register
@final
@dataclass(frozen=True)
class Floor(Rounding):
    """The largest whole number at most x.

        y = ⌊x⌋

    The shape and dtype stay; of a compile-time number it makes an int.

    Shapes: x `f32[...]` -> the same.
    Example: `cell = floor(x * 8)`
    Errors: W0382 where x is bool.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.floor.html
    """

    name = "floor"
    onnx_type = "Floor"

    def calculate(self, x: Array) -> Array:
        return np.floor(x)


@OPS.register
@final
@dataclass(frozen=True)
class Ceil(Rounding):
    """The smallest whole number at least x.

        y = ⌈x⌉

    The shape and dtype stay; of a compile-time number it makes an int.

    Shapes: x `f32[...]` -> the same.
    Errors: W0382 where x is bool.
    Example: `cells = ceil(score / 8)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.ceil.html
    """

    name = "ceil"
    onnx_type = "Ceil"

    def calculate(self, x: Array) -> Array:
        return np.ceil(x)


@OPS.register
@final
@dataclass(frozen=True)
class Round(Rounding):
    """The nearest whole number; halves go to the even one.

    The shape and dtype stay; of a compile-time number it makes an int.

    Shapes: x `f32[...]` -> the same.
    Errors: W0382 where x is bool.
    Example: `level = round(x / 0.1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.round.html
    """

    name = "round"
    onnx_type = "Round"

    def calculate(self, x: Array) -> Array:
        return np.round(x)


@OPS.register
@final
@dataclass(frozen=True)
class IsNan(Function):
    """Whether each element is nan (not a number): the result is bool.

    The shape stays.

    Shapes: x `f32[...]` -> `bool[...]`.
    Example: `filled = where(isnan(x), 0, x)`
    Errors: W0382 where x is not floating-point.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.isnan.html
    """

    name = "isnan"
    finds_nan = True
    onnx_type = "IsNaN"

    def check(self, types: Sequence[TensorType]) -> None:
        need_float(self.name, types[0])

    def result_dtype(self, types: Sequence[TensorType]) -> DType:
        return DType.BOOL

    def calculate(self, x: Array) -> Array:
        return np.isnan(x)

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [build.op(self.onnx_type, [x.value])]
