"""What became of a variant: its figures beside those of the net before any pass, and verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from compiler.compression.context import LayerNote
from compiler.compression.contracts import Judgement, Measured, Spread
from compiler.compression.requirements import find_all
from compiler.program.requirement import Figure
from compiler.program.variant import Variant
from compiler.report.diagnostics import Message
from compiler.system.files import read_json, write_text
from compiler.vocabulary.signature import Direction
from weft.results.nets import DAMAGES

SPREAD_ERROR = "error_of_spread"
"""The name among the figures of the output error beside the spread of the outputs."""
LARGE_ERROR = 0.2
"""The part of the spread of an output from which an error is named beside a contract that holds:
14 decibels of signal to noise."""


@dataclass(frozen=True)
class Figures:
    """The figures of one net: counted ones and `error` and `latency` by name, and metrics by
    split and name."""

    plain: Mapping[str, Measured]
    splits: Mapping[str, Mapping[str, Measured]] = field(default_factory=dict)

    def find(self, figure: Figure) -> Measured | None:
        """A figure; None where it could not be measured."""
        if figure.split is None:
            return self.plain.get(figure.name)
        return self.splits.get(figure.split, {}).get(figure.name)

    def metadata(self) -> dict[str, Any]:
        """The figures as numbers, for the report."""
        found: dict[str, Any] = {name: m.value for name, m in self.plain.items()}
        for split, metrics in self.splits.items():
            found[split] = {name: m.value for name, m in metrics.items()}
        return found


@dataclass(frozen=True)
class LayerRow:
    """One layer of the variant's net in the report; None and empty where nothing is known."""

    path: str
    kind: str
    shape: str
    parameters: int
    before: int  # parameters before any pass; those of several factors stand at the first
    bits: int | None = None
    rank: int | None = None
    sqnr: float | None = None  # decibels, at the layer's output
    share: float | None = None  # of the latency
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class OtherFile:
    """The file of a further deployment of a variant, which no contract speaks of."""

    deploy: str
    path: Path
    size: int
    verified: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """A variant after its stages. `base` is the name that the net before any pass has among the
    `figures`; `conditions` say how latency was measured."""

    variant: Variant
    path: Path
    base: str
    figures: Mapping[str, Figures]
    conditions: Mapping[str, Any]
    verified: Mapping[str, Any]
    journal: Sequence[LayerNote]
    layers: Sequence[LayerRow]
    judgements: Sequence[Judgement]
    synthetic: bool
    failures: Sequence[Message] = ()
    others: Sequence[OtherFile] = ()
    directions: Mapping[str, Direction] = field(default_factory=dict)
    """Which figure of a metric is better, of the metrics of which that is known."""

    @property
    def has_large_error(self) -> bool:
        """Whether outputs are far from those before any pass, and no requirement bounds that."""
        figures = [figure.name for r in self.variant.requires for figure in find_all(r)]
        return "error" not in figures and self.own.plain[SPREAD_ERROR].value > LARGE_ERROR

    @property
    def own(self) -> Figures:
        """Of the variant itself."""
        return self.figures[self.variant.name]


def write_figures(
    path: Path, figures: Mapping[str, Figures], conditions: Mapping[str, Any]
) -> None:
    """Writes figures with their samples, so that another contract needs no new measurement."""
    data = {name: asdict(found) for name, found in figures.items()}
    text = json.dumps({"figures": data, "conditions": conditions}, default=np.ndarray.tolist)
    write_text(path, text + "\n")


def read_figures(path: Path) -> tuple[dict[str, Figures], Mapping[str, Any]] | None:
    """What `write_figures` wrote; None where the file holds something else."""
    data = read_json(path)
    try:
        figures = {
            name: Figures(
                _decode(found["plain"]),
                {split: _decode(metrics) for split, metrics in found["splits"].items()},
            )
            for name, found in data["figures"].items()
        }
        return figures, {**data["conditions"]}
    except DAMAGES:
        return None


def write_layers(path: Path, rows: Sequence[LayerRow]) -> None:
    """Writes the rows of layers."""
    write_text(path, json.dumps([asdict(row) for row in rows]) + "\n")


def read_layers(path: Path) -> list[LayerRow] | None:
    """What `write_layers` wrote; None where the file holds something else."""
    entries = read_json(path)
    try:
        return [LayerRow(**{**entry, "notes": tuple(entry["notes"])}) for entry in entries]
    except DAMAGES:
        return None


def _decode(entries: Mapping[str, Any]) -> dict[str, Measured]:
    found = {}
    for name, entry in entries.items():
        samples = None if entry["samples"] is None else np.array(entry["samples"])
        numeric = samples is None or samples.dtype.kind in "biuf"
        if not numeric or not isinstance(entry["value"], int | float):
            raise TypeError("figures are numbers")
        spread = Spread(entry["spread"])
        found[name] = Measured(entry["value"], spread, samples, entry["rows"])
    return found
