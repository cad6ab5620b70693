"""What calibration rows say about the inputs or outputs of layers: means and second moments."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.context import Samples
from compiler.compression.low_rank.costs import count_work, fix_type
from compiler.compression.low_rank.layers import Layer
from compiler.ir.evaluate import bind_sizes, evaluate
from compiler.ir.graph import Graph, Node, Output
from compiler.ir.weighted_net import WeightedNet
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode

Array = NDArray[Any]

MOST_ROWS = 512
LEAST_ROWS = 8
MOST_WORK = 5e9
"""Multiply-adds that calibration may take: beyond, it looks at fewer rows, down to the least."""


@dataclass
class Moments:
    """Sums over rows of a value's vectors: how many, their sum, and the sum of outer products."""

    count: int
    total: Array
    products: Array

    @property
    def mean(self) -> Array:
        """The mean vector."""
        average: Array = self.total / self.count
        return average

    @property
    def second(self) -> Array:
        """Mean of the outer products, about zero."""
        average: Array = self.products / self.count
        return average

    @property
    def covariance(self) -> Array:
        """Mean of the outer products, about the mean."""
        about: Array = self.second - np.outer(self.mean, self.mean)
        return about

    def add(self, rows: Array) -> None:
        """Adds rows `[count, size]`."""
        self.count += len(rows)
        self.total += rows.sum(axis=0, dtype=np.float64)
        self.products += rows.T @ rows


@dataclass
class _Watch:
    """Collects moments while a graph is evaluated; `wanted` are axes by name of the value."""

    wanted: Mapping[str, int]
    found: dict[str, Moments] = field(default_factory=dict)

    def __call__(self, node: Node, results: tuple[Array, ...]) -> None:
        for value, array in zip(node.outputs, results, strict=True):
            self.see(value.name, array)

    def see(self, name: str, array: Array) -> None:
        """Adds what a value is for a batch."""
        axis = self.wanted.get(name)
        if axis is None:
            return
        rows = np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis]).astype(np.float32)
        size = rows.shape[1]
        empty = Moments(0, np.zeros(size), np.zeros((size, size)))
        self.found.setdefault(name, empty).add(rows)


def collect_moments(
    net: WeightedNet, layers: Sequence[Layer], samples: Samples
) -> dict[str, Moments]:
    """Moments by path of a layer, of what `Layer.watched` names; several calls are added up.
    Layers inside loops and embeddings have none.
    """
    watch = _Watch({name: layer.axis for layer in layers for name in layer.watched})
    graph = _keep_needed(net.graph, watch.wanted)
    for batch in samples.batches(_count_rows(net.graph, layers, samples)):
        for name, array in batch.items():
            watch.see(name, np.asarray(array))
        evaluate(graph, net.weights, batch, watch=watch)
    made = {}
    for layer in layers:
        parts = [watch.found[name] for name in layer.watched if name in watch.found]
        if parts:
            made[layer.path] = _join(parts)
    return made


def _count_rows(graph: Graph, layers: Sequence[Layer], samples: Samples) -> int:
    """How many rows are looked at, by what the layers take for one."""
    first = next(iter(samples.batches(1, 1)), None)
    if first is None:
        return LEAST_ROWS
    sizes = bind_sizes(graph, first)
    work = sum(count_work([layer.op], fix_type(layer.source, sizes)) for layer in layers)
    return int(np.clip(MOST_WORK / max(work, 1.0), LEAST_ROWS, MOST_ROWS))


def _keep_needed(graph: Graph, names: Collection[str]) -> Graph:
    """The part of a graph that makes some values; none of them is an output, so that none is
    kept longer than it is read."""
    made = [v for node in graph.nodes for v in node.outputs if v.name in names]
    part = replace(graph, outputs=tuple(Output(v.name, v) for v in made))
    return replace(DeadCode().run(part, Context()), outputs=())


def _join(parts: Sequence[Moments]) -> Moments:
    if len(parts) == 1:
        return parts[0]
    return Moments(
        sum(p.count for p in parts),
        np.sum([p.total for p in parts], axis=0),
        np.sum([p.products for p in parts], axis=0),
    )
