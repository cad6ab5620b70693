"""Chooses among placements: by the meter where there is one, by rules where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import final

from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.quantization.calibrated import Calibrated
from compiler.compression.quantization.calibration import (
    compare_records,
    first_rows,
    record_outputs,
)
from compiler.compression.quantization.input_channels import pad_inputs
from compiler.compression.quantization.placement import Placement
from compiler.ir.weighted_net import WeightedNet
from compiler.records import dataclass

ROWS = 16
"""Rows of the calibration set that placements are tried on."""
TIE = 1.03
"""A placement that takes at most this part of the time of another one is as fast: two sessions of
the same file differ by more."""
QUIETER = 0.3
"""So many decibels less noise (7 % of its power) are worth what the meter cannot tell."""


@final
@dataclass(frozen=True)
class Trial:
    """A placement, the net that it makes, and where they were measured the signal to noise at its
    worst output in decibels, and seconds of a call."""

    placement: Placement
    net: WeightedNet
    sqnr: float | None = None
    seconds: float | None = None


def choose_trial(
    known: Calibrated,
    placements: Sequence[Placement],
    context: CompressionContext,
    least: float,
    step: str,
) -> Trial:
    """The fastest placement, with inputs as they are or padded, whose outputs are good enough, or
    one that is as fast, for all the meter can say, and has less noise. Where none is good enough,
    the best one.
    Without a meter, the first placement that is good enough.

    Args:
        known: the calibrated net.
        placements: the likely best one first.
        context: its meter measures; its journal is told what was tried.
        least: the signal to noise that is good enough, in decibels.
        step: the name of the pass, for notes.
    """
    batches = first_rows(known.batches, ROWS)
    wanted = record_outputs(known.net, batches)
    trials = [Trial(placement, known.build(placement)) for placement in placements]
    float_seconds = None
    if context.latency_meter is not None:
        trials += list(_pad_trials(trials))
        float_seconds, *seconds = context.latency_meter.compare(
            [known.net, *(t.net for t in trials)]
        )
        timed = zip(trials, seconds, strict=True)
        trials = sorted((replace(t, seconds=s) for t, s in timed), key=_seconds)
    judged: list[Trial] = []
    limit = inf
    for trial in trials:  # the noise is found last: it takes longer than the meter
        if _seconds(trial) > limit:
            judged.append(trial)
            continue
        ratios = compare_records(wanted, trial.net, batches)
        judged.append(replace(trial, sqnr=min(ratios.values(), default=0.0)))
        if limit == inf and _sqnr(judged[-1]) >= least:
            limit = TIE * _seconds(trial) if float_seconds is not None else -inf
    best = _pick(judged, least)
    _note(judged, best, float_seconds, least, context, step)
    return best


def _pick(judged: Sequence[Trial], least: float) -> Trial:
    """The first that is good enough, unless one behind it is quieter by far; the best one where
    none is."""
    good = [trial for trial in judged if _sqnr(trial) >= least]
    if not good:
        return max(judged, key=_sqnr)
    best = good[0]
    for trial in good:
        if _sqnr(trial) >= _sqnr(best) + QUIETER:
            best = trial
    return best


def _pad_trials(trials: Sequence[Trial]) -> Iterator[Trial]:
    """The same with padded inputs, where that may be faster."""
    for trial in trials:
        net = pad_inputs(trial.net)
        if net is not None:
            label = f"{trial.placement.label}, with channels of zeros at the input"
            yield Trial(replace(trial.placement, label=label), net)


def _seconds(trial: Trial) -> float:
    return trial.seconds if trial.seconds is not None else 0.0


def _sqnr(trial: Trial) -> float:
    return trial.sqnr if trial.sqnr is not None else -inf


def _note(
    trials: Sequence[Trial],
    best: Trial,
    float_seconds: float | None,
    least: float,
    context: CompressionContext,
    step: str,
) -> None:
    """What was tried, what was taken, and what is wrong with it."""
    name = context.original.graph.name if context.original is not None else ""
    for trial in trials:
        figures = [("sqnr", trial.sqnr)] if trial.sqnr is not None else []
        if trial.seconds is not None:
            figures.append(("seconds", trial.seconds))
        if trial is best:
            done, reason = f"integer: {trial.placement.label}", ""
        else:
            done, reason = "", f"not taken: {trial.placement.label}"
        if trial is best and _sqnr(trial) < least:
            reason = f"no placement has a signal to noise of {least:g} dB; this one is the best"
        elif trial is best and float_seconds is not None and (trial.seconds or 0) > float_seconds:
            reason = "slower than float, which takes"
            figures.append(("float_seconds", float_seconds))
        context.note(LayerNote(step, name, done, reason, tuple(figures)))
