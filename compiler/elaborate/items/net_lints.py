"""Lints that a graph shows by itself: biases without effect, sigmoids in a row, losses that get
numbers of another kind than they are made for."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from compiler.ir.graph import Graph, Node, Op
from compiler.ir.operands import UNLIMITED, Limits
from compiler.ops.layers import Layer, LinearLayer
from compiler.report.diagnostics import Message
from compiler.report.messages.learning_lints import (
    bias_before_norm,
    loss_does_not_fit,
    sigmoid_depth,
)
from compiler.rows.loss_parts import find_first

DEEP = 5
"""Sigmoids in a row that leave less than a thousandth of a gradient."""


def find_net_lints(graph: Graph) -> Iterator[Message]:
    """What is most likely not meant in a network."""
    ends = {o.value.name for o in graph.outputs}
    for node in graph.nodes:
        if node.op.over_batch:
            yield from _find_bias(graph, node, ends)
        if node.op.better is not None:
            yield from _find_misfit(graph, node)
    if sum(node.op.squashes for node in graph.nodes) >= DEEP:
        yield from _find_depth(graph)


def _find_bias(graph: Graph, norm: Node, ends: set[str]) -> Iterator[Message]:
    """A bias that only a norm over the batch reads."""
    value = norm.inputs[0]
    maker = graph.producers.get(value.name) if value is not None else None
    if value is None or maker is None or not isinstance(maker.op, LinearLayer):
        return
    if maker.op.bias and len(graph.users[value.name]) == 1 and value.name not in ends:
        own = maker.op.name, norm.op.name, norm.origin.span
        yield bias_before_norm(maker.origin.span, *own)


def _find_depth(graph: Graph) -> Iterator[Message]:
    """The sigmoid before which too many others lie on every way from the outputs. A norm brings
    gradients back to their size."""
    depth: dict[str, int] = {o.value.name: 0 for o in graph.outputs}
    learns = {p.path for p in graph.parameters if p.trainable}
    for node in graph.nodes:
        if any(v is not None and v.name in learns for v in node.inputs):
            learns |= {v.name for v in node.outputs}
    for node in reversed(graph.nodes):
        above = min((depth[v.name] for v in node.outputs if v.name in depth), default=None)
        if above is None:
            continue
        op = node.op
        below = 0 if op.over_batch or op.centers else above + op.squashes
        inputs = [v for v in node.inputs if v is not None]
        if below == DEEP and op.squashes and any(v.name in learns for v in inputs):
            yield sigmoid_depth(node.origin.span, DEEP, op.name)
            return
        for value in inputs:
            depth[value.name] = min(depth.get(value.name, below), below)


def _find_misfit(graph: Graph, loss: Node) -> Iterator[Message]:
    """A loss whose first operand is of another kind."""
    value, op = loss.inputs[0], loss.op
    if value is None:
        return
    maker = graph.producers.get(find_first(graph, value).name)
    if maker is None or maker.op.name in op.applies or not _misfits(op, maker.op):
        return
    wanted = "plain scores of any size"
    if op.expects != UNLIMITED:
        wanted = "probabilities" if op.expects[1] > 0 else "logarithms of probabilities"
    own = op.name, wanted, maker.op.name, _say(maker.op.limits), maker.origin.span
    yield loss_does_not_fit(loss.origin.span, *own)


def _misfits(loss: Op, maker: Op) -> bool:
    if loss.applies:
        return maker.limits[0] == 0
    if loss.expects == UNLIMITED:
        return False
    if maker.limits == UNLIMITED:
        return isinstance(maker, Layer)
    low, high = max(maker.limits[0], loss.expects[0]), min(maker.limits[1], loss.expects[1])
    return low >= high


def _say(limits: Limits) -> str:
    match limits:
        case (low, high) if low == -inf and high == inf:
            return "any numbers"
        case (low, high) if high == inf:
            return f"numbers from {low:g} up"
        case (low, high) if low == -inf:
            return f"numbers up to {high:g}"
    return f"numbers from {limits[0]:g} to {limits[1]:g}"
