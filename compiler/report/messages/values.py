"""What goes wrong while computing numbers, lists and conditions when compiling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.source import Span


@final
@dataclass(frozen=True)
class TooMuchWork(Message):
    """An item takes more compile-time work than any network needs.

    Loops, lists and copies of layers are unrolled when compiling, and what they make counts by its
    size. A tensor of many numbers is computed from `arange(n)`; a loop over the steps of a long
    sequence belongs into `scan`, which runs when the network runs.
    """

    code: ClassVar[str] = "W0401"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    s = sum([i for i in 0..100_000_000])\n"
        "    output y = x * s\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    s = sum([i for i in 0..100])\n"
        "    output y = x * s\n}\n"
    )

    limit: int

    def title(self) -> str:
        return "this item takes too much work to compile"

    def label(self) -> str:
        return f"more than {self.limit:,} steps were done when this was reached"

    def help(self) -> str | None:
        return (
            "loops and lists are unrolled when compiling; a tensor of many numbers is computed "
            "from `arange(n)`, a loop over time is a `scan`"
        )


@final
@dataclass(frozen=True)
class RecursionTooDeep(Message):
    """Blocks call one another without end.

    Recursion acts when compiling, so a block that calls itself needs a condition, on something
    known when compiling, that ends it.
    """

    code: ClassVar[str] = "W0402"
    bad: ClassVar[str] = (
        "block level(x, n: int) {\n    return x -> relu -> level(n + 1)\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> level(0)\n}\n"
    )
    good: ClassVar[str] = (
        "block level(x, n: int) {\n    if n == 4 { return x }\n"
        "    return x -> relu -> level(n + 1)\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> level(0)\n}\n"
    )

    name: str
    depth: int
    definition: Span

    def title(self) -> str:
        return f"`{self.name}` calls itself without end"

    def label(self) -> str:
        return f"{self.depth:,} calls stand inside one another here"

    def labels(self) -> Sequence[Label]:
        return (Label(self.definition, f"`{self.name}` is defined here"),)

    def help(self) -> str | None:
        return "end the recursion with `if` and `return`, on a parameter that changes"


@final
@dataclass(frozen=True)
class NoResult(Message):
    """Arithmetic on numbers known when compiling has no result.

    Sizes are exact: `h / 32` must be provably whole, `h // 32` rounds down.
    """

    code: ClassVar[str] = "W0403"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, h]\n"
        "    output y = x -> reshape([batch, h / 2, 2])\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 64]\n"
        "    output y = x -> reshape([batch, 64 / 2, 2])\n}\n"
    )

    reason: str
    rounding: bool = False

    def title(self) -> str:
        return "this has no exact result"

    def label(self) -> str:
        return self.reason

    def help(self) -> str | None:
        return "`//` rounds down" if self.rounding else None


@final
@dataclass(frozen=True)
class SizeTooLarge(Message):
    """A size or a tensor is larger than any machine holds, or a size takes a page to write down.

    A tensor has fewer than 2 ** 63 entries, at least as far as its sizes are known when compiling.
    A size that is not known is a sum of products of named sizes, such as `2 * h * w + 1`; one with
    hundreds of terms is not computed.
    """

    code: ClassVar[str] = "W1320"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(10 ** 30)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(10 ** 3)\n}\n"
    )

    reason: str

    def title(self) -> str:
        return "this is too large to compute"

    def label(self) -> str:
        return self.reason


@final
@dataclass(frozen=True)
class WrongOperand(Message):
    """An operator has no meaning for what stands beside it."""

    code: ClassVar[str] = "W0404"
    bad: ClassVar[str] = (
        'model M() {\n    input x: f32[batch, 8]\n    n = 3 * "a"\n    output y = x * n\n}\n'
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    n = 3 * 2\n    output y = x * n\n}\n"
    )

    operator: str
    operands: tuple[Label, ...]
    hint: str | None = None

    def title(self) -> str:
        return f"`{self.operator}` has no meaning here"

    def label(self) -> str:
        return ""

    def labels(self) -> Sequence[Label]:
        return self.operands

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class AssertionFails(Message):
    """An `assert` of the spec does not hold.

    The text after the condition says why; below stand the values that were compared.
    """

    code: ClassVar[str] = "W0405"
    bad: ClassVar[str] = (
        "block heads(x: f32[n, t, d], heads: int) {\n"
        '    assert d % heads == 0, "heads must divide d"\n'
        "    return x -> reshape([n, t, heads, d / heads])\n}\n"
        "model M() {\n    input x: f32[batch, 4, 10]\n    output y = x -> heads(3)\n}\n"
    )
    good: ClassVar[str] = (
        "block heads(x: f32[n, t, d], heads: int) {\n"
        '    assert d % heads == 0, "heads must divide d"\n'
        "    return x -> reshape([n, t, heads, d / heads])\n}\n"
        "model M() {\n    input x: f32[batch, 4, 10]\n    output y = x -> heads(5)\n}\n"
    )

    text: str
    values: str

    def title(self) -> str:
        return self.text or "assertion does not hold"

    def label(self) -> str:
        return f"here {self.values}" if self.values else "this does not hold"


@final
@dataclass(frozen=True)
class ConditionNotBool(Message):
    """A condition is not `true` or `false`.

    `if` takes a bool that is known when compiling. Numbers, lists and `none` are compared first.
    """

    code: ClassVar[str] = "W0406"
    bad: ClassVar[str] = (
        "block f(x, n: int = 0) {\n    if n { return x -> relu }\n    return x\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )
    good: ClassVar[str] = (
        "block f(x, n: int = 0) {\n    if n != 0 { return x -> relu }\n    return x\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )

    found: str
    hint: str | None = None

    def title(self) -> str:
        return "a condition is `true` or `false`"

    def label(self) -> str:
        return f"this is {self.found}"

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class ConditionUndecided(Message):
    """A condition depends on a size that is known only when the network runs.

    `if` and `for` act when compiling. Give the size as a number, or write the choice with `where`.
    An `assert` may stay undecided: it is checked at run time.
    """

    code: ClassVar[str] = "W0407"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, t, 8]\n"
        "    y = if t > 16 then (x -> relu) else x\n    output z = y\n}\n"
    )
    good: ClassVar[str] = (
        "model M(t: int = 16) {\n    input x: f32[batch, t, 8]\n"
        "    y = if t > 16 then (x -> relu) else x\n    output z = y\n}\n"
    )

    text: str

    def title(self) -> str:
        return "this condition cannot be decided when compiling"

    def label(self) -> str:
        return f"`{self.text}` depends on sizes that only a run knows"

    def help(self) -> str | None:
        return "give the size as a number or a parameter, or state it with `assert`"


@final
@dataclass(frozen=True)
class NotAList(Message):
    """Something that is gone through item by item is no list."""

    code: ClassVar[str] = "W0408"
    bad: ClassVar[str] = (
        "model M(n: int = 3) {\n    input x: f32[batch, 8]\n    for i in n { x = x -> relu }\n"
        "    output y = x\n}\n"
    )
    good: ClassVar[str] = (
        "model M(n: int = 3) {\n    input x: f32[batch, 8]\n    for i in 0..n { x = x -> relu }\n"
        "    output y = x\n}\n"
    )

    found: str
    hint: str | None = None

    def title(self) -> str:
        return "this is no list"

    def label(self) -> str:
        return f"this is {self.found}"

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class UnpackMismatch(Message):
    """Names and values do not pair up: `a, b = f(x)` takes exactly two values."""

    code: ClassVar[str] = "W0409"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 9]\n    a, b = chunk(x, 3, axis=1)\n"
        "    output y = a\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 9]\n    a, b, c = chunk(x, 3, axis=1)\n"
        "    output y = a + b + c\n}\n"
    )

    names: int
    found: int
    value: Span

    def title(self) -> str:
        return f"{self.names} names for {self.found} value{'s' if self.found != 1 else ''}"

    def labels(self) -> Sequence[Label]:
        values = "one value" if self.found == 1 else f"{self.found} values"
        return (Label(self.value, f"this has {values}"),)


@final
@dataclass(frozen=True)
class OutsideList(Message):
    """An index points outside a list. The first item is 0, the last is -1."""

    code: ClassVar[str] = "W0410"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    w = [4, 5]\n"
        "    output y = x -> dense(w[2])\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    w = [4, 5]\n"
        "    output y = x -> dense(w[1])\n}\n"
    )

    index: int
    length: int

    def title(self) -> str:
        return f"index {self.index} is outside the list"

    def label(self) -> str:
        items = "one item" if self.length == 1 else f"{self.length} items"
        return f"the list has {items if self.length else 'no items'}"


@final
@dataclass(frozen=True)
class NotText(Message):
    """Only numbers, strings, bools and `none` can stand between the braces of a string."""

    code: ClassVar[str] = "W0411"
    bad: ClassVar[str] = (
        'model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4) as "{x}"\n}\n'
    )
    good: ClassVar[str] = (
        "model M(i: int = 1) {\n    input x: f32[batch, 8]\n"
        '    output y = x -> dense(4) as "d{i}"\n}\n'
    )

    found: str

    def title(self) -> str:
        return "this cannot stand in a string"

    def label(self) -> str:
        return f"this is {self.found}"
