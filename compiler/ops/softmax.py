"""Softmax and its logarithm: shares of an axis that add up to 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.axes import AlongAxis, need_float, resolve_axis
from compiler.ops.layers import widen
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Leaf


class AxisShares(AlongAxis):
    """Base of functions of an axis that keep the shape."""

    keeps_f32 = True
    operands = (Operand("x"),)
    torch_keywords: ClassVar[Mapping[str, str]] = {"axis": "dim"}
    onnx_type: ClassVar[str]
    axis: int

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        resolve_axis(self.name, self.axis, x)
        return (x,)

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        axis = self.axis % max(outputs[0].rank, 1)
        return Coupling(tie_same(x, outputs[0].rank, without=(axis,)))

    def spell_option(self, field: str) -> Leaf:
        return self.leaf(field, "dim")

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [build.op(self.onnx_type, [x.value], {"axis": self.axis})]


@OPS.register
@final
@dataclass(frozen=True)
class Softmax(AxisShares):
    """Exponentials divided by their sum: `y = exp(x) / Σ exp(x)` along an axis.

    Shapes: x `f32[...]` -> the same; along the axis the results add up to 1.

    - `axis`: the axis, -1 for the last.

    Example: `probability = softmax(logits, axis=-1)`
    Errors: W0376 where there is no such axis, W0382 where x is not floating-point.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html
    """

    name = "softmax"
    limits = (0.0, 1.0)
    torch_function = "F.softmax"
    torch_module = "nn.Softmax"
    onnx_type = "Softmax"
    axis: int

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (softmax(widen(x), self.axis).astype(x.dtype, copy=False),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [result * (slope - (slope * result).sum([self.axis % x.rank], keep=True))]


@OPS.register
@final
@dataclass(frozen=True)
class Softmin(AxisShares):
    """Shares that are large where numbers are small: `y = softmax(-x) = exp(-x) / Σ exp(-x)` along
    an axis.

    Shapes: x `f32[...]` -> the same; along the axis the results add up to 1.

    - `axis`: the axis, -1 for the last.

    Errors: W0376 where there is no such axis, W0382 where x is not floating-point.
    Example: `nearness = softmin(cdist(a, b), axis=-1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmin.html
    """

    name = "softmin"
    limits = (0.0, 1.0)
    torch_function = "F.softmin"
    torch_module = "nn.Softmin"
    axis: int

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (softmax(-widen(x), self.axis).astype(x.dtype, copy=False),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [result * ((slope * result).sum([self.axis % x.rank], keep=True) - slope)]

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [build.op("Softmax", [build.op("Neg", [x.value])], {"axis": self.axis})]


@OPS.register
@final
@dataclass(frozen=True)
class LogSoftmax(AxisShares):
    """The logarithm of `softmax`: `y = x - log(Σ exp(x))` along an axis, exact where the softmax
    is nearly 0.

    Shapes: x `f32[...]` -> the same.

    - `axis`: the axis, -1 for the last.

    Example: `score = log_softmax(logits, axis=-1)`
    Errors: W0376 where there is no such axis, W0382 where x is not floating-point.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html
    """

    name = "log_softmax"
    torch_function = "F.log_softmax"
    torch_module = "nn.LogSoftmax"
    onnx_type = "LogSoftmax"
    axis: int

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(results[0]) + 1]  # the logarithm of a sum that is 1 or above

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (log_softmax(widen(x), self.axis).astype(x.dtype, copy=False),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope - result.apply("exp") * slope.sum([self.axis % x.rank], keep=True)]


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / Σ exp(x) along an axis, without overflow; nan where the axis is all -inf."""
    with np.errstate(invalid="ignore"):
        shares = np.exp(x - x.max(axis=axis, keepdims=True))
        result: Array = shares / shares.sum(axis=axis, keepdims=True)
    return result


def log_softmax(x: Array, axis: int) -> Array:
    """x - log(Σ exp(x)) along an axis, without overflow."""
    with np.errstate(invalid="ignore"):
        centred = x - x.max(axis=axis, keepdims=True)
        result: Array = centred - np.log(np.exp(centred).sum(axis=axis, keepdims=True))
    return result
