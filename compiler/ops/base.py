"""What a primitive op is: one class with its types, its meaning, its cost and its spellings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from math import inf
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from compiler.ir.domain import Domain
from compiler.ir.graph import Graph, Node
from compiler.ir.target_range import TargetRange
from compiler.ops.coupling import Coupling, CutTensor, tie_broadcast
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers import Initializer
from compiler.vocabulary.signature import Described, Direction, Registry
from compiler.vocabulary.spelling import Spelling

Array = NDArray[Any]
Types = Sequence[TensorType | None]
"""Types of a node's inputs: operands (None where an optional one is left out), then weights."""


@dataclass(frozen=True)
class Weight:
    """A weight that an application of an op makes; its path is `<slot>.<name>`."""

    name: str
    type: TensorType
    initializer: Initializer
    trainable: bool = True


class Assume(Protocol):
    """Records a promise that a type rule could not decide; raises `Fault` itself where it is
    certainly broken is the rule's business, not this one's."""

    def __call__(self, left: Dim, relation: str, right: Dim) -> None:
        """`relation` is "==" or "<="."""


class OnnxValue(Protocol):
    """A tensor of the ONNX graph under construction; opaque to ops."""


class OnnxBuilder(Protocol):
    """What an op needs to write itself as ONNX nodes."""

    @property
    def opset(self) -> int:
        """Version of the default operator set."""

    def op(
        self,
        op_type: str,
        inputs: Sequence[Any],
        attributes: Mapping[str, object] | None = None,
        *,
        outputs: int = 1,
        domain: str = "",
    ) -> Any:
        """Adds a node; one value, or a tuple of them for `outputs` > 1. None inputs are left
        out. Attribute values are ints, floats, strings, lists of them, arrays or `DType`s."""

    def constant(self, array: Array, dtype: DType | None = None, like: Any = None) -> Any:
        """An initializer with these numbers; equal ones are shared. `dtype` says what NumPy's
        cannot: bf16, whose numbers are float32 here. It is named after the weight `like`, whose
        numbers it holds in another form."""

    def packed(self, codes: Array, bits: int, like: Any) -> Any:
        """An initializer of i8 or u8 codes that takes `bits`, 4 or 8, for each in the file. Where
        the opset has no integers of 4 bits, it takes 8. It is named after the weight `like`."""

    def dtype_of(self, value: Any) -> DType | None:
        """The element type of a value, where it is known."""

    def numbers(self, value: Any) -> Array | None:
        """The numbers of a weight or constant; None where the value is computed."""

    def accumulate(self, op_type: str, value: Any, start: Any, type: TensorType) -> tuple[Any, Any]:
        """An operator of two tensors applied to `start` and the entries of the first axis of
        `value`, each of this type, one after the other: the last result, and all of them along a
        first axis."""

    def shape(self, dims: Sequence[Dim]) -> Any:
        """A 1-D i64 tensor of sizes: constant where all are known, computed from the graph's
        inputs where they are symbolic. One symbolic entry that can be inferred becomes -1 only
        through `reshape`."""

    def reshape(self, value: Any, source: Sequence[Dim], target: Sequence[Dim]) -> Any:
        """`value` (of shape `source`) reshaped to `target`, with 0 and -1 in the constant shape
        where that says it; nothing is added where the shapes are equal."""


@runtime_checkable
class Substitutable(Protocol):
    """A part of a field that holds dims: one index of a subscript, the body of a loop."""

    def substitute(self, sizes: Mapping[str, int | Dim]) -> object:
        """The same with symbols replaced."""


Limits = tuple[float, float]
"""The least and the greatest that an entry can be."""
UNLIMITED: Limits = (-inf, inf)
NOT_NEGATIVE: Limits = (0.0, inf)


def describe_limits(limits: Limits) -> str:
    """`0 or above`, as messages have it."""
    low, high = limits
    return f"{low:g} or above" if high == inf else f"from {low:g} to {high:g}"


class Op(Described):
    """A primitive operation. Subclasses are `@final @dataclass(frozen=True)`, live in
    `compiler/ops/<family>.py` and register with `@OPS.register`."""

    scalar: ClassVar[bool] = False
    """Whether it also acts on compile-time numbers (`sqrt(64)`), through `evaluate`."""
    random: ClassVar[bool] = False
    """Whether two applications to the same inputs may differ."""
    noisy: ClassVar[bool] = False
    """Whether it draws random numbers while training, and not in evaluation."""
    over_batch: ClassVar[bool] = False
    """Whether it takes statistics of each channel over a batch while training."""
    centers: ClassVar[bool] = False
    """Whether it looks at how far entries lie from their mean, so that it magnifies what rounding
    does to large numbers that vary little."""
    fills: ClassVar[bool] = False
    """Whether it makes a tensor whose entries are all one number: no work worth sharing."""
    multiple: ClassVar[bool] = False
    """Whether it returns a tuple of tensors however many there are (`split`, `unbind`)."""
    foldable: ClassVar[bool] = True
    """Whether its result may stand for it where its inputs are known; not where it says how a
    weight is stored."""
    moves: ClassVar[bool] = False
    """Whether every entry of its results is an entry of an operand, in another place."""
    matches: ClassVar[bool] = False
    """Whether it only asks which entries are equal, so that they may be names of categories."""
    finds_nan: ClassVar[bool] = False
    """Whether it tells NaN from numbers, so that a network is meant to be given some."""
    subtracts_first: ClassVar[bool] = False
    """Whether it takes whole numbers as they are, and rounds to f32 only what is left of them."""
    masked_by: ClassVar[tuple[int, ...]] = ()
    """Operands in which minus infinity closes an entry."""
    sizing: ClassVar[frozenset[str]] = frozenset()
    """Fields that hold words or fractions which the sizes of its results follow."""
    broadcasts: ClassVar[bool] = False
    """Whether it acts element by element on operands that are broadcast to one shape."""

    better: ClassVar[Direction | None] = None
    """Which value is better, of a loss; None of everything else."""
    weight_limits: ClassVar[Mapping[str, Limits]] = {}
    """What entries of its weights lie between, by name, where they are not any numbers."""
    limits: ClassVar[Limits] = UNLIMITED
    """What every entry of its results lies between, whatever its operands hold."""

    @property
    def adds_up(self) -> bool:
        """Whether the entries of its result are sums of entries that it reads, so that those of
        several batches are added up."""
        return False

    def follow_size(self, axis: int, size: Dim, options: Mapping[str, Dim]) -> Dim | None:
        """The size of an axis of the result, for a size of the same axis of the first operand and
        options that are symbols: by their fields, `kernel.0` where that is a list. None where no
        formula says it."""
        return None

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        """The weights an application to operands of these types makes, in the order in which
        they follow the operands in `Node.inputs`.

        Raises:
            Fault: the operands have types that no weight fits.
        """
        return ()

    @abstractmethod
    def infer(self, inputs: Types, assume: Assume) -> tuple[TensorType, ...]:
        """Types of the outputs.

        Raises:
            Fault: the inputs do not fit.
        """

    @abstractmethod
    def evaluate(self, *inputs: Array | None) -> tuple[Array, ...]:
        """The meaning, in NumPy, in evaluation mode. Symbolic dims in fields are numbers here
        (`substitute`)."""

    def magnitudes(
        self, operands: Sequence[Array | None], results: Sequence[Array]
    ) -> Sequence[Array | float]:
        """For each result, and broadcast to it, the size of the numbers that it is computed
        through: a backend that computes it right may be off by some rounding steps of these.
        They are the results' own unless an op goes through larger numbers to smaller ones: a
        sum whose terms cancel, a sigmoid near 0 made of terms near 1."""
        return [np.abs(array) for array in results]

    @property
    def bodies(self) -> tuple[Graph, ...]:
        """The graphs that it runs."""
        return ()

    def turns(self, inputs: Types) -> Dim:
        """How often it runs them, as far as that is known beforehand."""
        return Dim.of(1)

    def target_range(self, inputs: Types) -> TargetRange | None:
        """What the target of a loss, its second operand, may hold beyond its type and `domains`;
        None where that is anything."""
        return None

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        """What every entry of its results lies between, by the limits of its operands."""
        if self.moves and operands:
            return min(low for low, _ in operands), max(high for _, high in operands)
        return self.limits

    def domains(self, inputs: Types) -> Mapping[int, Domain]:
        """What operands may hold that take more than their type says, by position: places of a
        table, divisors."""
        return {}

    def compute(self, *numbers: float) -> float:
        """The meaning on compile-time numbers, for ops with `scalar`: ints stay ints where the
        result is whole by nature, bools come from comparisons."""
        (result,) = self.evaluate(*(np.asarray(n) for n in numbers))
        return result.item()  # type: ignore[no-any-return]

    def over_rows(self, operands: Types, rows: Dim) -> Op | None:
        """The op that does to `rows` stacked rows what this one does to a row of these types.

        Every operand gets a new leading axis of size `rows`; so axes counted from the front
        move by one, axes counted from the end stay. None: it cannot be applied to every row at
        once, or its meaning per row would change.

        Ranks are aligned beforehand by the caller. Where `broadcasts` is set, operands that
        have rows need the rank of the longest operand: `[rows, 3]` beside `[rows, 8, 3]` is
        reshaped to `[rows, 1, 3]` (`row_ranks` says which rank each needs). Operands of such
        an op that are the same for all rows (constants) are left as they are; any other op
        needs them expanded to `[rows, ...]` first.
        """
        return self if self.broadcasts else None

    def row_ranks(self, operands: Types) -> tuple[int, ...]:
        """The rank, without the axis of rows, that each operand needs under `over_rows`; axes
        of size 1 are put right behind the rows."""
        ranks = [t.rank if t is not None else 0 for t in operands]
        return (max(ranks, default=0),) * len(ranks) if self.broadcasts else tuple(ranks)

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        """Multiply-accumulate operations of one application (0 for memory movement)."""
        return Dim.of(0)

    def scratch(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        """Entries of the tensor that it makes on the way, where that may be far larger than its
        operands and results are: the scores of attention."""
        return Dim.of(0)

    def couple(self, inputs: Types, outputs: Sequence[TensorType]) -> Coupling:
        """Which entries of the tensors' axes are the same channel, for structured pruning. An
        axis that is not named cannot be cut."""
        return Coupling(tie_broadcast(inputs, outputs[0])) if self.broadcasts else Coupling()

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        """The op once only some entries of its tensors are left, as `couple` allows."""
        return self

    @abstractmethod
    def torch(self, node: Node) -> Spelling:
        """The PyTorch spelling of a node of this op."""

    @abstractmethod
    def onnx(
        self, build: OnnxBuilder, inputs: Sequence[Any], types: Types, outputs: Sequence[TensorType]
    ) -> Sequence[Any]:
        """Writes the node with `build` and returns one ONNX value per output."""

    def substitute(self, sizes: Mapping[str, int | Dim]) -> Self:
        """The op with symbols replaced in every field that holds dims."""
        changed = {}
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            new = _substitute(value, sizes)
            if new is not value:
                changed[item.name] = new
        return replace(self, **changed) if changed else self  # type: ignore[type-var]


def _substitute(value: object, sizes: Mapping[str, int | Dim]) -> object:
    if isinstance(value, Dim):
        return value.substitute(sizes) if value.symbols & sizes.keys() else value
    if isinstance(value, tuple):
        new = tuple(_substitute(item, sizes) for item in value)
        return new if any(a is not b for a, b in zip(new, value, strict=True)) else value
    if isinstance(value, Substitutable):
        return value.substitute(sizes)
    return value


OPS: Registry[Op] = Registry("op")
"""Every primitive op; filled as the families in `compiler.ops` are imported."""
