"""What nets load, in words: files, commits, and what was left out of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compiler.loading import WeightSource, open_sources
from compiler.program.net import Net
from compiler.weights.layout import generalize


@dataclass(frozen=True)
class LoadedFile:
    """A `load(…)` of a net: what it names, the files and the commit that it found, and what was
    left out by a rule, with the rule."""

    name: str
    files: tuple[str, ...]
    revision: str | None
    commit: str | None
    left_out: tuple[tuple[str, str], ...]

    @property
    def source(self) -> str:
        """The file or the repository, with its commit."""
        shown = self.name if len(self.files) == 1 else f"{self.name}, {len(self.files)} files"
        if self.commit is None:
            return shown
        revision = f" ({self.revision or 'main'})" if self.revision != self.commit else ""
        return f"{shown} at commit {self.commit}{revision}"

    @property
    def omissions(self) -> str:
        """What was left out, the tensors of all layers in one."""
        counts: dict[str, list[str]] = {}
        for path, reason in self.left_out:
            counts.setdefault(f"{generalize(path)}: {reason}", []).append(path)
        return "; ".join(
            f"{path} ({reason})" if len(paths) == 1 else f"{path} ({len(paths)} of {reason})"
            for (path, _, reason), paths in ((k.partition(": "), v) for k, v in counts.items())
        )


def list_loaded(net: Net, folder: Path, results: Path | None = None) -> Iterator[LoadedFile]:
    """What the `load(…)` calls of a net have found, but for what a train of the file learned.

    Raises:
        CompileError: a file cannot be read or does not fit.
    """
    for source in open_sources(net, folder, results):
        if source.load.train is None:
            yield _describe(source)


def _describe(source: WeightSource) -> LoadedFile:
    return LoadedFile(
        source.load.file,
        tuple(path.name for path in source.files.paths),
        source.load.revision,
        source.files.commit,
        tuple(source.left_out.items()),
    )
