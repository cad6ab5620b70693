"""Writes a placement into a net: a `fake_quantize` behind each rounded value and each weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.base import WeightedNet
from compiler.compression.quantization.placement import Layer, Placement
from compiler.compression.quantization.ranges import Scaling
from compiler.compression.selecting import layer_path
from compiler.ir.graph import Graph, Node, Site, Value
from compiler.ops.activation import Relu, Relu6
from compiler.ops.quantization import FakeQuantize
from compiler.passes.rewrite import Rewriter
from compiler.tensor import DType, TensorType

Array = NDArray[Any]


def insert_rounding(
    net: WeightedNet,
    placement: Placement,
    scalings: Mapping[str, Scaling],
    weight_scales: Mapping[str, Array],
) -> WeightedNet:
    """The net with its rounding written out.

    Args:
        net: as it computes in fractions.
        placement: what to round.
        scalings: the scale and zero point by the value that it is named after.
        weight_scales: scales of each layer's weight by its path, `[out]` or `[]`.
    """
    inserter = _Inserter(net, placement, scalings, weight_scales)
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
    ) -> None:
        self.graph: Graph = net.graph
        self.placement = placement
        self.scalings = scalings
        self.weight_scales = weight_scales
        self.rewriter = Rewriter(net.graph)
        self.buffers: dict[str, tuple[Value, Value]] = {}
        self.weights: dict[str, Value] = {}
        self.taken = set(net.graph.parameter)
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
        leader = self.placement.rounded[value.name]
        scaling = self.scalings[leader]
        if leader not in self.buffers:
            base = self._name_scale(leader)
            scale = np.asarray(scaling.scale, np.float32)
            self.buffers[leader] = self._declare(base, scale, np.asarray(scaling.zero_point))
        site = replace(like, origin=Site(like.origin.span))
        inputs = [self.rewriter.current(value), *self.buffers[leader]]
        (rounded,) = self.rewriter.apply(FakeQuantize(scaling.dtype), inputs, site)
        self.rewriter.replace(value, rounded)

    def _round_weight(self, layer: Layer) -> None:
        """Lets a layer read its weight rounded; layers that share one share the rounding."""
        if layer.weight in self.weights:
            return
        scale = self.weight_scales[layer.weight]
        parts = self._declare(layer.weight, scale, np.zeros(scale.shape, np.int32))
        weight = self.graph.parameter[layer.weight].value
        site = replace(layer.node, origin=Site(layer.node.origin.span))
        name = self.rewriter.free_name(layer.weight.rpartition(".")[2])
        op = FakeQuantize("i8", 0 if scale.ndim else None)
        (rounded,) = self.rewriter.apply(op, [weight, *parts], site, [name])
        self.rewriter.replace(weight, rounded)
        self.weights[layer.weight] = rounded

    def _declare(self, base: str, scale: Array, zero_point: Array) -> tuple[Value, Value]:
        kind = TensorType.of(DType.F32, scale.shape)
        whole = TensorType.of(DType.I32, scale.shape)
        return (
            self.rewriter.buffer(f"{base}_scale", kind, scale.astype(np.float32)),
            self.rewriter.buffer(f"{base}_zero_point", whole, zero_point.astype(np.int32)),
        )

    def _name_scale(self, name: str) -> str:
        """A path for the scale of a value: beside the weights of the layer that makes it."""
        maker = self.graph.producers.get(name)
        if maker is None:
            return self._free(name)
        source = maker.inputs[0]
        if isinstance(maker.op, Relu | Relu6) and source is not None:
            maker = self.graph.producers.get(source.name, maker)
        layer = self.layers.get(maker.outputs[0].name)
        if layer is None:
            return self._free(layer_path(maker))
        head = layer.weight.rpartition(".")[0]
        return self._free(f"{head}.output" if head else "output")

    def _free(self, wish: str) -> str:
        name, count = wish, 2
        while f"{name}_scale" in self.taken:
            name, count = f"{wish}_{count}", count + 1
        self.taken.add(f"{name}_scale")
        return name
