"""Normalisation by the mean and variance of a batch or of a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np

from compiler.ir.channels import Numbers, ZeroChannels
from compiler.ir.coupling import Coupling, result, tie_channels, tie_same
from compiler.ir.graph import Node
from compiler.ir.inputs import NodeInput, OnnxInput, list_values
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_NEGATIVE, Array, Arrays, Assume, Limits, Results, Types, Weight
from compiler.ir.symbols import Symbol
from compiler.ir.tracing import Trace, trace_leading
from compiler.ops.axes import axes_constant, need_float, need_rank, operand_type
from compiler.ops.layers import (
    given,
    need_channels,
    need_known,
    need_least,
    need_small,
    need_weights,
    refuse_option,
    widen,
)
from compiler.ops.magnitudes import measure_norm
from compiler.ops.modules import Modular, input_type, spell_size
from compiler.ops.registry import OPS
from compiler.ops.windows import need_layout
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.modules import ModuleConstant
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Name, Term
from compiler.vocabulary.spelling import Sequence as Items


def center(x: Array, axes: tuple[int, ...]) -> Array:
    """x - mean over axes. The mean of large numbers that vary little is off by rounding that is
    large beside their variation; the mean of what it leaves of them is not."""
    rough = x - x.mean(axis=axes, keepdims=True)
    centred: Array = rough - rough.mean(axis=axes, keepdims=True)
    return centred


def normalize(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """(x - mean) / √(variance + eps) over axes, with the variance of the population."""
    centred = center(x, axes)
    variance = np.square(centred).mean(axis=axes, keepdims=True)
    result: Array = centred / np.sqrt(variance + np.asarray(eps, x.dtype))
    return result


def scale_channels(y: Array, inputs: Sequence[Array | None]) -> Array:
    """`y * weight + bias` along axis 1, where they are given."""
    shape = (-1, *[1] * (y.ndim - 2))
    if inputs:
        y = y * widen(given(inputs[0])).reshape(shape)
        y = y + widen(given(inputs[1])).reshape(shape)
    return y


def subtract_mean(build: OnnxBuilder, x: Any, axes: Sequence[int]) -> Any:
    """x less its mean over axes, which keep their place."""
    return build.op("Sub", [x, build.op("ReduceMean", [x, axes_constant(build, axes)])])


def write_normalized(
    build: OnnxBuilder, x: Any, axes: Sequence[int], eps: float, dtype: DType
) -> Any:
    """What `normalize` computes, in ONNX operators that every dtype has."""
    centred = subtract_mean(build, subtract_mean(build, x, axes), axes)
    squares = build.op("Mul", [centred, centred])
    variance = build.op("ReduceMean", [squares, axes_constant(build, axes)])
    moved = build.op("Add", [variance, build.constant(np.array(eps, dtype.numpy), dtype)])
    return build.op("Div", [centred, build.op("Sqrt", [moved])])


def spell_normalized(x: Symbol, axes: Sequence[int], eps: float) -> Symbol:
    """What `normalize` computes, as a rule for derivatives says it."""
    centred = x - x.apply("mean", axis=tuple(axes), keep=True)
    variance = (centred * centred).apply("mean", axis=tuple(axes), keep=True)
    return centred / (variance + eps).apply("sqrt")


def line_up(weight: Symbol, x: Symbol) -> tuple[Dim, ...]:
    """The shape of a number per channel beside a tensor with channels along axis 1."""
    return (*weight.shape, *[Dim.of(1)] * (x.rank - 2))


def apply_affine(y: Symbol, affine: Sequence[Symbol]) -> Symbol:
    """`y` times a weight, plus a bias: as far as there are any."""
    for op, operand in zip(("mul", "add"), affine, strict=False):
        y = y.apply(op, operand)
    return y


def spread_channels(build: OnnxBuilder, vector: Any, rank: int) -> Any:
    """A vector with an entry per channel, shaped for a tensor with channels along axis 1."""
    return build.op("Unsqueeze", [vector, axes_constant(build, range(1, rank - 1))])


def write_affine(build: OnnxBuilder, y: Any, affine: Sequence[Any]) -> Any:
    """`y` times a weight, plus a bias: as far as there are any."""
    for op_type, operand in zip(("Mul", "Add"), affine, strict=False):
        y = build.op(op_type, [y, operand])
    return y


def make_affine(x: TensorType, shape: Sequence[int], *, bias: bool = True) -> tuple[Weight, ...]:
    """A weight that begins as ones and a bias that begins as zeros."""
    kind = TensorType.of(x.dtype, shape)
    weight = Weight("weight", kind, ModuleConstant(1.0))
    return (weight, Weight("bias", kind, ModuleConstant(0.0))) if bias else (weight,)


def constant_affine(build: OnnxBuilder, x: TensorType, shape: Sequence[int]) -> list[Any]:
    """Ones and zeros, for ONNX operators that cannot do without a scale."""
    ones, zeros = np.ones(tuple(shape), x.dtype.numpy), np.zeros(tuple(shape), x.dtype.numpy)
    return [build.constant(ones, x.dtype), build.constant(zeros, x.dtype)]


CHANNELS: Mapping[str, int] = {"channels": 1}
"""What modules that normalise channels are told of their operand."""


class LastNorm(Modular):
    """Base of normalisations over the last axes, whose sizes module and function are told."""

    torch_keywords: ClassVar[Mapping[str, str]] = {"affine": "elementwise_affine"}

    @property
    def normalized(self) -> int:
        """Over how many axes."""
        return 1

    def spell_sizes(self, node: Node) -> tuple[Term, ...]:
        x = input_type(node)
        leaves = tuple(spell_size(x, axis, "dim") for axis in range(-self.normalized, 0))
        return leaves if len(leaves) == 1 else (Items(leaves),)

    def spell_shape(self, node: Node) -> tuple[Term, ...]:
        sizes = self.spell_sizes(node)
        return (Items(sizes),) if self.normalized == 1 else sizes


@OPS.register
@final
@dataclass(frozen=True)
class BatchNorm(Modular):
    """Batch normalisation: each channel gets mean 0 and variance 1, then a learned scale and
    shift (Ioffe and Szegedy 2015).

        y = (x - mean) / √(variance + eps) * weight + bias

    In training, mean and variance are those of the batch, and running ones are kept; in
    evaluation the running ones are used.

    Shapes: x `f32[n, c, ...]` -> the same; weight, bias, and the buffers running_mean and
    running_var `[c]`.

    - `eps`: added to the variance.
    - `momentum`: share of the batch in the running figures (as in PyTorch; Keras means the rest).
    - `affine`: whether there are weight and bias.

    Errors: W0353 for a number of channels given as `eps`, W0354 where channels are not known.
    Example: `y = image -> conv(64, kernel=3, bias=false) -> batch_norm -> relu`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html
    """

    name = "batch_norm"
    keeps_f32 = True
    over_batch = True
    weight_limits: ClassVar[Mapping[str, Limits]] = {"running_var": NOT_NEGATIVE}
    torch_function = "F.batch_norm"
    torch_module = "nn.BatchNorm{axes}d"
    torch_sizes = CHANNELS
    operands = (Operand("x"),)
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        need_small(self.name, "eps", self.eps)
        need_rank(self.name, x, 2)
        if x.rank > 3:
            need_layout(self.name, x)
        channels = need_channels(self.name, x)
        kind = TensorType.of(x.dtype, (channels,))
        return (
            *(make_affine(x, (channels,)) if self.affine else ()),
            Weight("running_mean", kind, ModuleConstant(0.0), trainable=False),
            Weight("running_var", kind, ModuleConstant(1.0), trainable=False),
        )

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        return (x,)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        # Folded into a layer before it, or into one product and one sum.
        x, *scales, mean, variance = operands
        sizes = [np.abs(given(a)) for a in (x, *scales)]
        return self.evaluate(*sizes, -np.abs(given(mean)), given(variance))

    def evaluate(self, x: Array, *weights: Array) -> tuple[Array, ...]:
        shape = (-1, *[1] * (x.ndim - 2))
        *affine, mean, variance = weights
        mean, variance = (widen(a).reshape(shape) for a in (mean, variance))
        y = (widen(x) - mean) / np.sqrt(variance + np.asarray(self.eps, variance.dtype))
        return (scale_channels(y, affine).astype(x.dtype, copy=False),)

    def spell_out(self, x: Symbol, *weights: Symbol) -> Sequence[Symbol]:
        *affine, mean, variance = (weight.reshape(line_up(weight, x)) for weight in weights)
        y = (x - mean) / (variance + self.eps).apply("sqrt")
        return [apply_affine(y, affine)]

    def couple(self, outputs: Results, x: NodeInput, *weights: NodeInput) -> Coupling:
        channels = tie_channels(1, x, *weights)
        return Coupling((*tie_same(x, outputs[0].rank, without=(1,)), channels))

    def spell_weights(self, node: Node) -> tuple[tuple[Term, ...], tuple[tuple[str, Term], ...]]:
        *affine, mean, variance = super().spell_weights(node)[0]
        return (mean, variance, *affine), (("training", Name("self.training")),)

    def onnx(
        self, build: OnnxBuilder, outputs: Results, x: OnnxInput, *weights: OnnxInput
    ) -> Values:
        if x.dtype is DType.F64:  # ONNX holds `epsilon` in f32
            return [self._write_double(build, x, weights)]
        *affine, mean, variance = list_values(*weights)
        if not self.affine:
            affine = constant_affine(build, x.type, weights[0].type.known_shape or ())
        tensors = [x.value, *affine, mean, variance]
        return [build.op("BatchNormalization", tensors, {"epsilon": self.eps})]

    def _write_double(self, build: OnnxBuilder, x: OnnxInput, weights: Sequence[OnnxInput]) -> Any:
        spread = (spread_channels(build, weight.value, x.rank) for weight in weights)
        *affine, mean, variance = spread
        eps = build.constant(np.array(self.eps), x.dtype)
        deviation = build.op("Sqrt", [build.op("Add", [variance, eps])])
        y = build.op("Div", [build.op("Sub", [x.value, mean]), deviation])
        return write_affine(build, y, affine)

    def find_zeros(self, inputs: ZeroChannels) -> Numbers:
        """Scale and shift are zero, or the input and what is added to it are."""
        last = len(inputs.types) - 1
        mean, variance = inputs.array(last - 1), inputs.array(last)
        if mean is None or variance is None:
            return frozenset()
        scale = np.ones_like(mean) / np.sqrt(variance + self.eps)
        shift = -mean * scale
        made: Numbers = frozenset()
        if self.affine:
            weight, bias = inputs.array(1), inputs.array(2)
            if weight is None or bias is None:
                return frozenset()
            made = inputs.of(1) & inputs.of(2)
            shift = shift * weight + bias
        still = inputs.numbers(last)[np.abs(shift) <= inputs.tolerance]
        return made | (inputs.of(0) & frozenset(still.tolist()))


@OPS.register
@final
@dataclass(frozen=True)
class LayerNorm(LastNorm):
    """Layer normalisation: the last axis gets mean 0 and variance 1, then a learned scale and
    shift (Ba et al. 2016).

        y = (x - mean) / √(variance + eps) * weight + bias

    Shapes: x `f32[..., d]` -> the same; weight and bias `[d]`. With `axes=2` the last two axes
    are normalised together, and weight and bias have both.

    - `eps`: added to the variance.
    - `affine`: whether there is a weight; `bias`: whether there is a bias beside it.
    - `axes`: how many of the last axes are normalised together.

    Errors: W0353 for a size given as `eps`, W0354 where the size of the weight is not known.
    Example: `y = x -> layer_norm(eps=1e-6) -> dense(256)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html
    """

    name = "layer_norm"
    keeps_f32 = True
    centers = True
    torch_function = "F.layer_norm"
    torch_module = "nn.LayerNorm"
    operands = (Operand("x"),)
    eps: float = 1e-5
    affine: bool = True
    bias: bool = True
    axes: int = 1

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        need_small(self.name, "eps", self.eps)
        need_least(self.name, "axes", self.axes, 1)
        if self.axes > x.rank:
            refuse_option(self.name, "axes", self.axes, f"at most {x.rank}, the axes of {x}")
        if not self.affine:
            return ()
        axes = range(-self.axes, 0)
        shape = [need_known(self.name, x, a, f"axis {x.rank + a}") for a in axes]
        return make_affine(x, shape, bias=self.bias)

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        return (x,)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        axes = tuple(range(-self.axes, 0))
        return measure_norm(
            given(operands[0]), results[0], operands[1] if self.affine else None, axes, self.eps
        )

    def evaluate(
        self, x: Array, weight: Array | None = None, bias: Array | None = None
    ) -> tuple[Array, ...]:
        y = normalize(widen(x), tuple(range(-self.axes, 0)), self.eps)
        if weight is not None:
            y = y * widen(weight)
        if bias is not None:
            y = y + widen(bias)
        return (y.astype(x.dtype, copy=False),)

    def spell_out(self, x: Symbol, *weights: Symbol) -> Sequence[Symbol]:
        return [apply_affine(spell_normalized(x, range(-self.axes, 0), self.eps), weights)]

    def couple(self, outputs: Results, x: NodeInput, *weights: NodeInput) -> Coupling:
        rank, first = outputs[0].rank, outputs[0].rank - self.axes
        normed = tuple(
            (x.axis(a), result(a), *(weight.axis(a - first) for weight in weights))
            for a in range(first, rank)
        )
        return Coupling((*tie_same(x, first), *normed), mixed=tuple(tie[0] for tie in normed))

    @property
    def normalized(self) -> int:
        return self.axes

    def spell_option(self, field: str) -> Term | None:
        return (
            None if field == "axes" or (field == "bias" and not self.affine) else self.leaf(field)
        )

    def onnx(
        self, build: OnnxBuilder, outputs: Results, x: OnnxInput, *weights: OnnxInput
    ) -> Values:
        axes = range(-self.axes, 0)
        if x.dtype is DType.F64:  # ONNX holds `epsilon` in f32
            y = write_normalized(build, x.value, axes, self.eps, x.dtype)
            return [write_affine(build, y, list_values(*weights))]
        attributes = {"axis": -self.axes, "epsilon": self.eps}
        if self.affine:
            return [build.op("LayerNormalization", list_values(x, *weights), attributes)]
        shape = TensorType(x.dtype, x.shape[-self.axes :]).known_shape
        if shape is not None:
            ones, _ = constant_affine(build, x.type, shape)
            return [build.op("LayerNormalization", [x.value, ones], attributes)]
        return [write_normalized(build, x.value, axes, self.eps, x.dtype)]

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        return trace_leading(axis, inputs, outputs, self.axes)

    @property
    def scales_last(self) -> bool:
        return self.affine and self.axes == 1
