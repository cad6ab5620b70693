"""Activations around softplus, and those that own a weight or read pairs of entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, Part, result, tie_channels, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_NEGATIVE, Array, Arrays, Assume, Results, Types, Weight
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.activation import Activation, sigmoid, softplus, write_number
from compiler.ops.axes import need_float, need_rank, operand_type, resolve_axis
from compiler.ops.layers import find_place, given, need_channels, need_weights, refuse_option, widen
from compiler.ops.modules import Modular, input_type, spell_size
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.layers import halves_differ
from compiler.types.dims import Dim, DimError
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.modules import ModuleConstant
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Leaf, Term


@OPS.register
@final
@dataclass(frozen=True)
class Softplus(Activation):
    """A smooth `relu`: `y = log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x`
    exceeds `threshold`.

    Shapes: x `f32[...]` -> the same, above 0.

    - `beta`: how sharp the bend at 0 is.
    - `threshold`: where the function becomes the identity.

    Errors: W0353 where `beta` is not above 0.
    Example: `scale = x -> dense(64) -> softplus`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html
    """

    name = "softplus"
    limits = NOT_NEGATIVE
    torch_function = "F.softplus"
    torch_module = "nn.Softplus"
    beta: float = 1.0
    threshold: float = 20.0

    def check(self, types: Sequence[TensorType]) -> None:
        super().check(types)
        if self.beta <= 0:
            refuse_option(self.name, "beta", self.beta, "above 0")

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.maximum(np.abs(results[0]), 1 / abs(self.beta))]  # log(1 + exp(x))

    def calculate(self, x: Array) -> Array:
        scaled = x * x.dtype.type(self.beta)
        smooth = softplus(scaled) / x.dtype.type(self.beta)
        return np.where(scaled > self.threshold, x, smooth)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        steep = x * self.beta
        return (steep > self.threshold).choose(1, steep.apply("sigmoid"))

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        scaled, beta = x, write_number(build, self.beta, type)
        if self.beta != 1:
            scaled = build.op("Mul", [x, beta])
        smooth = build.op("Softplus", [scaled])
        if self.beta != 1:
            smooth = build.op("Div", [smooth, beta])
        if self.threshold >= (40 if type.dtype is DType.F64 else 20):
            return smooth  # there log(1 + exp(x)) is x to the last bit
        beyond = build.op("Greater", [scaled, write_number(build, self.threshold, type)])
        return build.op("Where", [beyond, x, smooth])


@OPS.register
@final
@dataclass(frozen=True)
class Softsign(Activation):
    """A slow sigmoid: `y = x / (1 + |x|)`.

    Shapes: x `f32[...]` -> the same, between -1 and 1.

    Example: `y = x -> softsign`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softsign.html
    """

    name = "softsign"
    limits = (-1.0, 1.0)
    torch_function = "F.softsign"
    torch_module = "nn.Softsign"
    onnx_type = "Softsign"

    def calculate(self, x: Array) -> Array:
        y: Array = x / (1 + np.abs(x))
        return y

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        far = 1 + x.apply("abs")
        return 1 / (far * far)


@OPS.register
@final
@dataclass(frozen=True)
class Mish(Activation):
    """A smooth activation without upper bound: `y = x * tanh(softplus(x))`.

    Shapes: x `f32[...]` -> the same.

    Example: `y = image -> conv(32, kernel=3, bias=false) -> batch_norm -> mish`
    Source: Misra 2019, https://arxiv.org/abs/1908.08681
    """

    name = "mish"
    torch_function = "F.mish"
    torch_module = "nn.Mish"
    onnx_type = "Mish"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(given(operands[0]))]  # a share of x, which is exact beside 1

    def calculate(self, x: Array) -> Array:
        y: Array = x * np.tanh(softplus(x))
        return y

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        bent = x.apply("softplus").apply("tanh")
        return bent + x * (1 - bent * bent) * x.apply("sigmoid")


@OPS.register
@final
@dataclass(frozen=True)
class LogSigmoid(Activation):
    """The logarithm of the sigmoid: `y = log(sigmoid(x)) = -softplus(-x)`, exact where the
    sigmoid is nearly 0.

    Shapes: x `f32[...]` -> the same, below 0.

    Example: `loss = -mean(log_sigmoid(score))`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html
    """

    name = "log_sigmoid"
    keeps_f32 = True
    torch_function = "F.logsigmoid"
    torch_module = "nn.LogSigmoid"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.maximum(np.abs(results[0]), 1)]  # log(1 + exp(x))

    def calculate(self, x: Array) -> Array:
        return -softplus(-x)

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        return (-x).apply("sigmoid")

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return build.op("Neg", [build.op("Softplus", [build.op("Neg", [x])])])


@OPS.register
@final
@dataclass(frozen=True)
class Celu(Activation):
    """Exponential linear unit with a continuous slope: `y = x` where x > 0, else `alpha *
    (exp(x / alpha) - 1)`.

    Shapes: x `f32[...]` -> the same.

    - `alpha`: the bound below 0 is -alpha.

    Example: `y = x -> celu(0.5)`
    Errors: W0353 where `alpha` is not above 0.
    Source: Barron 2017, https://arxiv.org/abs/1704.07483
    """

    name = "celu"
    torch_function = "F.celu"
    torch_module = "nn.CELU"
    alpha: float = 1.0

    def check(self, types: Sequence[TensorType]) -> None:
        super().check(types)
        if self.alpha <= 0:
            refuse_option(self.name, "alpha", self.alpha, "above 0")

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.maximum(np.abs(results[0]), abs(self.alpha))]  # exp(x) - 1

    def calculate(self, x: Array) -> Array:
        alpha = x.dtype.type(self.alpha)
        return np.where(x > 0, x, alpha * np.expm1(x / alpha))

    def differentiate(self, x: Symbol, y: Symbol) -> Symbol:
        falling = (x.apply("minimum", 0) / self.alpha).apply("exp")
        return (x > 0).choose(1, falling)

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        alpha = write_number(build, self.alpha, type)
        bent = build.op("Mul", [build.op("Elu", [build.op("Div", [x, alpha])]), alpha])
        return build.op("Where", [build.op("Greater", [x, write_number(build, 0, type)]), x, bent])


@OPS.register
@final
@dataclass(frozen=True)
class Prelu(Modular):
    """Rectified linear unit with a learned slope below 0: `y = x` where x > 0, else `weight * x`.

    Shapes: x `f32[n, c, ...]` -> the same; weight `[1]`, or `[c]` with `per_channel=true`.

    - `per_channel`: whether each channel (axis 1) has a slope of its own.
    - `init`: the slope at the beginning.

    Errors: W0354 where the channels are not known.
    Example: `y = image -> conv(64, kernel=3) -> prelu`
    Source: He et al. 2015, https://arxiv.org/abs/1502.01852
    """

    name = "prelu"
    torch_function = "F.prelu"
    torch_module = "nn.PReLU"
    shaping = ("per_channel", "init")
    operands = (Operand("x"),)
    per_channel: bool = False
    init: float = 0.25

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        count = 1
        if self.per_channel:
            need_rank(self.name, x, 2)
            count = need_channels(self.name, x)
        shape = TensorType.of(x.dtype, (count,))
        return (Weight("weight", shape, ModuleConstant(self.init)),)

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        return (x,)

    def evaluate(self, x: Array, weight: Array) -> tuple[Array, ...]:
        wide = widen(x)
        weight = widen(weight).reshape((-1, *[1] * (x.ndim - 2)) if self.per_channel else ())
        return (np.where(wide > 0, wide, wide * weight).astype(x.dtype, copy=False),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol, weight: Symbol) -> Slopes:
        low = weight.reshape(self._align(weight.shape, x.rank))
        below = slope * x.apply("minimum", 0)
        return [
            (x > 0).choose(slope, slope * low),
            lambda: below.fit(low.type).reshape(weight.shape),
        ]

    def _align(self, shape: Sequence[Dim], rank: int) -> Sequence[Dim]:
        """The shape of the weight beside x."""
        return (*shape, *[Dim.of(1)] * (rank - 2)) if self.per_channel else ()

    def couple(self, outputs: Results, x: NodeInput, weight: NodeInput) -> Coupling:
        rank = outputs[0].rank
        if not self.per_channel:
            return Coupling(tie_same(x, rank))
        return Coupling((*tie_same(x, rank, without=(1,)), tie_channels(1, x, weight)))

    def spell_sizes(self, node: Node) -> tuple[Term, ...]:
        if not self.per_channel:
            return (Leaf(1, "channels", 1),)
        return (replace(spell_size(input_type(node), 1, "channels"), default=1),)

    def spell_option(self, field: str) -> Term | None:
        return None if field == "per_channel" else self.leaf(field)

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput, weight: OnnxInput) -> Values:
        slope, shape = weight.value, weight.shape
        if self.per_channel:
            slope = build.reshape(slope, shape, (*shape, *[Dim.of(1)] * (x.rank - 2)))
        elif x.rank == 0:
            slope = build.reshape(slope, shape, ())
        return [build.op("PRelu", [x.value, slope])]


@OPS.register
@final
@dataclass(frozen=True)
class Glu(Op):
    """Gated linear unit: an axis is cut into halves a and b, `y = a * sigmoid(b)`.

    Shapes: x `f32[..., 2 * d]` -> `f32[..., d]`.

    - `axis`: the axis that is cut.

    Errors: W0357 where the axis is not even, W0376 where there is no such axis.
    Example: `y = x -> dense(128) -> glu`
    Source: Dauphin et al. 2016, https://arxiv.org/abs/1612.08083
    """

    name = "glu"
    row_axes = ("axis",)
    torch_function = "F.glu"
    torch_module = "nn.GLU"
    torch_keywords: ClassVar[Mapping[str, str]] = {"axis": "dim"}
    operands = (Operand("x"),)
    axis: int = -1

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        axis = resolve_axis(self.name, self.axis, x)
        try:
            half = x.shape[axis] / 2
        except DimError:
            raise self._refuse(axis, x) from None
        return (TensorType(x.dtype, (*x.shape[:axis], half, *x.shape[axis + 1 :])),)

    def _refuse(self, axis: int, x: TensorType) -> Fault:
        return Fault(
            lambda where: halves_differ(
                where.call, axis, str(x.shape[axis]), find_place(where, 0, x)
            )
        )

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(np.split(given(operands[0]), 2, axis=self.axis)[0])]

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        value, gate = np.split(widen(x), 2, axis=self.axis)
        return ((value * sigmoid(gate)).astype(x.dtype, copy=False),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        value, gate = x.apply_all("chunk", parts=2, axis=self.axis)
        share = gate.apply("sigmoid")
        parts = [slope * share, slope * value * share * (1 - share)]
        return [x.build.apply("concat", parts, axis=self.axis)[0]]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        rank = outputs[0].rank
        axis = self.axis % rank
        ties = tie_same(x, rank, without=(axis,))
        half = outputs[0].shape[axis].known
        if half is None:
            return Coupling(ties)
        parts = tuple(Part(x.axis(axis), result(axis), start) for start in (0, half))
        return Coupling(ties, parts)

    def spell_option(self, field: str) -> Leaf:
        return self.leaf(field, "dim")

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        attributes = {"axis": self.axis, "num_outputs": 2}
        value, gate = build.op("Split", [x.value], attributes, outputs=2)
        return [build.op("Mul", [value, build.op("Sigmoid", [gate])])]
