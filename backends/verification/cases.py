"""Inputs to verify a graph on: random numbers and edges, at several sizes of every dimension."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.verification.given_draws import Given
from compiler.ir.evaluate import decode_weights, evaluate
from compiler.ir.graph import Graph, Input
from compiler.ir.input_ranges import OutsideDomain, Range, check_inputs, draw_input, find_ranges
from compiler.ir.memory import fits_values, need_values, need_weights, need_work
from compiler.ir.sizes import SizeSearch
from compiler.report.diagnostics import CompileError
from compiler.report.messages.verification import no_allowed_inputs

Array = NDArray[Any]

EDGES = ("zeros", "large", "negative")
OFFSETS = ("offset", "offsets")
"""Edges of networks that look at how far numbers lie from their mean."""
MANY, SOME = 64, 8
"""Elements of random inputs and of small ones that are looked at, where an evaluation is cheap: of
inputs with fewer there are several cases."""
CHEAP = 20_000_000
"""Multiply-adds up to which an evaluation is so fast that every edge gets cases of its own."""
DEAR = 4_000_000_000
"""Multiply-adds beyond which no larger sizes are tried."""

WEIGHTS, VALUES = 4, 2
"""How often verification holds all weights of a network, and the tensors that are alive: in its
meaning, moved by rounding, in PyTorch and in ONNX Runtime (a network of 1.00 GiB takes 4.5 GiB,
one with tensors of 3.4 GiB 7.2 GiB)."""


@dataclass(frozen=True)
class Case:
    """Inputs, and how they came about. In a stacked case the rows of the batch are independent
    inputs of different kinds."""

    kind: str
    sizes: Mapping[str, int]
    inputs: Mapping[str, Array]
    stacked: bool = False

    def __str__(self) -> str:
        sizes = ", ".join(f"{name}={size}" for name, size in self.sizes.items())
        return f"{self.kind} inputs" + (f" at {sizes}" if sizes else "")

    def at(self, index: tuple[int, ...]) -> str:
        """The case for a message about an entry of an output: in a stacked case, the kind of its
        row."""
        kinds = self.kind.split("/")
        if not self.stacked or not index:
            return str(self)
        return str(replace(self, kind=kinds[index[0] % len(kinds)]))


def make_cases(
    graph: Graph,
    search: SizeSearch,
    seed: int = 0,
    weights: Mapping[str, Array] | None = None,
    copies: int = 1,
    finite: Collection[int] = (),
    draws: Mapping[str, Given] | None = None,
) -> Iterator[Case]:
    """Cases for a graph: random inputs at every assignment of sizes, with a batch of 1 and of
    3, and edges: zeros, large and negative numbers, large ones that vary little where a mean is
    subtracted, the least and the greatest index, masks all false and all true. In a large
    network the edges share one batch. Without `weights`, what inputs may hold is found with zeros
    in their place. `copies` is how often the tensors of the graph are held at once by who runs
    it; `finite` are indices of nodes whose first operand is to be finite; `draws` are inputs that
    stand for random draws, and hold such in every case.

    Raises:
        CompileError: no numbers were found that the inputs may hold, or the tensors or the work
            are too large for this machine.
    """
    make = _Inputs(graph, weights, seed, copies, finite, draws or {})
    edges = (*EDGES, *OFFSETS) if _centers(graph) else EDGES
    batch = search.batch
    assignments = search.choose()
    for number, sizes in enumerate(assignments):
        work = search.count_multiply_adds(sizes)
        if number > 0 and (work > DEAR or not fits_values(graph, sizes, copies)):
            return
        first = make.case("random", sizes)
        yield first
        if number == 0 and work <= CHEAP:
            yield from make.others(first)
        if batch is None:
            if number == 0 or work <= CHEAP:
                for kind in edges:
                    yield make.case(kind, sizes)
            continue
        if work <= CHEAP:
            yield make.case("random", {**sizes, batch: 3})
            for kind in edges:
                yield make.case(kind, sizes)
        if number == 0 or work <= CHEAP:
            yield make.stacked(edges, {**sizes, batch: len(edges)}, batch)


def make_strange(graph: Graph, case: Case, weights: Mapping[str, Array]) -> Iterator[Case]:
    """Cases with numbers that are none, for networks that know what they mean: NaN where one looks
    for it, minus infinity in masks that are added to scores. There are none where NaN would get
    into the outputs or into places of tables: there runtimes answer as they like."""
    nan = graph.inputs if _finds_nan(graph) else ()
    for kind, items in (("missing", nan), ("closed", _find_masks(graph))):
        inputs = dict(case.inputs)
        for item in items:
            if item.value.type.dtype.is_float:
                array = np.array(inputs[item.name])
                if kind == "missing":
                    array.reshape(-1)[::3] = np.nan
                else:
                    array[..., ::3] = array[..., -1:, :] = -np.inf
                inputs[item.name] = array
        if items and _is_defined(graph, case.sizes, weights, inputs):
            yield Case(kind, case.sizes, inputs)


def _centers(graph: Graph) -> bool:
    return any(node.op.centers or any(map(_centers, node.op.bodies)) for node in graph.nodes)


def _finds_nan(graph: Graph) -> bool:
    return any(node.op.finds_nan or any(map(_finds_nan, node.op.bodies)) for node in graph.nodes)


def _find_masks(graph: Graph) -> tuple[Input, ...]:
    """Inputs that become masks as they are, perhaps in another shape."""
    names = set()
    for node in graph.nodes:
        for index in node.op.masked_by:
            value = node.inputs[index]
            while value is not None and value.name in graph.producers:
                maker = graph.producers[value.name]
                value = maker.inputs[0] if maker.op.moves else None
            if value is not None and value.type.rank > 1:
                names.add(value.name)
    return tuple(item for item in graph.inputs if item.name in names)


def _is_defined(
    graph: Graph,
    sizes: Mapping[str, int],
    weights: Mapping[str, Array],
    inputs: Mapping[str, Array],
) -> bool:
    try:
        check_inputs(graph, sizes, weights, inputs)
    except OutsideDomain:
        return False
    outputs = evaluate(*decode_weights(graph, weights), inputs).values()
    return not any(array.dtype.kind in "fV" and np.isnan(array).any() for array in outputs)


@dataclass(frozen=True)
class _Inputs:
    graph: Graph
    weights: Mapping[str, Array] | None
    seed: int
    copies: int
    finite: Collection[int]
    draws: Mapping[str, Given]
    ranges: dict[tuple[tuple[str, int], ...], Mapping[str, Range]] = field(default_factory=dict)

    def case(self, kind: str, sizes: Mapping[str, int]) -> Case:
        self.need(sizes)
        ranges = self._find_ranges(sizes)
        inputs = {}
        for item in self.graph.inputs:
            if item.name in self.draws:
                inputs[item.name] = self.draws[item.name].draw(sizes, self.seed)
                continue
            shape = [dim.evaluate(sizes) for dim in item.value.type.shape]
            span = _limit(ranges.get(item.name), item)
            inputs[item.name] = draw_input(item, kind, shape, span, self.seed)
        return Case(kind, sizes, inputs)

    def need(self, sizes: Mapping[str, int]) -> None:
        """Raises `CompileError` where the graph is too large to be run at these sizes."""
        need_values(self.graph, sizes, self.copies)
        need_work(self.graph, sizes)

    def others(self, first: Case) -> Iterator[Case]:
        """Further cases of a few random numbers, and others: what is added to a variance shows
        where the numbers vary little, what is clipped where they are large, and what depends on a
        distance where whole numbers are near the others."""
        count = sum(array.size for array in first.inputs.values())
        for seed in range(1, MANY // max(count, 1)):
            yield replace(self, seed=self.seed + seed).case("random", first.sizes)
        for seed in range(max(1, SOME // max(count, 1))):
            for kind in ("small", "large"):
                yield replace(self, seed=self.seed + seed).case(kind, first.sizes)
        if len({array.dtype.kind for array in first.inputs.values()} & {"i", "f"}) == 2:
            for seed in range(SOME):
                yield replace(self, seed=self.seed + seed).case("near", first.sizes)

    def _find_ranges(self, sizes: Mapping[str, int]) -> Mapping[str, Range]:
        key = tuple(sizes.items())
        if key not in self.ranges:
            try:
                last = next(reversed(self.ranges.items()), None)
                before = None if last is None else (dict(last[0]), last[1])
                self.ranges[key] = find_ranges(self.graph, sizes, self.weights, self.finite, before)
            except OutsideDomain as found:
                span, layer = found.node.origin.span, found.node.op.name
                bound = self._find_bound(sizes)
                message = no_allowed_inputs(span, self.graph.name, layer, *bound)
                raise CompileError([message]) from found
        return self.ranges[key]

    def _find_bound(self, sizes: Mapping[str, int]) -> tuple[()] | tuple[str, int, int]:
        """A size that is too large by itself, as it is, and the largest below at which inputs are
        found that the graph takes; nothing where no single size is to blame."""
        search = SizeSearch(self.graph, {})
        for name, size in sizes.items():
            smaller = [n for n in range(1, size) if search.is_possible({**sizes, name: n})]
            fitting = bisect_left(smaller, True, key=lambda n: not self._takes({**sizes, name: n}))
            if fitting:
                return name, size, smaller[fitting - 1]
        return ()

    def _takes(self, sizes: Mapping[str, int]) -> bool:
        try:
            find_ranges(self.graph, sizes, self.weights, self.finite)
        except OutsideDomain:
            return False
        return True

    def stacked(self, kinds: tuple[str, ...], sizes: Mapping[str, int], batch: str) -> Case:
        self.need(sizes)
        rows = [self.case(kind, {**sizes, batch: 1}).inputs for kind in kinds]
        inputs = {i.name: np.concatenate([r[i.name] for r in rows]) for i in self.graph.inputs}
        return Case("/".join(kinds), sizes, inputs, stacked=True)


def _limit(span: Range | None, item: Input) -> Range | None:
    """The range of an input, within its categories where its numbers are codes of some."""
    if item.categories is None:
        return span
    last = item.categories - 1
    return Range(0, last) if span is None else Range(max(span.low, 0), min(span.high, last))


def need_memory(graph: Graph, sizes: Mapping[str, int], *, verified: bool = True) -> None:
    """Refuses to run a graph that does not fit into memory, at the smallest sizes that are possible
    where `sizes` says nothing; `verified` says that it is to be verified, not only to be measured.

    Raises:
        CompileError: its weights or its tensors do not fit.
    """
    need_weights(graph, WEIGHTS if verified else 1)
    for smallest in SizeSearch(graph, sizes).choose()[:1]:
        need_values(graph, smallest, VALUES if verified else 1)
        need_work(graph, smallest)
