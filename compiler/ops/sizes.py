"""Sizes as tensors: what `x / t` divides by where `t` is known only when the network runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from compiler.ir.graph import Node, Op
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_NEGATIVE, UNLIMITED, Array, Assume, Limits, Results
from compiler.ops.axes import squeeze
from compiler.ops.broadcasting import cast
from compiler.ops.choosing import torch_dtype
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.dims import Dim, at_most
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.spelling import Call, Device, Spelling


@OPS.register
@final
@dataclass(frozen=True)
class Size(Op):
    """A size of the inputs as a tensor without axes.

    Elaboration makes one of every size that meets a tensor and is known only when the network
    runs, with the dtype it has there.

    Example: `mean = sum(sequence, axis=1) / size(t, dtype=f32)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.size.html
    """

    name = "size"
    reads_sizes = True

    value: Dim
    dtype: DType = DType.I64

    def infer(self, assume: Assume) -> tuple[TensorType, ...]:
        return (TensorType(self.dtype, ()),)

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return NOT_NEGATIVE if at_most(0, self.value) else UNLIMITED

    def evaluate(self) -> tuple[Array, ...]:
        return (np.asarray(self.value.evaluate({}), self.dtype.numpy),)

    def torch(self, node: Node) -> Spelling:
        value = self.leaf("value")
        named = (("dtype", torch_dtype(self.dtype)), ("device", Device()))
        return Spelling(Call("torch.tensor", (value,), named), number=value)

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        known = self.value.known
        if known is not None:
            return [build.constant(np.asarray(known, self.dtype.numpy), self.dtype)]
        single = squeeze(build, build.shape((self.value,)), (0,))
        return [cast(build, single, DType.I64, self.dtype)]
