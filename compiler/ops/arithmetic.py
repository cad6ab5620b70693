"""Arithmetic on tensors, element by element: what `+ - * / // % **` and unary `-` stand for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from compiler.ir.domain import Domain
from compiler.ir.graph import Node
from compiler.ir.hint import Hint, HintUnary
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_NEGATIVE, UNLIMITED, Array, Limits, Results
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.axes import need_number
from compiler.ops.broadcasting import Elementwise, Paired, cast, cast_operands, promoted
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import wrong_dtype
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Prefix, Spelling

EXPONENT_BITS = 31
"""Bits of the exponents of whole numbers, which are positive."""


class Arithmetic(Paired):
    """Base of operations with two operands and a sign of their own."""

    scalar = True

    def check(self, types: Sequence[TensorType]) -> None:
        """Raises `Fault` where both operands are boolean."""
        if all(t.dtype is DType.BOOL for t in types):
            hint = "join booleans with `and` or `or`, or convert them: `cast(…, f32)`"
            _refuse_bool(self.name, types, 0, hint)

    def evaluate(self, a: Array, b: Array) -> tuple[Array, ...]:
        left, right = promoted(a, b)
        with np.errstate(all="ignore"):
            return (np.asarray(self.calculate(left, right)),)

    @abstractmethod
    def calculate(self, left: Array, right: Array) -> Array:
        """The meaning for arrays of one dtype."""

    def onnx(self, build: OnnxBuilder, outputs: Results, a: OnnxInput, b: OnnxInput) -> Values:
        return [build.op(self.onnx_type, cast_operands(build, (a, b), outputs[0].dtype))]


def _is_never_negative(operands: Sequence[Limits]) -> bool:
    return all(low >= 0 for low, _ in operands)


def _refuse_bool(op: str, types: Sequence[TensorType], index: int, hint: str) -> None:
    raise Fault(
        lambda where: wrong_dtype(
            where.call, op, "tensors of numbers", types[index], (where.operand(index),), hint
        )
    )


@OPS.register
@final
@dataclass(frozen=True)
class Add(Arithmetic):
    """The sum `a + b`, element by element.

    Shapes broadcast, dtypes promote as in PyTorch: `f32[batch, 3] + f32[3]` is `f32[batch, 3]`.
    A plain number takes the dtype of the tensor it meets.

    Shapes: a `f32[...]`, b `f32[...]` -> their broadcast shape.
    Example: `y = x + 1`
    Errors: W0375 where the shapes do not broadcast, W0382 where both are bool.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.add.html
    """

    name = "add"
    operator = "+"
    signs = (1, 1)
    onnx_bfloat = True
    in_integers = "computes"
    sign = "+"
    onnx_type = "Add"

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        (a, b), (c, d) = operands
        return a + c, b + d

    def calculate(self, left: Array, right: Array) -> Array:
        return np.add(left, right)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        return [slope, slope]


@OPS.register
@final
@dataclass(frozen=True)
class Sub(Arithmetic):
    """The difference `a - b`, element by element.

    Shapes broadcast, dtypes promote as in PyTorch; booleans cannot be subtracted.

    Shapes: a `f32[...]`, b `f32[...]` -> their broadcast shape.
    Example: `y = x - mean(x, axis=0)`
    Errors: W0375 where the shapes do not broadcast, W0382 where one is bool.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.sub.html
    """

    name = "sub"
    operator = "-"
    signs = (1, -1)
    onnx_bfloat = True
    aliases = ("subtract",)
    sign = "-"
    onnx_type = "Sub"

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        (a, b), (c, d) = operands
        return a - d, b - c

    def check(self, types: Sequence[TensorType]) -> None:
        for index, found in enumerate(types):
            if found.dtype is DType.BOOL:
                hint = "to turn a mask round, write `not mask`; else convert it: `cast(…, f32)`"
                _refuse_bool(self.name, types, index, hint)

    def calculate(self, left: Array, right: Array) -> Array:
        return np.subtract(left, right)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        return [slope, lambda: -slope]


@OPS.register
@final
@dataclass(frozen=True)
class Mul(Arithmetic):
    """The product `a * b`, element by element (`@` is the matrix product).

    Shapes broadcast, dtypes promote as in PyTorch.

    Shapes: a `f32[...]`, b `f32[...]` -> their broadcast shape.
    Errors: W0375 where the shapes do not broadcast, W0382 where both are bool.
    Example:

        gate = features -> global_avg_pool -> dense(16) -> sigmoid
        y = features * gate[:, :, none, none]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.mul.html
    """

    name = "mul"
    operator = "*"
    zeroed_by = (0, 1)
    onnx_bfloat = True
    in_integers = "computes"
    aliases = ("multiply",)
    sign = "*"
    onnx_type = "Mul"

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return NOT_NEGATIVE if _is_never_negative(operands) else UNLIMITED

    def find_degree(self, degrees: Sequence[int], numbers: Sequence[float | None]) -> int | None:
        return sum(degrees)

    def calculate(self, left: Array, right: Array) -> Array:
        return np.multiply(left, right)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        a, b = inputs
        return [lambda: slope * b, lambda: slope * a]


@OPS.register
@final
@dataclass(frozen=True)
class Div(Arithmetic):
    """The quotient `a / b`, element by element; of whole numbers it is f32.

    Shapes broadcast, dtypes promote as in PyTorch. Division by zero gives inf or nan.

    Shapes: a `f32[...]`, b `f32[...]` -> their broadcast shape.
    Example: `y = x / 255`
    Errors: W0375 where the shapes do not broadcast, W0382 where both are bool.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.div.html
    """

    name = "div"
    operator = "/"
    zeroed_by = (0,)
    onnx_bfloat = True
    aliases = ("divide",)
    sign = "/"
    onnx_type = "Div"

    def find_degree(self, degrees: Sequence[int], numbers: Sequence[float | None]) -> int | None:
        return None if degrees[1] else degrees[0]

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return NOT_NEGATIVE if _is_never_negative(operands) else UNLIMITED

    def result_dtype(self, types: Sequence[TensorType]) -> DType:
        common = super().result_dtype(types)
        return common if common.is_float else DType.F32

    def evaluate(self, a: Array, b: Array) -> tuple[Array, ...]:
        if a.dtype.kind != "f" and b.dtype.kind != "f":
            a, b = a.astype(np.float32), b.astype(np.float32)
        return super().evaluate(a, b)

    def calculate(self, left: Array, right: Array) -> Array:
        return np.divide(left, right)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        _, b = inputs
        return [lambda: slope / b, lambda: -slope * result / b]

    def compute(self, *numbers: float) -> float:
        left, right = numbers
        return super().compute(float(left), float(right))


@OPS.register
@final
@dataclass(frozen=True)
class FloorDivide(Arithmetic):
    """The quotient `a // b`, rounded towards minus infinity.

        y = ⌊a / b⌋

    Shapes broadcast, dtypes promote as in PyTorch; whole numbers stay whole.

    Shapes: a `f32[...]`, b `f32[...]` -> their broadcast shape.
    Errors: W0375 where the shapes do not broadcast, W0382 where both are bool.
    Example: `row = tokens // 8`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.floor_divide.html
    """

    name = "floor_divide"
    operator = "//"
    sign = "//"
    onnx_type = "Div"

    def domains(self, a: NodeInput, b: NodeInput) -> Mapping[NodeInput, Domain]:
        return {} if self.result_dtype((a.type, b.type)).is_float else {b: Domain()}

    def calculate(self, left: Array, right: Array) -> Array:
        return np.floor_divide(left, right)

    @property
    def is_flat(self) -> bool:
        return True

    def onnx(self, build: OnnxBuilder, outputs: Results, a: OnnxInput, b: OnnxInput) -> Values:
        dtype = outputs[0].dtype
        left, right = cast_operands(build, (a, b), dtype)
        if dtype.is_integer:
            return [_write_whole_quotient(build, left, right, dtype)]
        return [_write_quotient(build, left, right, dtype)]


def _write_quotient(build: OnnxBuilder, left: Any, right: Any, dtype: DType) -> Any:
    """The quotient towards minus infinity, as NumPy and PyTorch compute it. The floor of a rounded
    quotient can be one too high: what is left after taking off the remainder is divided without
    rest."""
    zero, one = (build.constant(np.full((), n, dtype.numpy), dtype) for n in (0, 1))
    rest = build.op("Mod", [left, right], {"fmod": 1})
    whole = build.op("Round", [build.op("Div", [build.op("Sub", [left, rest]), right])])
    opposite = _write_opposite(build, rest, right, zero)
    floor = build.op("Where", [opposite, build.op("Sub", [whole, one]), whole])
    known = build.numbers(right)
    if known is not None and known.all():
        return floor
    infinite = build.op("Div", [left, right])  # or not a number
    return build.op("Where", [build.op("Equal", [right, zero]), infinite, floor])


def _write_opposite(build: OnnxBuilder, rest: Any, right: Any, zero: Any) -> Any:
    """Whether a remainder is not 0 and has another sign than the divisor."""
    return build.op("Less", [build.op("Mul", [rest, build.op("Sign", [right])]), zero])


def _write_whole_quotient(build: OnnxBuilder, left: Any, right: Any, dtype: DType) -> Any:
    """The quotient of whole numbers towards minus infinity. ONNX's Div cuts off towards zero, so
    that it is one too high where the signs differ and something is left over. (Taking that off
    the dividend first would leave the range of i8 at -128.)"""
    known = build.numbers(right)
    if known is not None and (known == -1).all():
        return build.op("Neg", [left])
    divisor = _write_divisor(build, right, dtype)
    quotient = build.op("Div", [left, divisor])
    if dtype is DType.U8:
        return quotient
    zero = build.constant(np.zeros((), dtype.numpy), dtype)
    rest = build.op("Sub", [left, build.op("Mul", [quotient, divisor])])
    signs = [build.op("Less", [value, zero]) for value in (left, divisor)]
    inexact = build.op("Not", [build.op("Equal", [rest, zero])])
    above = build.op("And", [inexact, build.op("Xor", signs)])
    floor = build.op("Sub", [quotient, build.op("Cast", [above], {"to": dtype})])
    if divisor is right:
        return floor
    return build.op("Where", [_write_minus(build, right, dtype), build.op("Neg", [left]), floor])


def _write_divisor(build: OnnxBuilder, right: Any, dtype: DType) -> Any:
    """A divisor of whole numbers with 1 in place of -1, where the least number of i32 or i64 would
    end the process (`quotient_of_the_least`)."""
    known = build.numbers(right)
    if dtype not in (DType.I32, DType.I64) or (known is not None and (known != -1).all()):
        return right
    one = build.constant(np.ones((), dtype.numpy), dtype)
    return build.op("Where", [_write_minus(build, right, dtype), one, right])


def _write_minus(build: OnnxBuilder, right: Any, dtype: DType) -> Any:
    """Where a divisor is -1."""
    return build.op("Equal", [right, build.constant(np.full((), -1, dtype.numpy), dtype)])


@OPS.register
@final
@dataclass(frozen=True)
class Remainder(Arithmetic):
    """The remainder `a % b`, with the sign of `b`: `a - (a // b) * b`.

    Shapes broadcast, dtypes promote as in PyTorch.

    Shapes: a `f32[...]`, b `f32[...]` -> their broadcast shape.
    Errors: W0375 where the shapes do not broadcast, W0382 where both are bool.
    Example: `angle = remainder(x + pi, 2 * pi) - pi`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.remainder.html
    """

    name = "remainder"
    operator = "%"
    sign = "%"
    onnx_type = "Mod"

    def domains(self, a: NodeInput, b: NodeInput) -> Mapping[NodeInput, Domain]:
        return {} if self.result_dtype((a.type, b.type)).is_float else {b: Domain()}

    def calculate(self, left: Array, right: Array) -> Array:
        return np.remainder(left, right)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        a, b = inputs
        return [slope, lambda: -slope * (a / b).apply("floor")]

    def onnx(self, build: OnnxBuilder, outputs: Results, a: OnnxInput, b: OnnxInput) -> Values:
        dtype = outputs[0].dtype
        left, right = cast_operands(build, (a, b), dtype)
        return [_write_remainder(build, left, right, dtype)]


def _write_remainder(build: OnnxBuilder, left: Any, right: Any, dtype: DType) -> Any:
    """The remainder with the sign of the divisor; ONNX has it for whole numbers only, and for
    fractions the one with the sign of the dividend."""
    if not dtype.is_float:
        return build.op("Mod", [left, _write_divisor(build, right, dtype)])
    rest = build.op("Mod", [left, right], {"fmod": 1})
    zero = build.constant(np.zeros((), dtype.numpy), dtype)
    opposite = _write_opposite(build, rest, right, zero)
    return build.op("Where", [opposite, build.op("Add", [rest, right]), rest])


@OPS.register
@final
@dataclass(frozen=True)
class Pow(Arithmetic):
    """The power `a ** b`, element by element.

    Shapes broadcast, dtypes promote as in PyTorch. Whole numbers need exponents of at least 0;
    a negative base with a fractional exponent gives nan.

    Shapes: a `f32[...]`, b `f32[...]` -> their broadcast shape.
    Example: `y = mean(x ** 2, axis=-1)`
    Errors: W0375 where the shapes do not broadcast, W0382 where both are bool.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.pow.html
    """

    name = "pow"
    operator = "**"
    keeps_f32 = True
    sign = "**"
    onnx_type = "Pow"

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        (least, _), (low, high) = operands
        even = low == high and low % 2 == 0
        return NOT_NEGATIVE if even or least >= 0 else UNLIMITED

    def domains(self, a: NodeInput, b: NodeInput) -> Mapping[NodeInput, Domain]:
        if self.result_dtype((a.type, b.type)).is_float:
            return {}
        return {b: Domain(Dim.of(2**EXPONENT_BITS))}  # a whole number has no whole negative power

    def find_degree(self, degrees: Sequence[int], numbers: Sequence[float | None]) -> int | None:
        exponent = numbers[1]
        if exponent is None or exponent < 0 or exponent % 1:
            return super().find_degree(degrees, numbers)
        return degrees[0] * int(exponent)

    def calculate(self, left: Array, right: Array) -> Array:
        return np.power(left, right)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        a, b = inputs
        return [
            lambda: slope * _differentiate_base(a, b),
            lambda: slope * _differentiate_exponent(a, b, result),
        ]

    def onnx(self, build: OnnxBuilder, outputs: Results, a: OnnxInput, b: OnnxInput) -> Values:
        dtype = outputs[0].dtype
        if dtype.is_integer:
            # ONNX's Mul is for these, and wraps around as the narrower ones do.
            wide = DType.I64 if dtype is DType.I64 else DType.I32
            base, exponent = cast_operands(build, (a, b), wide)
            return [cast(build, _write_whole_power(build, base, exponent, wide), wide, dtype)]
        return [build.op("Pow", cast_operands(build, (a, b), dtype))]


def _differentiate_base(a: Symbol, b: Symbol) -> Symbol:
    """`b * a ** (b - 1)`, and 0 where b is 0."""
    power = b.build.find_number(b)
    if power is None:
        return b.equals(0).choose(0, b * a ** (b - 1))
    return a * 2 if power == 2 else a.zeros() if power == 0 else power * a ** (power - 1)


def _differentiate_exponent(a: Symbol, b: Symbol, y: Symbol) -> Symbol:
    """`y * log(a)`, and 0 where a power of 0 stays 0."""
    kept = a.equals(0) & (b >= 0)
    return kept.choose(0, y * kept.choose(1, a).apply("log"))


def _write_whole_power(build: OnnxBuilder, base: Any, exponent: Any, dtype: DType) -> Any:
    """A power of whole numbers as products of squares, one for each bit of the exponent: ONNX
    Runtime's Pow computes in f64 (its fault `power_of_integers`)."""
    known = build.numbers(exponent)
    fixed = int(known) if known is not None and known.ndim == 0 else None
    one, two, zero = (build.constant(np.full((), n, dtype.numpy), dtype) for n in (1, 2, 0))
    power = None
    for bit in range(EXPONENT_BITS if fixed is None else fixed.bit_length()):
        if bit:
            base = _write_square(build, base, dtype)
        if fixed is not None and not fixed >> bit & 1:
            continue
        factor = base
        if fixed is None:
            place = build.constant(np.full((), 2**bit, dtype.numpy), dtype)
            odd = build.op("Mod", [build.op("Div", [exponent, place]), two])
            factor = build.op("Where", [build.op("Equal", [odd, one]), base, one])
        power = factor if power is None else build.op("Mul", [power, factor])
    if power is None:
        return build.op("Add", [build.op("Mul", [base, zero]), one])
    return power


def _write_square(build: OnnxBuilder, x: Any, dtype: DType) -> Any:
    """A square that wraps around; of a number that is known it is a number, for ONNX's inference
    of shapes multiplies numbers too, and refuses those that overflow."""
    known = build.numbers(x)
    return build.op("Mul", [x, x]) if known is None else build.constant(known * known, dtype)


@OPS.register
@final
@dataclass(frozen=True)
class Neg(Elementwise):
    """The negative `-x`, element by element.

        y = -x

    The shape and dtype stay. Truth values have no negative (`not x` turns them round).

    Shapes: x `f32[...]` -> the same.
    Errors: W0382 where x is bool.
    Example: `y = concat([-x[..., 32:], x[..., :32]], axis=-1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.neg.html
    """

    name = "neg"
    signs = (-1,)
    aliases = ("negative",)
    operands = (Operand("x"),)
    scalar = True

    def write_number(self, *operands: Hint) -> Hint | None:
        return HintUnary("-", *operands)

    def check(self, types: Sequence[TensorType]) -> None:
        need_number(self.name, types[0])

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.negative(x),)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        return [-slope]

    def torch(self, node: Node) -> Spelling:
        return Spelling(Prefix("-", In(0)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        dtype = x.dtype
        if dtype is DType.U8:  # Neg is for signed numbers
            return [build.op("Sub", [build.constant(np.zeros((), np.uint8)), x.value])]
        return [build.op("Neg", [x.value])]
