"""Names of stages inside one frame: what parameters are called, and that no two share a path."""

from __future__ import annotations

from dataclasses import field

from compiler.records import dataclass
from compiler.source import Span


@dataclass(eq=False)
class Paths:
    """The paths taken in one call of a block, by what took them first."""

    taken: dict[str, Span] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def claim(self, path: str, span: Span) -> Span | None:
        """Takes a path that the author chose; where it was taken before, if it was."""
        first = self.taken.get(path)
        if first is None:
            self.taken[path] = span
        return first

    def number(self, path: str, span: Span) -> str:
        """Takes the first free of `conv`, `conv_2`, `conv_3`, … and returns it."""
        count = self.counts.get(path, 0) + 1
        while (free := path if count == 1 else f"{path}_{count}") in self.taken:
            count += 1
        self.counts[path] = count
        self.taken[free] = span
        return free

    def release(self, path: str, own: str) -> None:
        """Gives back a path that no weight and no tensor came of; `own` is what it was numbered
        from."""
        del self.taken[path]
        if self.counts.get(own, 0):
            self.counts[own] -= 1


def join(prefix: str, name: str) -> str:
    """Two parts of a path; either may be empty."""
    return f"{prefix}.{name}" if prefix and name else prefix or name
