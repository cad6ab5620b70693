"""Tensors from nothing: constants, zeros, ones, and tensors filled with one number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, final

import numpy as np

from compiler.ir.coupling import Coupling, CutTensor, cut_shape, result, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.hint import Hint, HintConst, may_be_whole
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import UNLIMITED, Array, Arrays, Assume, Limits, Results, Types
from compiler.ops.broadcasting import cast, literal_dtype
from compiler.ops.choosing import torch_dtype
from compiler.ops.layers import need_held, refuse_option
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.types.dims import Dim, at_most
from compiler.types.tensor import DType, TensorType, shorten_integer
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, Device, In, Leaf, Name, Prefix, Spelling, Term
from compiler.vocabulary.spelling import Sequence as Items

Number = int | float | bool
LARGEST = 4096
"""Elements of the largest tensor that ONNX gets as numbers where it could compute it."""


def spell_number(value: Number) -> Term:
    """A number as Python writes it; inf, nan and pi by their names in PyTorch."""
    if isinstance(value, float) and not math.isfinite(value):
        name = Name("torch.nan" if math.isnan(value) else "torch.inf")
        return Prefix("-", name) if value < 0 else name
    return Name("torch.pi") if value == math.pi else Leaf(value, "value", field="value")


def _refuse(op: str, option: str, reason: str) -> Fault:
    return Fault(lambda where: bad_option(where.argument(option), op, option, reason))


def check_sizes(op: str, shape: Sequence[int | Dim], *, option: str = "shape") -> tuple[Dim, ...]:
    """The sizes of a new tensor, which an option says.

    Raises:
        Fault: one is below 1.
    """
    bad = next((d for d in shape if at_most(1, d) is False), None)
    if bad is not None:
        raise _refuse(op, option, f"{bad} is not a size")
    return tuple(Dim.of(d) for d in shape)


@OPS.register
@final
@dataclass(frozen=True)
class Constant(Op):
    """Numbers known when compiling, as a tensor.

    One number fills the shape; a list holds the elements, row by row. Elaboration makes a
    constant of every plain number that meets a tensor, with the dtype it has there; a size
    that is not known becomes a number when the network runs.

    Shapes: -> `dtype[shape…]`.
    Example: `y = image - tensor([0.485, 0.456, 0.406])[:, none, none]`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.tensor.html
    """

    name = "constant"
    onnx_bfloat = True
    fills = True

    value: Number | Dim | tuple[Number, ...]
    dtype: DType = DType.F32
    shape: tuple[int, ...] = ()

    @staticmethod
    def of(array: Array, dtype: DType) -> Constant:
        """A constant with the numbers of an array."""
        if array.ndim == 0:
            return Constant(array.item(), dtype)
        return Constant(tuple(array.ravel().tolist()), dtype, array.shape)

    @staticmethod
    def beside(value: Number, types: Sequence[TensorType]) -> Constant:
        """The constant for a plain number that meets tensors of these types."""
        return Constant(value, literal_dtype(value, types))

    @property
    def number(self) -> float | None:
        return float(self.value) if isinstance(self.value, int | float) else None

    def write_number(self, *operands: Hint) -> Hint | None:
        plain = isinstance(self.value, int | float) and not self.shape
        return HintConst(self.value) if plain else None  # type: ignore[arg-type]

    @property
    def array(self) -> Array:
        """The numbers; a size in them must be known."""
        value = self.value.evaluate({}) if isinstance(self.value, Dim) else self.value
        numbers = np.array(value, dtype=self.dtype.numpy)
        if isinstance(self.value, tuple):
            return numbers.reshape(self.shape)
        return np.broadcast_to(numbers, self.shape)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        # What the dtype holds is not rounded: 3 stays whole, as a power of negative numbers.
        if isinstance(self.value, Dim) or self.dtype is DType.BF16:
            return super().magnitudes(operands, results)
        wanted = np.array(self.value, np.float64)
        if isinstance(self.value, tuple):
            wanted = wanted.reshape(self.shape)
        return [np.where(results[0] == wanted, 0, np.abs(results[0]))]

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        if isinstance(self.value, Dim) or not self.array.size:
            return UNLIMITED
        return float(self.array.min()), float(self.array.max())

    def infer(self, assume: Assume) -> tuple[TensorType, ...]:
        if isinstance(self.value, tuple) and len(self.value) != math.prod(self.shape):
            reason = f"{len(self.value)} numbers do not fill {list(self.shape)}"
            raise _refuse(self.name, "value", reason)
        if self.dtype.is_integer and isinstance(self.value, tuple):
            for number in self.value:
                need_held(self.name, "value", number, self.dtype)
        return (TensorType.of(self.dtype, self.shape),)

    def evaluate(self) -> tuple[Array, ...]:
        return (self.array,)

    def couple(self, outputs: Results) -> Coupling:
        return Coupling(tuple((result(a),) for a in range(len(self.shape))))

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        array = self.array if isinstance(self.value, tuple) else None
        if array is None:
            return replace(self, shape=cut_shape(self.shape, outputs[0]))
        for axis, kept in enumerate(outputs[0].kept):
            array = array if kept is None else np.take(array, kept, axis)
        return Constant.of(array, self.dtype)

    def torch(self, node: Node) -> Spelling:
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        dtype = () if _infers(values, self.dtype) else (("dtype", torch_dtype(self.dtype)),)
        named = (*dtype, ("device", Device()))
        if isinstance(self.value, tuple):
            return Spelling(Call("torch.tensor", (_nest(self.value, self.shape),), named))
        number = _spell_value(self.value)
        if self.shape:
            sizes = Items(tuple(Leaf(n) for n in self.shape))
            return Spelling(Call("torch.full", (sizes, number), named))
        return Spelling(Call("torch.tensor", (number,), named), number=number)

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        if not isinstance(self.value, Dim) or self.value.known is not None:
            return [build.constant(self.array, self.dtype)]
        size = build.op("Squeeze", [build.shape([self.value])])
        number = cast(build, size, DType.I64, self.dtype)
        if not self.shape:
            return [number]
        return [build.op("Expand", [number, build.shape(outputs[0].shape)])]


def _spell_value(value: Number | Dim) -> Term:
    return Leaf(value, "value", field="value") if isinstance(value, Dim) else spell_number(value)


def _infers(values: Sequence[Number | Dim], dtype: DType) -> bool:
    """Whether PyTorch finds this dtype by itself for these numbers."""
    kinds = {int if isinstance(v, Dim) else type(v) for v in values}
    if dtype is DType.F32:
        return float in kinds
    return (kinds == {int} and dtype is DType.I64) or (kinds == {bool} and dtype is DType.BOOL)


def _nest(values: Sequence[Number], shape: tuple[int, ...]) -> Term:
    """The numbers as nested lists."""
    if len(shape) > 1:
        step = math.prod(shape[1:])
        parts = (values[i * step : (i + 1) * step] for i in range(shape[0]))
        return Items(tuple(_nest(part, shape[1:]) for part in parts), "[]")
    terms = (spell_number(v) for v in values)
    leaves = (Leaf(t.value, field=t.field) if isinstance(t, Leaf) else t for t in terms)
    return Items(tuple(leaves), "[]")


@dataclass(frozen=True)
class Filled(Op):
    """Base of tensors filled with one number."""

    shape: tuple[int | Dim, ...]
    dtype: DType = DType.F32

    fill: ClassVar[int]

    def infer(self, assume: Assume) -> tuple[TensorType, ...]:
        return (TensorType(self.dtype, check_sizes(self.name, self.shape)),)

    def evaluate(self) -> tuple[Array, ...]:
        sizes = [Dim.of(d).evaluate({}) for d in self.shape]
        return (np.full(sizes, self.fill, self.dtype.numpy),)

    def couple(self, outputs: Results) -> Coupling:
        return Coupling(tuple((result(a),) for a in range(len(self.shape))))

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        return replace(self, shape=cut_shape(self.shape, outputs[0]))

    def torch(self, node: Node) -> Spelling:
        named = (*_dtype_term(self.dtype, DType.F32), ("device", Device()))
        sizes = size_terms(node)
        if len(sizes) == 0:
            sizes = (Items(()),)
        return Spelling(Call(f"torch.{self.name}", sizes, named))

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        return [write_full(build, self.fill, outputs[0])]

    def over_rows(self, operands: Types, rows: Dim) -> Self:
        return replace(self, shape=(rows, *self.shape))


def size_terms(node: Node) -> tuple[Term, ...]:
    """The sizes of the result as terms."""
    return tuple(
        Leaf(d, f"dim{i}", field=f"shape.{i}", dim=("out", 0, i))
        for i, d in enumerate(node.output.type.shape)
    )


def _dtype_term(dtype: DType, default: DType) -> tuple[tuple[str, Term], ...]:
    return () if dtype is default else (("dtype", torch_dtype(dtype)),)


def write_full(build: OnnxBuilder, value: Number, type: TensorType) -> Any:
    """A tensor of one number in ONNX: as numbers where it is small and its shape known, made
    when the graph runs where not."""
    known = type.size.known
    if known is not None and known <= LARGEST:
        sizes = [d.known or 0 for d in type.shape]
        return build.constant(np.full(sizes, value, type.dtype.numpy), type.dtype)
    if type.dtype is DType.BF16:  # ConstantOfShape has no bf16 before opset 20
        single = build.constant(np.full((), value, np.float32), type.dtype)
        return build.op("Expand", [single, build.shape(type.shape)])
    filling = {"value": np.array([value], type.dtype.numpy)}
    return build.op("ConstantOfShape", [build.shape(type.shape)], filling)


@OPS.register
@final
@dataclass(frozen=True)
class Zeros(Filled):
    """A tensor of zeros: `zeros([n, hidden])`.

    Shapes: -> `dtype[shape…]`.
    Errors: W0392 where a size is below 1.
    Example: `y = concat([zeros([n, 1, 64]), sequence], axis=1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.zeros.html
    """

    name = "zeros"
    fills = True
    fill = 0


@OPS.register
@final
@dataclass(frozen=True)
class Ones(Filled):
    """A tensor of ones: `ones([n, t], dtype=bool)`.

    Shapes: -> `dtype[shape…]`.
    Errors: W0392 where a size is below 1.
    Example: `y = concat([x, ones([n, 1])], axis=1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.ones.html
    """

    name = "ones"
    fills = True
    fill = 1


@OPS.register
@final
@dataclass(frozen=True)
class Full(Op):
    """A tensor filled with one number; without `dtype` the number says it: `true` makes bool,
    a whole number i64, a fraction f32. A number that is a tensor is repeated by `expand`.

    Shapes: -> `dtype[shape…]`.
    Errors: W0392 where a size is below 1, W0353 where the dtype cannot hold the number.
    Example: `y = where(score > 0, score, full([n], -1.0))`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.full.html
    """

    name = "full"
    fills = True

    shape: tuple[int | Dim, ...]
    value: Number
    dtype: DType | None = None

    def infer(self, assume: Assume) -> tuple[TensorType, ...]:
        dtype = self.dtype or literal_dtype(self.value, ())
        need_held(self.name, "value", self.value, dtype)
        if dtype.is_integer and not float(self.value).is_integer():
            refuse_option(self.name, "value", self.value, f"a whole number in {dtype}")
        return (TensorType(dtype, check_sizes(self.name, self.shape)),)

    def evaluate(self) -> tuple[Array, ...]:
        sizes = [Dim.of(d).evaluate({}) for d in self.shape]
        dtype = self.dtype or literal_dtype(self.value, ())
        return (np.full(sizes, self.value, dtype.numpy),)

    def couple(self, outputs: Results) -> Coupling:
        return Coupling(tuple((result(a),) for a in range(len(self.shape))))

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        return replace(self, shape=cut_shape(self.shape, outputs[0]))

    def torch(self, node: Node) -> Spelling:
        natural = literal_dtype(self.value, ())
        dtype = _dtype_term(self.dtype or natural, natural)
        if natural is DType.F32 and may_be_whole(node.origin.hint.get("value")):
            dtype = (("dtype", torch_dtype(self.dtype or natural)),)
        named = (*dtype, ("device", Device()))
        args = (Items(size_terms(node)), spell_number(shorten_integer(self.value)))
        return Spelling(Call("torch.full", args, named))

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        return [write_full(build, self.value, outputs[0])]

    def over_rows(self, operands: Types, rows: Dim) -> Self:
        return replace(self, shape=(rows, *self.shape))


@dataclass(frozen=True)
class FilledLike(Op):
    """Base of tensors filled with one number, in the shape of another."""

    row_axes = ()
    reads_sizes = True
    operands = (Operand("x"),)
    fill: ClassVar[int]

    dtype: DType | None = None

    @property
    def is_flat(self) -> bool:
        return True

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        return (TensorType(self.dtype or x.dtype, x.shape),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.full(x.shape, self.fill, self.dtype.numpy if self.dtype else x.dtype),)

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_same(x, outputs[0].rank))

    def torch(self, node: Node) -> Spelling:
        named = () if self.dtype is None else (("dtype", torch_dtype(self.dtype)),)
        return Spelling(Call(f"torch.{self.name}", (In(0),), named))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [write_full(build, self.fill, outputs[0])]


@OPS.register
@final
@dataclass(frozen=True)
class ZerosLike(FilledLike):
    """Zeros in the shape, and unless `dtype` is given the dtype, of x.

    Shapes: x `f32[...]` -> the same.
    Example: `h = zeros_like(x)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.zeros_like.html
    """

    name = "zeros_like"
    fills = True
    fill = 0


@OPS.register
@final
@dataclass(frozen=True)
class OnesLike(FilledLike):
    """Ones in the shape, and unless `dtype` is given the dtype, of x.

    Shapes: x `f32[...]` -> the same.
    Example: `mask = ones_like(x, dtype=bool)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.ones_like.html
    """

    name = "ones_like"
    fills = True
    fill = 1
