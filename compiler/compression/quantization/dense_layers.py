"""Finds the dense layers of a net that other dense ops can stand for, and puts these there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.quantization.base import Scheme
from compiler.compression.quantization.storing import explain_layers as explain_stored
from compiler.compression.quantization.storing import settle
from compiler.compression.selecting import KEPT_OUT, is_selected, layer_path
from compiler.ir.graph import Graph, Node, Op, Value
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.linear import Dense
from compiler.passes.base import Context
from compiler.passes.pipeline import run_passes
from compiler.passes.rewrite import Rewriter
from compiler.passes.slice_pull_up import SlicePullUp
from compiler.passes.split_projections import SplitProjections
from compiler.report.diagnostics import Message
from compiler.report.messages.weight_formats import no_dense_layer
from compiler.report.messages.wording import count
from compiler.report.source import Span
from compiler.types.tensor import DType, TensorType

Array = NDArray[Any]
Rest = Literal["stored", "float"]
"""What becomes of the weights that no layer in integers or blocks reads."""


NOT_DENSE = "it is no dense layer"
"""Why a layer stays in floats where no rest is stored."""


@dataclass(frozen=True)
class DenseLayer:
    """A dense layer with a weight that it alone reads, and all its calls."""

    path: str
    weight: str
    bias: str | None
    calls: tuple[Node, ...]

    @property
    def node(self) -> Node:
        """Its first call."""
        return self.calls[0]

    @property
    def span(self) -> Span | None:
        """The line of the spec that it comes from."""
        return self.node.origin.span


@dataclass(frozen=True)
class Replacement:
    """The op that stands for a dense layer, and its weights before the bias, by name."""

    op: Op
    parts: Mapping[str, tuple[DType, Array]]


def pull_slices(net: WeightedNet) -> WeightedNet:
    """The same function, with slices of tokens pulled up through the layers that make them.

    When a file is written this comes too late: behind it, an input rounded at each call has
    another range.
    """
    passes = (SplitProjections(), SlicePullUp())
    return settle(run_passes(net.graph, passes, Context(net.weights)), net.weights)


def find_dense(
    net: WeightedNet,
    context: CompressionContext,
    only: Sequence[str] | None,
    excluded: Sequence[str],
    step: str,
    rest: Rest,
) -> list[DenseLayer]:
    """The dense layers that may be replaced, in order; a note for every other one. Where the rest
    is stored, that of a layer which patterns keep out comes from there."""
    graph = net.graph
    calls: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if isinstance(node.op, Dense):
            calls.setdefault(layer_path(node), []).append(node)
    found = []
    others = explain_stored(graph).keys() - calls.keys() if rest == "float" else ()
    for path in sorted(others):
        reason = NOT_DENSE if is_selected(path, only, excluded) else KEPT_OUT
        context.note(LayerNote(step, path, "", reason))
    for path, nodes in calls.items():
        reason = _find_obstacle(graph, path, nodes)
        if not is_selected(path, only, excluded):
            reason = KEPT_OUT
        if reason:
            if reason != KEPT_OUT or rest == "float":
                context.note(LayerNote(step, path, "", reason, span=nodes[0].origin.span))
            continue
        names = [v.name if v is not None else None for v in nodes[0].inputs[1:]]
        assert names[0] is not None, "a dense layer has a weight"
        bias = names[1] if len(names) > 1 else None
        found.append(DenseLayer(path, names[0], bias, tuple(nodes)))
    return found


def has_dense(
    graph: Graph, only: Sequence[str] | None, excluded: Sequence[str], least: int = 1
) -> bool:
    """Whether there is a dense layer that may be replaced, with so many numbers in its weight."""
    found = _explain_dense(graph, least)
    return any(not reason and is_selected(path, only, excluded) for path, reason in found.items())


def explain_layers(graph: Graph, rest: Rest, least: int = 1) -> dict[str, str]:
    """The layers with weights, by path, and why each stays as it is where dense layers with so many
    numbers are replaced; empty where it does not."""
    stored = explain_stored(graph)
    dense = _explain_dense(graph, least)
    if rest == "stored":
        return stored | {
            path: reason and stored.get(path, reason) for path, reason in dense.items()
        }
    return dict.fromkeys(stored, NOT_DENSE) | dense


def _explain_dense(graph: Graph, least: int) -> dict[str, str]:
    """The dense layers, by path, and why each cannot be replaced; empty where it may."""
    calls: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if isinstance(node.op, Dense):
            calls.setdefault(layer_path(node), []).append(node)
    found = {path: _find_obstacle(graph, path, nodes) for path, nodes in calls.items()}
    for path, nodes in calls.items():
        size = _count_numbers(nodes[0])
        if not found[path] and size < least:
            found[path] = f"its weight has only {count(size, 'number')}"
    return found


def _count_numbers(node: Node) -> int:
    weight = node.inputs[1]
    return (weight.type.size.known or 0) if weight is not None else 0


def _find_obstacle(graph: Graph, path: str, nodes: Sequence[Node]) -> str:
    first = nodes[0]
    for value in first.inputs[1:]:
        if value is None or value.name not in graph.parameter:
            return "its weight is computed"
        if value.name.rpartition(".")[0] != path:
            return "its weight is another layer's"
        if any(user not in nodes for user in graph.users[value.name]):
            return f"`{value.name}` is tied to another layer"
    if any(node.op != first.op or node.inputs[1:] != first.inputs[1:] for node in nodes):
        return "its calls differ"
    source = first.inputs[0]
    if source is None or source.type.dtype is not DType.F32:
        return "it does not compute in f32"
    return ""


def replace_dense(
    net: WeightedNet,
    layers: Sequence[DenseLayer],
    make: Callable[[DenseLayer, Array], Replacement],
) -> WeightedNet:
    """The net with other ops in place of dense layers. The weights of the layer at `fc` get the
    paths that the op's own weights have: `fc.codes`, `fc.scale`; a bias stays where it is."""
    chosen = {id(node): layer for layer in layers for node in layer.calls}
    rewriter = Rewriter(net.graph)
    made: dict[str, tuple[Op, tuple[Value, ...]]] = {}
    for node in net.graph.nodes:
        layer = chosen.get(id(node))
        if layer is None:
            rewriter.keep(node)
            continue
        if layer.path not in made:
            made[layer.path] = _declare(rewriter, layer, make(layer, net.weights[layer.weight]))
        op, parts = made[layer.path]
        source, _, *bias = node.inputs
        assert source is not None, "a dense layer has an input"
        inputs = (rewriter.current(source), *parts, *bias)
        rewriter.apply(op, inputs, node, [node.output.name])
    return settle(rewriter.graph(), net.weights)


def _declare(
    rewriter: Rewriter, layer: DenseLayer, replacement: Replacement
) -> tuple[Op, tuple[Value, ...]]:
    """The op of a layer, and its weights but for the bias as buffers of the graph."""
    source = layer.node.inputs[0]
    assert source is not None, "a dense layer has an input"
    draws = {w.name: w.initializer for w in replacement.op.weights([source.type])}
    parts = []
    for name, (dtype, array) in replacement.parts.items():
        kind = TensorType.of(dtype, array.shape)
        parts.append(rewriter.buffer(f"{layer.path}.{name}", kind, array, draws[name]))
    return replacement.op, tuple(parts)


class DenseScheme(Scheme):
    """Base of schemes that compute dense layers from weights of few bits, and store the rest or
    leave it as it is."""

    least_size: ClassVar[int] = 1
    """How many numbers a weight has at least that it takes."""
    rest: Rest

    @property
    def stores_all(self) -> bool:
        """Where it stores what is no dense layer."""
        return self.rest == "stored"

    def find_fault(
        self, graph: Graph, only: Sequence[str] | None, excluded: Sequence[str], span: Span | None
    ) -> Message | None:
        """A net without dense layers that are large enough."""
        if has_dense(graph, only, excluded, self.least_size):
            return None
        return no_dense_layer(span, graph.name, self.name, self.least_size)

    def explain_layers(self, graph: Graph) -> Mapping[str, str]:
        """What is no dense layer stays, or is stored."""
        return explain_layers(graph, self.rest, self.least_size)
