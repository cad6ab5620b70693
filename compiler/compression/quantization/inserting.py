"""Writes a placement into a net: a `fake_quantize` behind each rounded value and each weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.quantization.placement import Layer, Placement
from compiler.compression.quantization.ranges import Scaling
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph, Node, Value
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.quantization import FakeQuantize, Form
from compiler.passes.rewrite import Rewriter
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.given import Ones
from compiler.writing.names import free_name

Array = NDArray[Any]


def insert_rounding(
    net: WeightedNet,
    placement: Placement,
    scalings: Mapping[str, Scaling],
    weight_scales: Mapping[str, Array],
    form: Form = "qdq",
) -> WeightedNet:
    """The net with its rounding written out.

    Args:
        net: as it computes in fractions.
        placement: what to round.
        scalings: the scale and zero point by the value that it is named after.
        weight_scales: scales of each layer's weight by its path, `[out]` or `[]`.
        form: how ONNX is to say it.
    """
    inserter = _Inserter(net, placement, scalings, weight_scales, form)
    graph = inserter.run()
    constants: dict[str, Any] = dict(graph.constants)
    weights = {p.path: constants.get(p.path, net.weights.get(p.path)) for p in graph.parameters}
    return WeightedNet(
        replace(graph, constants={}), {path: np.asarray(a) for path, a in weights.items()}
    )


class _Inserter:
    """Goes through the graph once; scales that values share are buffers that they share."""

    def __init__(
        self,
        net: WeightedNet,
        placement: Placement,
        scalings: Mapping[str, Scaling],
        weight_scales: Mapping[str, Array],
        form: Form,
    ) -> None:
        self.graph: Graph = net.graph
        self.placement = placement
        self.scalings = scalings
        self.weight_scales = weight_scales
        self.form = form
        self.rewriter = Rewriter(net.graph)
        self.buffers: dict[str, tuple[Frame, str, tuple[Value, Value]]] = {}
        self.weights: dict[str, Value] = {}
        self.taken = {prefix for path in net.graph.parameter for prefix in _find_prefixes(path)}
        self.layers: dict[str, Layer] = {layer.name: layer for layer in placement.layers}

    def run(self) -> Graph:
        """The graph with its rounding."""
        for item in self.graph.inputs:
            if item.name in self.placement.rounded:
                first = self.graph.users[item.name][0]
                self._round(item.value, replace(first, scope=self.graph.frame))
        for node in self.graph.nodes:
            layer = self.layers.get(node.outputs[0].name)
            if layer is not None:
                self._round_weight(layer)
            self.rewriter.keep(node)
            for value in node.outputs:
                if value.name in self.placement.rounded:
                    self._round(value, node)
        return self.rewriter.graph()

    def _round(self, value: Value, like: Node) -> None:
        """Lets whatever reads a value read it rounded. Values that share a scale share the
        buffers, and in one block the module that holds them."""
        leader = self.placement.rounded[value.name]
        scaling = self.scalings[leader]
        if leader not in self.buffers:
            slot = self._name_slot(value, like)
            path = f"{like.scope.path}.{slot}" if like.scope.path else slot
            scale = np.asarray(scaling.scale, np.float32)
            parts = self._declare(f"{path}.", scale, np.asarray(scaling.zero_point))
            self.buffers[leader] = (like.scope, slot, parts)
        scope, slot, parts = self.buffers[leader]
        origin = Site(like.origin.span, slot if scope is like.scope else "")
        inputs = [self.rewriter.current(value), *parts]
        site = replace(like, origin=origin)
        (rounded,) = self.rewriter.apply(FakeQuantize(scaling.dtype, form=self.form), inputs, site)
        self.rewriter.replace(value, rounded)

    def _round_weight(self, layer: Layer) -> None:
        """Lets a layer read its weight rounded; layers that share one share the rounding."""
        if layer.weight in self.weights:
            return
        scale = self.weight_scales[layer.weight]
        parts = self._declare(f"{layer.weight}_", scale, np.zeros(scale.shape, np.int32))
        weight = self.graph.parameter[layer.weight].value
        site = replace(layer.node, origin=Site(layer.node.origin.span))
        name = self.rewriter.free_name(layer.weight.rpartition(".")[2])
        op = FakeQuantize("i8", 0 if scale.ndim else None, self.form)
        (rounded,) = self.rewriter.apply(op, [weight, *parts], site, [name])
        self.rewriter.replace(weight, rounded)
        self.weights[layer.weight] = rounded

    def _declare(self, base: str, scale: Array, zero_point: Array) -> tuple[Value, Value]:
        kind = TensorType.of(DType.F32, scale.shape)
        whole = TensorType.of(DType.I32, scale.shape)
        return (
            self.rewriter.buffer(f"{base}scale", kind, scale.astype(np.float32), Ones()),
            self.rewriter.buffer(f"{base}zero_point", whole, zero_point.astype(np.int32)),
        )

    def _name_slot(self, value: Value, like: Node) -> str:
        """A name for the module that rounds a value, after the layer that makes it: `round_fc`."""
        maker = self.graph.producers.get(value.name)
        base = value.name
        if maker is not None:
            source = maker.inputs[0]
            if maker.op.clips and source is not None:
                before = self.graph.producers.get(source.name)
                maker = before if before is not None and before.scope is like.scope else maker
            base = (maker.origin.name or maker.op.name).replace(".", "_")
        around = f"{like.scope.path}." if like.scope.path else ""
        slot = free_name(f"{around}round_{base}", self.taken, "_")
        self.taken.add(slot)
        return slot.removeprefix(around)


def _find_prefixes(path: str) -> Iterator[str]:
    """A path and those of the modules around it."""
    while path:
        yield path
        path = path.rpartition(".")[0]
