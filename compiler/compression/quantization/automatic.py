"""Chooses the form of weights by the meter: integers where they are faster, storage where not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite
from typing import final

from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.quantization.base import SCHEMES, Scheme
from compiler.compression.quantization.calibrated import fold_norms
from compiler.compression.quantization.calibration import Batch, draw_batches, measure_sqnr
from compiler.compression.quantization.dense_layers import find_dense
from compiler.compression.quantization.dynamic import Dynamic, refuse_setting
from compiler.compression.quantization.int8 import Int8
from compiler.compression.quantization.stored import Stored8
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError
from compiler.report.messages.quantization import nothing_to_quantize
from compiler.report.messages.weight_formats import no_dense_layer
from compiler.types.dims import Dim

STEP = "quantize(auto)"
ROWS = 64
GAIN = 0.98
"""A choice is taken where it needs at most this part of the time: the meter is no surer."""
HEAVY = 10_000_000
"""Multiply-adds of dense layers in a row from which integers pay, as a rule, without a meter."""


@final
@dataclass(frozen=True)
class _Trial:
    """A net, how it came about, its least signal to noise at an output in decibels, and seconds
    of a call."""

    label: str
    net: WeightedNet
    journal: list[LayerNote]
    sqnr: float
    seconds: float = 0.0


@SCHEMES.register
@final
@dataclass(frozen=True)
class Auto(Scheme):
    """Keeps all weights in 8 bits, and computes in integers where that is measured to pay.

    The candidates are `stored8` (fractions), `dynamic` and `int8`; the fastest whose outputs are
    good enough is taken. Of `dynamic`, dense layers of a shape for which fractions are faster
    are stored instead. Without a clock a rule decides: `dynamic` for nets whose dense layers
    have ten million multiply-adds or more in a row, `stored8` for others.

    - `sqnr`: the least ratio of signal to noise at the outputs, in decibels.

    Example: `apply quantize(auto)`
    Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """

    name = "auto"
    least_bits = 8.0
    chooses = True
    rounds = True
    sqnr: float = 20.0

    @property
    def stores_all(self) -> bool:
        """Whichever it chooses."""
        return True

    def check(self) -> None:
        if not isfinite(self.sqnr):
            refuse_setting(self, "sqnr", self.sqnr, "a finite number of decibels")

    def quantize(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        excluded: Sequence[str],
    ) -> WeightedNet:
        """The net in the form that is fastest.

        Raises:
            CompileError: there is nothing to calibrate on.
        """
        folded = fold_norms(net)
        batches = draw_batches(folded, context, ROWS)

        def attempt(label: str, scheme: Scheme, left: Sequence[str] = ()) -> _Trial | None:
            journal: list[LayerNote] = []
            quiet = replace(context, journal=journal)
            try:
                made = scheme.quantize(folded, quiet, only, (*excluded, *left))
            except CompileError as error:
                if not all(m.kind in (nothing_to_quantize, no_dense_layer) for m in error.messages):
                    raise
                return None  # no layer of its kind: it is no candidate
            return _Trial(label, made, journal, _measure(folded, made, batches))

        if context.latency_meter is None:
            heavy = _count_dense(folded.graph) >= HEAVY
            chosen = attempt("dynamic", Dynamic()) if heavy else None
            chosen = chosen or attempt("stored8", Stored8())
            assert chosen is not None, "every net can be stored"
            reason = "by rule: there is no clock"
        else:
            chosen = self._race(folded, attempt, context)
            reason = "measured"
        context.journal.extend(chosen.journal)
        figures = [("sqnr", chosen.sqnr)]
        if chosen.seconds:
            figures.append(("seconds", chosen.seconds))
        note = LayerNote(STEP, net.graph.name, chosen.label, reason, tuple(figures), context.span)
        context.note(note)
        return chosen.net

    def _race(
        self, net: WeightedNet, attempt: Callable[..., _Trial | None], context: CompressionContext
    ) -> _Trial:
        """The fastest candidate that is good enough."""
        assert context.latency_meter is not None, "the meter decides"
        schemes = {"stored8": Stored8(), "dynamic": Dynamic(), "int8": Int8()}
        found = [t for label, scheme in schemes.items() if (t := attempt(label, scheme))]
        seconds = context.latency_meter.compare([net, *(t.net for t in found)])
        timed = [replace(t, seconds=s) for t, s in zip(found, seconds[1:], strict=True)]
        for trial in timed:
            figures = (("sqnr", trial.sqnr), ("seconds", trial.seconds))
            context.note(LayerNote(STEP, net.graph.name, "", f"tried: {trial.label}", figures))
        stored = timed[0]
        best = min((t for t in timed if t.sqnr >= self.sqnr), key=_seconds, default=stored)
        if best.seconds > GAIN * stored.seconds:
            return stored
        return self._refine(net, best, attempt, context) if best.label == "dynamic" else best

    def _refine(
        self,
        net: WeightedNet,
        best: _Trial,
        attempt: Callable[..., _Trial | None],
        context: CompressionContext,
    ) -> _Trial:
        """A dynamic net without the shapes of layers for which fractions are faster."""
        assert context.latency_meter is not None, "the meter decides"
        shapes: dict[tuple[int, ...], list[str]] = {}
        for layer in find_dense(net, replace(context, journal=[]), None, (), STEP, "float"):
            shapes.setdefault(net.weights[layer.weight].shape, []).append(layer.path)
        left: list[str] = []
        for shape, paths in shapes.items():
            trial = attempt("dynamic", _Mixed((*left, *paths)))
            if trial is None:
                continue
            before, after = context.latency_meter.compare([best.net, trial.net])
            size = " x ".join(map(str, shape))
            if after < GAIN * before:
                left += paths
                best = replace(trial, label="dynamic, some layers stored", seconds=after)
            figures = (("integer_seconds", before), ("stored_seconds", after))
            done = "stored" if after < GAIN * before else "integers"
            for path in paths:
                context.note(LayerNote(STEP, path, done, f"measured for all of {size}", figures))
        return best


@final
@dataclass(frozen=True)
class _Mixed(Scheme):
    """`dynamic`, with some layers stored."""

    name = "mixed"
    stored: tuple[str, ...] = ()

    def quantize(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        excluded: Sequence[str],
    ) -> WeightedNet:
        """The net with dense layers in integers but for those that are stored."""
        made = Dynamic(rest="float").quantize(net, context, only, (*excluded, *self.stored))
        return Stored8().quantize(made, context, only, excluded)


def _seconds(trial: _Trial) -> float:
    return trial.seconds


def _measure(net: WeightedNet, made: WeightedNet, batches: Sequence[Batch]) -> float:
    return min(measure_sqnr(net, made, list(batches[:1])).values(), default=float("inf"))


def _count_dense(graph: Graph) -> int:
    """Multiply-adds of dense layers for inputs of one row, symbolic dims being 1."""
    total = Dim.of(0)
    for node in graph.nodes:
        if node.op.multiplies_rows:
            types = node.types
            total += node.op.multiply_adds(types, [v.type for v in node.outputs])
    return total.evaluate(dict.fromkeys(total.symbols, 1))
