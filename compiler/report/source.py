"""Source text and the spans that point into it; lines and columns are computed only for display."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import field
from functools import cached_property
from pathlib import Path

from compiler.records import dataclass

LIBRARY = "std"
"""The folder that paths of the library begin with, which comes with Weft."""


@dataclass(frozen=True, eq=False)
class Source:
    """One text file: the path as it is shown to the user, and its text."""

    path: str
    text: str = field(repr=False)

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """Character offset at which each line begins."""
        starts = [0]
        starts.extend(i + 1 for i, char in enumerate(self.text) if char == "\n")
        return tuple(starts)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both counted from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Text of a line (counted from 1) without its line break."""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    @property
    def is_library(self) -> bool:
        """Whether it is a file of the library."""
        return self.path.startswith(f"{LIBRARY}/")

    @property
    def folder(self) -> Path:
        """Folder that paths written in this source are relative to."""
        return Path(self.path).parent


@dataclass(frozen=True)
class Span:
    """Half-open range of character offsets in a source."""

    source: Source
    start: int
    end: int

    @property
    def starts_line(self) -> bool:
        """Whether nothing but space stands before it on its line."""
        line, column = self.source.position(self.start)
        return not self.source.line(line)[: column - 1].strip()

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other`."""
        return Span(self.source, min(self.start, other.start), max(self.end, other.end))

    @property
    def text(self) -> str:
        """The text this span covers."""
        return self.source.text[self.start : self.end]

    @property
    def location(self) -> str:
        """`file:line:column`, as an editor understands it."""
        line, column = self.source.position(self.start)
        return f"{self.source.path}:{line}:{column}"
