"""Random whole numbers: from a range, orders, and classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import UNLIMITED, Array, Assume, Limits, Results
from compiler.ops.axes import need_float, need_rank
from compiler.ops.broadcasting import cast
from compiler.ops.creation import check_sizes
from compiler.ops.drawing import Draw, Manner, Shape, Shaped, find_sizes, write_random
from compiler.ops.layers import need_held, refuse_option
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.dims import Dim, at_most
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, Device, In, Infix, Leaf, Method, Term
from compiler.vocabulary.spelling import Sequence as Items


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

    def spell_draw(self, node: Node, manner: Manner) -> Term:
        made = node.output.type
        bounds = (self.leaf("low"), self.leaf("high"), Items(manner.spell_sizes(made)))
        drawn = Call("torch.randint", bounds, (*manner.named, ("device", Device())))
        return manner.cut(drawn, made)

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        count = Dim.of(self.high) - self.low
        drawn = write_random(build, "Uniform", TensorType(DType.F64, outputs[0].shape), {})
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

    def spell_draw(self, node: Node, manner: Manner) -> Term:
        sizes = manner.spell_sizes(node.output.type)
        return Call("torch.randperm", sizes, (*manner.named, ("device", Device())))

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        drawn = write_random(build, "Uniform", TensorType(DType.F32, outputs[0].shape), {})
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
    aliases = ("sample_categorical",)
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

    def spell_draw(self, node: Node, manner: Manner) -> Term:
        logits = node.types[0]
        assert logits is not None, "it is no optional operand"
        shares: Term = Method(In(0), "softmax", (Leaf(-1),))
        if manner.is_shared(logits):  # the least of waiting times, each with its share as its rate
            empty = manner.spell_new("torch.empty", logits, seeded=False, side="in")
            times = Method(empty, "exponential_", (), manner.named)
            return Method(Infix("/", shares, manner.cut(times, logits)), "argmax", (Leaf(-1),))
        if logits.rank > 2:
            shares = Method(shares, "flatten", (Leaf(0), Leaf(-2)))
        drawn = Call("torch.multinomial", (shares, Leaf(1)), manner.named)
        if logits.rank <= 2:
            return Method(drawn, "squeeze", (Leaf(-1),))
        return Method(drawn, "view", manner.spell_sizes(node.output.type))

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
