"""Normalisations within a sample over space or groups of channels, and by root mean square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from compiler.ir.channels import Numbers, ZeroChannels
from compiler.ir.coupling import (
    Coupling,
    CutTensor,
    cut_groups,
    group_axis,
    tie_channels,
    tie_same,
)
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput, list_values
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types, Weight
from compiler.ir.symbols import Symbol
from compiler.ir.tracing import Trace, trace_leading
from compiler.ops.axes import axes_constant, need_float, need_rank, operand_type
from compiler.ops.layers import (
    given,
    known,
    need_channels,
    need_divisor,
    need_known,
    need_least,
    need_small,
    need_weights,
    widen,
)
from compiler.ops.magnitudes import grow, measure_norm
from compiler.ops.modules import Modular
from compiler.ops.normalization import (
    CHANNELS,
    LastNorm,
    apply_affine,
    constant_affine,
    line_up,
    make_affine,
    normalize,
    scale_channels,
    spell_normalized,
    spread_channels,
    subtract_mean,
    write_affine,
    write_normalized,
)
from compiler.ops.registry import OPS
from compiler.ops.windows import need_layout
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.layers import no_variance
from compiler.types.dims import Dim, equal, product
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Term


def _find_scaled_zeros(inputs: ZeroChannels, *, affine: bool) -> Numbers:
    """The channels whose shift is zero, and whose scale or input is; without them, whose input
    is."""
    if not affine:
        return inputs.of(0)
    return inputs.of(2) & (inputs.of(0) | inputs.of(1))


@OPS.register
@final
@dataclass(frozen=True)
class GroupNorm(Modular):
    """Group normalisation: within each sample, groups of channels get mean 0 and variance 1,
    then every channel a learned scale and shift (Wu and He 2018).

        y = (x - mean) / √(variance + eps) * weight + bias

    Shapes: x `f32[n, c, ...]` -> the same; weight and bias `[c]`.

    - `groups`: number of groups; it divides the channels.
    - `eps`: added to the variance.
    - `affine`: whether there are weight and bias.

    Errors: W0312 where `groups` does not divide the channels, W0354 where they are not known, W0359
    where a group is a single entry.
    Example: `y = features -> group_norm(8) -> silu`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html
    """

    name = "group_norm"
    keeps_f32 = True
    centers = True
    torch_function = "F.group_norm"
    torch_module = "nn.GroupNorm"
    torch_sizes = CHANNELS
    operands = (Operand("x"),)
    groups: int
    eps: float = 1e-5
    affine: bool = True

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        need_small(self.name, "eps", self.eps)
        need_least(self.name, "groups", self.groups, 1)
        need_rank(self.name, x, 2)
        channels = need_channels(self.name, x)
        need_divisor(self.groups, channels, x)
        if equal(self._count_entries(x), 1) is True:
            what, hint = "entry in each group", "with fewer groups each has several channels"
            raise Fault(
                lambda where: no_variance(where.call, self.name, where.operand(0), what, hint)
            )
        return make_affine(x, (channels,)) if self.affine else ()

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        entries = self._count_entries(x)
        if equal(entries, 1) is None:
            assume(Dim.of(2), "<=", entries)
        return (x,)

    def _count_entries(self, x: TensorType) -> Dim:
        """How many entries a group of a sample has, if that may be one; else any larger number."""
        each = known(x.shape[1]) // self.groups
        return product(x.shape[2:]) if each == 1 else Dim.of(each)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        x = given(operands[0])
        grouped = x.reshape(x.shape[0], self.groups, -1)
        return measure_norm(
            grouped, results[0], operands[1] if self.affine else None, (2,), self.eps
        )

    def evaluate(self, x: Array, *affine: Array) -> tuple[Array, ...]:
        grouped = widen(x).reshape(x.shape[0], self.groups, -1)
        y = normalize(grouped, (2,), self.eps).reshape(x.shape)
        return (scale_channels(y, affine).astype(x.dtype, copy=False),)

    def spell_out(self, x: Symbol, *weights: Symbol) -> Sequence[Symbol]:
        rest = product(x.shape[1:]) // self.groups
        grouped = x.reshape((x.shape[0], Dim.of(self.groups), rest))
        y = spell_normalized(grouped, [2], self.eps).reshape(x.shape)
        return [apply_affine(y, [weight.reshape(line_up(weight, x)) for weight in weights])]

    def couple(self, outputs: Results, x: NodeInput, *weights: NodeInput) -> Coupling:
        ties = (*tie_same(x, outputs[0].rank, without=(1,)), tie_channels(1, x, *weights))
        factors = group_axis(x.axis(1), self.groups, known(outputs[0].shape[1]))
        normed = range(1 if factors.kept else 2, outputs[0].rank)
        return Coupling(ties, factors=(factors,), mixed=tuple(x.axis(a) for a in normed))

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        return replace(self, groups=cut_groups(outputs[0], 1, self.groups))

    def order_places(self, sizes: tuple[Term, ...], options: tuple[Term, ...]) -> tuple[Term, ...]:
        return (*options, *sizes)

    def onnx(
        self, build: OnnxBuilder, outputs: Results, x: OnnxInput, *weights: OnnxInput
    ) -> Values:
        channels = known(x.shape[1])
        # runtime_faults: group_normalization
        rest = product(x.shape[1:]) // self.groups
        flat = TensorType(x.dtype, (x.shape[0], Dim.of(self.groups), rest))
        grouped = build.reshape(x.value, x.shape, flat.shape)
        made = _write_instances(build, grouped, flat, self.eps)
        y = build.reshape(made, flat.shape, x.shape)
        if not self.affine:
            return [y]
        one = [Dim.of(channels)]
        lined = [Dim.of(channels), *[Dim.of(1)] * (x.rank - 2)]
        weight, bias = (build.reshape(a, one, lined) for a in list_values(*weights))
        return [build.op("Add", [build.op("Mul", [y, weight]), bias])]

    def find_zeros(self, inputs: ZeroChannels) -> Numbers:
        return _find_scaled_zeros(inputs, affine=self.affine)


@OPS.register
@final
@dataclass(frozen=True)
class InstanceNorm(Modular):
    """Instance normalisation: within each sample, each channel gets mean 0 and variance 1 over
    space (Ulyanov et al. 2016).

        y = (x - mean) / √(variance + eps) * weight + bias

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> the same; weight and bias
    `[c]` with `affine=true`.

    - `eps`: added to the variance.
    - `affine`: whether there are weight and bias; as in PyTorch there are none by default.

    Errors: W0350 for another number of axes, W0354 where the channels are not known, W0359 where
    space is a single entry.
    Example: `y = features -> instance_norm(affine=true) -> leaky_relu(0.2)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html
    """

    name = "instance_norm"
    keeps_f32 = True
    centers = True
    torch_function = "F.instance_norm"
    torch_module = "nn.InstanceNorm{axes}d"
    torch_sizes = CHANNELS
    operands = (Operand("x"),)
    eps: float = 1e-5
    affine: bool = False

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        need_small(self.name, "eps", self.eps)
        need_layout(self.name, x)
        channels = need_channels(self.name, x)
        return make_affine(x, (channels,)) if self.affine else ()

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        entries = product(x.shape[2:])
        if equal(entries, 1) is True:
            what = "entry of space"
            hint = "`group_norm` and `layer_norm` take in the channels as well"
            raise Fault(
                lambda where: no_variance(where.call, self.name, where.operand(0), what, hint)
            )
        if equal(entries, 1) is None:
            assume(Dim.of(2), "<=", entries)
        return (x,)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        x = given(operands[0])
        return measure_norm(
            x, results[0], operands[1] if self.affine else None, tuple(range(2, x.ndim)), self.eps
        )

    def evaluate(self, x: Array, *affine: Array) -> tuple[Array, ...]:
        y = normalize(widen(x), tuple(range(2, x.ndim)), self.eps)
        return (scale_channels(y, affine).astype(x.dtype, copy=False),)

    def spell_out(self, x: Symbol, *weights: Symbol) -> Sequence[Symbol]:
        y = spell_normalized(x, range(2, x.rank), self.eps)
        return [apply_affine(y, [weight.reshape(line_up(weight, x)) for weight in weights])]

    def couple(self, outputs: Results, x: NodeInput, *weights: NodeInput) -> Coupling:
        return Coupling((*tie_same(x, 1), tie_channels(1, x, *weights)))

    def spell_weights(self, node: Node) -> tuple[tuple[Term, ...], tuple[tuple[str, Term], ...]]:
        # Running figures, which it does not have, stand before them.
        return (), tuple(zip(("weight", "bias"), super().spell_weights(node)[0], strict=False))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, x: OnnxInput, *weights: OnnxInput
    ) -> Values:
        return [_write_instances(build, x.value, x.type, self.eps, list_values(*weights))]

    def find_zeros(self, inputs: ZeroChannels) -> Numbers:
        return _find_scaled_zeros(inputs, affine=self.affine)


def _write_instances(
    build: OnnxBuilder, x: Any, type: TensorType, eps: float, affine: Sequence[Any] = ()
) -> Any:
    """Instance normalisation of a tensor of this type, with a weight and a bias if there are any.

    Its mean is subtracted beforehand (runtime_faults: mean_of_instances): with that it takes 1.6
    times as long, and half as long as GroupNormalization.
    """
    axes = range(2, type.rank)
    if type.dtype is DType.F64:  # of which ONNX Runtime has no kernel
        y = write_normalized(build, x, axes, eps, type.dtype)
        return write_affine(build, y, [spread_channels(build, a, type.rank) for a in affine])
    scales = affine or constant_affine(build, type, (known(type.shape[1]),))
    centred = subtract_mean(build, x, axes)
    return build.op("InstanceNormalization", [centred, *scales], {"epsilon": eps})


@OPS.register
@final
@dataclass(frozen=True)
class RmsNorm(LastNorm):
    """Normalisation by the root mean square of the last axis, with a learned scale (Zhang and
    Sennrich 2019).

        y = x / √(mean(x²) + eps) * weight

    Shapes: x `f32[..., d]` -> the same; weight `[d]`.

    - `eps`: added to the mean square; left out, it is the spacing of numbers at 1 (1.19e-7 for
      f32), as in PyTorch.
    - `affine`: whether there is a weight.

    Example: `y = x -> rms_norm(eps=1e-6)`
    Errors: W0353 for a size given as `eps`, W0354 where the last axis is not known.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html
    """

    name = "rms_norm"
    keeps_f32 = True
    torch_function = "F.rms_norm"
    torch_module = "nn.RMSNorm"
    operands = (Operand("x"),)
    eps: float | None = None
    affine: bool = True

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        need_rank(self.name, x, 1)
        if self.eps is not None:
            need_small(self.name, "eps", self.eps)
        if not self.affine:
            return ()
        size = need_known(self.name, x, -1, "the last axis")
        return make_affine(x, (size,), bias=False)

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        return (x,)

    def epsilon(self, x: TensorType | Array) -> float:
        """The number added to the mean square."""
        if self.eps is not None:
            return self.eps
        dtype = x.dtype.numpy if isinstance(x, TensorType) else x.dtype
        return float(np.finfo(np.float64 if dtype == np.float64 else np.float32).eps)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        x = given(operands[0])
        return [np.abs(results[0]) * grow(x.shape[-1], x.dtype)]

    def evaluate(self, x: Array, weight: Array | None = None) -> tuple[Array, ...]:
        wide = widen(x)
        square = np.square(wide).mean(axis=-1, keepdims=True)
        y = wide / np.sqrt(square + np.asarray(self.epsilon(x), wide.dtype))
        if weight is not None:
            y = y * widen(weight)
        return (y.astype(x.dtype, copy=False),)

    def spell_out(self, x: Symbol, *weights: Symbol) -> Sequence[Symbol]:
        power = (x * x).apply("mean", axis=-1, keep=True) + self.epsilon(x.type)
        return [apply_affine(x / power.apply("sqrt"), weights)]

    def couple(self, outputs: Results, x: NodeInput, weight: NodeInput | None = None) -> Coupling:
        last = outputs[0].rank - 1
        normed = tie_channels(last, x, *filter(None, (weight,)))
        return Coupling((*tie_same(x, last), normed), mixed=normed[:1])

    def onnx(
        self, build: OnnxBuilder, outputs: Results, x: OnnxInput, weight: OnnxInput | None = None
    ) -> Values:
        eps = self.epsilon(x.type)
        # In f64 it would be rounded: ONNX holds `epsilon` in f32.
        if build.opset >= 23 and weight is not None and x.dtype is not DType.F64:
            return [
                build.op("RMSNormalization", [x.value, weight.value], {"axis": -1, "epsilon": eps})
            ]
        squares = build.op("Mul", [x.value, x.value])
        mean = build.op("ReduceMean", [squares, axes_constant(build, [-1])])
        moved = build.op("Add", [mean, build.constant(np.array(eps, x.dtype.numpy), x.dtype)])
        y = build.op("Div", [x.value, build.op("Sqrt", [moved])])
        return [y if weight is None else build.op("Mul", [y, weight.value])]

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        return trace_leading(axis, inputs, outputs)

    @property
    def scales_last(self) -> bool:
        return self.affine
