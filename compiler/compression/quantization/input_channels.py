"""Adds channels of zeros to the inputs of a rounded net, so that its first convolutions have four.

ONNX Runtime's integer convolutions read their input in place where its channels are a multiple of
four; with three, as colours have, they copy every window before. Zeros add nothing to any sum, so
the net computes what it did. Whether it pays is for the meter to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Node
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.convolution import Conv
from compiler.ops.padding import Pad
from compiler.passes.rewrite import Rewriter

MULTIPLE = 4
"""Channels that one instruction multiplies and adds (VNNI)."""


def pad_inputs(net: WeightedNet) -> WeightedNet | None:
    """The net with padded inputs; None where no convolution would gain from it.

    Args:
        net: with its rounding written out.
    """
    found = {rounding.outputs[0].name: conv for rounding, conv in _find_first(net.graph)}
    if not found:
        return None
    rewriter = Rewriter(net.graph)
    for conv in found.values():
        weight = _find_weight(net.graph, conv)
        array = net.weights[weight]
        widths = [(0, -array.shape[1] % MULTIPLE if axis == 1 else 0) for axis in range(array.ndim)]
        padded = rewriter.constant(weight, np.pad(array, widths))
        rewriter.replace(net.graph.parameter[weight].value, padded)
    for node in net.graph.nodes:
        rewriter.keep(node)
        rounded = node.outputs[0]
        if rounded.name in found:
            extra = -(rounded.type.shape[1].known or 0) % MULTIPLE
            pad = Pad((*[0] * (2 * rounded.type.rank - 4), 0, extra))
            site = replace(node, origin=Site(node.origin.span))
            (wide,) = rewriter.apply(pad, [rounded], site)
            rewriter.replace(rounded, wide)
    graph = rewriter.graph()
    numbers: dict[str, Any] = {**net.weights, **graph.constants}
    return WeightedNet(
        replace(graph, constants={}),
        {p.path: np.asarray(numbers[p.path]) for p in graph.parameters},
    )


def _find_first(graph: Graph) -> Iterator[tuple[Node, Node]]:
    """Convolutions that alone read an input of the net, and the rounding before each."""
    outputs = {item.value.name for item in graph.outputs}
    for item in graph.inputs:
        users = graph.users.get(item.name, ())
        if len(users) != 1 or not users[0].op.rounds or item.name in outputs:
            continue
        rounded = users[0].outputs[0]
        readers = graph.users.get(rounded.name, ())
        channels = item.value.type.shape[1].known if item.value.type.rank > 2 else None
        if len(readers) != 1 or channels is None or rounded.name in outputs:
            continue
        op = readers[0].op
        gains = isinstance(op, Conv) and op.groups == 1 and channels % MULTIPLE
        if gains and _find_weight(graph, readers[0]):
            yield users[0], readers[0]


def _find_weight(graph: Graph, conv: Node) -> str:
    """The path of a convolution's rounded weight; empty where something else reads it too."""
    value = conv.inputs[1]
    maker = graph.producers.get(value.name) if value is not None else None
    source = maker.inputs[0] if maker is not None else None
    if value is None or source is None or source.name not in graph.parameter:
        return ""
    alone = len(graph.users[source.name]) == len(graph.users[value.name]) == 1
    return source.name if alone else ""
