"""Tensors of a graph that is being written, as rules for derivatives compute with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType


class SymbolBuilder(Protocol):
    """What symbols are written with."""

    def apply(self, op: str, inputs: Sequence[Symbol | None], **options: Any) -> tuple[Symbol, ...]:
        """The results of the op of that name."""

    def add(self, op: Any, inputs: Sequence[Symbol | None]) -> tuple[Symbol, ...]:
        """The results of an op."""

    def number(self, value: float | Dim, dtype: DType) -> Symbol:
        """A number as a tensor without axes."""

    def constant(self, array: Any, dtype: DType) -> Symbol:
        """The numbers of an array as a tensor."""

    def find_number(self, symbol: Symbol) -> float | None:
        """The number that all entries of a tensor always are; None where that is not known."""


@dataclass(frozen=True, eq=False)
class Symbol:
    """A tensor: `value` is one of the graph, `type` is its type. Signs stand for the ops that they
    stand for in the language; a plain number takes the dtype of the tensor beside it."""

    value: Any
    type: TensorType
    build: SymbolBuilder

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The sizes of its axes."""
        return self.type.shape

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return self.type.rank

    @property
    def dtype(self) -> DType:
        """The type of its entries."""
        return self.type.dtype

    def apply(self, op: str, *others: Symbol | float | None, **options: Any) -> Symbol:
        """The only result of an op whose first operand it is."""
        (made,) = self.apply_all(op, *others, **options)
        return made

    def apply_all(
        self, op: str, *others: Symbol | float | None, **options: Any
    ) -> tuple[Symbol, ...]:
        """All results of an op whose first operand it is."""
        return self.build.apply(op, [self, *map(self._join, others)], **options)

    def _join(self, other: Symbol | float | None) -> Symbol | None:
        return self.like(other) if isinstance(other, int | float) else other

    def like(self, value: float | Dim) -> Symbol:
        """A number, or a size, in its dtype."""
        return self.build.number(value, self.dtype)

    def __add__(self, other: Symbol | float) -> Symbol:
        return self.apply("add", other)

    def __sub__(self, other: Symbol | float) -> Symbol:
        return self.apply("sub", other)

    def __mul__(self, other: Symbol | float) -> Symbol:
        return self.apply("mul", other)

    def __truediv__(self, other: Symbol | float) -> Symbol:
        return self.apply("div", other)

    def __pow__(self, other: Symbol | float) -> Symbol:
        return self.apply("pow", other)

    def __matmul__(self, other: Symbol) -> Symbol:
        return self.apply("matmul", other)

    def __radd__(self, other: float) -> Symbol:
        return self.like(other).apply("add", self)

    def __rsub__(self, other: float) -> Symbol:
        return self.like(other).apply("sub", self)

    def __rmul__(self, other: float) -> Symbol:
        return self.like(other).apply("mul", self)

    def __rtruediv__(self, other: float) -> Symbol:
        return self.like(other).apply("div", self)

    def __neg__(self) -> Symbol:
        return self.apply("neg")

    def __lt__(self, other: Symbol | float) -> Symbol:
        return self.apply("less", other)

    def __le__(self, other: Symbol | float) -> Symbol:
        return self.apply("less_equal", other)

    def __gt__(self, other: Symbol | float) -> Symbol:
        return self.apply("greater", other)

    def __ge__(self, other: Symbol | float) -> Symbol:
        return self.apply("greater_equal", other)

    def __and__(self, other: Symbol) -> Symbol:
        return self.apply("logical_and", other)

    def equals(self, other: Symbol | float) -> Symbol:
        """A bool for each entry."""
        return self.apply("equal", other)

    def choose(self, yes: Symbol | float, no: Symbol | float) -> Symbol:
        """Of a bool tensor: `yes` where it holds, else `no`, one of which is a tensor."""
        tensor = yes if isinstance(yes, Symbol) else no
        assert isinstance(tensor, Symbol), "two numbers have no dtype"
        return self.apply("where", tensor._join(yes), tensor._join(no))

    def only(self, condition: Symbol) -> Symbol:
        """Its entries where a condition holds, elsewhere 0: also where they are infinite."""
        return condition.choose(self, 0)

    def number_entries(self, start: Dim) -> Symbol:
        """Whole numbers in its shape, a different one for each entry, from `start` on."""
        (first, stop) = shorten([start, start + self.type.size])
        (made,) = self.build.apply("arange", (), start=first, stop=stop)
        return made.reshape(self.shape)

    def zeros(self) -> Symbol:
        """Zeros of its shape."""
        return self.apply("zeros_like")

    def cast(self, dtype: DType) -> Symbol:
        """The same in another dtype."""
        return self if dtype is self.dtype else self.apply("cast", dtype=dtype)

    def sum(self, axes: Sequence[int] | None = None, *, keep: bool = False) -> Symbol:
        """The sum along axes; of a list without axes it is itself."""
        if axes is not None and not axes:
            return self
        return self.apply("sum", axis=None if axes is None else tuple(axes), keep=keep)

    def reshape(self, shape: Sequence[Dim]) -> Symbol:
        """The same entries in another shape."""
        if tuple(shape) == self.shape:
            return self
        return self.apply("reshape", shape=shorten(shape))

    def expand(self, shape: Sequence[Dim]) -> Symbol:
        """Its entries repeated to a shape."""
        if tuple(shape) == self.shape:
            return self
        return self.apply("expand", shape=shorten(shape))

    def pad(self, widths: Sequence[Dim]) -> Symbol:
        """Zeros put before and behind the last axes, the last axis first; below 0 it is cut."""
        if all(width == 0 for width in widths):
            return self
        return self.apply("pad", widths=shorten(widths))

    def add_at(self, places: Symbol, count: Dim) -> Symbol:
        """Its entries added up in a row of so many, each at a place of it."""
        rows = (self.type.size,)
        zeros = self.like(0).expand((count,))
        return zeros.apply("index_add", places.reshape(rows), self.reshape(rows), axis=0)

    def permute(self, axes: Sequence[int]) -> Symbol:
        """Its axes in another order."""
        if list(axes) == list(range(self.rank)):
            return self
        return self.apply("permute", axes=tuple(axes))

    def swap(self) -> Symbol:
        """Its last two axes exchanged."""
        return self.apply("transpose", a=-2, b=-1)

    def unsqueeze(self, axes: Sequence[int]) -> Symbol:
        """Axes of size 1 put in, at places in the result, in order."""
        shape = list(self.shape)
        for axis in sorted(axes):
            shape.insert(axis, Dim.of(1))
        return self.reshape(shape)

    def fit(self, type: TensorType) -> Symbol:
        """Summed up over the axes along which a tensor of a type was repeated to its shape, in the
        dtype of that tensor: the slope of what was broadcast."""
        added = self.rank - type.rank
        made = self.sum(range(added))
        repeated = [
            axis
            for axis, (own, other) in enumerate(zip(made.shape, type.shape, strict=True))
            if other == 1 and own != 1
        ]
        return made.sum(repeated, keep=True).cast(type.dtype)


def shorten(shape: Sequence[Dim]) -> tuple[int | Dim, ...]:
    """Sizes as fields of ops hold them: known ones as numbers."""
    return tuple(dim if dim.known is None else dim.known for dim in shape)


def fill(slopes: Sequence[Symbol | None], results: Sequence[Symbol]) -> list[Symbol]:
    """The slopes of results, with zeros for those that change nothing."""
    return [s if s is not None else y.zeros() for s, y in zip(slopes, results, strict=True)]


Slope = Symbol | Callable[[], Symbol] | None
"""How the sum of what is differentiated changes with the entries of a tensor; what computes it,
where that may not be needed; None where it does not change."""
Slopes = Sequence[Slope]


class NoDerivative(Exception):
    """An op has no derivative that is written down, for the reason that it gives."""
