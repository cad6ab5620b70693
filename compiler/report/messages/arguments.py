"""What goes wrong in calls: arguments unknown, missing, given twice, or of the wrong kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.habits import advise
from compiler.report.source import Span


@final
@dataclass(frozen=True)
class NotCallable(Message):
    """Something is called that is no layer, block, model or function."""

    code: ClassVar[str] = "W0220"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    n = 3\n    output y = x * (n)(2)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    n = 3\n    output y = x * n\n}\n"
    )

    found: str

    def title(self) -> str:
        return "this cannot be called"

    def label(self) -> str:
        return f"this is {self.found}"


@final
@dataclass(frozen=True)
class UnknownArgument(Message):
    """A call names an argument that the callee does not have."""

    code: ClassVar[str] = "W0221"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(4, kernal=3)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(4, kernel=3)\n}\n"
    )

    callee: str
    name: str
    known: tuple[str, ...]
    suggestion: str | None
    definition: Span | None = None
    by_position: bool = False

    def title(self) -> str:
        return f"`{self.callee}` has no argument `{self.name}`"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else "unknown argument"

    def labels(self) -> Sequence[Label]:
        return (Label(self.definition, "defined here"),) if self.definition is not None else ()

    def help(self) -> str | None:
        if self.by_position:
            return f"`{self.callee}` takes its arguments by position"
        advice = advise(self.name) if self.suggestion is None else None
        if advice is not None:
            return advice
        if not self.known:
            return f"`{self.callee}` takes no arguments"
        return f"it takes {', '.join(f'`{k}`' for k in self.known)}"


@final
@dataclass(frozen=True)
class TooManyArguments(Message):
    """A call gives more arguments by position than the callee has."""

    code: ClassVar[str] = "W0222"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu(1, 2)\n}\n"
    )
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu\n}\n"

    callee: str
    known: tuple[str, ...]
    definition: Span | None = None

    def title(self) -> str:
        return f"too many arguments for `{self.callee}`"

    def label(self) -> str:
        return "nothing takes this"

    def labels(self) -> Sequence[Label]:
        return (Label(self.definition, "defined here"),) if self.definition is not None else ()

    def help(self) -> str | None:
        if not self.known:
            return f"`{self.callee}` takes no arguments of its own"
        return f"it takes {', '.join(f'`{k}`' for k in self.known)}"


@final
@dataclass(frozen=True)
class MissingArgument(Message):
    """A call leaves out an argument that has no default.

    Only leading tensors may be left out: the call then waits for them.
    """

    code: ClassVar[str] = "W0223"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(4)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(4, kernel=3)\n}\n"
    )

    callee: str
    names: tuple[str, ...]
    definition: Span | None = None

    def title(self) -> str:
        missing = " and ".join(f"`{n}`" for n in self.names)
        return f"`{self.callee}` needs {missing}"

    def label(self) -> str:
        return "missing here" if len(self.names) == 1 else "these are missing here"

    def labels(self) -> Sequence[Label]:
        return (Label(self.definition, "defined here"),) if self.definition is not None else ()

    def help(self) -> str | None:
        written = ", ".join(f"{n}=…" for n in self.names)
        return f"write `{self.callee}({written})`"


@final
@dataclass(frozen=True)
class ArgumentTwice(Message):
    """A call gives one argument twice: by position and by name, or by name twice."""

    code: ClassVar[str] = "W0224"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4, out=8)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(out=8)\n}\n"
    )

    callee: str
    name: str
    first: Span

    def title(self) -> str:
        return f"`{self.name}` is given twice to `{self.callee}`"

    def label(self) -> str:
        return "given again here"

    def labels(self) -> Sequence[Label]:
        return (Label(self.first, "given here"),)


@final
@dataclass(frozen=True)
class WrongArgument(Message):
    """An argument is of the wrong kind: a string for a number, a tensor for a list, …"""

    code: ClassVar[str] = "W0225"
    bad: ClassVar[str] = (
        'model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense("four")\n}\n'
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4)\n}\n"
    )

    callee: str
    name: str
    expected: str
    found: str
    suggestion: str | None = None
    definition: Span | None = None

    def title(self) -> str:
        return f"`{self.name}` of `{self.callee}` is {self.expected}"

    def label(self) -> str:
        return f"this is {self.found}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.definition, "declared here"),) if self.definition is not None else ()

    def help(self) -> str | None:
        return f"did you mean {self.suggestion}?" if self.suggestion else None


@final
@dataclass(frozen=True)
class PositionAfterName(Message):
    """An argument by position follows one by name. Positions come first."""

    code: ClassVar[str] = "W0226"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(kernel=3, 4)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(4, kernel=3)\n}\n"
    )

    callee: str

    def title(self) -> str:
        return "arguments by position come before those by name"

    def label(self) -> str:
        return "this one has no name"


@final
@dataclass(frozen=True)
class WrongInputs(Message):
    """`->` brings another number of tensors than the layer takes.

    `(a, b) -> f` gives two. A layer that was called with some of its tensors takes the others.
    """

    code: ClassVar[str] = "W0227"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = (x, x) -> relu\n}\n"
    )
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu\n}\n"

    callee: str
    supplied: int
    takes: tuple[str, ...]
    definition: Span | None = None

    def title(self) -> str:
        count = "one value" if self.supplied == 1 else f"{self.supplied} values"
        return f"`{self.callee}` is given {count}"

    def label(self) -> str:
        if not self.takes:
            return "it takes no tensor"
        return f"it takes {', '.join(f'`{t}`' for t in self.takes)}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.definition, "defined here"),) if self.definition is not None else ()
