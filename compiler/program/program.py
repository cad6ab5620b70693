"""A checked file: everything in it, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from compiler.program.data import DataSet
from compiler.program.deploy import Deploy
from compiler.program.net import Net
from compiler.program.sweep import Sweep
from compiler.program.train import Train
from compiler.program.variant import Variant
from compiler.records import dataclass
from compiler.report.source import Source


@dataclass(frozen=True)
class Program:
    """A checked file. Models are elaborated with their default arguments; a model with a
    parameter that has no default appears only through the nets that give it."""

    source: Source
    models: Mapping[str, Net] = field(default_factory=dict)
    nets: Mapping[str, Net] = field(default_factory=dict)
    data: Mapping[str, DataSet] = field(default_factory=dict)
    trains: Mapping[str, Train] = field(default_factory=dict)
    variants: Mapping[str, Variant] = field(default_factory=dict)
    deploys: tuple[Deploy, ...] = ()
    sweeps: Mapping[str, Sweep] = field(default_factory=dict)
    """Each stands among the trains, or the variants, under its own name, with its values."""
