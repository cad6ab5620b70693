"""Chooses among placements: by the clock where there is one, by rules where not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from compiler.compression.base import WeightedNet
from compiler.compression.quantization.calibrated import Calibrated
from compiler.compression.quantization.calibration import (
    compare_records,
    first_rows,
    record_outputs,
)
from compiler.compression.quantization.placement import Placement
from compiler.compression.world import LayerNote, World
from compiler.records import dataclass

ROWS = 16
"""Rows of the calibration set that every placement is tried on."""


@final
@dataclass(frozen=True)
class Trial:
    """A placement, the net that it makes, the signal to noise at its worst output in decibels,
    and seconds of a call where they were measured."""

    placement: Placement
    net: WeightedNet
    sqnr: float
    seconds: float | None = None


def choose_trial(
    known: Calibrated, placements: Sequence[Placement], world: World, least: float, step: str
) -> Trial:
    """The fastest placement whose outputs are good enough; the best one where none is. Without
    a clock, the first placement that is good enough.

    Args:
        known: the calibrated net.
        placements: the likely best one first.
        world: its clock measures; its journal is told what was tried.
        least: the signal to noise that is good enough, in decibels.
        step: the name of the pass, for notes.
    """
    batches = first_rows(known.batches, ROWS)
    wanted = record_outputs(known.net, batches)
    trials = []
    for placement in placements:
        net = known.build(placement)
        ratios = compare_records(wanted, net, batches)
        trials.append(Trial(placement, net, min(ratios.values(), default=0.0)))
    float_seconds = None
    if world.clock is not None:
        float_seconds, *seconds = world.clock.compare([known.net, *(t.net for t in trials)])
        trials = [
            Trial(t.placement, t.net, t.sqnr, s) for t, s in zip(trials, seconds, strict=True)
        ]
    good = [trial for trial in trials if trial.sqnr >= least]
    if not good:
        best = max(trials, key=lambda trial: trial.sqnr)
    elif float_seconds is None:
        best = good[0]
    else:
        best = min(good, key=lambda trial: trial.seconds or 0.0)
    _note(trials, best, float_seconds, least, world, step)
    return best


def _note(
    trials: Sequence[Trial],
    best: Trial,
    float_seconds: float | None,
    least: float,
    world: World,
    step: str,
) -> None:
    """What was tried, what was taken, and what is wrong with it."""
    name = world.original.graph.name if world.original is not None else ""
    for trial in trials:
        figures = [("sqnr", trial.sqnr)]
        if trial.seconds is not None:
            figures.append(("seconds", trial.seconds))
        if trial is best:
            done, reason = f"integer: {trial.placement.label}", ""
        else:
            done, reason = "", f"not taken: {trial.placement.label}"
        if trial is best and trial.sqnr < least:
            reason = f"no placement has a signal to noise of {least:g} dB; this one is the best"
        elif trial is best and float_seconds is not None and (trial.seconds or 0) > float_seconds:
            reason = "slower than float, which takes"
            figures.append(("float_seconds", float_seconds))
        world.note(LayerNote(step, name, done, reason, tuple(figures)))
