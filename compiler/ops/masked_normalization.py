"""Batch normalisation of the rows that a mask has: particles, tokens, sets of unequal size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, result
from compiler.ir.graph import Node
from compiler.ir.inputs import NodeInput, OnnxInput, list_values
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_NEGATIVE, Array, Arrays, Assume, Limits, Results, Types, Weight
from compiler.ir.symbols import Symbol
from compiler.ops.axes import axes_constant, need_float, need_rank, operand_type, places
from compiler.ops.layers import given, need_known, need_small, need_weights, widen
from compiler.ops.modules import Modular
from compiler.ops.normalization import apply_affine, make_affine, write_affine
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
    channel are those of the rows that a mask has (Ioffe and Szegedy 2015).

        mean = Σ mask * x / Σ mask,   variance = Σ mask * (x - mean)² / Σ mask
        y = mask * ((x - mean) / √(variance + eps) * weight + bias)

    Channels lie along the last axis; sums are over all others. Rows that the mask has not become 0,
    whatever fills them. In training, mean and variance are those of the batch, and running ones are
    kept; in evaluation the running ones are used. A batch must have two rows or more that count.

    Shapes: x `f32[n, ..., c]` and mask `bool[n, ...]` -> as x; weight, bias, and the buffers
    running_mean and running_var `[c]`.

    - `eps`: added to the variance.
    - `momentum`: share of the batch in the running figures (as in PyTorch; Keras means the rest).
    - `affine`: whether there are weight and bias.

    Errors: W0353 for a number of channels given as `eps`, W0354 where channels are not known, W0387
    where the mask does not fit.
    Example:

        input particles: f32[n, t, 17]
        input seen: bool[n, t]
        y = masked_batch_norm(particles, seen) -> dense(64) -> gelu

    Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167
    """

    name = "masked_batch_norm"
    keeps_f32 = True
    over_batch = True
    weight_limits: ClassVar[Mapping[str, Limits]] = {"running_var": NOT_NEGATIVE}
    torch_function = "masked_batch_norm"
    torch_module = "MaskedBatchNorm"
    torch_sizes: ClassVar[Mapping[str, int]] = {"channels": -1}
    operands = (Operand("x"), Operand("mask"))
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        need_small(self.name, "eps", self.eps)
        need_rank(self.name, x, 2)
        channels = need_known(self.name, x, -1, "the channels, the last axis")
        kind = TensorType.of(x.dtype, (channels,))
        return (
            *(make_affine(x, (channels,)) if self.affine else ()),
            Weight("running_mean", kind, ModuleConstant(0.0), trainable=False),
            Weight("running_var", kind, ModuleConstant(1.0), trainable=False),
        )

    def infer(
        self, assume: Assume, x: TensorType, mask: TensorType, *weights: TensorType
    ) -> tuple[TensorType, ...]:
        rows = TensorType(DType.BOOL, x.shape[:-1])
        fits = mask.dtype is DType.BOOL and mask.rank == rows.rank
        for found, size in zip(mask.shape, rows.shape, strict=True) if fits else ():
            same = equal(found, size)
            if same is None:
                assume(found, "==", size)
            fits = fits and same is not False
        if not fits:
            reason = f"`mask` is {mask}: {x} has {rows}"
            raise Fault(
                lambda where: sizes_disagree(where.call, self.name, reason, places(where, 2))
            )
        need_weights(self, (x, mask, *weights))
        return (x,)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        x, mask, *scales, mean, variance = operands
        sizes = [np.abs(given(a)) for a in (x, *scales)]
        return self.evaluate(
            sizes[0], given(mask), *sizes[1:], -np.abs(given(mean)), given(variance)
        )

    def evaluate(self, x: Array, mask: Array, *weights: Array) -> tuple[Array, ...]:
        *affine, mean, variance = map(widen, weights)
        with np.errstate(all="ignore"):  # of rows that do not count
            y = (widen(x) - mean) / np.sqrt(variance + np.asarray(self.eps, variance.dtype))
            if affine:
                y = y * affine[0] + affine[1]
        y = np.where(mask[..., None], y, np.zeros((), y.dtype))
        return (y.astype(x.dtype, copy=False),)

    def spell_out(self, x: Symbol, mask: Symbol, *weights: Symbol) -> Sequence[Symbol]:
        *affine, mean, variance = weights
        y = apply_affine((x - mean) / (variance + self.eps).apply("sqrt"), affine)
        return [mask.apply("unsqueeze", axis=-1).apply("where", y, y.like(0.0))]

    def couple(
        self, outputs: Results, x: NodeInput, mask: NodeInput, *weights: NodeInput
    ) -> Coupling:
        last = outputs[0].rank - 1
        return Coupling(((x.axis(last), result(last), *(w.axis(0) for w in weights)),))

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
        *affine, mean, variance = list_values(*weights)
        eps = build.constant(np.array(self.eps, x.dtype.numpy), x.dtype)
        deviation = build.op("Sqrt", [build.op("Add", [variance, eps])])
        y = build.op("Div", [build.op("Sub", [x.value, mean]), deviation])
        counts = build.op("Unsqueeze", [mask.value, axes_constant(build, (-1,))])
        zero = build.constant(np.zeros((), x.dtype.numpy), x.dtype)
        return [build.op("Where", [counts, write_affine(build, y, affine), zero])]
