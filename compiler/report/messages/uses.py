"""What goes wrong with `use`: files and parts of the library that are missing or clash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.source import Span


@final
@dataclass(frozen=True)
class UseNotFound(Message):
    """`use` names a file or a part of the library that does not exist."""

    code: ClassVar[str] = "W0209"
    bad: ClassVar[str] = "use std.visoin\n"
    good: ClassVar[str] = "use std.vision\n"

    name: str
    suggestion: str | None
    reason: str

    def title(self) -> str:
        return f"`use` finds no {self.name}"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else self.reason


@final
@dataclass(frozen=True)
class UseCycle(Message):
    """Two files use one another. What both need goes into a third."""

    code: ClassVar[str] = "W0210"
    bad: ClassVar[str] = ""
    good: ClassVar[str] = "use std.vision\n"

    files: tuple[str, ...]

    def title(self) -> str:
        return "files use one another in a circle"

    def label(self) -> str:
        return " uses ".join(self.files)


@final
@dataclass(frozen=True)
class AmbiguousName(Message):
    """Two files that are used bring the same name. `use … as t` keeps them apart: `t.name`."""

    code: ClassVar[str] = "W0211"
    bad: ClassVar[str] = ""
    good: ClassVar[str] = "use std.vision as v\n"

    name: str
    first: Span
    second: Span

    def title(self) -> str:
        return f"`{self.name}` comes from two files"

    def labels(self) -> Sequence[Label]:
        return (Label(self.first, "from here"), Label(self.second, "and from here"))

    def help(self) -> str | None:
        return "give one of them a name: `use … as t`, then `t.name`"
