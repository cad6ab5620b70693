"""Activations: fixed functions of each element, in PyTorch's definitions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, final

import numpy as np

from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import NOT_NEGATIVE, Array, Arrays, Types
from compiler.ir.symbols import Symbol
from compiler.ops.axes import need_float
from compiler.ops.elementwise import Function, erf
from compiler.ops.layers import given, refuse_option, widen
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.tensor import TensorType
from compiler.vocabulary.spelling import Call, Name, Spelling, Term

_SELU = 1.6732632423543772, 1.0507009873554805
"""Alpha and scale, for which activations keep mean 0 and variance 1."""


class Activation(Function):
    """Base of activations: floating-point numbers in, and out in the same dtype."""

    def check(self, types: Sequence[TensorType]) -> None:
        need_float(self.name, types[0])

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (np.asarray(self.calculate(widen(x))).astype(x.dtype, copy=False),)

    def compute(self, *numbers: float) -> float:
        return super().compute(*map(float, numbers))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(x.dtype, copy=False)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    result: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return result


def write_number(build: OnnxBuilder, value: float, type: TensorType) -> Any:
    """A constant without axes in the dtype of a tensor."""
    return build.constant(np.array(value, type.dtype.numpy), type.dtype)


@OPS.register
@final
@dataclass(frozen=True)
class Relu(Activation):
    """Rectified linear unit: `y = max(x, 0)`.

    Shapes: x `f32[...]` -> the same.

    Example: `y = image -> conv(64, kernel=3) -> relu`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html
    """

    name = "relu"
    flat_at_zero = True
    clips = True
    scales_with_operand = True
    onnx_bfloat = True
    limits = NOT_NEGATIVE
    torch_function = "F.relu"
    torch_module = "nn.ReLU"
    onnx_type = "Relu"

    def calculate(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return x > 0


@OPS.register
@final
@dataclass(frozen=True)
class Relu6(Activation):
    """Rectified linear unit with an upper bound: `y = min(max(x, 0), 6)`.

    Shapes: x `f32[...]` -> the same.

    Example: `y = image -> conv(32, kernel=3, bias=false) -> batch_norm -> relu6`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU6.html
    """

    name = "relu6"
    flat_at_zero = True
    clips = True
    limits = (0.0, 6.0)
    torch_function = "F.relu6"
    torch_module = "nn.ReLU6"

    def calculate(self, x: Array) -> Array:
        return np.clip(x, 0, 6)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return (x > 0) & (x < 6)

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("Clip", [x, write_number(build, 0, type), write_number(build, 6, type)])


@OPS.register
@final
@dataclass(frozen=True)
class LeakyRelu(Activation):
    """Rectified linear unit with a slope below 0: `y = x` where x > 0, else `negative_slope * x`.

    Shapes: x `f32[...]` -> the same.

    - `negative_slope`: the slope below 0.

    Example: `y = x -> leaky_relu(0.2)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html
    """

    name = "leaky_relu"
    in_integers = "computes"
    torch_function = "F.leaky_relu"
    torch_module = "nn.LeakyReLU"
    negative_slope: float = 0.01

    def calculate(self, x: Array) -> Array:
        return np.where(x > 0, x, x * x.dtype.type(self.negative_slope))

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return (x > 0).choose(x.like(1), self.negative_slope)

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("LeakyRelu", [x], {"alpha": float(self.negative_slope)})


@OPS.register
@final
@dataclass(frozen=True)
class Rrelu(Activation):
    """Rectified linear unit with a slope below 0 that is drawn at random in training (Xu et al.
    2015): `y = x` where x > 0, else `a * x`, with a uniform from `lower` to `upper` for each entry;
    in evaluation a is their mean.

    Shapes: x `f32[...]` -> the same.

    - `lower`, `upper`: between what slopes lie.

    Example: `y = x -> dense(64) -> rrelu`
    Errors: W0353 where `lower` is above `upper`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RReLU.html
    """

    name = "rrelu"
    torch_function = "F.rrelu"
    torch_module = "nn.RReLU"
    lower: float = 1 / 8
    upper: float = 1 / 3

    @property
    def draws(self) -> bool:
        return self.lower < self.upper

    @property
    def slope(self) -> float:
        """The slope in evaluation."""
        return (self.lower + self.upper) / 2

    def check(self, types: Sequence[TensorType]) -> None:
        super().check(types)
        if not self.lower <= self.upper:
            refuse_option(self.name, "lower", self.lower, f"at most `upper`, {self.upper}")

    def calculate(self, x: Array) -> Array:
        return np.where(x > 0, x, x * x.dtype.type(self.slope))

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return (x > 0).choose(x.like(1), self.slope)

    def spell_options(self) -> tuple[tuple[str, Term], ...]:
        return (*super().spell_options(), ("training", Name("self.training")))

    def spell_call(self, types: Types) -> Spelling:
        made = super().spell_call(types)
        return replace(made, module=Call(self.torch_module, (), super().spell_options()))

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("LeakyRelu", [x], {"alpha": self.slope})


@OPS.register
@final
@dataclass(frozen=True)
class Elu(Activation):
    """Exponential linear unit: `y = x` where x > 0, else `alpha * (exp(x) - 1)`.

    Shapes: x `f32[...]` -> the same.

    - `alpha`: the bound below 0 is -alpha.

    Example: `y = x -> elu`
    Source: Clevert et al. 2015, https://arxiv.org/abs/1511.07289
    """

    name = "elu"
    torch_function = "F.elu"
    torch_module = "nn.ELU"
    alpha: float = 1.0

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.maximum(np.abs(results[0]), abs(self.alpha))]  # exp(x) - 1

    def calculate(self, x: Array) -> Array:
        return np.where(x > 0, x, x.dtype.type(self.alpha) * np.expm1(x))

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        falling = x.apply("minimum", 0).apply("exp")
        return (x > 0).choose(1, self.alpha * falling)

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("Elu", [x], {"alpha": float(self.alpha)})


@OPS.register
@final
@dataclass(frozen=True)
class Selu(Activation):
    """Scaled exponential linear unit: `y = scale * (x where x > 0, else alpha * (exp(x) - 1))`
    with scale = 1.0507 and alpha = 1.67326, for which activations keep mean 0 and variance 1.

    Shapes: x `f32[...]` -> the same.

    Example: `y = x -> selu`
    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515
    """

    name = "selu"
    torch_function = "F.selu"
    torch_module = "nn.SELU"
    onnx_type = "Selu"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.maximum(np.abs(results[0]), 1.76)]  # exp(x) - 1, times scale * alpha

    def calculate(self, x: Array) -> Array:
        alpha, scale = _SELU
        kind = x.dtype.type
        y: Array = kind(scale) * np.where(x > 0, x, kind(alpha) * np.expm1(x))
        return y

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        falling = x.apply("minimum", 0).apply("exp")
        alpha, scale = _SELU
        return scale * (x > 0).choose(1, alpha * falling)


@OPS.register
@final
@dataclass(frozen=True)
class Gelu(Activation):
    """Gaussian error linear unit: `y = x * Φ(x)`, Φ the distribution function of the normal
    distribution.

        Φ(x) = (1 + erf(x / √2)) / 2                           (approximate="none")
        Φ(x) ≈ (1 + tanh(√(2 / π) * (x + 0.044715 * x³))) / 2    (approximate="tanh")

    Shapes: x `f32[...]` -> the same.

    - `approximate`: `"none"` is exact, `"tanh"` is the approximation that GPT-2 was trained with.

    Example: `y = x -> dense(256) -> gelu -> dense(64)`
    Source: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415
    """

    name = "gelu"
    onnx_bfloat = True
    torch_function = "F.gelu"
    torch_module = "nn.GELU"
    approximate: Literal["none", "tanh"] = "none"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(given(operands[0]))]  # a share of x, which is exact beside 1

    def calculate(self, x: Array) -> Array:
        kind = x.dtype.type
        if self.approximate == "tanh":
            bell = np.tanh(kind(math.sqrt(2 / math.pi)) * (x + kind(0.044715) * x**3))
        else:
            bell = erf(x / kind(math.sqrt(2)))
        y: Array = kind(0.5) * x * (1 + bell)
        return y

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        if self.approximate == "none":
            share = 0.5 * (1 + (x / math.sqrt(2)).apply("erf"))
            return share + x * (-0.5 * x * x).apply("exp") / math.sqrt(2 * math.pi)
        factor = math.sqrt(2 / math.pi)
        inner = (factor * (x + 0.044715 * x * x * x)).apply("tanh")
        rise = factor * (1 + 3 * 0.044715 * x * x)
        return 0.5 * (1 + inner) + 0.5 * x * (1 - inner * inner) * rise

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        attributes = {} if self.approximate == "none" else {"approximate": self.approximate}
        return build.op("Gelu", [x], attributes)


@OPS.register
@final
@dataclass(frozen=True)
class Silu(Activation):
    """Sigmoid linear unit, also called swish: `y = x * sigmoid(x)`.

    Shapes: x `f32[...]` -> the same.

    Example: `y = features -> group_norm(8) -> silu`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SiLU.html
    """

    name = "silu"
    aliases = ("swish",)
    torch_function = "F.silu"
    torch_module = "nn.SiLU"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(given(operands[0]))]  # a share of x, which is exact beside 1

    def calculate(self, x: Array) -> Array:
        return x * sigmoid(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        share = x.apply("sigmoid")
        return share * (1 + x * (1 - share))

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("Mul", [x, build.op("Sigmoid", [x])])


@OPS.register
@final
@dataclass(frozen=True)
class Sigmoid(Activation):
    """Logistic function: `y = 1 / (1 + exp(-x))`.

    Shapes: x `f32[...]` -> the same, between 0 and 1.

    Example: `gate = x -> dense(64) -> sigmoid`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.sigmoid.html
    """

    name = "sigmoid"
    squashes = True
    onnx_bfloat = True
    in_integers = "computes"
    limits = (0.0, 1.0)
    torch_module = "nn.Sigmoid"
    onnx_type = "Sigmoid"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [1.0]  # 1 / (1 + exp(-x)): kernels promise it beside 1

    def calculate(self, x: Array) -> Array:
        return sigmoid(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return y * (1 - y)


@OPS.register
@final
@dataclass(frozen=True)
class Tanh(Activation):
    """Hyperbolic tangent: `y = tanh(x)`.

    Shapes: x `f32[...]` -> the same, between -1 and 1.

    Example: `image = features -> conv_transpose(1, kernel=4, stride=2, padding=1) -> tanh`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.tanh.html
    """

    name = "tanh"
    limits = (-1.0, 1.0)
    onnx_bfloat = True
    torch_module = "nn.Tanh"
    onnx_type = "Tanh"

    def calculate(self, x: Array) -> Array:
        return np.tanh(x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return 1 - y * y


@OPS.register
@final
@dataclass(frozen=True)
class HardSigmoid(Activation):
    """Sigmoid in three straight pieces: `y = min(max(x / 6 + 1 / 2, 0), 1)`.

    Shapes: x `f32[...]` -> the same, from 0 to 1.

    Example: `gate = x -> dense(64) -> hard_sigmoid`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html
    """

    name = "hard_sigmoid"
    squashes = True
    limits = (0.0, 1.0)
    torch_function = "F.hardsigmoid"
    torch_module = "nn.Hardsigmoid"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(given(operands[0])) / 6 + 0.5]

    def calculate(self, x: Array) -> Array:
        y: Array = np.clip(x / 6 + x.dtype.type(0.5), 0, 1)
        return y

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        inside = (x > -3) & (x < 3)
        return inside.choose(x.like(1 / 6), 0)

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("HardSigmoid", [x], {"alpha": 1 / 6, "beta": 0.5})


@OPS.register
@final
@dataclass(frozen=True)
class HardSwish(Activation):
    """Swish with the sigmoid in three straight pieces: `y = x * min(max(x / 6 + 1 / 2, 0), 1)`.

    Shapes: x `f32[...]` -> the same.

    Example: `y = image -> conv(16, kernel=3, bias=false) -> batch_norm -> hard_swish`
    Source: Howard et al. 2019 (MobileNetV3), https://arxiv.org/abs/1905.02244
    """

    name = "hard_swish"
    torch_function = "F.hardswish"
    torch_module = "nn.Hardswish"
    onnx_type = "HardSwish"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(given(operands[0]))]  # a share of x, which is exact beside 1

    def calculate(self, x: Array) -> Array:
        y: Array = x * np.clip(x / 6 + x.dtype.type(0.5), 0, 1)
        return y

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        rising = (x <= 3).choose(x / 3 + 0.5, 1)
        return (x < -3).choose(0, rising)


@OPS.register
@final
@dataclass(frozen=True)
class HardTanh(Activation):
    """The identity between two bounds: `y = min(max(x, low), high)`.

    Shapes: x `f32[...]` -> the same.

    - `low`, `high`: the bounds.

    Example: `y = x -> hard_tanh`
    Errors: W0353 where `high` is not above `low`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html
    """

    name = "hard_tanh"
    torch_function = "F.hardtanh"
    torch_module = "nn.Hardtanh"
    torch_keywords: ClassVar[Mapping[str, str]] = {"low": "min_val", "high": "max_val"}
    low: float = -1.0
    high: float = 1.0

    def check(self, types: Sequence[TensorType]) -> None:
        super().check(types)
        if self.high <= self.low:
            refuse_option(self.name, "high", self.high, f"above `low`, {self.low}")

    def calculate(self, x: Array) -> Array:
        return np.clip(x, x.dtype.type(self.low), x.dtype.type(self.high))

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return (x > self.low) & (x < self.high)

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        bounds = [write_number(build, value, type) for value in (self.low, self.high)]
        return build.op("Clip", [x, *bounds])
