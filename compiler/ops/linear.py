"""Dense layers and embeddings: products with a weight matrix, and look-ups in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, CutTensor, Reading, result, tie_same
from compiler.ir.domain import Domain
from compiler.ir.graph import Op
from compiler.ir.inputs import NodeInput, OnnxInput, list_values
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types, Weight
from compiler.ir.symbols import Slopes, Symbol
from compiler.ir.tracing import Trace, trace_leading
from compiler.ops.axes import need_float, need_index, need_rank, operand_type
from compiler.ops.layers import (
    Layer,
    LinearLayer,
    given,
    known,
    need_known,
    need_least,
    need_weights,
    refuse_option,
    widen,
)
from compiler.ops.magnitudes import measure_terms
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.dims import Dim, product
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers import Initializer
from compiler.vocabulary.initializers.modules import ModuleEmbedding, PaddedRows
from compiler.vocabulary.signature import Operand


@OPS.register
@final
@dataclass(frozen=True)
class Dense(LinearLayer):
    """Dense (fully connected) layer on the last axis: `y = x @ weightᵀ + bias`.

    Shapes: x `f32[..., d]` -> `f32[..., out]`; weight `[out, d]`, bias `[out]`.

    - `out`: size of the last axis of the result.
    - `bias`: whether a number per output is added.

    A weight can be given: `dense(vocab, weight=embed.weight, bias=false)` shares the one of an
    embedding; so can a bias, `bias=b`.

    Cost: d multiply-adds for each entry of the result.
    Example: `logits = x -> dense(120) -> relu -> dense(10)`
    Errors: W0354 where the last axis is not known, W0355 where a given weight does not fit.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html
    """

    name = "dense"
    multiplies_rows = True
    onnx_bfloat = True
    in_integers = "layer"
    torch_function = "F.linear"
    torch_module = "nn.Linear"
    torch_sizes: ClassVar[Mapping[str, int]] = {"in_features": -1}
    torch_widths: ClassVar[Mapping[str, int]] = {"out": -1}
    torch_roles: ClassVar[Mapping[str, str]] = {"out": "features"}
    shaping = ("out", "bias")
    operands = (Operand("x"),)
    out: int
    bias: bool = True

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        need_rank(self.name, x, 1)
        need_least(self.name, "out", self.out, 1)
        size = need_known(self.name, x, -1, "the last axis")
        return self.make_weights(x, (self.out, size))

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        return (TensorType(x.dtype, (*x.shape[:-1], Dim.of(self.out))),)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return measure_terms(self, operands, results, given(operands[1]).shape[1])

    def evaluate(self, x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, ...]:
        y = np.matmul(widen(x), widen(weight).T)
        if bias is not None:
            y = y + widen(bias)
        return (y.astype(x.dtype, copy=False),)

    def pull_back(
        self, slope: Symbol, result: Symbol, x: Symbol, weight: Symbol, bias: Symbol | None = None
    ) -> Slopes:
        rows = product(x.shape[:-1])
        made: Slopes = [
            lambda: slope @ weight,
            lambda: slope.reshape((rows, slope.shape[-1])).swap() @ x.reshape((rows, x.shape[-1])),
        ]
        return [*made, lambda: slope.fit(bias.type)] if bias is not None else made

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        return operand_type(inputs, 0).size * self.out

    def couple(
        self, outputs: Results, x: NodeInput, weight: NodeInput, bias: NodeInput | None = None
    ) -> Coupling:
        last = outputs[0].rank - 1
        made, incoming, read = weight.axis(0), x.axis(last), weight.axis(1)
        added = (bias.axis(0),) if bias is not None else ()
        ties = (*tie_same(x, last), (made, result(last), *added), (incoming, read))
        return Coupling(ties, made=(made,), read=(Reading(incoming, read),))

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        return replace(self, out=known(outputs[0].type.shape[-1]))

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        weight: OnnxInput,
        bias: OnnxInput | None = None,
    ) -> Values:
        # MatMul would need the checkpoint's weight transposed, so rows are brought to rank 2.
        y = outputs[0].shape
        rows = product(x.shape[:-1])
        flat = build.reshape(x.value, x.shape, (rows, x.shape[-1]))
        made = build.op("Gemm", [flat, *list_values(weight, bias)], {"transB": 1})
        return [build.reshape(made, (rows, y[-1]), y)]

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        return trace_leading(axis, inputs, outputs)

    def list_rows(self, x: Array) -> Array:
        return x.reshape(-1, x.shape[-1]).astype(np.float64)


@OPS.register
@final
@dataclass(frozen=True)
class Embedding(Layer):
    """A learned vector for each of `count` whole numbers: `y[…, :] = weight[x[…], :]`.

    Shapes: x `i64[...]` with entries from 0 to count - 1 -> `f32[..., size]`; weight
    `[count, size]`.

    - `count`: how many vectors there are.
    - `size`: the length of each.
    - `padding_idx`: an entry whose vector starts as zeros and is not trained.

    Errors: W0382 where x does not hold whole numbers, W0353 where `padding_idx` is none of them.
    Example: `x = tokens -> embedding(1000, 64) as wte`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html
    """

    name = "embedding"
    onnx_bfloat = True
    made_axis = 1
    torch_function = "F.embedding"
    torch_module = "nn.Embedding"
    torch_widths: ClassVar[Mapping[str, int]] = {"size": -1}
    torch_roles: ClassVar[Mapping[str, str]] = {"size": "dim"}
    shaping = ("count", "size")
    operands = (Operand("x"),)
    count: int
    size: int
    padding_idx: int | None = None

    @property
    def channels(self) -> int:
        return self.size

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        need_index(self.name, operand_type(operands, 0), operand=0)
        need_least(self.name, "count", self.count, 1)
        need_least(self.name, "size", self.size, 1)
        if self.padding_idx is not None and not -self.count <= self.padding_idx < self.count:
            last = f"from 0 to {self.count - 1}"
            refuse_option(self.name, "padding_idx", self.padding_idx, last)
        shape = TensorType.of(DType.F32, (self.count, self.size))
        return (Weight("weight", shape, ModuleEmbedding(self.padding_idx)),)

    def start_weight(self, weight: Weight, initializer: Initializer) -> Initializer:
        return (
            initializer if self.padding_idx is None else PaddedRows(initializer, self.padding_idx)
        )

    def infer(self, assume: Assume, x: TensorType, weight: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, weight))
        return (TensorType(weight.dtype, (*x.shape, Dim.of(self.size))),)

    def domains(self, x: NodeInput) -> Mapping[NodeInput, Domain]:
        return {x: Domain(Dim.of(self.count))}

    def evaluate(self, x: Array, weight: Array) -> tuple[Array, ...]:
        return (weight[x],)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol, weight: Symbol) -> Slopes:
        rows = product(x.shape)
        if self.padding_idx is not None:
            counts = x.apply("not_equal", self.padding_idx % self.count)
            slope = slope.only(counts.unsqueeze([x.rank]))
        entries, names = slope.reshape((rows, weight.shape[1])), x.reshape((rows,))
        return [None, lambda: weight.zeros().apply("index_add", names, entries, axis=0)]

    def couple(self, outputs: Results, x: NodeInput, weight: NodeInput) -> Coupling:
        last = outputs[0].rank - 1
        made = weight.axis(1)
        return Coupling((*tie_same(x, last), (made, result(last))), made=(made,))

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        return replace(self, size=known(outputs[0].type.shape[-1]))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput, weight: OnnxInput) -> Values:
        return [build.op("Gather", [weight.value, x.value])]

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        return trace_leading(axis, inputs, outputs)
