"""What random draws share: their numbers, and how they are written in PyTorch and in ONNX."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from compiler.ir.coupling import Coupling, CutTensor, cut_shape, result, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.hint import hint_atoms
from compiler.ir.inputs import NodeInput
from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import Array, Results
from compiler.ir.sizes import ROWS
from compiler.ops.broadcasting import cast
from compiler.ops.choosing import torch_dtype
from compiler.ops.creation import write_full
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import (
    Call,
    Device,
    In,
    Index,
    Leaf,
    Method,
    Name,
    SliceTerm,
    Spelling,
    Term,
)
from compiler.vocabulary.spelling import Sequence as Items

Shape = tuple[int | Dim, ...]
Named = tuple[tuple[str, Term], ...]
"""Arguments by keyword."""


@dataclass(frozen=True)
class Manner:
    """How draws are written: with which arguments besides (the generator that draws), and, where
    processes share a batch, what counts the rows of all of them: each draws for all, and takes its
    own rows. `device` is where, unless there are tensors at hand."""

    named: Named = ()
    rows: Term | None = None
    device: Term = Device()

    def is_shared(self, type: TensorType) -> bool:
        """Whether a tensor of that type has the rows of a batch that processes share."""
        return self.rows is not None and Dim.of(ROWS) in type.shape

    def spell_plain(self, node: Node, word: str, *, like: bool = False) -> Term:
        """`torch.randn` or `torch.rand`, in the shape of the operand where that is `like` it."""
        if like and self == PLAIN:
            return Call(f"torch.{word}_like", (In(0),))
        made = node.output.type
        return self.cut(self.spell_new(f"torch.{word}", made), made)

    def spell_into(
        self, node: Node, method: str, args: Sequence[Term], named: Named = (), *, like: bool
    ) -> Term:
        """`torch.empty(…).normal_(…)`: numbers drawn into a new tensor, in the shape of the operand
        where that is `like` it."""
        made = node.output.type
        empty = Call("torch.empty_like", (In(0),))
        if not like or self.is_shared(made):
            empty = self.spell_new("torch.empty", made, seeded=False)
        return self.cut(Method(empty, method, tuple(args), (*named, *self.named)), made)

    def spell_new(
        self, function: str, type: TensorType, *, seeded: bool = True, side: str = "out"
    ) -> Call:
        """A new tensor of a type, for the rows of all processes."""
        dtype = () if type.dtype is DType.F32 else (("dtype", torch_dtype(type.dtype)),)
        place = (*dtype, ("device", self.device))
        sizes = self.spell_sizes(type, side) or (Items(()),)
        return Call(function, sizes, (*self.named, *place) if seeded else place)

    def spell_sizes(self, type: TensorType, side: str = "out") -> tuple[Term, ...]:
        """The sizes of a tensor, the node's result (`out`) or operand (`in`), as arguments."""
        return tuple(
            self.rows
            if self.rows is not None and size == Dim.of(ROWS)
            else Leaf(size, f"dim{axis}", field=f"shape.{axis}", dim=(side, 0, axis))
            for axis, size in enumerate(type.shape)
        )

    def cut(self, drawn: Term, type: TensorType) -> Term:
        """The rows of the process of what was drawn for all rows."""
        if not self.is_shared(type):
            return drawn
        axis = type.shape.index(Dim.of(ROWS))
        own = SliceTerm(Name("RANK"), None, Name("WORLD"))
        return Index(drawn, (*[SliceTerm()] * axis, own))


PLAIN = Manner()


class Draw(Op):
    """Base of ops that draw random numbers each time they are applied.

    Their meaning takes its numbers from a generator that the caller holds: `draw`. Passes merge no
    two of them, compute none when compiling, and leave each in the loop where it stands.
    """

    random = True
    keeps_f32 = True

    @property
    def is_flat(self) -> bool:
        return True

    @abstractmethod
    def draw(
        self, generator: np.random.Generator, /, *inputs: Any, **_: Any
    ) -> tuple[Array, ...]: ...

    @abstractmethod
    def spell_draw(self, node: Node, manner: Manner) -> Term:
        """The call in PyTorch."""

    def evaluate(self, *inputs: Any) -> tuple[Array, ...]:
        return self.draw(np.random.default_rng(0), *inputs)

    def torch(self, node: Node) -> Spelling:
        return Spelling(self.spell_draw(node, PLAIN))


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


def write_random(
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
