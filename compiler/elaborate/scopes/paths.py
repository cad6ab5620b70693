"""Names of stages inside one frame: what parameters are called, and that no two share a path."""

from __future__ import annotations

import re
from dataclasses import field

from compiler.ir.hint import Hint, HintConst, HintText
from compiler.records import dataclass
from compiler.report.source import Span

_PATH = re.compile(r"\w+(\.\w+)*")


def is_path(text: str) -> bool:
    """Whether a text may be a path or a part of one: words with dots between them. No other text
    becomes an attribute of a PyTorch module."""
    return _PATH.fullmatch(text) is not None


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


@dataclass(frozen=True)
class Path:
    """A path in a frame; `hint` is how it was written, where it has names in it."""

    text: str
    hint: Hint | None = None


def join_hints(prefix: Path, name: Path) -> Hint | None:
    """How a path of two parts was written; None where neither has names in it."""
    if prefix.hint is None and name.hint is None:
        return None
    parts = [*_read_parts(prefix), HintConst("."), *_read_parts(name)]
    return HintText(tuple(parts if prefix.text else parts[1 + len(_read_parts(prefix)) :]))


def _read_parts(path: Path) -> tuple[Hint, ...]:
    match path.hint:
        case HintText(parts):
            return parts
        case None:
            return (HintConst(path.text),)
    return (path.hint,)


def join(prefix: str, name: str) -> str:
    """Two parts of a path; either may be empty."""
    return f"{prefix}.{name}" if prefix and name else prefix or name
