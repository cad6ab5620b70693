"""Random draws: numbers that are other ones at each application, from a distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.domain import Domain
from compiler.ir.graph import Node
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Limits, Results
from compiler.ops.axes import need_float
from compiler.ops.broadcasting import cast
from compiler.ops.choosing import spell_cast
from compiler.ops.creation import check_sizes, write_full
from compiler.ops.drawing import (
    Draw,
    Like,
    Manner,
    Shape,
    Shaped,
    find_sizes,
    is_argument,
    write_random,
)
from compiler.ops.layers import need_rate, refuse_option
from compiler.ops.registry import OPS
from compiler.ops.shaping import Expand
from compiler.records import dataclass
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Infix, Term


def _infer_floats(op: str, dtype: DType, shape: Shape) -> TensorType:
    """The type of new floating-point numbers."""
    if not dtype.is_float:
        refuse_option(op, "dtype", dtype.value, "a dtype of floating-point numbers")
    return TensorType(dtype, check_sizes(op, shape))


# --- normal ---------------------------------------------------------------------------------------


class _Normal(Draw):
    """What normal draws share: `mean` and `std`."""

    variable = "noise"
    like: ClassVar[bool] = False
    mean: float
    std: float

    def check(self) -> None:
        if not (self.std >= 0 and np.isfinite(self.std)):
            refuse_option(self.name, "std", self.std, "a number that is not below 0")
        if not np.isfinite(self.mean):
            refuse_option(self.name, "mean", self.mean, "a finite number")

    def make(self, generator: np.random.Generator, shape: Sequence[int], kind: Any) -> Array:
        precision = np.float64 if kind == np.float64 else np.float32
        drawn: Array = np.asarray(generator.standard_normal(shape, precision))
        return np.asarray(drawn * self.std + self.mean).astype(kind)

    def spell_draw(self, node: Node, manner: Manner) -> Term:
        if self.mean == 0 and self.std == 1 and not is_argument(node, "mean", "std"):
            return manner.spell_plain(node, "randn", like=self.like)
        given = (self.named("mean"), self.named("std"))
        return manner.spell_into(node, "normal_", (), given, like=self.like)

    def write(self, build: OnnxBuilder, type: TensorType) -> Any:
        if self.std == 0:  # which ONNX Runtime does not take
            return write_full(build, self.mean, type)
        return write_random(build, "Normal", type, {"mean": self.mean, "scale": self.std})


@OPS.register
@final
@dataclass(frozen=True)
class Normal(_Normal, Shaped):
    """Random numbers from a normal distribution, other ones each time: `normal([batch, 128])`.

        y = mean + std * z

    z are draws with mean 0 and variance 1, one for each entry. Behind `param p: … =` the word is
    the initializer, which draws once.

    Shapes: -> `f32[shape…]`.

    - `shape`: its sizes.
    - `mean`, `std`: mean and standard deviation.
    - `dtype`: of the numbers.

    Example: `y = x + normal([n, 64], std=0.1)`
    Errors: W0353 where `std` is below 0, W0392 where a size is below 1.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.randn.html
    """

    name = "normal"

    shape: Shape
    mean: float = 0.0
    std: float = 1.0
    dtype: DType = DType.F32

    def infer(self, assume: Assume) -> tuple[TensorType, ...]:
        self.check()
        return (_infer_floats(self.name, self.dtype, self.shape),)

    def draw(self, generator: np.random.Generator) -> tuple[Array, ...]:
        return (self.make(generator, find_sizes(self.shape), self.dtype.numpy),)

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        return [self.write(build, outputs[0])]


@OPS.register
@final
@dataclass(frozen=True)
class NormalLike(_Normal, Like):
    """Random numbers from a normal distribution in the shape and dtype of x, other ones each time.

        y = mean + std * z

    z are draws with mean 0 and variance 1, one for each entry.

    Shapes: x `f32[...]` -> the same.

    - `mean`, `std`: mean and standard deviation.

    Example: `noisy = x + 0.1 * normal_like(x)`
    Errors: W0353 where `std` is below 0.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.randn_like.html
    """

    name = "normal_like"
    like = True
    mean: float = 0.0
    std: float = 1.0

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        self.check()
        return (x,)

    def draw(self, generator: np.random.Generator, x: Array) -> tuple[Array, ...]:
        return (self.make(generator, x.shape, x.dtype),)

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [self.write(build, outputs[0])]


# --- uniform --------------------------------------------------------------------------------------


class _Uniform(Draw):
    """What uniform draws share: `low` and `high`."""

    variable = "noise"
    like: ClassVar[bool] = False
    low: float
    high: float

    def check(self) -> None:
        if not (self.low <= self.high and np.isfinite(self.high - self.low)):
            refuse_option(self.name, "high", self.high, f"a number from low on, {self.low}")

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return float(self.low), float(self.high)

    def make(self, generator: np.random.Generator, shape: Sequence[int], kind: Any) -> Array:
        precision = np.float64 if kind == np.float64 else np.float32
        drawn: Array = np.asarray(generator.random(shape, precision))
        return np.asarray(drawn * (self.high - self.low) + self.low).astype(kind)

    def spell_draw(self, node: Node, manner: Manner) -> Term:
        if self.low == 0 and self.high == 1 and not is_argument(node, "low", "high"):
            return manner.spell_plain(node, "rand", like=self.like)
        given = (self.leaf("low"), self.leaf("high"))
        return manner.spell_into(node, "uniform_", given, like=self.like)

    def write(self, build: OnnxBuilder, type: TensorType) -> Any:
        return write_random(build, "Uniform", type, {"low": self.low, "high": self.high})


@OPS.register
@final
@dataclass(frozen=True)
class Uniform(_Uniform, Shaped):
    """Random numbers between two bounds, each as likely as any other, other ones each time:
    `uniform([batch, 1], low=-1, high=1)`.

        y = low + (high - low) * u

    u are draws between 0 and 1, one for each entry. Behind `param p: … =` the word is the
    initializer, which draws once.

    Shapes: -> `f32[shape…]`.

    - `shape`: its sizes.
    - `low`, `high`: the bounds.
    - `dtype`: of the numbers.

    Example: `share = uniform([n, 1])`, `y = share * a + (1 - share) * b`
    Errors: W0353 where `high` is not above `low`, W0392 where a size is below 1.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.rand.html
    """

    name = "uniform"

    shape: Shape
    low: float = 0.0
    high: float = 1.0
    dtype: DType = DType.F32

    def infer(self, assume: Assume) -> tuple[TensorType, ...]:
        self.check()
        return (_infer_floats(self.name, self.dtype, self.shape),)

    def draw(self, generator: np.random.Generator) -> tuple[Array, ...]:
        return (self.make(generator, find_sizes(self.shape), self.dtype.numpy),)

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        return [self.write(build, outputs[0])]


@OPS.register
@final
@dataclass(frozen=True)
class UniformLike(_Uniform, Like):
    """Random numbers between two bounds, each as likely as any other, in the shape and dtype of x,
    other ones each time.

        y = low + (high - low) * u

    u are draws between 0 and 1, one for each entry.

    Shapes: x `f32[...]` -> the same.

    - `low`, `high`: the bounds.

    Example: `y = x * uniform_like(x, low=0.9, high=1.1)`
    Errors: W0353 where `high` is not above `low`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.rand_like.html
    """

    name = "uniform_like"
    like = True
    low: float = 0.0
    high: float = 1.0

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        self.check()
        return (x,)

    def draw(self, generator: np.random.Generator, x: Array) -> tuple[Array, ...]:
        return (self.make(generator, x.shape, x.dtype),)

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [self.write(build, outputs[0])]


# --- zeros and ones -------------------------------------------------------------------------------


@OPS.register
@final
@dataclass(frozen=True)
class Bernoulli(Draw):
    """Random zeros and ones, other ones each time: 1 with probability p.

        y = 1 where u < p, else 0

    u are draws between 0 and 1, one for each entry. p is a tensor of probabilities, or one number
    with a shape: `bernoulli(0.3, [batch, 1])`.

    Shapes: p `f32[...]` -> the same, or `f32[shape…]`, to which p is broadcast.

    - `shape`: sizes of the result; those of p unless given.
    - `dtype`: `bool` makes true and false; that of p unless given.

    Example: `kept = bernoulli(0.9, [n, 64])`, `y = kept * x`
    Errors: W0390 where p cannot be broadcast to `shape`, W0392 where a size is below 1.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.bernoulli.html
    """

    name = "bernoulli"
    variable = "kept"
    limits = (0.0, 1.0)
    operands = (Operand("p", number=True),)

    shape: Shape | None = None
    dtype: DType | None = None

    def infer(self, assume: Assume, p: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, p)
        sizes = p.shape
        if self.shape is not None:
            sizes = check_sizes(self.name, self.shape)
            Expand(self.shape).infer(assume, p)
        return (TensorType(self.dtype or p.dtype, sizes),)

    def domains(self, p: NodeInput) -> Mapping[NodeInput, Domain]:
        return {p: Domain(most=1.0)}

    def draw(self, generator: np.random.Generator, p: Array) -> tuple[Array, ...]:
        shape = p.shape if self.shape is None else find_sizes(self.shape)
        drawn: Array = np.asarray(generator.random(shape)) < p
        return (np.asarray(drawn).astype(self.dtype.numpy if self.dtype else p.dtype),)

    def couple(self, outputs: Results, p: NodeInput) -> Coupling:
        return Coupling(tie_same(p, outputs[0].rank)) if self.shape is None else Coupling()

    def spell_draw(self, node: Node, manner: Manner) -> Term:
        p, made = node.types[0], node.output.type
        assert p is not None, "it is no optional operand"
        if manner.is_shared(p):
            numbers = TensorType(p.dtype, made.shape)
            drawn = manner.cut(manner.spell_new("torch.rand", numbers), numbers)
            return spell_cast(Infix("<", drawn, In(0)), made.dtype)
        if self.shape is not None:
            return manner.spell_into(node, "bernoulli_", (In(0, number=True),), like=False)
        drawn = Call("torch.bernoulli", (In(0),), manner.named)
        return drawn if self.dtype is None else spell_cast(drawn, made.dtype)

    def onnx(self, build: OnnxBuilder, outputs: Results, p: OnnxInput) -> Values:
        kind = DType.F64 if p.type.dtype is DType.F64 else DType.F32
        drawn = write_random(build, "Uniform", TensorType(kind, outputs[0].shape), {})
        below = build.op("Less", [drawn, cast(build, p.value, p.type.dtype, kind)])
        return [cast(build, below, DType.BOOL, outputs[0].dtype)]


@OPS.register
@final
@dataclass(frozen=True)
class BernoulliLike(Like):
    """Random zeros and ones in the shape and dtype of x, other ones each time: 1 with
    probability p.

        y = 1 where u < p, else 0

    u are draws between 0 and 1, one for each entry.

    Shapes: x `f32[...]` -> the same.

    - `p`: the probability, from 0 to 1.

    Example: `y = x * bernoulli_like(x, 90%)`
    Errors: W0353 where `p` is no probability.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.bernoulli_.html
    """

    name = "bernoulli_like"
    variable = "kept"
    limits = (0.0, 1.0)
    p: float = 0.5

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_rate(self.name, "p", self.p)
        return (x,)

    def draw(self, generator: np.random.Generator, x: Array) -> tuple[Array, ...]:
        return (np.asarray(generator.random(x.shape) < self.p).astype(x.dtype),)

    def spell_draw(self, node: Node, manner: Manner) -> Term:
        return manner.spell_into(node, "bernoulli_", (self.leaf("p"),), like=True)

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        drawn = write_random(build, "Uniform", TensorType(DType.F32, outputs[0].shape), {})
        below = build.op("Less", [drawn, build.constant(np.array(self.p, np.float32))])
        return [cast(build, below, DType.BOOL, outputs[0].dtype)]
