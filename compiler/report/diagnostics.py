"""Diagnostics as data: what a message is, where it points, and the sink that collects them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Concatenate, Generic, ParamSpec, Protocol

from compiler.records import dataclass
from compiler.report.source import Span

P = ParamSpec("P")


class Severity(StrEnum):
    """How bad it is: an error ends the command with status 1, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


SHOWN_CALLS = 3
"""Calls around a fault that are shown, nearest first."""


@dataclass(frozen=True)
class Label:
    """A secondary place that explains the primary one: where a shape or name came from."""

    span: Span
    text: str


@dataclass(frozen=True)
class Text:
    """What a message says."""

    title: str
    """One line, lower case, no full stop: what is wrong."""
    label: str = ""
    """Text next to the carets: what was found and what was expected."""
    labels: Sequence[Label] = ()
    """Secondary places, nearest first."""
    help: str | None = None
    """How to mend it."""
    absent: str | None = None
    """The name that nothing has, if that is what the message says."""


@dataclass(frozen=True)
class Message:
    """One diagnostic. `span` is None only for faults that lie in no file, such as those of a
    command-line argument."""

    kind: MessageKind[...]
    span: Span | None
    text: Text
    calls: tuple[Label, ...] = ()
    """Calls that led to a place inside a block, nearest first."""

    @property
    def code(self) -> str:
        """W and four digits."""
        return self.kind.code

    @property
    def severity(self) -> Severity:
        """Whether it is an error."""
        return self.kind.severity

    def all_labels(self) -> Sequence[Label]:
        """Every secondary place: those that explain the message, then the calls around it."""
        known = {label.span for label in self.text.labels}
        return (*self.text.labels, *(call for call in self.calls if call.span not in known))


class MessageKind(Generic[P]):
    """What `@message` makes of a function: called with a place and arguments, it gives a message.

    The function's docstring is the page that `weft explain CODE` prints, `bad` and `good` are
    the examples on it (whole small specs; `bad` must produce this message when checked, `good`
    must not). What no text of a spec shows by itself has a `console` in place of `bad`: a session
    (`compiler/report/console.py`) whose last command gives the message; `mended` goes on in the
    same folder with what is to be changed, and its last command does not. `lint` says whether it is
    a warning that every check of a spec gives, and that a comment silences by the function's name.
    """

    def __init__(
        self,
        code: str,
        write: Callable[Concatenate[Span | None, P], Text],
        severity: Severity,
        bad: str,
        good: str,
        lint: bool = False,
        console: str = "",
        mended: str = "",
    ) -> None:
        self.code = code
        self.severity = severity
        self.lint = lint
        self.bad = bad
        self.good = good
        self.console = console
        self.mended = mended
        self.name = write.__name__
        self.module = write.__module__
        self.page = write.__doc__ or ""
        self._write = write

    @property
    def summary(self) -> str:
        """The first sentence of its page, on a line."""
        paragraph = " ".join(self.page.split("\n\n")[0].split())
        return re.split(r"(?<=\.) (?=[A-Z`])", paragraph, maxsplit=1)[0]

    def __call__(self, span: Span | None, /, *args: P.args, **kwargs: P.kwargs) -> Message:
        """The message about a place."""
        return Message(self, span, self._write(span, *args, **kwargs))

    def __repr__(self) -> str:
        return f"<{self.code} {self.name}>"


MESSAGES: dict[str, MessageKind[...]] = {}
"""Every kind of message by code; filled as the modules of `messages` are imported."""


def message(
    code: str,
    *,
    severity: Severity = Severity.ERROR,
    bad: str = "",
    good: str = "",
    lint: bool = False,
    console: str = "",
    mended: str = "",
) -> Callable[[Callable[Concatenate[Span | None, P], Text]], MessageKind[P]]:
    """Makes a kind of message of the function that writes its text."""

    def register(write: Callable[Concatenate[Span | None, P], Text]) -> MessageKind[P]:
        if not re.fullmatch(r"W\d{4}", code):
            raise ValueError(f"{write.__name__}: a code is W and four digits, not {code!r}")
        if code in MESSAGES:
            raise ValueError(f"{write.__name__}: {code} is taken by {MESSAGES[code].name}")
        kind = MessageKind(code, write, severity, bad, good, lint, console, mended)
        MESSAGES[code] = kind
        return kind

    return register


def lint(
    code: str, *, bad: str = "", good: str = ""
) -> Callable[[Callable[Concatenate[Span | None, P], Text]], MessageKind[P]]:
    """Makes a lint of the function that writes its text: a warning that every check of a spec
    gives, and that `# weft: allow NAME` silences by the function's name."""
    return message(code, severity=Severity.WARNING, bad=bad, good=good, lint=True)


class Where(Protocol):
    """The place of a call, as an op sees it when it refuses its inputs."""

    @property
    def call(self) -> Span:
        """The callee's name in the call."""

    def argument(self, name: str) -> Span:
        """The argument given for a parameter; the callee's name where the default stands."""

    def operand(self, index: int) -> Label:
        """Where a tensor operand was made, with its type as text."""


class Fault(Exception):
    """Raised by type rules, which know no spans: makes the message once the place is known."""

    def __init__(self, make: Callable[[Where], Message]) -> None:
        super().__init__("fault in a call")
        self.make = make


class CompileError(Exception):
    """Ends a stage; carries every diagnostic collected so far."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = tuple(messages)
        super().__init__("; ".join(f"{m.code}: {m.text.title}" for m in self.messages))


@dataclass
class Sink:
    """Collects diagnostics in the order they are found; the same one at the same place once."""

    messages: list[Message] = field(default_factory=list)

    def report(self, message: Message) -> None:
        """Add a diagnostic."""
        if message not in self.messages:
            self.messages.append(message)

    @property
    def has_errors(self) -> bool:
        """Whether anything worse than a warning was reported."""
        return any(m.severity is Severity.ERROR for m in self.messages)

    def stop_on_errors(self) -> None:
        """Raise `CompileError` with everything collected if there is an error among it."""
        if self.has_errors:
            raise CompileError(self.messages)
