"""Batch normalisation of the entries that a mask has: particles, tokens, rows of unequal length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, tie_channels
from compiler.ir.graph import Node
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_NEGATIVE, Array, Arrays, Assume, Limits, Results, Types, Weight
from compiler.ir.symbols import Symbol
from compiler.ops.axes import axes_constant, need_float, need_rank, operand_type, places
from compiler.ops.layers import need_channels, need_small, need_weights
from compiler.ops.modules import Modular
from compiler.ops.normalization import CHANNELS, BatchNorm, make_affine
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import sizes_disagree
from compiler.types.dims import equal
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.modules import ModuleConstant
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Name, Term


@OPS.register
@final
@dataclass(frozen=True)
class MaskedBatchNorm(Modular):
    """Batch normalisation of sets of unequal size, as jets of particles are: mean and variance of a
    channel are those of the entries that a mask has (Ioffe and Szegedy 2015).

        mean = Σ mask * x / Σ mask,   variance = Σ mask * (x - mean)² / Σ mask
        y = mask * ((x - mean) / √(variance + eps) * weight + bias)

    Sums are over the batch and over all axes behind the channels. Entries that the mask has not
    become 0, whatever fills them. In training, mean and variance are those of the batch, and
    running ones are kept; in evaluation the running ones are used. A batch must have two entries or
    more that count.

    Shapes: x `f32[n, c, ...]` and mask `bool[n, ...]`, without the axis of channels -> as x;
    weight, bias, and the buffers running_mean and running_var `[c]`. The channels of tokens
    `[n, t, d]` are brought to the second place: `x -> transpose(1, 2)`.

    - `eps`: added to the variance.
    - `momentum`: share of the batch in the running figures (as in PyTorch; Keras means the rest).
    - `affine`: whether there are weight and bias.

    Errors: W0353 for a number of channels given as `eps`, W0354 where channels are not known, W0387
    where the mask does not fit.
    Example:

        input particles: f32[n, 17, t]
        input seen: bool[n, t]
        y = masked_batch_norm(particles, seen) -> conv(64, kernel=1)

    Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167
    """

    name = "masked_batch_norm"
    keeps_f32 = True
    over_batch = True
    weight_limits: ClassVar[Mapping[str, Limits]] = {"running_var": NOT_NEGATIVE}
    torch_function = "masked_batch_norm"
    torch_module = "MaskedBatchNorm"
    torch_sizes = CHANNELS
    operands = (Operand("x"), Operand("mask"))
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        need_small(self.name, "eps", self.eps)
        need_rank(self.name, x, 2)
        channels = need_channels(self.name, x)
        kind = TensorType.of(x.dtype, (channels,))
        return (
            *(make_affine(x, (channels,)) if self.affine else ()),
            Weight("running_mean", kind, ModuleConstant(0.0), trainable=False),
            Weight("running_var", kind, ModuleConstant(1.0), trainable=False),
        )

    def infer(
        self, assume: Assume, x: TensorType, mask: TensorType, *weights: TensorType
    ) -> tuple[TensorType, ...]:
        wanted = (x.shape[0], *x.shape[2:])
        if mask.dtype is not DType.BOOL or mask.rank != len(wanted):
            self._refuse(x, mask)
        for found, size in zip(mask.shape, wanted, strict=True):
            same = equal(found, size)
            if same is None:
                assume(found, "==", size)
            elif not same:
                self._refuse(x, mask)
        need_weights(self, (x, mask, *weights))
        return (x,)

    def _refuse(self, x: TensorType, mask: TensorType) -> None:
        wanted = TensorType(DType.BOOL, (x.shape[0], *x.shape[2:]))
        reason = f"`mask` is {mask}: {x} has {wanted}"
        raise Fault(lambda where: sizes_disagree(where.call, self.name, reason, places(where, 2)))

    @property
    def _plain(self) -> BatchNorm:
        """What it is to entries that the mask has."""
        return BatchNorm(self.eps, self.momentum, self.affine)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        x, _, *weights = operands
        return self._plain.magnitudes((x, *weights), results)

    def evaluate(self, x: Array, mask: Array, *weights: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):  # of entries that do not count
            (y,) = self._plain.evaluate(x, *weights)
        return (np.where(np.expand_dims(mask, 1), y, np.zeros((), y.dtype)),)

    def spell_out(self, x: Symbol, mask: Symbol, *weights: Symbol) -> Sequence[Symbol]:
        (y,) = self._plain.spell_out(x, *weights)
        return [mask.apply("unsqueeze", axis=1).apply("where", y, y.like(0.0))]

    def couple(
        self, outputs: Results, x: NodeInput, mask: NodeInput, *weights: NodeInput
    ) -> Coupling:
        return Coupling((tie_channels(1, x, *weights),))

    def spell_weights(self, node: Node) -> tuple[tuple[Term, ...], tuple[tuple[str, Term], ...]]:
        *affine, mean, variance = super().spell_weights(node)[0]
        return (mean, variance, *affine), (("training", Name("self.training")),)

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        mask: OnnxInput,
        *weights: OnnxInput,
    ) -> Values:
        (y,) = self._plain.onnx(build, outputs, x, *weights)
        counts = build.op("Unsqueeze", [mask.value, axes_constant(build, (1,))])
        zero = build.constant(np.zeros((), x.dtype.numpy), x.dtype)
        return [build.op("Where", [counts, y, zero])]
