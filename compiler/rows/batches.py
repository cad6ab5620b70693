"""Norms over a batch that has one value for each channel: nothing to take a deviation of."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.ir.graph import Node
from compiler.ir.weights import match_paths
from compiler.program.train import Train, TrainedNet
from compiler.report.diagnostics import Message
from compiler.report.messages.training import one_value_per_channel


def find_thin_norms(train: Train, rows: int) -> Iterator[Message]:
    """What takes statistics of a batch of so many rows while training, and finds a single value for
    each channel. Nets that are frozen whole run in evaluation mode."""
    if not train.learns:
        return
    frozen = [net for net in train.nets if _is_frozen(train, net)]
    for node in train.graph.nodes:
        if not node.op.over_batch or any(_belongs(node, net) for net in frozen):
            continue
        value = node.inputs[0]
        assert value is not None, "it has an operand"
        size, channels = value.type.size.substitute({"batch": rows}), value.type.shape[1]
        if size.known is not None and size == channels:
            yield one_value_per_channel(node.origin.span, node.op.name, str(value.type), rows)


def _is_frozen(train: Train, net: TrainedNet) -> bool:
    paths = [net.prefix + p.path for p in net.net.graph.parameters if p.trainable]
    return len(match_paths(paths, train.freeze)) == len(paths)


def _belongs(node: Node, net: TrainedNet) -> bool:
    """Whether the weights of a node are those of a net."""
    own = {net.prefix + path for path in net.net.graph.parameter}
    return any(v is not None and v.name in own for v in node.inputs)
