"""What goes wrong in calls of compile-time functions and in the use of known values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.source import Span


@final
@dataclass(frozen=True)
class FunctionRefuses(Message):
    """A function on compile-time values is called with something that it does not take."""

    code: ClassVar[str] = "W0420"
    bad: ClassVar[str] = (
        "model M(n: int = 3) {\n    input x: f32[batch, 8]\n    output y = x -> dense(len(n))\n}\n"
    )
    good: ClassVar[str] = (
        "model M(n: list = [3]) {\n    input x: f32[batch, 8]\n"
        "    output y = x -> dense(len(n))\n}\n"
    )

    function: str
    takes: str
    found: str

    def title(self) -> str:
        return f"`{self.function}` takes {self.takes}"

    def label(self) -> str:
        return f"this is {self.found}"


@final
@dataclass(frozen=True)
class WrongCount(Message):
    """A function on compile-time values is called with too many or too few arguments."""

    code: ClassVar[str] = "W0421"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(len([1], [2]))\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(len([1]))\n}\n"
    )

    function: str
    expected: str
    found: int

    def title(self) -> str:
        return f"`{self.function}` takes {self.expected}"

    def label(self) -> str:
        return f"{self.found} given here" if self.found else "none given here"


@final
@dataclass(frozen=True)
class UnknownWhenCompiling(Message):
    """A place that needs a value known when compiling got one that only a run knows.

    Shapes of weights, numbers of layers, `if` and `for` are settled when compiling; tensors, and
    sizes such as `batch`, are known when the network runs.
    """

    code: ClassVar[str] = "W0422"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, t, 8]\n    for i in 0..t { x = x -> relu }\n"
        "    output y = x\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, t, 8]\n    for i in 0..4 { x = x -> relu }\n"
        "    output y = x\n}\n"
    )

    what: str
    found: str
    hint: str | None = None

    def title(self) -> str:
        return f"{self.what} must be known when compiling"

    def label(self) -> str:
        return f"this is {self.found}"

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class NotWhole(Message):
    """A whole number is needed: a size, a count or an index."""

    code: ClassVar[str] = "W0423"
    bad: ClassVar[str] = (
        "model M(d: int = 10) {\n    input x: f32[batch, 8]\n"
        "    output y = x -> (d / 3) * relu\n}\n"
    )
    good: ClassVar[str] = (
        "model M(d: int = 10) {\n    input x: f32[batch, 8]\n"
        "    output y = x -> (d // 3) * relu\n}\n"
    )

    what: str
    found: str

    def title(self) -> str:
        return f"{self.what} is a whole number"

    def label(self) -> str:
        return f"this is {self.found}"

    def help(self) -> str | None:
        return "`//` divides and rounds down"


@final
@dataclass(frozen=True)
class NotALayerHere(Message):
    """A tensor is needed, and a layer stands there that nothing was applied to.

    A call that leaves out its leading tensor arguments waits for them: `conv(64, kernel=3)` is a
    layer until a tensor comes to it, by `x -> conv(64, kernel=3)`.
    """

    code: ClassVar[str] = "W0424"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    y = dense(4)\n    output z = y + 1\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    y = x -> dense(4)\n    output z = y + 1\n}\n"
    )

    found: str
    waits_for: str
    made: Span | None

    def title(self) -> str:
        return "a layer stands where a tensor is needed"

    def label(self) -> str:
        waits = f", which still waits for {self.waits_for}" if self.waits_for else ""
        return f"this is {self.found}{waits}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.made, "made here"),) if self.made is not None else ()

    def help(self) -> str | None:
        return "apply it: `x -> layer`"


@final
@dataclass(frozen=True)
class AxisOrNumber(Message):
    """`max(x, 1)` could mean the largest along axis 1, as in PyTorch, or each element but at
    least 1, as in Python. Write which one is meant.
    """

    code: ClassVar[str] = "W0426"
    bad: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = max(x, 0)\n}\n"
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = maximum(x, 0)\n}\n"
    )

    function: str
    op: str
    number: str

    def title(self) -> str:
        return f"`{self.function}` of a tensor and a whole number reads two ways"

    def label(self) -> str:
        return "an axis, or a number to compare with?"

    def help(self) -> str | None:
        axis = f"`{self.function}(x, axis={self.number})` reduces"
        return f"{axis}; `{self.op}(x, {self.number})` compares element by element"
