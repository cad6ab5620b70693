"""Watches a net at work on calibration rows: bounds, samples and means of its values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.base import CompressionContext
from compiler.compression.quantization.ranges import Observation
from compiler.compression.selecting import layer_path
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Node
from compiler.ir.input_ranges import OutsideDomain, Range, draw_input, find_ranges
from compiler.ir.sizes import SizeSearch
from compiler.ir.weighted_net import WeightedNet
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.quantization import no_calibration_sizes, range_not_finite
from compiler.report.messages.verification import no_allowed_inputs

Array = NDArray[Any]
Batch = Mapping[str, Array]

SAMPLE = 8192
"""Elements of a value that are kept of each batch."""


def draw_batches(net: WeightedNet, context: CompressionContext, rows: int) -> list[Batch]:
    """Calibration inputs: rows of the training split, or random ones where there is no data
    (normal numbers; whole numbers below what they index).

    Raises:
        CompileError: there is no data, and no sizes of the inputs are known to fit.
    """
    if context.samples is not None:
        return list(context.samples.batches(rows))
    given = {name: size for name, size in context.target.sizes if name in net.graph.symbols}
    sizes = SizeSearch(net.graph, given).choose_typical()
    if sizes is None:
        raise CompileError([no_calibration_sizes(context.span, net.graph.name, net.graph.symbols)])
    batch = SizeSearch(net.graph, {}).batch
    if batch is None:
        return [_draw_inputs(net, sizes, context.seed + row) for row in range(rows)]
    return [_draw_inputs(net, {**sizes, batch: rows}, context.seed)]


def _draw_inputs(net: WeightedNet, sizes: Mapping[str, int], seed: int) -> Batch:
    """Random inputs: whole numbers that are places lie in their tables, others are 0 and 1.

    Raises:
        CompileError: no numbers were found that the inputs may hold.
    """
    try:
        ranges = find_ranges(net.graph, sizes, net.weights)
    except OutsideDomain as found:
        span, layer = found.node.origin.span, found.node.op.name
        raise CompileError([no_allowed_inputs(span, net.graph.name, layer)]) from found
    made = {}
    for item in net.graph.inputs:
        bit = Range(0, 1) if item.value.type.dtype.is_integer else None
        shape = [dim.evaluate(sizes) for dim in item.value.type.shape]
        made[item.name] = draw_input(item, "random", shape, ranges.get(item.name, bit), seed)
    return made


@dataclass
class _Running:
    """What has been seen of one value so far."""

    low: float = np.inf
    high: float = -np.inf
    samples: list[Array] = field(default_factory=list)
    total: Array | None = None
    rows: int = 0
    count: int = 0

    def add(self, array: Array, axis: int | None, draw: np.random.Generator) -> None:
        if array.size == 0:
            return
        flat = array.reshape(-1)
        # Of NaN, the comparisons of Python would lose sight.
        self.low = float(np.minimum(self.low, flat.min()))
        self.high = float(np.maximum(self.high, flat.max()))
        kept = flat if flat.size <= SAMPLE else flat[draw.integers(0, flat.size, SAMPLE)]
        self.samples.append(kept.astype(np.float32))
        self.count += flat.size
        if axis is not None:
            others = tuple(a for a in range(array.ndim) if a != axis % array.ndim)
            sums = array.sum(axis=others, dtype=np.float64)
            self.total = sums if self.total is None else self.total + sums
            self.rows += array.size // array.shape[axis]

    def finish(self) -> Observation:
        sample = np.concatenate(self.samples) if self.samples else np.zeros(1, np.float32)
        low, high = (self.low, self.high) if self.samples else (0.0, 0.0)
        means = None if self.total is None else self.total / max(self.rows, 1)
        return Observation(low, high, sample, self.count, means)


def observe(
    net: WeightedNet, batches: Sequence[Batch], values: Collection[str], channels: Mapping[str, int]
) -> dict[str, Observation]:
    """What values of a net are on calibration rows, by name. `channels` gives the axis along
    which means are taken.

    Raises:
        CompileError: a value is not finite.
    """
    running = {name: _Running() for name in values}
    draw = np.random.default_rng(0)

    def see(name: str, array: Array) -> None:
        if name in running:
            running[name].add(array, channels.get(name), draw)

    def watch(node: Node, results: tuple[Array, ...]) -> None:
        for value, array in zip(node.outputs, results, strict=True):
            see(value.name, array)

    for batch in batches:
        for item in net.graph.inputs:
            see(item.name, np.asarray(batch[item.name]))
        evaluate(net.graph, net.weights, batch, watch=watch)
    order = [*(item.name for item in net.graph.inputs), *net.graph.producers]
    for name in sorted(running, key=order.index):
        state = running[name]
        if state.samples and not isfinite(state.high - state.low):
            raise CompileError([_refuse_range(net.graph, name)])
    return {name: state.finish() for name, state in running.items()}


def _refuse_range(graph: Graph, name: str) -> Message:
    """The message of a value that is not finite, at what makes it."""
    maker = graph.producers.get(name)
    if maker is not None:
        return range_not_finite(maker.origin.span, layer_path(maker))
    return range_not_finite({item.name: item.origin for item in graph.inputs}[name], name)


def measure_sqnr(
    net: WeightedNet, made: WeightedNet, batches: Sequence[Batch], values: Collection[str] = ()
) -> dict[str, float]:
    """The ratio of signal to quantization noise in decibels, 10 log10(Σ x² / Σ (x - y)²), of
    every output (by its name) and of values that both nets have (by theirs)."""
    return compare_records([_record(net, batch, values) for batch in batches], made, batches)


def compare_records(
    expected: Sequence[Mapping[str, Array]], made: WeightedNet, batches: Sequence[Batch]
) -> dict[str, float]:
    """The same against what a net gave before, by `record_outputs`."""
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    for batch, seen in zip(batches, expected, strict=True):
        for name, array in _record(made, batch, seen).items():
            if array.dtype.kind == "f":
                wanted = seen[name].astype(np.float64)
                signal[name] = signal.get(name, 0.0) + float(np.square(wanted).sum())
                error = float(np.square(wanted - array).sum())
                noise[name] = noise.get(name, 0.0) + error
    return {
        name: float(10 * np.log10(max(power, 1e-30) / max(noise[name], 1e-30)))
        for name, power in signal.items()
    }


def record_outputs(net: WeightedNet, batches: Sequence[Batch]) -> list[dict[str, Array]]:
    """What a net gives for each batch, to compare several others with."""
    return [_record(net, batch, ()) for batch in batches]


def first_rows(batches: Sequence[Batch], rows: int) -> list[Batch]:
    """The first rows of the first batch, for what is evaluated often; the whole batch where
    inputs have different numbers of rows."""
    found: list[Batch] = []
    for batch in batches[:1]:
        counts = {len(array) if array.ndim else 0 for array in batch.values()}
        alike = len(counts) == 1
        found.append({k: a[:rows] for k, a in batch.items()} if alike else batch)
    return found


def _record(net: WeightedNet, batch: Batch, values: Collection[str]) -> dict[str, Array]:
    found: dict[str, Array] = {}

    def watch(node: Node, results: tuple[Array, ...]) -> None:
        for value, array in zip(node.outputs, results, strict=True):
            if value.name in values:
                found[value.name] = array

    outputs = evaluate(net.graph, net.weights, batch, watch=watch)
    return found | {f"output {name}": array for name, array in outputs.items()}
