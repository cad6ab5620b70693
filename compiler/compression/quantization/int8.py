"""Static int8: activations in u8 and weights in i8, with ranges found by calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Literal, final

from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.quantization.base import SCHEMES, Scheme
from compiler.compression.quantization.calibrated import (
    Calibrated,
    Recipe,
    calibrate,
    fold_norms,
)
from compiler.compression.quantization.calibration import (
    draw_batches,
    first_rows,
    measure_sqnr,
)
from compiler.compression.quantization.choosing import ROWS, Trial, choose_trial
from compiler.compression.quantization.dense_layers import pull_slices
from compiler.compression.quantization.dynamic import refuse_setting
from compiler.compression.quantization.equalize import equalize_layers
from compiler.compression.quantization.placement import (
    CANDIDATES,
    Layer,
    Placement,
    find_layers,
    pick_by_rule,
)
from compiler.compression.quantization.ranges import Method
from compiler.compression.quantization.sensitivity import measure_sensitivity
from compiler.compression.selecting import KEPT_OUT, is_selected, layer_path
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.quantization import Form
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.quantization import float_layers_too_many, nothing_to_quantize
from compiler.report.source import Span

STEP = "quantize(int8)"


@SCHEMES.register
@final
@dataclass(frozen=True)
class Int8(Scheme):
    """Computes in 8-bit integers: weights in i8, activations in u8, with scales that are found
    beforehand on calibration rows.

    Batch norms are folded first. Every convolution and dense layer that may be touched is
    considered; which of them compute in integers is measured on the target where it can be, and
    decided by rules where not. What stays float, and why, is in the report.

    - `calibration`: how ranges of activations are found: `mse` (least error), `minmax`,
      `percentile` (all but one in ten thousand) or `entropy` (Kullback-Leibler).
    - `rows`: calibration rows, from the training split.
    - `per_channel`: a scale for each output of a weight, or one for all.
    - `placement`: `auto`, or one of the placements that `auto` chooses from: `all`,
      `float_stem`, `float_start`, `layers`, `float_depthwise`.
    - `equalize`: moves scale between neighbouring layers (Nagel et al. 2019) where weights have
      one scale, or are depthwise.
    - `bias_correction`: takes the mean error of rounded weights out of the biases.
    - `float_layers`: how many layers stay float: those that cost the outputs most alone.
    - `sqnr`: the least ratio of signal to noise at the outputs, in decibels, that a placement
      must have to be chosen.
    - `form`: how ONNX says it: "qdq", or "qoperator" for a file that is a kilobyte or two smaller.

    Example: `apply quantize(int8(calibration="entropy", float_layers=1), except=["conv"])`
    Source: Jacob et al. 2018, https://arxiv.org/abs/1712.05877; Nagel et al. 2021,
    https://arxiv.org/abs/2106.08295
    """

    name = "int8"
    least_bits = 8.0
    sparse = False
    rounds = True
    calibration: Method = "mse"
    rows: int = 128
    per_channel: bool = True
    placement: Literal["auto", "all", "float_stem", "float_start", "layers", "float_depthwise"] = (
        "auto"
    )
    equalize: bool = True
    bias_correction: bool = True
    float_layers: int = 0
    sqnr: float = 10.0
    form: Form = "qdq"

    def check(self) -> None:
        if self.rows < 1:
            refuse_setting(self, "rows", self.rows, "at least 1")
        if self.float_layers < 0:
            refuse_setting(self, "float_layers", self.float_layers, "at least 0")
        if not isfinite(self.sqnr):
            refuse_setting(self, "sqnr", self.sqnr, "a finite number of decibels")

    def find_fault(
        self, graph: Graph, only: Sequence[str] | None, excluded: Sequence[str], span: Span | None
    ) -> Message | None:
        found, _ = find_layers(graph)
        chosen = [layer for layer in found if is_selected(layer.path, only, excluded)]
        if not chosen:
            return nothing_to_quantize(span, graph.name)
        if (fixed := self._fix_placement(graph, chosen)) is not None and not fixed.layers:
            return nothing_to_quantize(span, graph.name, self.placement)
        return self._find_surplus(chosen, span)

    def explain_layers(self, graph: Graph) -> Mapping[str, str]:
        """What has no kernel in integers stays."""
        found, obstacles = find_layers(graph)
        reasons = {layer_path(node): reason for node, reason in obstacles}
        return reasons | {layer.path: "" for layer in found}

    def _fix_placement(self, graph: Graph, layers: Sequence[Layer]) -> Placement | None:
        """The placement that is asked for; None where it is chosen."""
        named = {candidate.name: candidate for candidate in CANDIDATES}
        return None if self.placement == "auto" else named[self.placement].choose(graph, layers)

    def _find_surplus(self, layers: Sequence[Layer], span: Span | None) -> Message | None:
        """More layers that are to stay float than leave one in integers."""
        count = len({layer.weight for layer in layers})
        return (
            float_layers_too_many(span, self.float_layers, count)
            if self.float_layers >= count
            else None
        )

    def quantize(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        excluded: Sequence[str],
    ) -> WeightedNet:
        """The net with its rounding written out.

        Raises:
            CompileError: no layer can compute in integers, or there is nothing to calibrate on.
        """
        folded = pull_slices(fold_norms(net))
        layers = self._find_layers(folded, context, only, excluded)
        surplus = self._find_surplus(layers, context.span)
        if surplus is not None:
            raise CompileError([surplus])
        recipe = Recipe(
            self.calibration, self.per_channel, correct=self.bias_correction, form=self.form
        )
        if self.equalize:
            folded, pairs = equalize_layers(folded, layers, everywhere=not self.per_channel)
            for first, second in pairs:
                context.note(LayerNote(STEP, first.path, f"equalized with {second.path}"))
        batches = draw_batches(folded, context, self.rows)
        placements = self._list_placements(folded, layers, context)
        known = calibrate(folded, recipe.suit(context.target), batches, layers, placements)
        if self.float_layers:
            layers = self._drop_sensitive(known, layers, context)
            placements = self._list_placements(folded, layers, context)
        trial = choose_trial(known, placements, context, self.sqnr, STEP)
        _describe(known, trial, context)
        return trial.net

    def _find_layers(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        excluded: Sequence[str],
    ) -> tuple[Layer, ...]:
        """The layers to consider; a note for every other one with weights."""
        found, obstacles = find_layers(net.graph)
        for node, reason in obstacles:
            context.note(LayerNote(STEP, layer_path(node), "", reason, span=node.origin.span))
        layers = tuple(one for one in found if is_selected(one.path, only, excluded))
        for layer in found:
            if layer not in layers:
                reason = KEPT_OUT
                context.note(LayerNote(STEP, layer.path, "", reason, span=layer.node.origin.span))
        if not layers:
            raise CompileError([nothing_to_quantize(context.span, net.graph.name)])
        return layers

    def _list_placements(
        self, net: WeightedNet, layers: Sequence[Layer], context: CompressionContext
    ) -> tuple[Placement, ...]:
        """The placements to choose from, the likely best one first, each once."""
        fixed = self._fix_placement(net.graph, layers)
        if fixed is not None:
            if not fixed.layers:
                name = net.graph.name
                raise CompileError([nothing_to_quantize(context.span, name, self.placement)])
            return (fixed,)
        first = pick_by_rule(net.graph, layers)
        ordered = (first, *(c for c in CANDIDATES if c is not first))
        made: dict[object, Placement] = {}
        for candidate in ordered:
            placement = candidate.choose(net.graph, layers)
            if placement.layers:
                made.setdefault(frozenset(placement.rounded.items()), placement)
        return tuple(made.values())

    def _drop_sensitive(
        self, known: Calibrated, layers: Sequence[Layer], context: CompressionContext
    ) -> tuple[Layer, ...]:
        """The layers without those that cost the outputs most. Calls of one weight are one layer,
        as sensitive as the worst of them."""
        found = measure_sensitivity(known, layers)
        order = sorted(layers, key=lambda layer: found[layer.name])
        worst: dict[str, Layer] = {}
        for layer in order:
            worst.setdefault(layer.weight, layer)
        dropped = list(worst.values())[: self.float_layers]
        for layer in dropped:
            figures = (("sqnr", found[layer.name]),)
            reason = "it is among the most sensitive layers"
            context.note(LayerNote(STEP, layer.path, "", reason, figures, layer.node.origin.span))
        weights = {layer.weight for layer in dropped}
        return tuple(layer for layer in layers if layer.weight not in weights)


def _describe(known: Calibrated, trial: Trial, context: CompressionContext) -> None:
    """A note for each integer layer: bits, and the signal to noise of what it makes."""
    ends = {layer.name: layer for layer in trial.placement.layers}
    found = measure_sqnr(known.net, trial.net, first_rows(known.batches, ROWS), ends)
    for name, layer in ends.items():
        bits = known.recipe.bits
        figures: Mapping[str, float] = {"bits": bits, "sqnr": found[name]}
        done = f"weights i8, activations {known.recipe.activations}"
        span = layer.node.origin.span
        context.note(LayerNote(STEP, layer.path, done, "", tuple(figures.items()), span))
