"""Weights divided by their largest singular value: spectral_norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, final

import numpy as np

from compiler.ir.graph import Node, Op
from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types
from compiler.ops.axes import need_float, need_rank, places, resolve_axis
from compiler.ops.layers import given, need_least, need_small, widen
from compiler.ops.magnitudes import grow
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import sizes_disagree
from compiler.types.dims import Dim, equal, product
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Name, Spelling


@OPS.register
@final
@dataclass(frozen=True)
class SpectralNorm(Op):
    """A weight divided by its largest singular value, so that no layer stretches what it is given
    (Miyato et al. 2018):

        y = W / σ,  σ = uᵀ W v

    W is the weight as a matrix, with a row for each entry along `axis`. u and v are buffers of the
    block that calls it: in training, each call first brings them nearer to the singular vectors, by
    power iteration, first `v = Wᵀ u / ‖Wᵀ u‖`, then `u = W v / ‖W v‖`; in evaluation they stay. The
    steps and the buffers are those of `torch.nn.utils.spectral_norm`. Its successor,
    `torch.nn.utils.parametrizations.spectral_norm`, finds u first, then v, and takes some steps
    when the layer is made.

    Shapes: x `f32[rows, …]`, u `f32[rows]`, v `f32[columns]` -> as x.

    - `axis`: along which axis of x the rows lie; 1 of a transposed convolution.
    - `iterations`: steps of the power iteration in each call.
    - `eps`: the smallest length that u and v are divided by.

    Cost: a multiply-add for each entry of x, and two more for each step in training.
    Example:

        param weight: f32[32, 64] = normal(0.1)
        buffer u: f32[32] = unit_vector()
        buffer v: f32[64] = unit_vector()
        y = x @ transpose(spectral_norm(weight, u, v), 0, 1)

    Errors: W0353 where an option has no meaning, W0380 for fewer than two axes, W0387 where u or v
    do not fit.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.spectral_norm.html
    """

    name = "spectral_norm"
    keeps_f32 = True
    operands = (Operand("x"), Operand("u"), Operand("v"))
    axis: int = 0
    iterations: int = 1
    eps: float = 1e-12

    def infer(
        self, assume: Assume, x: TensorType, u: TensorType, v: TensorType
    ) -> tuple[TensorType, ...]:
        for index, found in enumerate((x, u, v)):
            need_float(self.name, found, operand=index)
        need_rank(self.name, x, 2)
        need_least(self.name, "iterations", self.iterations, 1)
        need_small(self.name, "eps", self.eps)
        axis = resolve_axis(self.name, self.axis, x)
        rest = tuple(size for place, size in enumerate(x.shape) if place != axis)
        for name, found, size in (("u", u, x.shape[axis]), ("v", v, product(rest))):
            if found.rank != 1 or found.dtype is not x.dtype:
                self._refuse(f"`{name}` is {found}: a vector of {size} numbers belongs to {x}")
            same = equal(found.shape[0], size)
            if same is None:
                assume(found.shape[0], "==", size)
            elif not same:
                self._refuse(f"`{name}` is {found}: {x} has {size}")
        return (x,)

    def _refuse(self, reason: str) -> NoReturn:
        raise Fault(lambda where: sizes_disagree(where.call, self.name, reason, places(where, 3)))

    def _flatten(self, x: Array) -> Array:
        return np.moveaxis(x, self.axis, 0).reshape(x.shape[self.axis], -1)

    def evaluate(self, x: Array, u: Array, v: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            scaled = widen(x) / (widen(u) @ self._flatten(widen(x)) @ widen(v))
        return (scaled.astype(x.dtype, copy=False),)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        # σ is a sum whose terms cancel where u and v are not yet singular vectors.
        x, u, v = (given(a).astype(np.float64) for a in operands)
        matrix = self._flatten(x)
        with np.errstate(all="ignore"):
            grown = np.abs(u) @ np.abs(matrix) @ np.abs(v) / np.abs(u @ matrix @ v)
        return [np.abs(results[0]) * grown * grow(matrix.size, x.dtype)]

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        return outputs[0].size

    def torch(self, node: Node) -> Spelling:
        options = (*self.spell_options(), ("training", Name("self.training")))
        return Spelling(Call("spectral_norm", (In(0), In(1), In(2)), options))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, x: OnnxInput, u: OnnxInput, v: OnnxInput
    ) -> Values:
        axis = self.axis % x.rank
        order = (axis, *(place for place in range(x.rank) if place != axis))
        matrix, shape = x.value, tuple(x.shape[place] for place in order)
        if axis:
            matrix = build.op("Transpose", [matrix], {"perm": order})
        if x.rank > 2:
            matrix = build.reshape(matrix, shape, (shape[0], product(shape[1:])))
        scale = build.op("MatMul", [build.op("MatMul", [u.value, matrix]), v.value])
        return [build.op("Div", [x.value, scale])]
