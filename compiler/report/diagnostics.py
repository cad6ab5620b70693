"""Diagnostics as data: what a message is, where it points, and the sink that collects them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import field
from difflib import get_close_matches
from enum import StrEnum
from typing import ClassVar, Protocol

from compiler import records
from compiler.records import dataclass
from compiler.report.habits import translate
from compiler.report.source import Span


class Severity(StrEnum):
    """How bad it is: an error ends the command with status 1, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Label:
    """A secondary place that explains the primary one: where a shape or name came from."""

    span: Span
    text: str


@records.dataclass(frozen=True)
class Message(ABC):
    """One diagnostic. A subclass is one code; its fields are typed, its methods return the text.

    The docstring of a subclass is the page that `weft explain CODE` prints, `bad` and `good` are
    the examples on it (whole small specs; `bad` must produce this message when checked, `good`
    must not). `span` is None only for faults that lie in no file (a command-line argument).
    """

    code: ClassVar[str]
    severity: ClassVar[Severity] = Severity.ERROR
    bad: ClassVar[str] = ""
    good: ClassVar[str] = ""
    absent: ClassVar[str | None] = None
    """The field with the name that nothing has, if that is what the message says."""

    span: Span | None
    calls: tuple[Label, ...] = field(default=(), kw_only=True, repr=False)
    """Calls that led to a place inside a block, nearest first."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        code = cls.__dict__.get("code")
        if code is None:
            return
        if not re.fullmatch(r"W\d{4}", code):
            raise ValueError(f"{cls.__name__}: a code is W and four digits, not {code!r}")
        if code in MESSAGES:
            raise ValueError(f"{cls.__name__}: {code} is taken by {MESSAGES[code].__name__}")
        MESSAGES[code] = cls

    @abstractmethod
    def title(self) -> str:
        """One line, lower case, no full stop: what is wrong."""

    def label(self) -> str:
        """Text beside the carets: what was found and what was expected."""
        return ""

    def labels(self) -> Sequence[Label]:
        """Secondary places, nearest first."""
        return ()

    def all_labels(self) -> Sequence[Label]:
        """Every secondary place: those that explain the message, then the calls around it."""
        own = tuple(self.labels())
        known = {label.span for label in own}
        return (*own, *(call for call in self.calls if call.span not in known))

    def help(self) -> str | None:
        """How to mend it."""
        return None


MESSAGES: dict[str, type[Message]] = {}
"""Every message class by code; filled as the modules of `compiler.report.messages` are imported."""


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
        super().__init__("; ".join(f"{m.code}: {m.title()}" for m in self.messages))


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


def did_you_mean(found: str, known: Sequence[str]) -> str | None:
    """The known word that is meant: what another framework calls so, else the closest one, if it
    is close enough."""
    translated = translate(found, known)
    if translated is not None:
        return translated
    lowered = {word.lower(): word for word in reversed(known)}
    matches = get_close_matches(found.lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[matches[0]] if matches else None
