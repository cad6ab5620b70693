"""How far two computations of a quantized network may lie apart: some numbers sit on an edge.

Where a value is rounded to levels, a difference in the last bit decides which level it gets if it
lies in the middle between two. Backends sum in other orders, or in integers, so a few elements
differ by a whole step. What that does to the outputs is found by trying: the network is computed
with every value moved by a small part of its step before it is rounded. Where a runtime may round
inputs that the meaning does not round (`accuracy_level`), they move by as much as that rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backends.verification.tolerance import measure_distance
from compiler.ir.evaluate import decode_weights, evaluate
from compiler.ir.graph import Graph, Node, Op, Output, Value
from compiler.ops.packed import DynamicDense, PackedDense, quantize_dynamically
from compiler.ops.quantization import FakeQuantize
from compiler.types.dims import Dim

Array = NDArray[Any]

SHARE = 2.0**-6
"""By how much of a step values are moved. A bias rounded to steps of s_x · s_w moves a result by
up to 2**-8 of its own step; f32 sums of thousands of products by less."""
FLIPS = 2
"""How many elements of each row should get another level at least: in a value of eight elements
(behind a pool) hardly one would, and the one that does in a backend has a large effect."""
FACTOR = 3.0
"""How many times the largest effect of the moves a difference may be."""


Rounding = FakeQuantize | DynamicDense | PackedDense


@dataclass(frozen=True)
class _Moved:
    """A rounding whose operand is moved first."""

    of_graph = of_mode = False
    bodies = ()

    op: Rounding
    draw: np.random.Generator
    varies: ClassVar[bool] = False

    def substitute(self, sizes: Mapping[str, int | Dim]) -> _Moved:
        return self

    def evaluate(self, x: Array, *weights: Array) -> tuple[Array, ...]:
        noise = draw_noise(self.draw, x.shape, x.dtype)
        return self.op.evaluate(x + noise * _find_reach(self.op, x, weights), *weights)


def draw_noise(draw: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Numbers from -1 to 1 in a dtype that floating-point numbers are computed in."""
    noise = draw.random(shape, np.float64 if dtype == np.float64 else np.float32)
    noise *= 2
    noise -= 1
    return noise.astype(dtype, copy=False)


def _find_reach(op: Rounding, x: Array, weights: Sequence[Array]) -> Array:
    """By how much each entry of an operand may be moved."""
    match op:
        case DynamicDense():
            _, step, _ = quantize_dynamically(x)
            return np.asarray(SHARE * step)
        case PackedDense():
            # Inputs in i8, with one step for each block of a row that is at most its largest.
            size = x.shape[-1]
            blocks = np.add.accumulate(np.full(-(-size // op.block) - 1, op.block))
            peaks = [np.abs(part).max(axis=-1) for part in np.split(x, blocks, axis=-1)]
            return np.repeat(np.stack(peaks, axis=-1) / 254, op.block, axis=-1)[..., :size]
    row = x.size // max(1, len(x) if x.ndim else 1)
    step = np.asarray(min(0.5, max(SHARE, FLIPS / max(1, row))) * weights[0])
    if op.axis is None:
        return step
    return step.reshape([-1 if a == op.axis % x.ndim else 1 for a in range(x.ndim)])


def has_rounding(graph: Graph) -> bool:
    """Whether a graph rounds values that depend on its inputs."""
    return bool(find_roundings(graph))


def find_roundings(graph: Graph) -> tuple[int, ...]:
    """Indices of the nodes that round values that depend on the inputs of a graph."""
    return tuple(index for index in range(len(graph.nodes)) if _is_rounding(graph, index))


def evaluate_levels(
    graph: Graph, weights: Mapping[str, Array], inputs: Mapping[str, Array]
) -> tuple[dict[str, Array], bool]:
    """The outputs of a graph by name, and whether every value that it rounds has a level. NaN has
    none, and infinity has none where the largest number gives the step: what becomes of them in
    whole numbers is up to each runtime."""
    rounded = [graph.nodes[index] for index in find_roundings(graph)]
    named = {node.inputs[0].name: node.op for node in rounded if node.inputs[0] is not None}
    strange = [name for name, array in inputs.items() if not _has_levels(named.get(name), array)]

    def watch(node: Node, results: tuple[Array, ...]) -> None:
        strange.extend(
            value.name
            for value, array in zip(node.outputs, results, strict=True)
            if not _has_levels(named.get(value.name), array)
        )

    return evaluate(graph, weights, inputs, watch=watch), not strange


def _has_levels(op: Op | None, x: Array) -> bool:
    if op is None:
        return True
    undefined = np.isnan(x) if isinstance(op, FakeQuantize) else ~np.isfinite(x)
    return not undefined.any()


def _is_rounding(graph: Graph, index: int) -> bool:
    node = graph.nodes[index]
    source = node.inputs[0] if node.inputs else None
    match node.op:
        case FakeQuantize() | DynamicDense():
            moves = True
        case PackedDense(accuracy_level=level):
            moves = level == 4
        case _:
            moves = False
    return moves and source is not None and source.name not in graph.parameter


@dataclass(frozen=True, eq=False)
class Reference:
    """A graph and its weights, whose meaning backends are compared with. What follows from them
    alone is computed once for all cases: of large weights that takes longer than a case."""

    graph: Graph
    weights: Mapping[str, Array]

    @cached_property
    def decoded(self) -> tuple[Graph, dict[str, Array]]:
        """The graph without nodes that only say how weights are stored, and what these stand
        for."""
        return decode_weights(self.graph, self.weights)

    @cached_property
    def rounded(self) -> tuple[Graph, dict[str, Array]]:
        """The same with the biases of integer layers as they are stored."""
        graph, weights = self.decoded
        return graph, weights | dict(_round_biases(self.graph, self.weights))


@dataclass(frozen=True, eq=False)
class Levels:
    """What levels decided otherwise and integer biases do to the outputs of a graph on one case;
    `meaning` are its outputs by name."""

    reference: Reference
    inputs: Mapping[str, Array]
    meaning: Mapping[str, Array]

    def move(self, seed: int) -> dict[str, Array]:
        """What one move of the values before they are rounded explains, by output. An element
        that gets another level moves all that depends on it, and no draw hits upon all of them,
        so the farthest entry of a channel stands for the channel."""
        draw = np.random.default_rng(seed)
        graph, weights = self.reference.rounded
        nodes = tuple(
            replace(node, op=_Moved(node.op, draw))  # type: ignore[arg-type]
            if _is_rounding(graph, index) and isinstance(node.op, Rounding)
            else node
            for index, node in enumerate(graph.nodes)
        )
        with np.errstate(all="ignore"):
            moved = evaluate(replace(graph, nodes=nodes), weights, self.inputs)
        found = {}
        for name, array in self.meaning.items():
            distance = measure_distance(array, moved[name])
            allowed = np.maximum(_widen_to_channels(FACTOR * distance), self._steps.get(name, 0.0))
            clipped = self._clipped.get(name)
            if clipped is not None:
                allowed = np.where(clipped & (distance == 0), 0.0, allowed)
            found[name] = allowed
        return found

    @cached_property
    def _steps(self) -> dict[str, float]:
        """The step of every output that is rounded last."""
        graph, weights = self.reference.rounded
        found = {}
        for output in graph.outputs:
            maker = graph.producers.get(output.value.name)
            scale = maker.inputs[1] if maker is not None and len(maker.inputs) > 1 else None
            if maker is not None and isinstance(maker.op, FakeQuantize) and scale is not None:
                found[output.name] = 1.01 * float(np.max(weights[scale.name]))
        return found

    @cached_property
    def _clipped(self) -> dict[str, Array]:
        """Where an output that is rounded last is clipped by more than a step: no edge is near."""
        graph, weights = self.reference.rounded
        last: dict[str, Node] = {}
        for output in graph.outputs:
            maker = graph.producers.get(output.value.name)
            if maker is not None and isinstance(maker.op, FakeQuantize):
                last[output.name] = maker
        given = {v.name: v for node in last.values() for v in node.inputs if v is not None}
        watched = replace(graph, outputs=tuple(Output(name, v) for name, v in given.items()))
        with np.errstate(all="ignore"):
            numbers = evaluate(watched, weights, self.inputs) if given else {}
        found = {}
        for name, node in last.items():
            assert isinstance(node.op, FakeQuantize)
            x, scale, zero = (numbers[v.name] for v in node.inputs if v is not None)
            levels = x / node.op.spread(scale, x.ndim) + node.op.spread(zero, x.ndim)
            low, high = node.op.levels
            found[name] = (levels < low - 1) | (levels > high + 1)
        return found


def _widen_to_channels(distance: Array) -> Array:
    """The largest entry of each channel: axis 1 of rows and images, the last of sequences."""
    if distance.ndim < 2 or distance.size == 0:
        return np.asarray(distance.max(initial=0.0, keepdims=True))
    channels = 2 if distance.ndim == 3 else 1
    others = tuple(axis for axis in range(distance.ndim) if axis != channels)
    return np.asarray(distance.max(axis=others, keepdims=True))


def _round_biases(graph: Graph, weights: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Biases of integer layers in the steps in which they are stored, by path."""
    for node in graph.nodes:
        if node.op.in_integers != "layer" or len(node.inputs) < 3:
            continue
        source, weight, bias = node.inputs
        left, right = (_find_scale(graph, weights, value) for value in (source, weight))
        if bias is None or bias.name not in weights or left is None or right is None:
            continue
        step = left * right
        yield bias.name, (np.round(weights[bias.name] / step) * step).astype(np.float32)


def _find_scale(graph: Graph, weights: Mapping[str, Array], value: Value | None) -> Array | None:
    """The scale to which a value was rounded, perhaps before it was reshaped."""
    while value is not None:
        maker = graph.producers.get(value.name)
        if maker is None or (len(maker.inputs) > 1 and not isinstance(maker.op, FakeQuantize)):
            return None
        if isinstance(maker.op, FakeQuantize):
            scale = maker.inputs[1]
            return None if scale is None else np.asarray(weights[scale.name])
        value = maker.inputs[0]
    return None
