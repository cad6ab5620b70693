"""Makes the smaller net: parameters sliced, ops and types with their new widths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.compression.pruning.axes import inner_space
from compiler.compression.pruning.groups import Channels
from compiler.ir.coupling import CutTensor
from compiler.ir.evaluate import Array
from compiler.ir.graph import Condition, Graph, Node, Parameter, Value
from compiler.ir.verify import verify_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.scan import Scan
from compiler.types.dims import Dim


def cut_net(net: WeightedNet, channels: Channels, cut: Array) -> WeightedNet:
    """The net without some entries (`Channels.mark`).

    Raises:
        InvalidGraph: an op's `cut` does not do what its `couple` allows.
    """
    cutter = Cutter(channels, cut)
    weights = dict(net.weights)
    for parameter in net.graph.parameters:
        tensor = cutter.tensor(parameter.value, "")
        array = np.asarray(weights[parameter.path])
        for axis, kept in enumerate(tensor.kept):
            array = array if kept is None else np.take(array, kept, axis)
        weights[parameter.path] = array
    return WeightedNet(cut_graph(net.graph, channels, cut), weights)


def cut_graph(graph: Graph, channels: Channels, cut: Array) -> Graph:
    """The graph without some entries (`Channels.mark`).

    Raises:
        InvalidGraph: an op's `cut` does not do what its `couple` allows.
    """
    cutter = Cutter(channels, cut)
    made = replace(
        graph,
        parameters=tuple(cutter.parameter(p) for p in graph.parameters),
        nodes=tuple(cutter.node(node, "") for node in graph.nodes),
    )
    made = replace(made, parameters=_renew_initializers(graph, made))
    verify_graph(made)
    return replace(made, conditions=_gather_conditions(graph, made))


class Cutter:
    """Cuts tensors and nodes as `Channels.mark` says."""

    def __init__(self, channels: Channels, cut: Array) -> None:
        self.channels = channels
        self.cut = cut

    def tensor(self, value: Value, space: str) -> CutTensor:
        """What is left of a value."""
        axes = range(value.type.rank)
        kept = tuple(self.channels.kept((space, value.name, a), self.cut) for a in axes)
        return CutTensor(value.type, kept)

    def value(self, value: Value, space: str) -> Value:
        """A value with its new type."""
        tensor = self.tensor(value, space)
        return value if tensor.type == value.type else Value(value.name, tensor.type)

    def parameter(self, parameter: Parameter) -> Parameter:
        """A parameter with its new type."""
        return replace(parameter, value=self.value(parameter.value, ""))

    def node(self, node: Node, space: str) -> Node:
        """A node on what is left of its inputs."""
        inputs = tuple(self.value(v, space) if v is not None else None for v in node.inputs)
        outputs = tuple(self.value(v, space) for v in node.outputs)
        if isinstance(node.op, Scan):
            body = self.body(node.op.body, inner_space(space, node))
            op = node.op if body is node.op.body else replace(node.op, body=body)
            return replace(node, op=op, inputs=inputs, outputs=outputs)
        if inputs == node.inputs and outputs == node.outputs:
            return node
        given = [self.tensor(v, space) if v is not None else None for v in node.inputs]
        made = [self.tensor(v, space) for v in node.outputs]
        return replace(node, op=node.op.cut(given, made), inputs=inputs, outputs=outputs)

    def body(self, graph: Graph, space: str) -> Graph:
        """The body of a loop; the same object where nothing in it is cut."""
        made = replace(
            graph,
            inputs=tuple(replace(i, value=self.value(i.value, space)) for i in graph.inputs),
            outputs=tuple(replace(o, value=self.value(o.value, space)) for o in graph.outputs),
            nodes=tuple(self.node(node, space) for node in graph.nodes),
        )
        return graph if made == graph else made


def _gather_conditions(old: Graph, new: Graph) -> tuple[Condition, ...]:
    """The promises about sizes, with those that narrower nodes need too: a group norm left with a
    channel in each group has no variance over a single pixel."""
    found = {(c.left, c.relation, c.right): c for c in new.conditions}
    for before, node in zip(old.nodes, new.nodes, strict=True):
        if node is not before:

            def assume(left: Dim, relation: str, right: Dim, node: Node = node) -> None:
                condition = Condition(left, relation, right, node.origin.span)
                found.setdefault((left, relation, right), condition)

            node.op.infer(assume, *node.types)
    return tuple(found.values())


def _renew_initializers(old: Graph, new: Graph) -> tuple[Parameter, ...]:
    """Parameters with the initializers that their layers give them at their new widths, where
    they had those that their layers gave them."""
    fresh = dict(new.parameter)
    for before, after in zip(old.nodes, new.nodes, strict=True):
        count = len(before.op.operands)
        was = before.op.weights(before.types[:count])
        now = after.op.weights(after.types[:count])
        for value, a, b in zip(before.inputs[count:], was, now, strict=False):
            parameter = fresh.get(value.name) if value is not None else None
            if parameter is not None and parameter.initializer == a.initializer:
                fresh[parameter.path] = replace(parameter, initializer=b.initializer)
    return tuple(fresh.values())
