"""Whose weights lie under which path: no two stages may mix theirs.

A stage (the call of a block or net, or an op) owns what lies under its path. `paths.py` keeps the
names of one frame apart; here the whole graph is looked at, where `as "block.0.self"` of one frame
can reach into the stage that another label (`as block[0]`) has made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from compiler.ir.graph import Frame
from compiler.records import dataclass
from compiler.source import Span

Owner = tuple[Frame, str]
"""The frame of a call, or a frame and the name of an op's stage in it."""


@dataclass(frozen=True)
class Overlap:
    """A path under which two stages have weights, and where they are applied."""

    path: str
    span: Span
    first: Span


@dataclass(eq=False)
class Territory:
    """The stages of a graph by their paths, and the paths that only lead to stages: `folders`."""

    owners: dict[str, tuple[Owner, Span]] = field(default_factory=dict)
    folders: dict[str, Span] = field(default_factory=dict)
    weights: dict[str, Span] = field(default_factory=dict)

    def settle(self, path: str, frame: Frame, stage: str, span: Span) -> Overlap | None:
        """Notes a weight that a stage has made; the overlap with another's, if there is one.

        Args:
            path: of the weight.
            frame: where the stage stands.
            stage: the path of the op in the frame; empty for a weight that the frame declares.
            span: where the weight is made.
        """
        own = dict(_find_owners(path, frame, stage, span))
        for folder in _list_folders(path):
            mine, place = own.get(folder, (None, span))
            owner, first = self.owners.get(folder, (None, span))
            if folder in self.weights:
                return Overlap(folder, place, self.weights[folder])
            if owner is not None and owner != mine:
                return Overlap(folder, place, first)
            if mine is not None and folder in self.folders:
                return Overlap(folder, place, self.folders[folder])
        for taken in (self.folders.get(path), self.owners.get(path, (None, None))[1]):
            if taken is not None:
                return Overlap(path, span, taken)
        self.owners.update((p, o) for p, o in own.items() if p not in self.owners)
        for folder in _list_folders(path):
            if folder not in own:
                self.folders.setdefault(folder, span)
        self.weights[path] = span
        return None


def _find_owners(
    path: str, frame: Frame, stage: str, span: Span
) -> Iterator[tuple[str, tuple[Owner, Span]]]:
    """The stages that a weight belongs to, outermost first."""
    for outer in frame.chain:
        if outer.path and path.startswith(f"{outer.path}."):
            yield outer.path, ((outer, ""), outer.origin or span)
    if stage:
        inner = f"{frame.path}.{stage}" if frame.path else stage
        yield inner, ((frame, stage), span)


def _list_folders(path: str) -> list[str]:
    """The paths around a path, outermost first."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
