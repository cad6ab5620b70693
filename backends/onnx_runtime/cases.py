"""Inputs to verify a graph on: random numbers and edges, at several sizes of every dimension."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_runtime.ranges import find_bounds
from backends.onnx_runtime.sizes import SizeSearch
from compiler.ir.graph import Graph, Input

Array = NDArray[Any]

LARGE = 100.0
"""The standard deviation of large inputs: far outside of training, but f16 still holds it."""
EDGES = ("zeros", "large", "negative")
CHEAP = 20_000_000
"""Multiply-adds up to which an evaluation is so fast that every edge gets cases of its own."""
DEAR = 4_000_000_000
"""Multiply-adds beyond which no larger sizes are tried."""


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


def make_cases(graph: Graph, search: SizeSearch, seed: int = 0) -> Iterator[Case]:
    """Cases for a graph: random inputs at every assignment of sizes, with a batch of 1 and of
    3, and edges: zeros, large and negative numbers, the least and the greatest index, masks
    all false and all true. In a large network the edges share one batch."""
    make = _Inputs(graph, seed)
    batch = search.batch
    assignments = search.choose()
    for number, sizes in enumerate(assignments):
        work = search.count_multiply_adds(sizes)
        if number > 0 and work > DEAR:
            return
        yield make.case("random", sizes)
        if batch is None:
            if number == 0 or work <= CHEAP:
                for kind in EDGES:
                    yield make.case(kind, sizes)
            continue
        if work <= CHEAP:
            yield make.case("random", {**sizes, batch: 3})
            for kind in EDGES:
                yield make.case(kind, sizes)
        if number == 0 or work <= CHEAP:
            yield make.stacked(EDGES, {**sizes, batch: len(EDGES)}, batch)


@dataclass(frozen=True)
class _Inputs:
    graph: Graph
    seed: int

    def case(self, kind: str, sizes: Mapping[str, int]) -> Case:
        bounds = find_bounds(self.graph, sizes)
        inputs = {
            item.name: self._draw(item, kind, sizes, bounds.get(item.name))
            for item in self.graph.inputs
        }
        return Case(kind, sizes, inputs)

    def stacked(self, kinds: tuple[str, ...], sizes: Mapping[str, int], batch: str) -> Case:
        rows = [self.case(kind, {**sizes, batch: 1}).inputs for kind in kinds]
        inputs = {i.name: np.concatenate([r[i.name] for r in rows]) for i in self.graph.inputs}
        return Case("/".join(kinds), sizes, inputs, stacked=True)

    def _draw(self, item: Input, kind: str, sizes: Mapping[str, int], bound: int | None) -> Array:
        shape = tuple(dim.evaluate(sizes) for dim in item.value.type.shape)
        dtype = item.value.type.dtype
        text = f"{item.name} {kind} {shape}"
        draw = np.random.default_rng([self.seed, zlib.crc32(text.encode())])
        if dtype.is_float:
            return _draw_floats(kind, shape, draw).astype(dtype.numpy)
        if dtype.is_integer:
            return _draw_whole(kind, shape, draw, _limit(dtype.numpy, bound)).astype(dtype.numpy)
        if kind in ("zeros", "large"):
            return np.full(shape, kind == "large")
        return draw.random(shape) < 0.5


def _draw_floats(kind: str, shape: tuple[int, ...], draw: np.random.Generator) -> Array:
    match kind:
        case "zeros":
            return np.zeros(shape)
        case "large":
            return LARGE * draw.standard_normal(shape)
        case "negative":
            return -np.abs(draw.standard_normal(shape))
    return draw.standard_normal(shape)


def _draw_whole(kind: str, shape: tuple[int, ...], draw: np.random.Generator, limit: int) -> Array:
    match kind:
        case "zeros":
            return np.zeros(shape, np.int64)
        case "large":
            return np.full(shape, limit - 1)
        case "negative":  # no index is below zero: the two boundaries in turn
            return np.resize(np.array([limit - 1, 0]), shape)
    return draw.integers(0, limit, shape)


def _limit(dtype: np.dtype[Any], bound: int | None) -> int:
    """One more than the largest number to draw: the bound where the input is an index, else
    what a byte holds, as far as the dtype does."""
    most = min(256, int(np.iinfo(dtype).max) + 1)
    return max(1, bound) if bound is not None else most
