"""What goes wrong with `scan`, the loop at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.source import Span

_HEAD = "model M() {\n    input x: f32[batch, t, 8]\n    h = zeros([batch, 8])\n"


@final
@dataclass(frozen=True)
class CarriedTypeChanges(Message):
    """A name that a `scan` carries from step to step has another type after a step than before.

    A name from outside that is bound again inside the loop is carried; its type must stay.
    """

    code: ClassVar[str] = "W0530"
    bad: ClassVar[str] = (
        _HEAD + "    scan x_t in x, axis=1 {\n        h = concat([h, x_t], axis=1)\n    }\n"
        "    output y = h\n}\n"
    )
    good: ClassVar[str] = (
        _HEAD
        + "    scan x_t in x, axis=1 {\n        h = tanh(h + x_t)\n    }\n    output y = h\n}\n"
    )

    name: str
    before: str
    after: str
    outside: Span

    def title(self) -> str:
        return f"`{self.name}` changes its type from step to step"

    def label(self) -> str:
        return f"after a step it is {self.after}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.outside, f"before the loop it is {self.before}"),)

    def help(self) -> str | None:
        return f"keep the type, or give the value inside the loop another name than `{self.name}`"


@final
@dataclass(frozen=True)
class ScanOver(Message):
    """`scan` goes over something that is no tensor and no range.

    A list is known when compiling: go through it with `for`, or make a tensor of it.
    """

    code: ClassVar[str] = "W0531"
    bad: ClassVar[str] = (
        _HEAD + "    scan k in [1, 2] {\n        h = h + x[:, 0] * k\n    }\n    output y = h\n}\n"
    )
    good: ClassVar[str] = (
        _HEAD + "    scan k in 0..2 {\n        h = h + x[:, 0] * k\n    }\n    output y = h\n}\n"
    )

    found: str

    def title(self) -> str:
        return "`scan` goes over tensors and ranges"

    def label(self) -> str:
        return f"this is {self.found}"

    def help(self) -> str | None:
        return "what is known when compiling is gone through with `for`"


@final
@dataclass(frozen=True)
class LengthsDiffer(Message):
    """The sequences of a `scan` have different lengths along its axis."""

    code: ClassVar[str] = "W0532"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 4, 8]\n    input z: f32[batch, 5, 8]\n"
        "    h = zeros([batch, 8])\n"
        "    scan a in x, b in z, axis=1 {\n        h = h + a * b\n    }\n    output y = h\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 4, 8]\n    input z: f32[batch, 4, 8]\n"
        "    h = zeros([batch, 8])\n"
        "    scan a in x, b in z, axis=1 {\n        h = h + a * b\n    }\n    output y = h\n}\n"
    )

    length: str
    first: str
    place: Span

    def title(self) -> str:
        return "the sequences have different lengths"

    def label(self) -> str:
        return f"this has {self.length} steps"

    def labels(self) -> Sequence[Label]:
        return (Label(self.place, f"this has {self.first}"),)


@final
@dataclass(frozen=True)
class ScanAxis(Message):
    """A `scan` goes along an axis that its sequence does not have, or `emit` stacks along one
    that its result does not have."""

    code: ClassVar[str] = "W0533"
    bad: ClassVar[str] = (
        _HEAD + "    scan x_t in x, axis=3 {\n        h = h + x_t\n    }\n    output y = h\n}\n"
    )
    good: ClassVar[str] = (
        _HEAD + "    scan x_t in x, axis=1 {\n        h = h + x_t\n    }\n    output y = h\n}\n"
    )

    axis: int
    found: str

    def title(self) -> str:
        return f"there is no axis {self.axis}"

    def label(self) -> str:
        return f"this is {self.found}"


@final
@dataclass(frozen=True)
class NothingFromScan(Message):
    """A `scan` carries nothing and emits nothing, so it has no effect.

    Bind a name from outside the loop again inside it, or write `emit name = value`.
    """

    code: ClassVar[str] = "W0534"
    bad: ClassVar[str] = (
        _HEAD + "    scan x_t in x, axis=1 {\n        g = h + x_t\n    }\n    output y = h\n}\n"
    )
    good: ClassVar[str] = (
        _HEAD + "    scan x_t in x, axis=1 {\n        h = h + x_t\n    }\n    output y = h\n}\n"
    )

    def title(self) -> str:
        return "this loop has no effect"

    def label(self) -> str:
        return "it carries nothing and emits nothing"

    def help(self) -> str | None:
        return "bind a name from before the loop again inside it, or write `emit name = value`"


@final
@dataclass(frozen=True)
class CarriedNotATensor(Message):
    """A value that is known when compiling is bound again inside a `scan`.

    The body of a `scan` is compiled once and runs many times, so what it carries are tensors:
    start a count with a tensor (`full([], 0)`), or bind another name.
    """

    code: ClassVar[str] = "W0535"
    bad: ClassVar[str] = (
        _HEAD
        + "    k = 0\n    scan x_t in x, axis=1 {\n        h = h + x_t\n        k = k + 1\n    }\n"
        "    output y = h\n}\n"
    )
    good: ClassVar[str] = (
        _HEAD + "    k = full([], 0)\n"
        "    scan x_t in x, axis=1 {\n        h = h + x_t\n        k = k + 1\n    }\n"
        "    output y = h * k\n}\n"
    )

    name: str
    found: str
    outside: str

    def title(self) -> str:
        return f"`{self.name}` cannot be carried through a `scan`"

    def label(self) -> str:
        return f"after a step it is {self.found}, before the loop it is {self.outside}"

    def help(self) -> str | None:
        return "a loop at run time carries tensors: start from `zeros([…])` or `full([…], value)`"


@final
@dataclass(frozen=True)
class InsideScan(Message):
    """`return`, and declarations of nets and inputs, do not stand inside a `scan`."""

    code: ClassVar[str] = "W0536"
    bad: ClassVar[str] = (
        "block f(x: f32[n, t, d]) {\n    h = zeros([n, d])\n"
        "    scan x_t in x, axis=1 {\n        h = h + x_t\n        return h\n    }\n"
        "    return h\n}\n"
        "model M() {\n    input x: f32[batch, t, 8]\n    output y = x -> f\n}\n"
    )
    good: ClassVar[str] = (
        "block f(x: f32[n, t, d]) {\n    h = zeros([n, d])\n"
        "    scan x_t in x, axis=1 {\n        h = h + x_t\n    }\n    return h\n}\n"
        "model M() {\n    input x: f32[batch, t, 8]\n    output y = x -> f\n}\n"
    )

    word: str

    def title(self) -> str:
        return f"`{self.word}` cannot stand inside a `scan`"

    def help(self) -> str | None:
        return "the body of a `scan` runs many times; put it before or after the loop"


@final
@dataclass(frozen=True)
class UntilNotBool(Message):
    """The condition of `until` in a `scan` is one truth value: a tensor `bool[]`."""

    code: ClassVar[str] = "W0537"
    bad: ClassVar[str] = (
        _HEAD + "    scan x_t in x, axis=1 {\n        h = h + x_t\n        until h > 3\n    }\n"
        "    output y = h\n}\n"
    )
    good: ClassVar[str] = (
        _HEAD
        + "    scan x_t in x, axis=1 {\n        h = h + x_t\n        until all(h > 3)\n    }\n"
        "    output y = h\n}\n"
    )

    found: str

    def title(self) -> str:
        return "`until` takes one truth value"

    def label(self) -> str:
        return f"this is {self.found}"

    def help(self) -> str | None:
        return "join many with `all(…)` or `any(…)`"
