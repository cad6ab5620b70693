"""Puts factors in the place of layers, in a graph and in the bodies of its loops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.low_rank.factoring import Factors, Part
from compiler.compression.low_rank.layers import Layer
from compiler.ir.frame import Site
from compiler.ir.graph import Input, Node, Parameter, Value
from compiler.ir.hint import HintName
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.scan import Scan
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.writing.names import free_name

Array = NDArray[Any]

WINDOW = frozenset(("kernel", "stride", "padding", "output_padding", "dilation"))
"""Fields of convolutions that only one factor may have from the layer."""


def replace_layers(net: WeightedNet, changes: Iterable[tuple[Layer, Factors]]) -> WeightedNet:
    """The net with layers replaced by their factors. Parameters of a layer at `fc` are
    `fc.0.weight`, `fc.1.weight` and `fc.1.bias`, as in an `nn.Sequential`."""
    return _Replacing(net, changes).run()


class _Replacing:
    def __init__(self, net: WeightedNet, changes: Iterable[tuple[Layer, Factors]]) -> None:
        self.graph = net.graph
        self.weights = dict(net.weights)
        self.factors: dict[str, Factors] = {}  # by the path of the weight
        self.instead: dict[str, tuple[Value, ...]] = {}  # by the path of a superseded parameter
        self.parameters: list[Parameter] = []
        self.names = set(net.graph.producers) | set(net.graph.parameter)
        self.names |= {i.name for i in net.graph.inputs}
        made = {layer.weight: self._declare(layer, factors) for layer, factors in changes}
        for parameter in net.graph.parameters:
            self.parameters += made.get(parameter.path, ())
            if parameter.path not in self.instead:
                self.parameters.append(parameter)

    def run(self) -> WeightedNet:
        """The net after all changes."""
        if not self.factors:
            return WeightedNet(self.graph, self.weights)
        nodes = tuple(self._rewrite(self.graph.nodes))
        graph = replace(self.graph, nodes=nodes, parameters=tuple(self.parameters))
        return WeightedNet(graph, {p.path: self.weights[p.path] for p in graph.parameters})

    # --- parameters -----------------------------------------------------------------------------

    def _declare(self, layer: Layer, factors: Factors) -> list[Parameter]:
        """The parameters of the factors; the layer's own are gone."""
        old = self.graph.parameter[layer.weight]
        dtype = old.value.type.dtype
        self.factors[layer.weight] = factors
        made: list[Parameter] = []
        for number, part in enumerate(factors.parts):
            shape = tuple(Dim.of(n) for n in part.weight.shape)
            path = f"{layer.path}.{number}.weight"
            value = Value(path, TensorType(dtype, shape))
            draw = self._find_initializer(layer, factors.parts[: number + 1])
            made.append(replace(old, value=value, initializer=draw, hints=()))
            self.weights[path] = np.ascontiguousarray(part.weight, dtype.numpy)
        self.instead[layer.weight] = tuple(p.value for p in made)
        if layer.bias is not None:
            made.append(self._move_bias(layer, layer.bias, factors))
        return made

    def _find_initializer(self, layer: Layer, parts: tuple[Part, ...]) -> Any:
        """What draws the weight of the last of some parts."""
        current = layer.source
        for part in parts:
            made = part.op.weights([current])
            current = _infer(part.op, [current, *(w.type for w in made)])
        return made[0].initializer

    def _move_bias(self, layer: Layer, path: str, factors: Factors) -> Parameter:
        old = self.graph.parameter[path]
        moved = f"{layer.path}.{len(factors.parts) - 1}.bias"
        value = replace(old.value, name=moved)
        bias = self.weights[path]
        shift = factors.shift if factors.shift is not None else 0.0
        self.weights[moved] = (bias + shift).astype(bias.dtype)
        self.instead[path] = (value,)
        return replace(old, value=value)

    # --- nodes ----------------------------------------------------------------------------------

    def _rewrite(self, nodes: Iterable[Node]) -> Iterable[Node]:
        for node in nodes:
            weight = node.inputs[1].name if len(node.inputs) > 1 and node.inputs[1] else ""
            if isinstance(node.op, Scan):
                yield self._rewrite_loop(node, node.op)
            elif weight in self.factors and not isinstance(node.op, Scan):
                yield from self._split(node, self.factors[weight].parts)
            else:
                yield node

    def _split(self, node: Node, parts: tuple[Part, ...]) -> Iterable[Node]:
        """A call of a layer as calls of its factors; the last makes the old value."""
        weight, *bias = (v for v in node.inputs[1:] if v is not None)
        current = node.inputs[0]
        assert current is not None, "a layer has an input"
        for number, (part, value) in enumerate(zip(parts, self.instead[weight.name], strict=True)):
            last = number == len(parts) - 1
            inputs = [current, value]
            if last and bias:
                inputs += self.instead[bias[0].name]
            made = node.output
            if not last:
                inferred = _infer(part.op, [v.type for v in inputs])
                made = Value(self._name(f"{node.output.name}.{number}"), inferred)
            yield Node(part.op, tuple(inputs), (made,), node.scope, _site(node, part, number))
            current = made

    def _rewrite_loop(self, node: Node, op: Scan) -> Node:
        """A loop whose body reads the factors of layers from outside."""
        body = op.body
        names = {i.name for i in op.captured}
        if not names & self.instead.keys():
            return node
        first = len(body.inputs) - len(op.captured)
        captured = [v for item in op.captured for v in self._swap(item.value)]
        outer = node.inputs[: len(node.inputs) - len(op.captured)]
        self.names |= {v.name for n in body.nodes for v in n.outputs}
        inner = replace(
            body,
            inputs=(*body.inputs[:first], *(Input(v) for v in captured)),
            nodes=tuple(self._rewrite(body.nodes)),
        )
        return replace(node, op=replace(op, body=inner), inputs=(*outer, *captured))

    def _swap(self, value: Value) -> tuple[Value, ...]:
        return self.instead.get(value.name, (value,))

    def _name(self, wish: str) -> str:
        name = free_name(wish, self.names, ".")
        self.names.add(name)
        return name


def _infer(op: Any, types: list[TensorType]) -> TensorType:
    (made,) = op.infer(_ignore_promise, *types)
    assert isinstance(made, TensorType), "ops infer types"
    return made


def _ignore_promise(left: Dim, relation: str, right: Dim) -> None:
    """The layer that is replaced has made the same promises."""


def _site(node: Node, part: Part, number: int) -> Site:
    """The origin of a factor: the place of the layer, its path with a number, and hints of the
    fields that it has from the layer."""
    name = f"{node.origin.name}.{number}" if node.origin.name else str(number)
    kept = {
        field: hint
        for field, hint in node.origin.hints
        if (part.slides or field.partition(".")[0] not in WINDOW)
        and _read(part.op, field) == _read(node.op, field)
    }
    if part.rank is not None:
        field, called = part.rank
        kept[field] = HintName(called)
    return replace(node.origin, name=name, hints=tuple(kept.items()))


def _read(op: object, field: str) -> object:
    """A field of an op, or an item of one (`kernel.0`)."""
    name, _, item = field.partition(".")
    value = getattr(op, name, None)
    return value[int(item)] if item.isdecimal() and isinstance(value, tuple) else value
