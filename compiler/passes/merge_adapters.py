"""Adds low-rank products beside dense layers to their weights: `W x + s B A x = (W + s B A) x`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from compiler.ir.graph import Graph, Node, Value
from compiler.ops.arithmetic import Add, Mul
from compiler.ops.creation import Constant
from compiler.ops.linear import Dense
from compiler.passes.base import Array, Context, Pass
from compiler.passes.rewrite import Rewriter


@dataclass(frozen=True)
class _Match:
    """A sum of a dense layer and of two without bias behind one another, on the same input."""

    base: Node
    inner: Node
    outer: Node
    scale: float
    between: tuple[Node, ...]


@final
@dataclass(frozen=True)
class MergeAdapters(Pass):
    """A dense layer and the low-rank adapter beside it become one dense layer, under the path of
    the layer: what `lora` added to train leaves nothing when it is deployed."""

    name = "merge_adapters"

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph without adapters whose numbers are known."""
        matches: dict[str, _Match] = {}  # by the value of the sum
        for node in graph.nodes:
            found = _find_match(graph, node, context) if isinstance(node.op, Add) else None
            if found is not None:
                matches[node.output.name] = found
        matches = _keep_whole(graph, matches)
        if not matches:
            return graph
        gone = {
            node.output.name
            for match in matches.values()
            for node in (*_layers(match), *match.between)
        }
        rewriter = Rewriter(graph)
        for node in graph.nodes:
            name = node.outputs[0].name
            if name in matches:
                _merge(graph, node, matches[name], context, rewriter)
            elif name not in gone:
                rewriter.keep(node)
        return rewriter.graph()


def _find_match(graph: Graph, node: Node, context: Context) -> _Match | None:
    for base, branch in (node.inputs[:2], node.inputs[1::-1]):
        found = _match_pair(graph, base, branch)
        if found is not None and _is_free(graph, found, context):
            return found
    return None


def _match_pair(graph: Graph, base: Value | None, branch: Value | None) -> _Match | None:
    """The match of a sum whose first operand is the layer."""
    layer, current = _maker(graph, base), _maker(graph, branch)
    if layer is None or not isinstance(layer.op, Dense) or current is None:
        return None
    between: list[Node] = []
    scale = 1.0
    if isinstance(current.op, Mul):
        factor = _maker(graph, current.inputs[1])
        if factor is None or not isinstance(factor.op, Constant) or factor.output.type.rank:
            return None
        between.append(current)
        scale = float(factor.op.array)
        current = _maker(graph, current.inputs[0])
    if current is None or not isinstance(current.op, Dense):
        return None
    inner = _maker(graph, current.inputs[0])
    if inner is None or not _is_product(current, inner):
        return None
    source = inner.inputs[0]
    dropped = _maker(graph, source)
    if dropped is not None and dropped.op.noisy and source != layer.inputs[0]:
        between.append(dropped)
        source = dropped.inputs[0]
    if source != layer.inputs[0] or layer.output.type != current.output.type:
        return None
    return _Match(layer, inner, current, scale, tuple(between))


def _is_product(outer: Node, inner: Node) -> bool:
    ops = (outer.op, inner.op)
    return all(isinstance(op, Dense) and not op.bias for op in ops)


def _is_free(graph: Graph, match: _Match, context: Context) -> bool:
    """Whether nothing else reads what is merged, and all numbers are known."""
    kept = {o.value.name for o in graph.outputs}
    for node in (*_layers(match), *match.between):
        if len(graph.users.get(node.output.name, ())) != 1 or node.output.name in kept:
            return False
    for node in _layers(match):
        weight = node.inputs[1]
        if weight is None or weight.name not in graph.parameter:
            return False
        if context.numbers(graph, weight.name) is None:
            return False
    return True


def _keep_whole(graph: Graph, matches: Mapping[str, _Match]) -> dict[str, _Match]:
    """Matches whose weights nothing else reads: all calls of a net that is called twice match,
    or none is merged."""
    calls: dict[tuple[str, ...], set[int]] = {}
    for match in matches.values():
        calls.setdefault(_weights(match), set()).update(map(id, _layers(match)))
    return {
        name: match
        for name, match in matches.items()
        if all(
            id(user) in calls[_weights(match)] for w in _weights(match) for user in graph.users[w]
        )
    }


def _layers(match: _Match) -> tuple[Node, Node, Node]:
    return match.base, match.inner, match.outer


def _weights(match: _Match) -> tuple[str, ...]:
    return tuple(v.name for node in _layers(match) if (v := node.inputs[1]) is not None)


def _merge(graph: Graph, node: Node, match: _Match, context: Context, rewriter: Rewriter) -> None:
    weight, down, up = _numbers(graph, match, context)
    made = weight + np.float32(match.scale) * (up @ down)
    source, path = match.base.inputs[:2]
    assert source is not None, "a layer has an input"
    assert path is not None, "a layer has a weight"
    dtype = graph.parameter[path.name].value.type.dtype.numpy
    merged = rewriter.constant(path.name, made.astype(dtype))
    inputs = [rewriter.current(source), merged, *match.base.inputs[2:]]
    rewriter.apply(match.base.op, inputs, match.base, [node.output.name])


def _numbers(graph: Graph, match: _Match, context: Context) -> Iterator[Array]:
    for node in _layers(match):
        weight = node.inputs[1]
        assert weight is not None, "a layer has a weight"
        numbers = context.numbers(graph, weight.name)
        assert numbers is not None, "their numbers are known"
        yield numbers.astype(np.float32) if numbers.dtype == np.float16 else numbers


def _maker(graph: Graph, value: Value | None) -> Node | None:
    return graph.producers.get(value.name) if value is not None else None
