"""Whose weights lie under which path: no two stages may mix theirs.

A stage (the call of a block or net, or an op) owns what lies under its path. `paths.py` keeps the
names of one frame apart; here the whole graph is looked at, where `as "block.0.self"` of one frame
can reach into the stage that another label (`as block[0]`) has made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from compiler.ir.frame import Frame
from compiler.records import dataclass
from compiler.report.source import Span

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
    settled: set[Frame] = field(default_factory=set)
    """Frames of which all is noted that lies around a weight in them: calls may be a thousand deep.
    Only those whose path begins with that of the frame around them."""

    def knows(self, path: str) -> bool:
        """Whether something is noted at a path, or below it."""
        return path in self.owners or path in self.folders or path in self.weights

    def settle(self, path: str, frame: Frame, stage: str, span: Span) -> Overlap | None:
        """Notes a weight that a stage has made; the overlap with another's, if there is one.

        Args:
            path: of the weight.
            frame: where the stage stands.
            stage: the path of the op in the frame; empty for a weight that the frame declares.
            span: where the weight is made.
        """
        own = dict(self._find_owners(path, frame, stage, span))
        folders = _list_folders(path, self._find_settled(path, frame))
        for folder in folders:
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
        for folder in folders:
            if folder not in own:
                self.folders.setdefault(folder, span)
        self.weights[path] = span
        self._note(path, frame)
        return None

    def _find_owners(
        self, path: str, frame: Frame, stage: str, span: Span
    ) -> Iterator[tuple[str, tuple[Owner, Span]]]:
        """The stages that a weight belongs to, outermost first, but for those that are noted."""
        for outer in reversed(self._list_open(path, frame)):
            if outer.path and _holds(outer, path):
                yield outer.path, ((outer, ""), outer.origin or span)
        if stage:
            inner = f"{frame.path}.{stage}" if frame.path else stage
            yield inner, ((frame, stage), span)

    def _list_open(self, path: str, frame: Frame) -> list[Frame]:
        """A frame and those around it, outwards, up to a settled one that holds them all."""
        found: list[Frame] = []
        around: Frame | None = frame
        while around is not None and not (around in self.settled and _holds(around, path)):
            found.append(around)
            around = around.parent
        if around is None or all(_holds(around, inner.path) for inner in found):
            return found
        return list(reversed(frame.chain))  # two calls of one path, or a net from elsewhere

    def _find_settled(self, path: str, frame: Frame) -> str:
        """The path up to which all is noted."""
        found = self._list_open(path, frame)
        around = found[-1].parent if found else frame
        return around.path if around is not None else ""

    def _note(self, path: str, frame: Frame) -> None:
        """Notes that a frame and those around it are settled, where each lies inside the next."""
        found = self._list_open(path, frame)
        pairs = ((inner.parent, inner) for inner in found)
        if all(
            _holds(inner, path) and (outer is None or _holds(outer, inner.path))
            for outer, inner in pairs
        ):
            self.settled.update(found)


def _holds(frame: Frame, path: str) -> bool:
    return not frame.path or path.startswith(f"{frame.path}.")


def _list_folders(path: str, after: str) -> list[str]:
    """The paths around a path, outermost first, but for those around `after` and itself."""
    ends = [i for i, sign in enumerate(path) if sign == "." and i > len(after)]
    return [path[:end] for end in ends]
