"""Activations with a step or a dead zone: shrinkage, thresholds, the unit step, the identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np

from compiler.ir.graph import Node
from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import Array, Arrays
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.activation import Activation, write_number
from compiler.ops.axes import need_float
from compiler.ops.broadcasting import cast
from compiler.ops.elementwise import Function
from compiler.ops.layers import given, refuse_option
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.spelling import (
    Attribute,
    Call,
    In,
    Infix,
    Leaf,
    Method,
    Spelling,
    Term,
)


class Shrink(Activation):
    """Base of functions that are 0 near 0."""

    bias: ClassVar[bool]
    """Whether what is beyond the dead zone moves towards 0 by half of its width."""
    lambd: float

    def check(self, types: Sequence[TensorType]) -> None:
        super().check(types)
        if self.lambd < 0:
            refuse_option(self.name, "lambd", self.lambd, "at least 0")

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        attributes = {"lambd": float(self.lambd), "bias": float(self.lambd) * self.bias}
        return build.op("Shrink", [x], attributes)


@OPS.register
@final
@dataclass(frozen=True)
class HardShrink(Shrink):
    """The identity but near 0: `y = x` where |x| > lambd, else 0.

    Shapes: x `f32[...]` -> the same.

    - `lambd`: how far from 0 the dead zone goes.

    Example: `code = x -> dense(64) -> hard_shrink(0.1)`
    Errors: W0353 where `lambd` is below 0.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardshrink.html
    """

    name = "hard_shrink"
    torch_function = "F.hardshrink"
    torch_module = "nn.Hardshrink"
    bias = False
    lambd: float = 0.5

    def calculate(self, x: Array) -> Array:
        bound = x.dtype.type(self.lambd)
        return np.where((x >= -bound) & (x <= bound), x.dtype.type(0), x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return x.apply("abs") > self.lambd


@OPS.register
@final
@dataclass(frozen=True)
class SoftShrink(Shrink):
    """Soft thresholding: `y = sign(x) * max(|x| - lambd, 0)`, the step of ISTA for an L1 penalty.

    Shapes: x `f32[...]` -> the same.

    - `lambd`: how far numbers move towards 0.

    Example: `code = x -> dense(64) -> soft_shrink(0.1)`
    Errors: W0353 where `lambd` is below 0.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softshrink.html
    """

    name = "soft_shrink"
    torch_function = "F.softshrink"
    torch_module = "nn.Softshrink"
    bias = True
    lambd: float = 0.5

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(given(operands[0]))]  # x - lambd

    def calculate(self, x: Array) -> Array:
        bound = x.dtype.type(self.lambd)
        return np.where(x > bound, x - bound, np.where(x < -bound, x + bound, x * 0))

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return x.apply("abs") > self.lambd


@OPS.register
@final
@dataclass(frozen=True)
class TanhShrink(Activation):
    """What `tanh` leaves of its argument: `y = x - tanh(x)`.

    Shapes: x `f32[...]` -> the same.

    Example: `y = x -> tanh_shrink`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanhshrink.html
    """

    name = "tanh_shrink"
    torch_function = "F.tanhshrink"
    torch_module = "nn.Tanhshrink"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(given(operands[0]))]  # x - tanh(x)

    def calculate(self, x: Array) -> Array:
        y: Array = x - np.tanh(x)
        return y

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return (x - y) * (x - y)

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("Sub", [x, build.op("Tanh", [x])])


@OPS.register
@final
@dataclass(frozen=True)
class Threshold(Activation):
    """The identity above a threshold, and a number elsewhere: `y = x` where x > threshold, else
    `value`.

    Shapes: x `f32[...]` -> the same.

    - `threshold`: where the identity begins.
    - `value`: the result elsewhere.

    Example: `y = x -> threshold(0.1, 0)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Threshold.html
    """

    name = "threshold"
    torch_function = "F.threshold"
    torch_module = "nn.Threshold"
    threshold: float
    value: float

    def calculate(self, x: Array) -> Array:
        # As in PyTorch, NaN is not at most the threshold.
        return np.where(x <= x.dtype.type(self.threshold), x.dtype.type(self.value), x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return x > self.threshold

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        below = build.op("LessOrEqual", [x, write_number(build, self.threshold, type)])
        return build.op("Where", [below, write_number(build, self.value, type), x])


@OPS.register
@final
@dataclass(frozen=True)
class Identity(Function):
    """What goes in comes out: `y = x`. For a place where a block wants an activation or another
    layer, and there shall be none.

    Shapes: x of any dtype -> the same.

    Example: `y = x -> mlp(64, act=identity)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html
    """

    name = "identity"
    moves = True
    keeps_channels = True
    scales_with_operand = True
    onnx_bfloat = True

    def check(self, types: Sequence[TensorType]) -> None:
        """Every tensor is one."""

    def calculate(self, x: Array) -> Array:
        return x

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        return [slope]

    def torch(self, node: Node) -> Spelling:
        return Spelling(In(0), module=Call("nn.Identity"))

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return x


@OPS.register
@final
@dataclass(frozen=True)
class UnitStep(Activation):
    """Heaviside's step, the activation of the perceptron: `y = 1` where x >= 0, else 0.

    Its gradient is 0, so that nothing before it learns. With `straight_through` it is that of the
    identity instead: in training the step counts forward, and backward as if it were not there.

    Shapes: x `f32[...]` -> the same, 0 or 1.

    - `straight_through`: whether gradients pass as through the identity.

    Example: `spikes = x -> dense(10) -> unit_step(straight_through=true)`
    Source: Rosenblatt 1958, https://doi.org/10.1037/h0042519; straight-through: Bengio et al.
    2013, https://arxiv.org/abs/1308.3432
    """

    name = "unit_step"
    limits = (0.0, 1.0)
    straight_through: bool = False

    @property
    def is_flat(self) -> bool:
        return not self.straight_through

    def calculate(self, x: Array) -> Array:
        return (x >= 0).astype(x.dtype)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        return [slope]  # the identity's, where it has one

    def torch(self, node: Node) -> Spelling:
        step = Method(Infix(">=", In(0), Leaf(0)), "to", (Attribute(In(0), "dtype"),))
        return Spelling(pass_straight(step) if self.straight_through else step)

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        above = build.op("GreaterOrEqual", [x, write_number(build, 0, type)])
        return cast(build, above, DType.BOOL, type.dtype)


@OPS.register
@final
@dataclass(frozen=True)
class Sign(Function):
    """The sign of each element: -1, 0 or 1.

        y = x / |x| where x != 0, else 0

    The shape and dtype stay; booleans have none. Its gradient is 0, so that nothing before it
    learns. With `straight_through` it is that of the identity instead: in training the sign counts
    forward, and backward as if it were not there.

    Shapes: x `f32[...]` -> the same.

    - `straight_through`: whether gradients pass as through the identity; for floating-point
      numbers.

    Example: `bits = x -> dense(64) -> sign(straight_through=true)`
    Errors: W0382 where x is bool, or no floating-point number for `straight_through`.
    Source: Bengio et al. 2013, https://arxiv.org/abs/1308.3432
    """

    name = "sign"
    limits = (-1.0, 1.0)
    onnx_type = "Sign"
    straight_through: bool = False

    @property
    def is_flat(self) -> bool:
        return not self.straight_through

    def check(self, types: Sequence[TensorType]) -> None:
        super().check(types)
        if self.straight_through:
            need_float(self.name, types[0])

    def calculate(self, x: Array) -> Array:
        return np.sign(x)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        return [slope]  # the identity's, where it has one

    def torch(self, node: Node) -> Spelling:
        sign = Call("torch.sign", (In(0),))
        return Spelling(pass_straight(sign) if self.straight_through else sign)


def pass_straight(step: Term) -> Term:
    """A term with the gradient of the node's operand: a difference that is exactly 0 is added."""
    return Infix("+", Infix("-", In(0), Method(In(0), "detach")), step)
