"""A net that has been calibrated: all that is needed to make it integer in any placement."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from compiler.compression.quantization.bias_correction import find_shift
from compiler.compression.quantization.calibration import Batch, observe
from compiler.compression.quantization.inserting import insert_rounding
from compiler.compression.quantization.placement import Layer, Placement
from compiler.compression.quantization.ranges import (
    Method,
    Observation,
    Scaling,
    choose_scaling,
    merge_observations,
    scale_channels,
)
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.quantization import Form, IntegerName, round_array
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.passes.fold_batch_norm import FoldBatchNorm
from compiler.passes.pipeline import run_passes
from compiler.program.variant import Target
from compiler.records import dataclass

Array = NDArray[Any]

LARGEST_BIAS = 2.0**30
"""The largest bias in steps of its scale; i32 holds twice that, the sum of products the rest."""


@final
@dataclass(frozen=True)
class Recipe:
    """How numbers are rounded, wherever that is: how ranges are found, whether weights have a
    scale for each output, their bits, the type of activations, whether zero is the middle of its
    levels, whether biases are corrected, and how ONNX says it."""

    method: Method = "mse"
    per_channel: bool = True
    bits: int = 8
    activations: IntegerName = "u8"
    symmetric: bool = False
    correct: bool = True
    form: Form = "qdq"

    def suit(self, target: Target) -> Recipe:
        """The recipe for a target: tensor cores multiply i8 by i8 only; without VNNI, sums of
        two products saturate in 16 bits unless weights have 7."""
        if target.device == "cuda":
            return replace(self, activations="i8", symmetric=True)
        return self if target.vnni else replace(self, bits=7)


@final
@dataclass(frozen=True, eq=False)
class Calibrated:
    """A net with batch norms folded, its layers, what was seen of its values, and the scalings
    that were found from that, by the values that share them: placements have most in common."""

    net: WeightedNet
    recipe: Recipe
    batches: Sequence[Batch]
    seen: Mapping[str, Observation]
    weight_scales: Mapping[str, Array]
    scalings: dict[tuple[str, ...], Scaling] = field(default_factory=dict)

    def scale_values(self, placement: Placement) -> dict[str, Scaling]:
        """The scale and zero point of each group of rounded values, by its leader."""
        recipe = self.recipe
        for names in placement.leaders.values():
            if names not in self.scalings:
                self.scalings[names] = choose_scaling(
                    merge_observations([self.seen[name] for name in names]),
                    recipe.method,
                    recipe.activations,
                    symmetric=recipe.symmetric,
                )
        return {leader: self.scalings[names] for leader, names in placement.leaders.items()}

    def build(self, placement: Placement) -> WeightedNet:
        """The net with its rounding written out."""
        scalings = self.scale_values(placement)
        weights = dict(self.net.weights)
        scales: dict[str, Array] = {}
        for layer in placement.layers:
            source = scalings[placement.rounded[layer.source.name]]
            scale = scales.get(layer.weight, self.weight_scales[layer.weight])
            if layer.bias is not None:
                scale = _make_room(scale, weights[layer.bias], source.scale)
            scales[layer.weight] = scale
        for layer in placement.layers:
            if layer.bias is not None and self.recipe.correct:
                shift = self._find_shift(layer, scales[layer.weight])
                bias = weights[layer.bias]
                weights[layer.bias] = (bias + shift).astype(bias.dtype)
        net = WeightedNet(self.net.graph, weights)
        return insert_rounding(net, placement, scalings, scales, self.recipe.form)

    def _find_shift(self, layer: Layer, scale: Array) -> Array:
        means = self.seen[layer.source.name].means
        if means is None or len(self.net.graph.users[layer.bias or ""]) > 1:
            return np.zeros((), np.float64)
        weight = self.net.weights[layer.weight]
        return find_shift(layer, weight, round_weight(weight, scale), means)


def calibrate(
    net: WeightedNet,
    recipe: Recipe,
    batches: Sequence[Batch],
    layers: Collection[Layer],
    placements: Collection[Placement],
) -> Calibrated:
    """Watches a folded net on calibration rows, once for all placements."""
    values = {name for placement in placements for name in placement.rounded}
    channels = {layer.source.name: layer.op.channel_axis for layer in layers}
    scales = {
        layer.weight: scale_channels(
            net.weights[layer.weight],
            recipe.method,
            bits=recipe.bits,
            per_channel=recipe.per_channel,
        )
        for layer in layers
    }
    return Calibrated(net, recipe, batches, observe(net, batches, values, channels), scales)


def fold_norms(net: WeightedNet) -> WeightedNet:
    """The net with its batch norms folded into the layers before them."""
    graph = run_passes(net.graph, (FoldBatchNorm(), DeadCode()), Context(net.weights))
    numbers: dict[str, Any] = {**net.weights, **graph.constants}
    kept = {p.path: np.asarray(numbers[p.path]) for p in graph.parameters}
    return WeightedNet(replace(graph, constants={}), kept)


def round_weight(weight: Array, scale: Array) -> Array:
    """What a weight is worth in i8, with scales `[out]` or `[]`."""
    spread = scale.reshape(-1, *[1] * (weight.ndim - 1)) if scale.ndim else scale
    return round_array(weight, spread, np.zeros((), np.int64), "i8")


def _make_room(scale: Array, bias: Array, source: float) -> Array:
    """Scales of a weight, raised where the bias would not fit in i32 in steps of both scales."""
    least = np.abs(bias) / (source * LARGEST_BIAS)
    wanted = least if scale.ndim else least.max(initial=0.0)
    return np.maximum(scale, wanted).astype(np.float32)
