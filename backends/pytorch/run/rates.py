"""Looks for a learning rate: runs a script whose rate grows, and reads the losses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

from backends.pytorch.run.running import LAUNCH, explain_failure
from backends.pytorch.train.finding import FOUND, emit_finder, ramp_train
from backends.pytorch.train.folder import hash_arrays, write_training
from backends.pytorch.train.models import START
from compiler.ir.weights import read_weights
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import file_unreadable
from compiler.system.files import read_json, write_text


@dataclass(frozen=True)
class Probe:
    """A step of the search: its rate, its loss, and the smoothed loss."""

    rate: float
    loss: float
    smooth: float


@dataclass(frozen=True)
class FoundRate:
    """The steps of a search, and what follows: the rate where the smoothed loss falls fastest, and
    a tenth of the one where it is lowest. None where it falls nowhere."""

    probes: Sequence[Probe]

    @property
    def steepest(self) -> float | None:
        """The rate in the middle of the fastest fall of the smoothed loss over its logarithm."""
        falls = [
            ((b.smooth - a.smooth) / log(b.rate / a.rate), (a.rate * b.rate) ** 0.5)
            for a, b in pairwise(self._useful)
        ]
        slope, rate = min(falls, default=(0.0, 0.0))
        return rate if slope < 0 else None

    @property
    def tenth(self) -> float | None:
        """A tenth of the rate of the lowest smoothed loss."""
        lowest = min(self._useful, key=lambda probe: probe.smooth, default=None)
        return lowest.rate / 10 if lowest is not None and self.steepest is not None else None

    @property
    def _useful(self) -> Sequence[Probe]:
        """The steps up to the lowest smoothed loss, without the first few, which are noise."""
        behind = self.probes[len(self.probes) // 10 :]
        if not behind:
            return ()
        lowest = min(range(len(behind)), key=lambda place: behind[place].smooth)
        return behind[: lowest + 1]


def find_rate(
    train: Train,
    folder: Path,
    *,
    data_root: Path,
    least: float,
    most: float,
    steps: int,
    device: str = "auto",
) -> FoundRate:
    """Writes the search of a train into a folder of its own and runs it: no weights of the training
    are touched.

    Args:
        train: a checked train with one objective.
        folder: where the script and what it leaves go, beside the folders of other trains, whose
            weights nets may load.
        data_root: what paths of data start from.
        least: the rate of the first step.
        most: that of the last.
        steps: how many steps.
        device: "auto", "cpu" or "cuda".

    Raises:
        CompileError: the script failed, or weights that a net loads cannot be read.
    """
    made = ramp_train(train, least, most, steps)
    write_training(made, folder)
    start = folder / START
    starts = hash_arrays(dict(read_weights(start))) if start.is_file() else ""
    write_text(folder / "train.py", emit_finder(made, starts))
    out = str(folder.resolve())
    command = [sys.executable, "-P", "-c", LAUNCH, out, "--out"]
    command += [out, *(["--device", device] if device != "auto" else [])]
    lives, held = os.pipe()  # the script ends when its input does, as one that trains
    try:
        done = subprocess.run(command, cwd=data_root, stdin=lives, capture_output=True, text=True)
    finally:
        os.close(lives)
        os.close(held)
    if done.returncode:
        log_file = folder / "train.log"
        write_text(log_file, done.stderr)
        failure = explain_failure(
            done.returncode, done.stderr, log_file, train.span, source=train.data.span
        )
        raise CompileError([failure])
    return FoundRate(_read(folder / FOUND))


def _read(path: Path) -> list[Probe]:
    found: Any = read_json(path)
    try:
        return [Probe(float(p["rate"]), float(p["loss"]), float(p["smooth"])) for p in found]
    except (TypeError, KeyError, ValueError) as error:
        raise CompileError([file_unreadable(None, str(path), "no search wrote it so")]) from error
