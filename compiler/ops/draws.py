"""Random draws: numbers that are other ones at each application, from a distribution."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, final

import numpy as np

from compiler.ir.coupling import Coupling, CutTensor, cut_shape, result, tie_same
from compiler.ir.domain import Domain
from compiler.ir.graph import Node, Op
from compiler.ir.hint import hint_atoms
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import UNLIMITED, Array, Assume, Limits, Results
from compiler.ops.axes import need_float, need_rank
from compiler.ops.broadcasting import cast
from compiler.ops.choosing import torch_dtype
from compiler.ops.creation import check_sizes, size_terms, write_full
from compiler.ops.layers import need_held, need_rate, refuse_option
from compiler.ops.registry import OPS
from compiler.ops.shaping import Expand
from compiler.records import dataclass
from compiler.types.dims import Dim, at_most
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import (
    Call,
    Device,
    In,
    Leaf,
    Method,
    Spelling,
    Term,
)
from compiler.vocabulary.spelling import Sequence as Items

Shape = tuple[int | Dim, ...]
Named = tuple[tuple[str, Term], ...]
"""Arguments by keyword."""


class Draw(Op):
    """Base of ops that draw random numbers each time they are applied.

    Their meaning takes its numbers from a generator that the caller holds: `draw`. Passes merge no
    two of them, compute none when compiling, and leave each in the loop where it stands.
    """

    random = True
    keeps_f32 = True

    @abstractmethod
    def draw(
        self, generator: np.random.Generator, /, *inputs: Any, **_: Any
    ) -> tuple[Array, ...]: ...

    @abstractmethod
    def spell_draw(self, node: Node, sizes: Sequence[Term], named: Named) -> Term:
        """The call in PyTorch, of a tensor of these sizes; `named` are further arguments: the
        generator that draws."""

    def evaluate(self, *inputs: Any) -> tuple[Array, ...]:
        return self.draw(np.random.default_rng(0), *inputs)

    def torch(self, node: Node) -> Spelling:
        return Spelling(self.spell_draw(node, size_terms(node), ()))


class Shaped(Draw):
    """Base of draws whose options say their shape."""

    shape: Shape

    def couple(self, outputs: Results) -> Coupling:
        return Coupling(tuple((result(a),) for a in range(len(self.shape))))

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Self:
        return replace(self, shape=cut_shape(self.shape, outputs[0]))  # type: ignore[type-var]


class Like(Draw):
    """Base of draws in the shape of a tensor, and in its dtype."""

    reads_sizes = True
    operands = (Operand("x"),)
    variable = "noise"

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_same(x, outputs[0].rank))


def find_sizes(shape: Shape) -> list[int]:
    """The sizes once all are known."""
    return [Dim.of(size).evaluate({}) for size in shape]


def is_argument(node: Node, *fields: str) -> bool:
    """Whether a field follows an argument of the block that may have another value."""
    hints = (node.origin.hint.get(field) for field in fields)
    return any(hint is not None and any(hint_atoms(hint)) for hint in hints)


def _infer_floats(op: str, dtype: DType, shape: Shape) -> TensorType:
    """The type of new floating-point numbers."""
    if not dtype.is_float:
        refuse_option(op, "dtype", dtype.value, "a dtype of floating-point numbers")
    return TensorType(dtype, check_sizes(op, shape))


def _spell_empty(node: Node, sizes: Sequence[Term] | None) -> Term:
    """A tensor whose numbers are drawn into it: of the shape of the operand where no sizes are
    given."""
    if sizes is None:
        return Call("torch.empty_like", (In(0),))
    return Call("torch.empty", tuple(sizes) or (Items(()),), _spell_place(node))


def _spell_place(node: Node) -> Named:
    """Dtype and device of a new tensor of floating-point numbers."""
    dtype = node.output.type.dtype
    named = () if dtype is DType.F32 else (("dtype", torch_dtype(dtype)),)
    return (*named, ("device", Device()))


def _spell_plain(node: Node, word: str, sizes: Sequence[Term], named: Named, *, like: bool) -> Call:
    """`torch.randn` or `torch.rand`, in the shape of the operand where that is `like` it."""
    if like and not named:
        return Call(f"torch.{word}_like", (In(0),))
    shape = tuple(sizes) or (Items(()),)
    return Call(f"torch.{word}", shape, (*named, *_spell_place(node)))


def _write_random(
    build: OnnxBuilder, word: str, type: TensorType, attributes: Mapping[str, object]
) -> Any:
    """`RandomNormal` or `RandomUniform` of a shape that may be known only when the graph runs.

    Uniform numbers are drawn in f64: ONNX Runtime seeds its operators with successive numbers, and
    the first numbers in f32 of such generators are nearly the same (runtime_faults:
    first_numbers_alike).
    """
    double = word == "Uniform" or type.dtype is DType.F64
    kind = DType.F64 if double else DType.F32
    named = {"dtype": kind, **attributes}
    known = type.known_shape
    if known is not None:
        drawn = build.op(f"Random{word}", [], {"shape": list(known) or [1], **named})
        drawn = drawn if known else build.op("Squeeze", [drawn])
    else:
        template = write_full(build, 0, TensorType(kind, type.shape))
        drawn = build.op(f"Random{word}Like", [template], named)
    return cast(build, drawn, kind, type.dtype)


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

    def spell_draw(self, node: Node, sizes: Sequence[Term], named: Named) -> Term:
        if self.mean == 0 and self.std == 1 and not is_argument(node, "mean", "std"):
            return _spell_plain(node, "randn", sizes, named, like=self.like)
        empty = _spell_empty(node, None if self.like else sizes)
        return Method(empty, "normal_", (), (self.named("mean"), self.named("std"), *named))

    def write(self, build: OnnxBuilder, type: TensorType) -> Any:
        if self.std == 0:  # which ONNX Runtime does not take
            return write_full(build, self.mean, type)
        return _write_random(build, "Normal", type, {"mean": self.mean, "scale": self.std})


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
        if not (self.low < self.high and np.isfinite(self.high - self.low)):
            refuse_option(self.name, "high", self.high, f"a number above low, {self.low}")

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return float(self.low), float(self.high)

    def make(self, generator: np.random.Generator, shape: Sequence[int], kind: Any) -> Array:
        precision = np.float64 if kind == np.float64 else np.float32
        drawn: Array = np.asarray(generator.random(shape, precision))
        return np.asarray(drawn * (self.high - self.low) + self.low).astype(kind)

    def spell_draw(self, node: Node, sizes: Sequence[Term], named: Named) -> Term:
        if self.low == 0 and self.high == 1 and not is_argument(node, "low", "high"):
            return _spell_plain(node, "rand", sizes, named, like=self.like)
        empty = _spell_empty(node, None if self.like else sizes)
        given = (self.leaf("low"), self.leaf("high"))
        return Method(empty, "uniform_", given, named)

    def write(self, build: OnnxBuilder, type: TensorType) -> Any:
        return _write_random(build, "Uniform", type, {"low": self.low, "high": self.high})


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

    def spell_draw(self, node: Node, sizes: Sequence[Term], named: Named) -> Term:
        dtype = node.output.type.dtype
        if self.shape is not None:
            return Method(_spell_empty(node, sizes), "bernoulli_", (In(0, number=True),), named)
        drawn = Call("torch.bernoulli", (In(0),), named)
        return drawn if self.dtype is None else Method(drawn, "to", (torch_dtype(dtype),))

    def onnx(self, build: OnnxBuilder, outputs: Results, p: OnnxInput) -> Values:
        kind = DType.F64 if p.type.dtype is DType.F64 else DType.F32
        drawn = _write_random(build, "Uniform", TensorType(kind, outputs[0].shape), {})
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

    def spell_draw(self, node: Node, sizes: Sequence[Term], named: Named) -> Term:
        return Method(_spell_empty(node, None), "bernoulli_", (self.leaf("p"),), named)

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        drawn = _write_random(build, "Uniform", TensorType(DType.F32, outputs[0].shape), {})
        below = build.op("Less", [drawn, build.constant(np.array(self.p, np.float32))])
        return [cast(build, below, DType.BOOL, outputs[0].dtype)]


# --- whole numbers --------------------------------------------------------------------------------


@OPS.register
@final
@dataclass(frozen=True)
class Randint(Shaped):
    """Random whole numbers from `low` up to and without `high`, each as likely as any other, other
    ones each time: `randint(0, 1000, [batch])`.

    Shapes: -> `i64[shape…]`.

    - `low`, `high`: the least number, and the first that is too large.
    - `shape`: its sizes.

    Example: `places = randint(0, 64, [n, 3])`, `y = x -> gather(places, axis=1)`
    Errors: W0353 where `high` is not above `low`, W0392 where a size is below 1.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.randint.html
    """

    name = "randint"
    variable = "drawn"

    low: int
    high: int | Dim
    shape: Shape

    def infer(self, assume: Assume) -> tuple[TensorType, ...]:
        some = at_most(Dim.of(self.low) + 1, Dim.of(self.high))
        if some is False:
            refuse_option(self.name, "high", self.high, f"a number above low, {self.low}")
        if some is None:
            assume(Dim.of(self.low) + 1, "<=", Dim.of(self.high))
        for option in ("low", "high"):
            need_held(self.name, option, getattr(self, option), DType.I64)
        return (TensorType(DType.I64, check_sizes(self.name, self.shape)),)

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        high = Dim.of(self.high).known
        return UNLIMITED if high is None else (float(self.low), float(high - 1))

    def draw(self, generator: np.random.Generator) -> tuple[Array, ...]:
        high = Dim.of(self.high).evaluate({})
        return (generator.integers(self.low, high, find_sizes(self.shape), np.int64),)

    def spell_draw(self, node: Node, sizes: Sequence[Term], named: Named) -> Term:
        place = (*named, ("device", Device()))
        return Call(
            "torch.randint", (self.leaf("low"), self.leaf("high"), Items(tuple(sizes))), place
        )

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        count = Dim.of(self.high) - self.low
        drawn = _write_random(build, "Uniform", TensorType(DType.F64, outputs[0].shape), {})
        if count.known is not None:
            many = build.constant(np.array(count.known, np.float64))
        else:
            size = build.op("Squeeze", [build.shape([count])])
            many = cast(build, size, DType.I64, DType.F64)
        places = build.op("Floor", [build.op("Mul", [drawn, many])])
        whole = cast(build, places, DType.F64, DType.I64)
        if self.low == 0:
            return [whole]
        return [build.op("Add", [whole, build.constant(np.array(self.low, np.int64))])]


@OPS.register
@final
@dataclass(frozen=True)
class Permutation(Draw):
    """The numbers from 0 to n - 1 in a random order, another one each time: `permutation(batch)`.

    Shapes: -> `i64[n]`.

    - `n`: how many.

    Example: `other = x[permutation(n)]`, `y = 0.7 * x + 0.3 * other`
    Errors: W0392 where `n` is below 1.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.randperm.html
    """

    name = "permutation"
    variable = "order"

    n: int | Dim

    def infer(self, assume: Assume) -> tuple[TensorType, ...]:
        return (TensorType(DType.I64, check_sizes(self.name, (self.n,), option="n")),)

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        size = Dim.of(self.n).known
        return UNLIMITED if size is None else (0.0, float(size - 1))

    def draw(self, generator: np.random.Generator) -> tuple[Array, ...]:
        return (generator.permutation(Dim.of(self.n).evaluate({})).astype(np.int64),)

    def spell_draw(self, node: Node, sizes: Sequence[Term], named: Named) -> Term:
        return Call("torch.randperm", tuple(sizes), (*named, ("device", Device())))

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        drawn = _write_random(build, "Uniform", TensorType(DType.F32, outputs[0].shape), {})
        size = build.shape(outputs[0].shape)
        return [build.op("TopK", [drawn, size], {"axis": 0}, outputs=2)[1]]


@OPS.register
@final
@dataclass(frozen=True)
class Categorical(Draw):
    """Random classes, other ones each time: one along the last axis for each row of scores, class
    k with the probability that `softmax` gives it. Scores that are divided by a temperature below
    1 make likely classes likelier; those of minus infinity are never drawn.

        P(k) = exp(logits[k]) / Σ exp(logits[j])

    Shapes: logits `f32[..., classes]` -> `i64[...]`.

    Example: `token = categorical(logits / 0.7)`
    Errors: W0350 for a number.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.multinomial.html
    """

    name = "categorical"
    variable = "drawn"
    operands = (Operand("logits"),)

    def infer(self, assume: Assume, logits: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, logits)
        need_rank(self.name, logits, 1)
        return (TensorType(DType.I64, logits.shape[:-1]),)

    def draw(self, generator: np.random.Generator, logits: Array) -> tuple[Array, ...]:
        # the largest of scores with Gumbel noise (Gumbel 1954; Maddison et al. 2014)
        noise = generator.gumbel(size=logits.shape)
        return (np.asarray(np.argmax(logits + noise, axis=-1)).astype(np.int64),)

    def couple(self, outputs: Results, logits: NodeInput) -> Coupling:
        return Coupling(tie_same(logits, outputs[0].rank))

    def spell_draw(self, node: Node, sizes: Sequence[Term], named: Named) -> Term:
        logits = node.inputs[0]
        assert logits is not None, "it is no optional operand"
        shares: Term = Method(In(0), "softmax", (Leaf(-1),))
        if logits.type.rank > 2:
            shares = Method(shares, "flatten", (Leaf(0), Leaf(-2)))
        drawn = Call("torch.multinomial", (shares, Leaf(1)), named)
        if logits.type.rank <= 2:
            return Method(drawn, "squeeze", (Leaf(-1),))
        return Method(drawn, "view", tuple(sizes))

    def onnx(self, build: OnnxBuilder, outputs: Results, logits: OnnxInput) -> Values:
        shape, classes = logits.type.shape, logits.type.shape[-1]
        rows = Dim.of(1)
        for size in shape[:-1]:
            rows = rows * size
        scores = cast(build, logits.value, logits.type.dtype, DType.F32)
        scores = build.reshape(scores, shape, (rows, classes))
        named = {"sample_size": 1, "dtype": DType.I64}
        drawn = build.op("Multinomial", [scores], named)
        return [build.reshape(drawn, (rows, Dim.of(1)), outputs[0].shape)]
