"""Finds the layers of a net that can be factored, and says why the others cannot."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.ir.graph import Graph, Node
from compiler.ops.layers import Layer as LayerOp
from compiler.ops.layers import LinearLayer
from compiler.ops.modules import owns_weights
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.types.tensor import TensorType


@dataclass(frozen=True)
class Layer:
    """One set of weights and every call of it. `in_loop`: it runs in the body of a `scan`."""

    path: str
    op: LayerOp
    weight: str
    bias: str | None
    calls: tuple[Node, ...]
    in_loop: bool
    reason: str = ""
    """Why it cannot be factored; empty where it can."""

    @property
    def source(self) -> TensorType:
        """The type of the input of its first call."""
        value = self.calls[0].inputs[0]
        assert value is not None, "a layer has an input"
        return value.type

    @property
    def axis(self) -> int:
        """The axis of its inputs and outputs that the weight mixes."""
        return self.op.channel_axis

    @property
    def watches_outputs(self) -> bool:
        """Whether its factors depend on the moments of its outputs: those of a dense layer are
        smaller than its inputs', and say as much about the error of the product."""
        value = self.calls[0].inputs[1]
        assert value is not None, "a layer has a weight"
        shape = value.type.known_shape
        return self.op.multiplies_rows and shape is not None and shape[0] <= shape[1]

    @property
    def watched(self) -> tuple[str, ...]:
        """Names of the values whose moments matter; none where they cannot be seen."""
        if self.in_loop or not isinstance(self.op, LinearLayer) or self.reason:
            return ()
        if self.watches_outputs:
            return tuple(node.output.name for node in self.calls)
        return tuple(node.inputs[0].name for node in self.calls if node.inputs[0] is not None)

    @property
    def span(self) -> Span | None:
        """The line of the spec that it comes from."""
        return self.calls[0].origin.span


def find_layers(graph: Graph) -> list[Layer]:
    """Every layer with a weight matrix, in the order of its first call."""
    calls: dict[str, list[tuple[Node, bool]]] = {}
    readers: dict[str, list[Node]] = {}
    for node, in_loop in walk_nodes(graph):
        for value in dict.fromkeys(v for v in node.inputs if v is not None):
            if value.name in graph.parameter and not node.op.bodies:
                readers.setdefault(value.name, []).append(node)
        if isinstance(node.op, LayerOp):
            calls.setdefault(slot_of(node), []).append((node, in_loop))
    return [_describe(graph, path, found, readers) for path, found in calls.items()]


def slot_of(node: Node) -> str:
    """The path of the module that a layer is: that of its weights without their names."""
    return ".".join(part for part in (node.scope.path, node.origin.name) if part)


def walk_nodes(graph: Graph, *, in_loop: bool = False) -> Iterator[tuple[Node, bool]]:
    """Every node, those in bodies of loops too; whether it stands in one."""
    for node in graph.nodes:
        yield node, in_loop
        for body in node.op.bodies:
            yield from walk_nodes(body, in_loop=True)


def _describe(
    graph: Graph, path: str, found: list[tuple[Node, bool]], readers: dict[str, list[Node]]
) -> Layer:
    nodes = tuple(node for node, _ in found)
    first = nodes[0]
    op, weight, bias = first.op, first.inputs[1], None
    assert isinstance(op, LayerOp), "only layers with a weight matrix are asked for"
    assert weight is not None, "a layer has a weight"
    if len(first.inputs) > 2 and first.inputs[2] is not None:
        bias = first.inputs[2].name
    reason = _find_obstacle(graph, nodes, readers)
    in_loop = any(inside for _, inside in found)
    return Layer(path, op, weight.name, bias, nodes, in_loop, reason)


def _find_obstacle(graph: Graph, nodes: tuple[Node, ...], readers: dict[str, list[Node]]) -> str:
    """Why a layer cannot be replaced by factors; empty where it can. The paths that these take are
    free: all under its own is the layer's."""
    first = nodes[0]
    for value in first.inputs[1:]:
        if value is not None and value.name not in graph.parameter:
            return f"its weight `{value.name}` is computed"
    if not owns_weights(first):
        return "its weight is another layer's"
    own = {id(node) for node in nodes}
    for value in first.inputs[1:]:
        if value is not None and any(id(n) not in own for n in readers[value.name]):
            return f"`{value.name}` is tied to another layer"
    if any(node.op != first.op or node.inputs[1:] != first.inputs[1:] for node in nodes):
        return "its calls differ"
    return _find_shape_obstacle(first)


def _find_shape_obstacle(node: Node) -> str:
    op = node.op
    assert isinstance(op, LayerOp), "only layers with a weight matrix are asked for"
    if op.groups == 1:
        return ""
    return "it is depthwise" if op.groups == op.channels else "its channels are in groups"
