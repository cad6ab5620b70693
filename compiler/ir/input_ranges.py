"""Numbers that the inputs of a graph may hold: places of tables, divisors, and what leads there.

An input becomes a place of a table in any way: directly, behind arithmetic, as the state of a loop.
So ranges are found by trying: what the graph computes on the way to its tables is evaluated, and
the widest ranges are taken with which every place lies inside.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from compiler.ir.domain import Domain
from compiler.ir.evaluate import expand
from compiler.ir.graph import Graph, Input, Node
from compiler.types.dims import Dim
from compiler.types.tensor import DType

Array = NDArray[Any]

KINDS = ("random", "zeros", "large", "negative", "least")
LARGE = 100.0
"""The standard deviation of large inputs: far outside of training, but f16 still holds it."""
SMALL = 0.01
"""The same of small ones, whose variance is not far above what norms add to it."""
NARROW = 1e-3
"""The deviation of numbers that lie close together, as a share of their mean."""
FEW = 4
"""The largest of small whole numbers."""
LOWEST, HIGHEST = -128, 255
"""Whole numbers drawn where nothing but the dtype bounds them."""


@dataclass(frozen=True)
class Range:
    """The least and the greatest number of an input."""

    low: int
    high: int


class OutsideDomain(Exception):
    """A node is given a number outside of what it takes."""

    def __init__(self, node: Node, domain: Domain) -> None:
        self.node = node
        self.domain = domain


def draw_input(
    item: Input, kind: str, shape: Sequence[int], span: Range | None, seed: int = 0
) -> Array:
    """Numbers of an input of one kind: random, zeros, large, negative or small; whole numbers and
    those with a range lie in it, at its edges where they are no random ones (`least` at the lower).
    Of `near` inputs only the whole numbers are small. Those with an `offset` are large numbers that
    vary little: all of them around one mean, with `offsets` each channel around its own.
    """
    dtype, shape = item.value.type.dtype, tuple(shape)
    draw = np.random.default_rng([seed, zlib.crc32(f"{item.name} {kind} {shape}".encode())])
    if dtype is DType.BOOL:
        return np.full(shape, kind == "large") if kind in ("zeros", "large") else _toss(shape, draw)
    if span is None and dtype.is_float:
        return _draw_floats(kind, shape, draw).astype(dtype.numpy)
    low, high = (span.low, span.high) if span is not None else _widest(dtype)
    match kind:
        case "zeros":
            made = np.full(shape, min(max(0, low), high))
        case "large":
            made = np.full(shape, high)
        case "negative":
            made = np.resize(np.array([high, low]), shape)
        case "least":
            made = np.full(shape, low)
        case _ if dtype.is_float:
            made = draw.uniform(low, high, shape)
        case "small" | "near" if low <= 0 <= high:
            made = draw.integers(max(low, -FEW), min(high, FEW) + 1, shape)
        case _:
            made = draw.integers(low, high + 1, shape)
    return made.astype(dtype.numpy)


def _toss(shape: tuple[int, ...], draw: np.random.Generator) -> Array:
    return np.asarray(draw.random(shape) < 0.5)


def _draw_floats(kind: str, shape: tuple[int, ...], draw: np.random.Generator) -> Array:
    match kind:
        case "zeros":
            return np.zeros(shape)
        case "large":
            return LARGE * draw.standard_normal(shape)
        case "negative":
            return -np.abs(draw.standard_normal(shape))
        case "small":
            return SMALL * draw.standard_normal(shape)
        case "offset" | "offsets":
            channels = [n if a == 1 and kind == "offsets" else 1 for a, n in enumerate(shape)]
            center = LARGE * (1 + np.abs(draw.standard_normal(channels)))
            return np.asarray(center * (1 + NARROW * draw.standard_normal(shape)))
    return draw.standard_normal(shape)


def _widest(dtype: DType) -> tuple[int, int]:
    limits = np.iinfo(dtype.numpy)
    return max(LOWEST, int(limits.min)), min(HIGHEST, int(limits.max))


def find_ranges(
    graph: Graph,
    sizes: Mapping[str, int],
    weights: Mapping[str, Array] | None = None,
    finite: Collection[int] = (),
    before: tuple[Mapping[str, int], Mapping[str, Range]] | None = None,
) -> Mapping[str, Range]:
    """Ranges of the inputs that lead to places or divisors, at some sizes of the symbolic dims.
    Without weights there are zeros in their place: a place seldom depends on them. `finite` are
    indices of nodes whose first operand is to be finite too; `before` are other sizes and what was
    found there, which is taken where tables are as long and all places lie inside.

    Raises:
        OutsideDomain: none was found; the error names a node.
    """
    search = _Search(expand(graph), weights or {}, sizes, frozenset(finite))
    if not search.watched:
        return {}
    if before is not None:
        sizes_before, found = before
        alike = replace(search, sizes=sizes_before).counts == search.counts
        if alike and search.is_allowed(found):
            return found
    return search.run()


def check_inputs(
    graph: Graph,
    sizes: Mapping[str, int],
    weights: Mapping[str, Array],
    inputs: Mapping[str, Array],
) -> None:
    """Looks whether inputs that were not drawn lead to places and divisors alone.

    Raises:
        OutsideDomain: they do not; the error names the node.
    """
    search = _Search(expand(graph), weights, sizes)
    if search.watched:
        search.follow({item.name: inputs[item.name] for item in graph.inputs})


@dataclass(frozen=True, eq=False)
class _Search:
    graph: Graph
    weights: Mapping[str, Array]
    sizes: Mapping[str, int]
    finite: frozenset[int] = frozenset()

    @cached_property
    def watched(self) -> dict[int, dict[int, Domain]]:
        """Domains of operands, by the index of their node."""
        found = {i: _find_domains(node, self.sizes) for i, node in enumerate(self.graph.nodes)}
        for index in self.finite:
            found[index] = {0: Domain(finite=True), **found[index]}
        return {index: domains for index, domains in found.items() if domains}

    @cached_property
    def needed(self) -> frozenset[int]:
        """Indices of the nodes that compute what is watched."""
        wanted: set[str] = set()
        found: set[int] = set()
        for index in reversed(range(len(self.graph.nodes))):
            node = self.graph.nodes[index]
            if any(value.name in wanted for value in node.outputs) or index in self.loops:
                found.add(index)
                wanted.update(v.name for v in node.inputs if v is not None)
            for position in self.watched.get(index, ()):
                value = node.inputs[position] if position >= 0 else None
                wanted.update((value.name,) if value is not None else ())
        return frozenset(found)

    @cached_property
    def loops(self) -> frozenset[int]:
        """Indices of the nodes that hold graphs in which something is watched."""
        return frozenset(i for i, domains in self.watched.items() if -1 in domains)

    @cached_property
    def reaching(self) -> tuple[Input, ...]:
        """The inputs that what is watched depends on."""
        read = {
            value.name
            for index in {*self.needed, *self.watched}
            for position, value in enumerate(self.graph.nodes[index].inputs)
            if value is not None and (index in self.needed or position in self.watched[index])
        }
        return tuple(
            i for i in self.graph.inputs if i.name in read and i.value.type.dtype is not DType.BOOL
        )

    def run(self) -> dict[str, Range]:
        """The widest ranges found."""
        widest = {
            item.name: Range(*_widest(item.value.type.dtype))
            for item in self.reaching
            if item.value.type.dtype.is_integer
        }
        if self.is_allowed(widest):
            return widest
        ranges = self._find_start()
        for item in self.reaching:
            free = {name: span for name, span in ranges.items() if name != item.name}
            if item.value.type.dtype.is_float and self.is_allowed(free):
                ranges = free
        if len(ranges) > 1:  # together first, so that the first does not leave the others nothing
            ranges = self._raise(ranges, tuple(ranges))
        for name in tuple(ranges):
            ranges = self._lower(self._raise(ranges, (name,)), name)
        return ranges

    def _find_start(self) -> dict[str, Range]:
        error: OutsideDomain | None = None
        for number in dict.fromkeys((0, 1, 2, 3, 5, *(n - 1 for n in self.counts), 8, 16, -1)):
            ranges = {item.name: Range(number, number) for item in self.reaching}
            try:
                self._check(ranges)
                return ranges
            except OutsideDomain as found:
                error = error or found
        assert error is not None, "some numbers are tried"
        raise error

    def _raise(self, ranges: Mapping[str, Range], names: Sequence[str]) -> dict[str, Range]:
        def lift(high: int) -> dict[str, Range]:
            return {**ranges, **{name: Range(ranges[name].low, high) for name in names}}

        low = max(ranges[name].high for name in names)
        limit = 1 + min(self._highest(name) for name in names)
        for count in self.counts:  # most often a range ends where a table does
            if low < count - 1 < limit:
                low, limit = self._halve(low, limit, count - 1, lift)
        if limit - low > 1:
            low, limit = self._halve(low, limit, low + 1, lift)
        while limit - low > 1:
            low, limit = self._halve(low, limit, (low + limit) // 2, lift)
        return lift(low)

    def _lower(self, ranges: Mapping[str, Range], name: str) -> dict[str, Range]:
        def sink(low: int) -> dict[str, Range]:
            return {**ranges, name: Range(low, ranges[name].high)}

        low, limit = ranges[name].low, min(LOWEST, ranges[name].low) - 1
        if self.inputs[name].is_integer:
            limit = max(limit, int(np.iinfo(self.inputs[name].numpy).min) - 1)
        if low - limit > 1:
            low, limit = self._halve(low, limit, low - 1, sink)
        while low - limit > 1:
            low, limit = self._halve(low, limit, (low + limit) // 2, sink)
        return sink(low)

    def _halve(
        self, low: int, limit: int, step: int, make: Callable[[int], Mapping[str, Range]]
    ) -> tuple[int, int]:
        return (step, limit) if self.is_allowed(make(step)) else (low, step)

    def _highest(self, name: str) -> int:
        dtype = self.inputs[name]
        most = max((HIGHEST, *(n - 1 for n in self.counts)))
        return min(most, int(np.iinfo(dtype.numpy).max)) if dtype.is_integer else most

    @cached_property
    def inputs(self) -> dict[str, DType]:
        """The dtypes of the inputs."""
        return {item.name: item.value.type.dtype for item in self.graph.inputs}

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """The numbers of places, in order."""
        found = {
            domain.count.evaluate({})
            for domains in self.watched.values()
            for domain in domains.values()
            if domain.count is not None
        }
        return tuple(sorted({n for n in found if n > 0}))

    def is_allowed(self, ranges: Mapping[str, Range]) -> bool:
        """Whether inputs of every kind stay inside all domains."""
        try:
            self._check(ranges)
        except (OutsideDomain, OverflowError):
            return False
        return True

    def _check(self, ranges: Mapping[str, Range]) -> None:
        for kind in KINDS:
            values = {
                item.name: draw_input(item, kind, self._shape(item), ranges.get(item.name))
                for item in self.graph.inputs
            }
            self.follow(values)

    def _shape(self, item: Input) -> tuple[int, ...]:
        return tuple(dim.evaluate(self.sizes) for dim in item.value.type.shape)

    def follow(self, values: dict[str, Array]) -> None:
        """Evaluates what leads to places and divisors, from the values of the inputs.

        Raises:
            OutsideDomain: one lies outside.
        """
        for parameter in self.graph.parameters:
            path, kind = parameter.path, parameter.value.type
            shape = [dim.evaluate(self.sizes) for dim in kind.shape]
            given = self.weights.get(path)
            values[path] = np.zeros(shape, kind.dtype.numpy) if given is None else given
        for index, node in enumerate(self.graph.nodes):
            for position, domain in self.watched.get(index, {}).items():
                value = node.inputs[position] if position >= 0 else None
                if value is not None and value.name in values:
                    _need(domain, values[value.name], node)
            if index in self.needed:
                operands = [values[v.name] if v is not None else None for v in node.inputs]
                made = watch_body(node).substitute(self.sizes).evaluate(*operands)
                for value, array in zip(node.outputs, made, strict=True):
                    values[value.name] = value.type.dtype.round(array)


def _need(domain: Domain, array: Array, node: Node) -> None:
    if not domain.holds(array):
        raise OutsideDomain(node, domain)


def _find_domains(node: Node, sizes: Mapping[str, int]) -> dict[int, Domain]:
    """Domains of a node's operands by position; those of the nodes inside it, below 0."""
    found = {p: d.substitute(sizes) for p, d in node.op.place_domains(node.types).items()}
    inner = (d for body in node.op.bodies for n in body.nodes for d in _inner(n, sizes))
    return {**found, **{-1 - k: domain for k, domain in enumerate(inner)}}


def _inner(node: Node, sizes: Mapping[str, int]) -> Iterator[Domain]:
    yield from _find_domains(node, sizes).values()


def watch_body(node: Node) -> Any:
    """The op of a node; where it holds a graph, one that looks at what its nodes are given."""
    op: Any = node.op
    for body in node.op.bodies:
        nodes = tuple(
            replace(inner, op=_Watched.of(inner))  # type: ignore[arg-type]
            for inner in body.nodes
        )
        op = replace(op, body=replace(body, nodes=nodes))
    return op


@dataclass(frozen=True)
class _Watched:
    """An op that looks at its operands before it is evaluated."""

    of_graph = of_mode = False
    bodies = ()

    op: Any
    node: Node
    domains: tuple[tuple[int, Domain], ...]
    varies: ClassVar[bool] = False

    @classmethod
    def of(cls, node: Node) -> _Watched:
        return cls(watch_body(node), node, tuple(node.op.place_domains(node.types).items()))

    def substitute(self, sizes: Mapping[str, int | Dim]) -> _Watched:
        domains = tuple((p, d.substitute(sizes)) for p, d in self.domains)
        return replace(self, op=self.op.substitute(sizes), domains=domains)

    def evaluate(self, *operands: Array | None) -> tuple[Array, ...]:
        for position, domain in self.domains:
            array = operands[position]
            if array is not None:
                _need(domain, array, self.node)
        made: tuple[Array, ...] = self.op.evaluate(*operands)
        return made
