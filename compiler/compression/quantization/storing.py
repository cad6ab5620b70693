"""Finds the weights of a net that can be kept in few bits, and puts what unpacks them before
the layers that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.selecting import KEPT_OUT, is_selected, layer_path
from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Node, Op, Value
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.layers import LinearLayer
from compiler.ops.scan import Scan
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.passes.rewrite import Rewriter
from compiler.report.messages.wording import count
from compiler.report.source import Span
from compiler.types.tensor import DType, TensorType

Array = NDArray[Any]

LEAST = 32
"""Numbers below which a weight is left as it is: what unpacks it takes more bytes than it saves."""


@dataclass(frozen=True)
class Weight:
    """A weight that can be kept in few bits: its parameter, the layer that reads it first, and
    the axis of its entries that have scales of their own."""

    path: str
    layer: str
    node: Node
    axis: int
    span: Span | None

    def unfold(self, array: Array) -> Array:
        """The weight as a matrix with one row for each entry along the axis."""
        return np.moveaxis(array, self.axis, 0).reshape(array.shape[self.axis], -1)

    def fold(self, matrix: Array, shape: Sequence[int]) -> Array:
        """A matrix of `unfold` as a weight of that shape."""
        moved = (shape[self.axis], *(n for a, n in enumerate(shape) if a != self.axis))
        folded = np.moveaxis(matrix.reshape(moved), 0, self.axis)
        return np.ascontiguousarray(folded)

    def spread(self, numbers: Array, rank: int) -> Array:
        """One number for each entry along the axis, in the shape that broadcasts."""
        return numbers.reshape([-1 if a == self.axis else 1 for a in range(rank)])


@dataclass(frozen=True)
class Packing:
    """What stands for a weight: the op that unpacks it, and the parameters it reads, by the end
    of their path."""

    op: Op
    parts: Mapping[str, tuple[DType, Array]]


def find_weights(
    net: WeightedNet,
    context: CompressionContext,
    only: Sequence[str] | None,
    excluded: Sequence[str],
    step: str,
) -> list[Weight]:
    """The weights of at least two axes that may be touched, in the order in which they are read;
    a note for every other one of that size."""
    found: list[Weight] = []
    for weight, reason in list_weights(net.graph, only, excluded):
        if reason:
            context.note(LayerNote(step, weight.layer, "", reason, span=weight.span))
        else:
            found.append(weight)
    return found


def list_weights(
    graph: Graph, only: Sequence[str] | None, excluded: Sequence[str]
) -> Iterator[tuple[Weight, str]]:
    """The weights of at least two axes, in the order in which they are read, and why each stays as
    it is; empty where it may be kept in few bits."""
    seen: set[str] = set()
    for node in graph.nodes:
        for value in node.inputs:
            if value is None or value.name not in graph.parameter or value.name in seen:
                continue
            seen.add(value.name)
            if not graph.parameter[value.name].trainable or value.type.rank < 2:
                continue  # scales, statistics, biases, norms
            weight = _describe(node, value)
            yield weight, _find_obstacle(graph, weight, only, excluded)


def explain_layers(graph: Graph) -> dict[str, str]:
    """The layers with weights of at least two axes, by path, and why all of these stay as they are;
    empty where one may be kept in few bits."""
    found: dict[str, str] = {}
    for weight, reason in list_weights(graph, None, ()):
        found[weight.layer] = reason and found.get(weight.layer, reason)
    return found


def _describe(node: Node, value: Value) -> Weight:
    head = value.name.rpartition(".")[0]
    owned = head == layer_path(node)
    layer = layer_path(node) if owned else value.name
    shape = value.type.known_shape or ()
    wide = [axis for axis, size in enumerate(shape) if size > 1]
    axis = wide[0] if wide else 0
    if isinstance(node.op, LinearLayer) and node.op.made_axis:
        axis = node.op.made_axis
    return Weight(value.name, layer, node, axis, node.origin.span)


def _find_obstacle(
    graph: Graph, weight: Weight, only: Sequence[str] | None, excluded: Sequence[str]
) -> str:
    if not is_selected(weight.layer, only, excluded):
        return KEPT_OUT
    if any(user.op.rounds for user in graph.users[weight.path]):
        return "it is rounded already"
    kind = graph.parameter[weight.path].value.type
    if kind.dtype is not DType.F32:
        return f"`{weight.path}` has few bits already"
    size = kind.size.known or 0
    if size < LEAST:
        return f"it has only {count(size, 'number')}"
    return ""


def store_weights(
    net: WeightedNet, weights: Sequence[Weight], pack: Callable[[Weight, Array], Packing]
) -> WeightedNet:
    """The net with each weight replaced by what `pack` makes of it. The parts of `fc.weight` are
    `fc.weight_codes` and `fc.weight_scale`. Every layer that reads it gets the op for itself, so
    that it stands in the frame of its reader."""
    rewriter = Rewriter(net.graph)
    chosen = {weight.path: weight for weight in weights}
    packings: dict[str, tuple[Op, tuple[Value | None, ...]]] = {}
    for node in net.graph.nodes:
        for value in dict.fromkeys(v for v in node.inputs if v is not None):
            weight = chosen.get(value.name)
            if weight is None:
                continue
            if value.name not in packings:
                packing = pack(weight, net.weights[value.name])
                packings[value.name] = packing.op, _declare(rewriter, value.name, packing)
            op, parts = packings[value.name]
            site = replace(node, origin=Site(node.origin.span))
            name = rewriter.free_name(value.name.rpartition(".")[2])
            (made,) = rewriter.apply(op, parts, site, [name])
            rewriter.replace(value, made)
            if isinstance(node.op, Scan):
                node = replace(node, op=_rename_captured(node.op, value.name, made.name))
        rewriter.keep(node)
    return settle(rewriter.graph(), net.weights)


def _rename_captured(op: Scan, old: str, new: str) -> Scan:
    """A loop whose body reads a value from outside by another name: layers in it then do not own
    their weight any more."""

    def rename(value: Value) -> Value:
        return replace(value, name=new) if value.name == old else value

    def rename_node(node: Node) -> Node:
        inner = _rename_captured(node.op, old, new) if isinstance(node.op, Scan) else node.op
        inputs = tuple(rename(v) if v is not None else None for v in node.inputs)
        return replace(node, op=inner, inputs=inputs)

    body = op.body
    inputs = tuple(replace(item, value=rename(item.value)) for item in body.inputs)
    outputs = tuple(replace(item, value=rename(item.value)) for item in body.outputs)
    nodes = tuple(map(rename_node, body.nodes))
    return replace(op, body=replace(body, inputs=inputs, outputs=outputs, nodes=nodes))


def _declare(rewriter: Rewriter, path: str, packing: Packing) -> tuple[Value | None, ...]:
    parts: list[Value | None] = []
    for end, (dtype, array) in packing.parts.items():
        kind = TensorType.of(dtype, array.shape)
        parts.append(rewriter.buffer(rewriter.free_name(f"{path}_{end}"), kind, array))
    return tuple(parts) + (None,) * (len(packing.op.operands) - len(parts))


def settle(graph: Graph, weights: Mapping[str, Array]) -> WeightedNet:
    """A rewritten graph with the numbers of its parameters, without those that nothing reads."""
    live = DeadCode().run(graph, Context(weights))
    numbers: dict[str, Any] = {**weights, **live.constants}
    kept = {p.path: np.asarray(numbers[p.path]) for p in live.parameters}
    return WeightedNet(replace(live, constants={}), kept)


def measure_loss(weight: Array, made: Array) -> float:
    """The ratio of a weight to its rounding error in decibels."""
    power = float(np.square(weight.astype(np.float64)).sum())
    noise = float(np.square(weight.astype(np.float64) - made).sum())
    return float(10 * np.log10(max(power, 1e-30) / max(noise, 1e-30)))
