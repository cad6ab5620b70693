"""Functions of one tensor, element by element: exp, log, sqrt, sin and their like."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar, final

import numpy as np

from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_NEGATIVE, Array, Arrays, Results
from compiler.ir.symbols import NoDerivative, Slopes, Symbol
from compiler.ops.axes import need_number
from compiler.ops.broadcasting import Elementwise, cast
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand


class Function(Elementwise):
    """Base of functions of one tensor that keep its dtype."""

    operands = (Operand("x"),)
    scalar = True
    onnx_type: ClassVar[str]

    def check(self, types: Sequence[TensorType]) -> None:
        need_number(self.name, types[0])

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (np.asarray(self.calculate(x)),)

    @abstractmethod
    def calculate(self, x: Array) -> Array:
        """The meaning for an array."""

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        (x,) = inputs
        rate = self.differentiate(x, result)
        return [slope.only(rate) if rate.dtype is DType.BOOL else slope * rate]

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        """The derivative `dy/dx` for an operand and its result; a bool where it is 1 or 0."""
        raise NoDerivative("this has no derivative that is written down")

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        source = x.dtype
        return [self.write(build, cast(build, x.value, source, outputs[0].dtype), outputs[0])]

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        """The ONNX nodes for a value of this type."""
        return build.op(self.onnx_type, [x])


class FloatFunction(Function):
    """Base of functions whose results are floating-point: integers become f32 first."""

    def check(self, types: Sequence[TensorType]) -> None:
        """Every number has a result."""

    def result_dtype(self, types: Sequence[TensorType]) -> DType:
        return types[0].dtype if types[0].dtype.is_float else DType.F32

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return super().evaluate(x if x.dtype.kind == "f" else x.astype(np.float32))

    def compute(self, *numbers: float) -> float:
        return super().compute(*map(float, numbers))


def erf(x: Array) -> Array:
    """The error function, exact to the precision of the array."""
    if x.dtype == np.float64:
        values = np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size)
        return values.reshape(x.shape)
    # Its Taylor polynomial of third degree around the nearest node of a table is within 1e-11;
    # beyond ±6 it is ±1 to the last bit of f32.
    nodes, at_nodes, slopes = _tabulate_erf()
    near = np.clip(x, -6, 6).astype(np.float64)
    index = np.rint((np.nan_to_num(near) + 6) * 256).astype(np.int64)
    node = nodes[index]
    d = near - node
    polynomial = d * (1 - d * (node - d * (2 * node * node - 1) / 3))
    result: Array = at_nodes[index] + slopes[index] * polynomial
    return result.astype(x.dtype)


@cache
def _tabulate_erf() -> tuple[Array, Array, Array]:
    """Nodes from -6 to 6, the error function and its derivative there."""
    nodes = np.arange(-6 * 256, 6 * 256 + 1) / 256
    slopes: Array = 2 / math.sqrt(math.pi) * np.exp(-nodes * nodes)
    return nodes, np.array([math.erf(node) for node in nodes]), slopes


def _one(build: OnnxBuilder, dtype: DType) -> Any:
    return build.constant(np.ones((), dtype.numpy), dtype)


@OPS.register
@final
@dataclass(frozen=True)
class Exp(FloatFunction):
    """e to the power of each element.

        y = exp(x)

    The shape stays; whole numbers become f32 first.

    Shapes: x `f32[...]` -> the same.
    Example: `input log_variance: f32[n, 32]`, `scale = exp(0.5 * log_variance)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.exp.html
    """

    name = "exp"
    keeps_f32 = True
    limits = NOT_NEGATIVE
    onnx_type = "Exp"

    def calculate(self, x: Array) -> Array:
        return np.exp(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return y


@OPS.register
@final
@dataclass(frozen=True)
class Expm1(FloatFunction):
    """`exp(x) - 1`, exact near 0.

    The shape stays; whole numbers become f32 first.

    Shapes: x `f32[...]` -> the same.
    Example: `price = expm1(prediction)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.expm1.html
    """

    name = "expm1"
    keeps_f32 = True

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.maximum(np.abs(results[0]), 1)]  # exp(x) - 1

    def calculate(self, x: Array) -> Array:
        return np.expm1(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return y + 1

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("Sub", [build.op("Exp", [x]), _one(build, type.dtype)])


@OPS.register
@final
@dataclass(frozen=True)
class Log(FloatFunction):
    """The natural logarithm of each element; -inf at 0, nan below.

        y = log(x)

    The shape stays; whole numbers become f32 first.

    Shapes: x `f32[...]` -> the same.
    Example: `y = log(abs(x) + 1e-8)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.log.html
    """

    name = "log"
    keeps_f32 = True
    onnx_type = "Log"

    def calculate(self, x: Array) -> Array:
        return np.log(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return 1 / x


@OPS.register
@final
@dataclass(frozen=True)
class Log1p(FloatFunction):
    """`log(1 + x)`, exact near 0; nan below -1.

    The shape stays; whole numbers become f32 first.

    Shapes: x `f32[...]` -> the same.
    Example: `feature = log1p(abs(x))`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.log1p.html
    """

    name = "log1p"
    keeps_f32 = True

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.maximum(np.abs(results[0]), 1)]  # log(1 + x)

    def calculate(self, x: Array) -> Array:
        return np.log1p(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return 1 / (x + 1)

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("Log", [build.op("Add", [x, _one(build, type.dtype)])])


@OPS.register
@final
@dataclass(frozen=True)
class Sqrt(FloatFunction):
    """The square root of each element; nan below 0.

        y = √x

    The shape stays; whole numbers become f32 first.

    Shapes: x `f32[...]` -> the same.
    Example: `y = sqrt(sum(x ** 2, axis=-1))`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.sqrt.html
    """

    name = "sqrt"
    limits = NOT_NEGATIVE
    onnx_type = "Sqrt"

    def calculate(self, x: Array) -> Array:
        return np.sqrt(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return 0.5 / y


@OPS.register
@final
@dataclass(frozen=True)
class Rsqrt(FloatFunction):
    """One over the square root of each element: `1 / sqrt(x)`.

    The shape stays; whole numbers become f32 first.

    Shapes: x `f32[...]` -> the same.
    Example: `y = x * rsqrt(mean(x ** 2, axis=-1, keep=true) + 1e-5)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.rsqrt.html
    """

    name = "rsqrt"
    keeps_f32 = True
    limits = NOT_NEGATIVE

    def calculate(self, x: Array) -> Array:
        return np.reciprocal(np.sqrt(x))

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return -0.5 * y * y * y

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("Reciprocal", [build.op("Sqrt", [x])])


@OPS.register
@final
@dataclass(frozen=True)
class Reciprocal(FloatFunction):
    """One over each element: `1 / x`; inf at 0.

        y = 1 / x

    The shape stays; whole numbers become f32 first.

    Shapes: x `f32[...]` -> the same.
    Example: `y = reciprocal(1 + x)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.reciprocal.html
    """

    name = "reciprocal"
    keeps_f32 = True
    onnx_type = "Reciprocal"

    def calculate(self, x: Array) -> Array:
        return np.reciprocal(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return -y * y


@OPS.register
@final
@dataclass(frozen=True)
class Sin(FloatFunction):
    """The sine of each element, in radians.

        y = sin(x)

    The shape stays; whole numbers become f32 first.

    Shapes: x `f32[...]` -> the same.
    Example: `y = concat([sin(x), cos(x)], axis=-1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.sin.html
    """

    name = "sin"
    limits = (-1.0, 1.0)
    onnx_type = "Sin"

    def calculate(self, x: Array) -> Array:
        return np.sin(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return x.apply("cos")


@OPS.register
@final
@dataclass(frozen=True)
class Cos(FloatFunction):
    """The cosine of each element, in radians.

        y = cos(x)

    The shape stays; whole numbers become f32 first.

    Shapes: x `f32[...]` -> the same.
    Example: `y = concat([sin(x), cos(x)], axis=-1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.cos.html
    """

    name = "cos"
    limits = (-1.0, 1.0)
    onnx_type = "Cos"

    def calculate(self, x: Array) -> Array:
        return np.cos(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return -x.apply("sin")


@OPS.register
@final
@dataclass(frozen=True)
class Erf(FloatFunction):
    """The error function: `2 / sqrt(pi)` times the integral of `exp(-t ** 2)` from 0 to x.

    The shape stays; whole numbers become f32 first.

    Shapes: x `f32[...]` -> the same.
    Example: `normal_cdf = 0.5 * (1 + erf(x / sqrt(2)))`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.erf.html
    """

    name = "erf"
    limits = (-1.0, 1.0)
    onnx_type = "Erf"

    def calculate(self, x: Array) -> Array:
        return erf(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return 2 / math.sqrt(math.pi) * (-x * x).apply("exp")
