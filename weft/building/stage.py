"""A stage of a build: made once, and again when what it reads has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from backends.onnx_runtime.session import Device
from compiler.ir.weighted_net import WeightedNet
from compiler.program.identity import identify
from weft.results.cache import Cache, hash_file, hash_text
from weft.results.generated import GeneratedFiles

T = TypeVar("T")
Echo = Callable[[str], None]
Metadata = Mapping[str, Any]
"""What the record of a build holds of a stage, as JSON."""


def take_metadata(metadata: Metadata) -> Metadata:
    """The result of a stage whose result is what the record holds of it."""
    return metadata


@dataclass(frozen=True)
class Stage(Generic[T]):
    """A piece of a build, with all that the build has to know of it."""

    name: str
    reads: tuple[object, ...]
    """What the result follows from: files, nets, texts, and data of these."""
    run: Callable[[], T]
    """Makes the result, and the files. A mapping goes into the record of the build."""
    writes: tuple[Path, ...] = ()
    """The files that it may leave."""
    recall: Callable[[Metadata], T | Any] = take_metadata
    """The result of a stage that has run, from what the record holds of it, or from its files;
    None where these are not as they were written."""
    notes: Metadata = field(default_factory=dict)
    """What the record of the build holds of it besides."""
    begins: str | None = None
    """What is said behind the name when it runs."""
    quiet: bool = False
    """Whether nothing is said where it is up to date."""

    @cached_property
    def key(self) -> str:
        """What tells whether it has run: a hash of all that it reads."""
        return fingerprint(*self.reads, [path.name for path in self.writes])


@dataclass(frozen=True)
class BuildContext:
    """Where stages run: the record of the build, who is told, and who writes files."""

    cache: Cache
    device: Device
    echo: Echo
    files: GeneratedFiles

    def make(self, stage: Stage[T]) -> T:
        """The result of a stage, which runs unless it has and nothing has changed since. It is
        recorded when it is whole, so that a build that was killed goes on behind it."""
        known = self.recall(stage)
        if known is not None:
            if not stage.quiet:
                self.echo(f"{stage.name}: up to date")
            return known
        if stage.begins is not None:
            self.echo(f"{stage.name}: {stage.begins}" if stage.begins else stage.name)
        made = stage.run()
        metadata = {**stage.notes, **(made if isinstance(made, Mapping) else {})}
        self.cache.record(stage.name, stage.key, filter(Path.is_file, stage.writes), metadata)
        return made

    def recall(self, stage: Stage[T]) -> T | None:
        """The result of a stage that is up to date."""
        if not self.is_fresh(stage):
            return None
        known: T | None = stage.recall(self.cache.get_metadata(stage.name))
        return known

    def is_fresh(self, stage: Stage[T]) -> bool:
        """Whether a stage has run, and neither what it read nor what it wrote has changed."""
        return self.cache.is_fresh(stage.name, stage.key)

    def has_run(self, stage: Stage[T]) -> bool:
        """Whether a stage has run, and what it read has not changed."""
        return self.cache.has_run(stage.name, stage.key)


def fingerprint(*read: object) -> str:
    """A hash of what is read: the content of files, graphs and the numbers of their weights, and
    of data all that tells it apart."""
    return hash_text(*map(_describe, read))


def _describe(read: object) -> str:
    match read:
        case Path():
            return hash_file(read) if read.is_file() else "no file"
        case WeightedNet(graph, weights):
            types = {p.path: p.value.type.dtype.numpy for p in graph.parameters}
            known = {p: np.asarray(weights[p], types[p]) for p in types if p in weights}
            return identify((graph, known))
    return identify(read)
