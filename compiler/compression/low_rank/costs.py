"""What a layer and its factors cost: multiply-adds, and seconds where there is a meter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.context import LatencyMeter
from compiler.compression.low_rank.factoring import Factoring, Setting
from compiler.compression.low_rank.layers import Layer
from compiler.ir.builder import Builder
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Op
from compiler.ir.weighted_net import WeightedNet
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.given import Zeros

Array = NDArray[Any]

BLOCK = 65_521
"""A prime: rows of weights differ that repeat so many random numbers."""


def fix_type(type: TensorType, sizes: Mapping[str, int]) -> TensorType:
    """The type with numbers for symbols."""
    return TensorType(type.dtype, tuple(d.substitute(sizes) for d in type.shape))


def count_work(ops: Sequence[Op], source: TensorType) -> float:
    """Multiply-adds of ops one after the other."""
    work, current = 0, source
    for op in ops:
        types = [current, *(w.type for w in op.weights([current]))]
        (made,) = op.infer(_ignore_promise, *types)
        work += op.multiply_adds(types, [made]).known or 0
        current = made
    return float(work)


def _ignore_promise(left: Dim, relation: str, right: Dim) -> None:
    """The layer that is replaced has made the same promises."""


@dataclass
class Costs:
    """Prices layers and their factors on one net; what has been asked is remembered.
    `counts_work`: factors with as many multiply-adds as the layer are not worth having."""

    weights: Mapping[str, Array]
    sizes: Mapping[str, int]
    latency_meter: LatencyMeter | None
    counts_work: bool = True
    _seconds: dict[object, tuple[float, ...]] = field(default_factory=dict)

    def whole_work(self, layer: Layer) -> float:
        """Multiply-adds of one call of a layer."""
        return count_work([layer.op], fix_type(layer.source, self.sizes))

    def work(self, layer: Layer, factoring: Factoring, setting: Setting) -> float:
        """Multiply-adds of one call of its factors."""
        return count_work(factoring.ops(setting), fix_type(layer.source, self.sizes))

    def seconds(
        self, layer: Layer, ways: Sequence[tuple[Factoring, Setting]]
    ) -> tuple[float, ...] | None:
        """Seconds of one call of the layer, then of its factors by each way at its setting, all
        measured in turns; None without a meter. Layers alike are measured once."""
        if self.latency_meter is None:
            return None
        source = fix_type(layer.source, self.sizes)
        key = (layer.op, str(source), tuple((way.method, s.ranks) for way, s in ways))
        if key not in self._seconds:
            candidates = [(layer.op,), *(way.ops(setting) for way, setting in ways)]
            nets = [isolate(source, ops) for ops in candidates]
            self._seconds[key] = tuple(self.latency_meter.compare(nets))
        return self._seconds[key]


def isolate(source: TensorType, ops: Sequence[Op]) -> WeightedNet:
    """Layers one after the other as a net of their own. What their weights are does not matter
    to a meter, and the factors of large ones take long to find."""
    frame = Frame("Layer", "", 0)
    build = Builder("layer", frame)
    value = build.input("x", source)
    weights: dict[str, Array] = {}
    for number, op in enumerate(ops):
        inputs = [value]
        for weight in op.weights([value.type]):
            path = f"part.{number}.{weight.name}"
            inputs.append(build.parameter(path, weight.type, Zeros()))
            weights[path] = draw_weight(weight.type.known_shape or (), weight.type.dtype)
        (value,) = build.apply(op, inputs, frame, Site(name=f"part.{number}"))
    build.output("y", value)
    return WeightedNet(build.graph(), weights)


def draw_weight(shape: tuple[int, ...], dtype: DType) -> Array:
    """Numbers of the size that weights have: random ones, repeated in a large array."""
    block = np.random.default_rng(0).standard_normal(min(math.prod(shape), BLOCK))
    spread = 1 / max(math.prod(shape[1:]), 1) ** 0.5
    return np.resize((block * spread).astype(dtype.numpy), shape)
