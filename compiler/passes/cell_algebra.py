"""What the body of a loop computes, as sums of products of gates: the form in which cells that are
written in different ways are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from compiler.ir.graph import Node, Value
from compiler.ops.activation import Sigmoid, Tanh
from compiler.ops.arithmetic import Add, Mul, Neg, Sub
from compiler.ops.creation import Constant
from compiler.ops.linear import Dense
from compiler.ops.linear_algebra import MatMul
from compiler.ops.scan import Scan
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType

MOST_TERMS = 32
"""Sums of more terms than this are no cell that anybody knows."""


class Unknown(Exception):
    """A value that is no sum of products of gates; says why."""


@dataclass(frozen=True)
class Signal:
    """Entries `start` to `stop` along the last axis of what the body reads: the slice of a
    sequence, a state, or a vector that is the same in every step."""

    kind: Literal["slice", "state", "fixed"]
    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Piece:
    """Rows and columns of a matrix that is the same in every step; of its transpose where
    `turned`. `total` is how many rows there are."""

    name: str
    start: int
    stop: int
    total: int
    column: int = 0
    """Which of the operands that stand side by side in front of it the columns are for."""
    turned: bool = False


@dataclass(frozen=True)
class Product:
    """A matrix times what it is applied to."""

    operand: Sum
    piece: Piece


@dataclass(frozen=True)
class Squashed:
    """A gate: sigmoid or tanh of a sum."""

    function: str
    inner: Sum


Atom = Signal | Product | Squashed
Monomial = frozenset[tuple[Atom, int]]
"""A product of atoms, each with its power."""
ONE: Monomial = frozenset()


@dataclass(frozen=True)
class Sum:
    """A sum of products of atoms, each with its factor."""

    terms: frozenset[tuple[Monomial, float]]

    @staticmethod
    def of(terms: Mapping[Monomial, float]) -> Sum:
        """The sum without terms that cancel."""
        kept = frozenset((term, factor) for term, factor in terms.items() if factor)
        if len(kept) > MOST_TERMS:
            raise Unknown("it has too many terms")
        return Sum(kept)

    @staticmethod
    def atom(atom: Atom) -> Sum:
        """One atom."""
        return Sum(frozenset({(frozenset({(atom, 1)}), 1.0)}))

    @staticmethod
    def number(value: float) -> Sum:
        """A number."""
        return Sum.of({ONE: value})

    def plus(self, other: Sum, sign: float = 1.0) -> Sum:
        """The sum of both, the other one with that sign."""
        terms = dict(self.terms)
        for term, factor in other.terms:
            terms[term] = terms.get(term, 0.0) + sign * factor
        return Sum.of(terms)

    def times(self, other: Sum) -> Sum:
        """The product of both, multiplied out."""
        if len(self.terms) * len(other.terms) > MOST_TERMS**2:
            raise Unknown("it has too many terms")
        terms: dict[Monomial, float] = {}
        for left, first in self.terms:
            for right, second in other.terms:
                powers = Counter(dict(left))
                powers.update(dict(right))
                term = frozenset(powers.items())
                terms[term] = terms.get(term, 0.0) + first * second
        return Sum.of(terms)

    def cut(self, start: int, stop: int) -> Sum:
        """Entries `start` to `stop` along the last axis."""
        terms: dict[Monomial, float] = {}
        for term, factor in self.terms:
            made = frozenset((_cut(atom, start, stop), power) for atom, power in term)
            terms[made] = terms.get(made, 0.0) + factor
        return Sum.of(terms)

    @property
    def single(self) -> Atom | None:
        """The atom that it is; None where it is anything else."""
        match [*self.terms]:
            case [(term, 1.0)]:
                match [*term]:
                    case [(atom, 1)]:
                        return atom
        return None


def _cut(atom: Atom, start: int, stop: int) -> Atom:
    match atom:
        case Signal(kind, name, first):
            return Signal(kind, name, first + start, first + stop)
        case Product(operand, piece):
            own = Piece(
                piece.name,
                piece.start + start,
                piece.start + stop,
                piece.total,
                piece.column,
                piece.turned,
            )
            return Product(operand, own)
        case Squashed(function, inner):
            return Squashed(function, inner.cut(start, stop))


Row = tuple[tuple[int, Sum], ...]
"""What stands side by side along the last axis: how wide each part is, and what it is."""


@dataclass
class BodyAlgebra:
    """The values of a loop's body as sums of products. `fixed` are the nodes of what is the same in
    every step, in order; `layouts` the operands that stand side by side in front of each matrix."""

    scan: Scan
    rows: dict[str, Row] = field(default_factory=dict)
    fixed: dict[str, Node] = field(default_factory=dict)
    layouts: dict[tuple[str, bool], tuple[Sum, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scan = self.scan
        self.captured = {item.name for item in scan.captured}
        self.makers = {v.name: node for node in scan.body.nodes for v in node.outputs}
        for kind, items in (("slice", scan.slices), ("state", scan.carried)):
            for item in items:
                self.rows[item.name] = _read(kind, item.value)

    def read(self, value: Value) -> Sum:
        """A value as one sum.

        Raises:
            Unknown: it is none.
        """
        row = self.row(value)
        if len(row) != 1:
            raise Unknown("parts of it stand side by side")
        return row[0][1]

    def row(self, value: Value) -> Row:
        """A value as parts side by side."""
        if value.name not in self.rows:
            if self.is_fixed(value):
                self.rows[value.name] = _read("fixed", value)
            else:
                node = self.makers.get(value.name)
                if node is None:
                    raise Unknown("it reads the number of the step")
                made = list(self._calculate(node))
                for output, row in zip(node.outputs, made, strict=True):
                    self.rows[output.name] = row
        return self.rows[value.name]

    def is_fixed(self, value: Value) -> bool:
        """Whether a value is the same in every step, and its nodes may stand before the loop."""
        if value.name in self.captured or value.name in self.fixed:
            return True
        node = self.makers.get(value.name)
        if node is None or not node.inputs or node.op.draws or node.op.bodies:
            return False
        if not all(v is None or self.is_fixed(v) for v in node.inputs):
            return False
        self.fixed.update((output.name, node) for output in node.outputs)
        return True

    # --- nodes ----------------------------------------------------------------------------------

    def _calculate(self, node: Node) -> Iterator[Row]:
        """What a node makes, output by output."""
        values = [v for v in node.inputs if v is not None]
        if any(v.type.dtype is not DType.F32 for v in (*values, *node.outputs)):
            raise Unknown("it computes in another dtype than f32")
        op = node.op
        match op:
            case Constant(value=int() | float() as number) if not op.shape:
                yield ((1, Sum.number(float(number))),)
            case Add() | Sub():
                left, right = self._pair(node)
                yield _zip(left, right, lambda a, b: a.plus(b, op.signs[1]))
            case Mul():
                left, right = self._pair(node)
                yield _zip(left, right, Sum.times)
            case Neg():
                yield tuple((w, s.times(Sum.number(-1.0))) for w, s in self.row(values[0]))
            case Sigmoid() | Tanh():
                yield tuple((w, Sum.atom(Squashed(op.name, s))) for w, s in self.row(values[0]))
            case Dense():
                yield self._apply(values[0], values[1], turned=False, bias=values[2:])
            case MatMul():
                yield self._apply(values[0], values[1], turned=True)
            case _:
                yield from self._move(node, values)

    def _pair(self, node: Node) -> tuple[Row, Row]:
        """Both operands, a number as wide as the other one."""
        left, right = (v for v in node.inputs if v is not None)
        rows = self.row(left), self.row(right)
        for place, value in enumerate((left, right)):
            _need_row(value.type, node.output.type, rows[place])
        return rows

    def _apply(self, x: Value, weight: Value, *, turned: bool, bias: Sequence[Value] = ()) -> Row:
        """A matrix applied to parts side by side."""
        if not self.is_fixed(weight) or weight.type.rank != 2:
            raise Unknown("it multiplies with what changes from step to step")
        if x.type.rank != 2:
            raise Unknown("it multiplies no rows")
        row = self.row(x)
        key = weight.name, turned
        layout = tuple(part for _, part in row)
        if (
            self.layouts.setdefault(key, layout) != layout
            or (weight.name, not turned) in self.layouts
        ):
            raise Unknown("a matrix is applied twice")
        total = _known(weight.type.shape[1 if turned else 0])
        made = Sum.of({})
        for column, part in enumerate(layout):
            piece = Piece(weight.name, 0, total, total, column, turned)
            made = made.plus(Sum.atom(Product(part, piece)))
        for value in bias:
            made = made.plus(self.read(value))
        return ((total, made),)

    def _move(self, node: Node, values: Sequence[Value]) -> Iterator[Row]:
        """Parts that are put side by side, or taken apart again."""
        op, rank = node.op, node.outputs[0].type.rank
        if rank == 2 and op.join_axis(rank) == 1:
            yield tuple(part for value in values for part in self.row(value))
        elif rank == 2 and op.split_axis(rank) == 1:
            row, start = self.row(values[0]), 0
            for output in node.outputs:
                width = _known(output.type.shape[1])
                yield _take(row, start, start + width)
                start += width
        else:
            raise Unknown(f"`{op.name}` is no part of a known cell")


def _read(kind: Literal["slice", "state", "fixed"] | str, value: Value) -> Row:
    width = value.type.shape[-1].known if value.type.rank else None
    wanted = 1 if kind == "fixed" else 2
    if width is None or value.type.dtype is not DType.F32 or value.type.rank != wanted:
        return ()
    return ((width, Sum.atom(Signal(kind, value.name, 0, width))),)  # type: ignore[arg-type]


def _need_row(type: TensorType, made: TensorType, row: Row) -> None:
    """Raises `Unknown` unless an operand is a number, or as wide as the result."""
    if not row:
        raise Unknown("it reads what is no row of numbers")
    if type.rank and type.shape[-1] != made.shape[-1]:
        raise Unknown("it repeats numbers along its last axis")
    if made.rank != 2:
        raise Unknown("it has other axes than rows and entries")


def _zip(left: Row, right: Row, join: object) -> Row:
    """Two rows, part by part."""
    assert callable(join), "it is a function of two sums"
    if _is_number(left):
        return tuple((width, join(left[0][1], part)) for width, part in right)
    if _is_number(right):
        return tuple((width, join(part, right[0][1])) for width, part in left)
    found: list[tuple[int, Sum]] = []
    start = 0
    for stop in sorted({*_ends(left), *_ends(right)}):
        ((_, a),), ((_, b),) = _take(left, start, stop), _take(right, start, stop)
        found.append((stop - start, join(a, b)))
        start = stop
    return tuple(found)


def _is_number(row: Row) -> bool:
    return len(row) == 1 and all(term == ONE for term, _ in row[0][1].terms)


def _ends(row: Row) -> Iterator[int]:
    end = 0
    for width, _ in row:
        end += width
        yield end


def _take(row: Row, start: int, stop: int) -> Row:
    """The parts between two places."""
    found: list[tuple[int, Sum]] = []
    first = 0
    for width, part in row:
        low, high = max(start, first), min(stop, first + width)
        if low < high:
            whole = (low, high) == (first, first + width)
            found.append((high - low, part if whole else part.cut(low - first, high - first)))
        first += width
    return tuple(found)


def _known(size: Dim) -> int:
    if size.known is None:
        raise Unknown("a size is not known")
    return size.known
