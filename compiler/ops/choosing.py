"""Choosing and converting elements: where, maximum, minimum, clip and cast."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import inf
from operator import and_
from typing import ClassVar, final

import numpy as np

from compiler.ir.graph import Node
from compiler.ir.hint import Hint, HintCall, HintChoose, HintConst
from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import UNLIMITED, Array, Limits, Results
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.axes import need_bool, need_number
from compiler.ops.broadcasting import (
    Elementwise,
    array_type,
    cast,
    cast_operands,
    literal_dtype,
    pair_terms,
    promote_types,
    promoted,
)
from compiler.ops.layers import need_held
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.types.tensor import DType, TensorType, shorten_integer
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Method, Name, Spelling, Term

_NO_KERNEL = {DType.I16: DType.I32, DType.BOOL: DType.U8}
"""Dtypes that ONNX Runtime cannot choose between, and what they are chosen in (runtime_faults:
where_of_i16, where_of_bool)."""


@OPS.register
@final
@dataclass(frozen=True)
class Where(Elementwise):
    """Elements of `a` where the condition is true, of `b` elsewhere.

        y = a where condition, else b

    The three shapes broadcast; the condition is bool; `a` and `b` promote as in PyTorch, and
    one of them or both may be plain numbers.

    Shapes: condition `bool[...]`, a and b `f32[...]` -> their broadcast shape.
    Errors: W0375 where the shapes do not broadcast, W0382 where the condition is not bool.
    Example: `input scores: f32[n, t, t]`, `y = where(mask[:, none, :], scores, -inf)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.where.html
    """

    name = "where"
    selects = True
    operands = (Operand("condition"), Operand("a"), Operand("b"))

    def check(self, types: Sequence[TensorType]) -> None:
        need_bool(self.name, types[0])

    def result_dtype(self, types: Sequence[TensorType]) -> DType:
        return promote_types(types[1:])

    def find_degree(self, degrees: Sequence[int], numbers: Sequence[float | None]) -> int | None:
        return max(degrees) if degrees[0] == 0 else None

    def evaluate(self, condition: Array, a: Array, b: Array) -> tuple[Array, ...]:
        return (np.where(condition, *promoted(a, b)),)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        condition, *_ = inputs
        return [None, lambda: condition.choose(slope, 0), lambda: condition.choose(0, slope)]

    def write_number(self, *operands: Hint) -> Hint | None:
        return HintChoose(*operands)

    def torch(self, node: Node) -> Spelling:
        return Spelling(Call("torch.where", (In(0), *pair_terms(node, first=1))))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, condition: OnnxInput, a: OnnxInput, b: OnnxInput
    ) -> Values:
        dtype = outputs[0].dtype
        wide = _NO_KERNEL.get(dtype, dtype)
        chosen = cast_operands(build, (a, b), wide)
        return [cast(build, build.op("Where", [condition.value, *chosen]), wide, dtype)]


class Extreme(Elementwise):
    """Base of the larger and the smaller of two tensors."""

    operands = (Operand("a"), Operand("b"))
    scalar = True
    onnx_type: ClassVar[str]
    bound: ClassVar[str]
    function: ClassVar[str]
    """The function of numbers that stands for it beside a tensor."""

    def check(self, types: Sequence[TensorType]) -> None:
        """Raises `Fault` where both operands are boolean."""
        if all(t.dtype is DType.BOOL for t in types):
            need_number(self.name, types[0])

    def torch(self, node: Node) -> Spelling:
        made = Call(f"torch.{self.name}", (In(0), In(1)))
        plain = [term for term in pair_terms(node) if term.number]
        others = (
            (t.index, Method(In(1 - t.index), "clamp", (), ((self.bound, t),))) for t in plain
        )
        return Spelling(made, with_number=tuple(others))

    def write_number(self, *operands: Hint) -> Hint | None:
        return HintCall(self.function, operands)

    def onnx(self, build: OnnxBuilder, outputs: Results, a: OnnxInput, b: OnnxInput) -> Values:
        dtype = outputs[0].dtype
        wide = DType.I32 if dtype is DType.I16 else dtype  # runtime_faults: max_of_i16
        made = build.op(self.onnx_type, cast_operands(build, (a, b), wide))
        return [cast(build, made, wide, dtype)]

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        first, second = inputs if self.bound == "min" else inputs[::-1]
        shared = first.equals(second).choose(slope / 2, 0)  # as PyTorch shares it
        return [
            lambda: (first > second).choose(slope, shared),
            lambda: (first < second).choose(slope, shared),
        ]


@OPS.register
@final
@dataclass(frozen=True)
class Maximum(Extreme):
    """The larger of `a` and `b`, element by element (`max(x, axis=…)` reduces).

        y = max(a, b)

    Shapes broadcast, dtypes promote as in PyTorch; nan where one of them is nan.

    Shapes: a `f32[...]`, b `f32[...]` -> their broadcast shape.
    Errors: W0375 where the shapes do not broadcast, W0382 where both are bool.
    Example: `y = maximum(a, b)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.maximum.html
    """

    name = "maximum"
    onnx_type = "Max"
    bound = "min"
    function = "max"

    def evaluate(self, a: Array, b: Array) -> tuple[Array, ...]:
        return (np.asarray(np.maximum(*promoted(a, b))),)


@OPS.register
@final
@dataclass(frozen=True)
class Minimum(Extreme):
    """The smaller of `a` and `b`, element by element (`min(x, axis=…)` reduces).

        y = min(a, b)

    Shapes broadcast, dtypes promote as in PyTorch; nan where one of them is nan.

    Shapes: a `f32[...]`, b `f32[...]` -> their broadcast shape.
    Errors: W0375 where the shapes do not broadcast, W0382 where both are bool.
    Example: `least = minimum(x[:, :, none], x[:, none, :])`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.minimum.html
    """

    name = "minimum"
    onnx_type = "Min"
    bound = "max"
    function = "min"

    def evaluate(self, a: Array, b: Array) -> tuple[Array, ...]:
        return (np.asarray(np.minimum(*promoted(a, b))),)


@OPS.register
@final
@dataclass(frozen=True)
class Clip(Elementwise):
    """Each element, but at least `minimum` and at most `maximum`.

        y = min(max(x, minimum), maximum)

    The shape stays; whole numbers become f32 where a bound is a fraction. Left-out bounds do
    not bind. Where `minimum` is above `maximum`, the result is `maximum`.

    Shapes: x `f32[...]` -> the same.
    Example: `image = clip(x, -1, 1)`
    Errors: W0382 where x is bool, W0392 where no bound is given, W0353 where the dtype cannot
    hold one.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.clamp.html
    """

    name = "clip"
    aliases = ("clamp",)
    operands = (Operand("x"),)
    scalar = True

    minimum: int | float | None = None
    maximum: int | float | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        need_number(self.name, types[0])
        if self.minimum is None and self.maximum is None:
            raise Fault(
                lambda where: bad_option(
                    where.call, "clip", "minimum", "there is neither a minimum nor a maximum"
                )
            )
        dtype = self.result_dtype(types)
        need_held(self.name, "minimum", self.minimum, dtype)
        need_held(self.name, "maximum", self.maximum, dtype)

    def result_dtype(self, types: Sequence[TensorType]) -> DType:
        dtype = types[0].dtype
        for bound in (self.minimum, self.maximum):
            if bound is not None:
                dtype = literal_dtype(bound, [TensorType(dtype, types[0].shape)])
        return dtype

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        x = x.astype(self.result_dtype([array_type(x)]).numpy, copy=False)
        if self.minimum is not None:
            x = np.maximum(x, x.dtype.type(self.minimum))
        if self.maximum is not None:
            x = np.minimum(x, x.dtype.type(self.maximum))
        return (np.asarray(x),)

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        least = -inf if self.minimum is None else float(self.minimum)
        greatest = inf if self.maximum is None else float(self.maximum)
        low, high = (min(max(limit, least), greatest) for limit in operands[0])
        return low, high

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        (x,) = inputs
        inside = []
        if self.minimum is not None:
            inside.append(x >= self.minimum)
        if self.maximum is not None:
            inside.append(x <= self.maximum)
        return [slope.only(reduce(and_, inside))]

    def write_number(self, *operands: Hint) -> Hint | None:
        (found,) = operands
        if self.minimum is not None:
            found = HintCall("max", (found, HintConst(self.minimum)))
        if self.maximum is not None:
            found = HintCall("min", (found, HintConst(self.maximum)))
        return found

    def compute(self, *numbers: float) -> float:
        bounds = [b for b in (self.minimum, self.maximum) if b is not None]
        whole = all(isinstance(n, int) for n in (*numbers, *bounds))
        return super().compute(*(numbers if whole else map(float, numbers)))

    def torch(self, node: Node) -> Spelling:
        low, high = (
            Leaf(None if bound is None else shorten_integer(bound), name, None, name)
            for name, bound in (("minimum", self.minimum), ("maximum", self.maximum))
        )
        if self.minimum is not None and self.maximum is not None:
            return Spelling(Method(In(0), "clamp", (low, high)))
        return Spelling(Method(In(0), "clamp", (), (("min", low), ("max", high))))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        dtype = outputs[0].dtype
        wide = DType.I32 if dtype is DType.I16 else dtype  # ONNX has no Clip for i16
        bounds = [
            None if b is None else build.constant(np.array(b, wide.numpy), wide)
            for b in (self.minimum, self.maximum)
        ]
        value = cast(build, x.value, x.dtype, wide)
        if wide.is_float and None in bounds:  # ONNX Runtime's Clip makes the other one finite
            kind = "Max" if bounds[1] is None else "Min"
            return [build.op(kind, [value, *(bound for bound in bounds if bound is not None)])]
        return [cast(build, build.op("Clip", [value, *bounds]), wide, dtype)]


_CONVERSIONS = {
    DType.F64: "double",
    DType.F32: "float",
    DType.F16: "half",
    DType.BF16: "bfloat16",
    DType.I64: "long",
    DType.I32: "int",
    DType.BOOL: "bool",
}
_TORCH_NAMES = {
    DType.F64: "float64",
    DType.F32: "float32",
    DType.F16: "float16",
    DType.BF16: "bfloat16",
    DType.I64: "int64",
    DType.I32: "int32",
    DType.I16: "int16",
    DType.I8: "int8",
    DType.U8: "uint8",
    DType.BOOL: "bool",
}


def torch_dtype(dtype: DType) -> Name:
    """PyTorch's name of a dtype, as a term."""
    return Name(f"torch.{_TORCH_NAMES[dtype]}")


def spell_cast(term: Term, dtype: DType) -> Term:
    """A term in another dtype: `x.float()`."""
    short = _CONVERSIONS.get(dtype)
    return Method(term, short) if short else Method(term, "to", (torch_dtype(dtype),))


@OPS.register
@final
@dataclass(frozen=True)
class Cast(Elementwise):
    """The same numbers in another dtype.

    The shape stays. Fractions become whole numbers by cutting off; everything but 0 becomes
    true. Numbers that do not fit into the new dtype have no defined result.

    Shapes: x `f32[...]` -> `dtype[...]`.
    Example: `y = cast(tokens, f32)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.to.html
    """

    name = "cast"
    converts = True
    keeps_f32 = True
    operands = (Operand("x"),)

    dtype: DType

    def result_dtype(self, types: Sequence[TensorType]) -> DType:
        return self.dtype

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return operands[0] if self.dtype.is_float else UNLIMITED

    def write_number(self, *operands: Hint) -> Hint | None:
        return operands[0] if self.dtype.is_float else None

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (x.astype(self.dtype.numpy),)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        return [slope]

    def torch(self, node: Node) -> Spelling:
        return Spelling(spell_cast(In(0), self.dtype))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [cast(build, x.value, x.dtype, self.dtype)]
