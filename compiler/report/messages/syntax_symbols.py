"""Symbols of Python and other languages, and those that Weft has in their place."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.syntax import Mistake


@final
@dataclass(frozen=True)
class EqualsForArrow(Mistake):
    """`=` stands where a layer is applied. `=` names a value, once, at the left; `->` applies."""

    code: ClassVar[str] = "W0150"
    bad: ClassVar[str] = "block f(x) {\n    y = conv(8, kernel=3)(x) = relu\n    return y\n}\n"
    good: ClassVar[str] = "block f(x) {\n    y = x -> conv(8, kernel=3) -> relu\n    return y\n}\n"

    def title(self) -> str:
        return "`=` cannot follow a value"

    def label(self) -> str:
        return "write `->` to apply a layer"

    def help(self) -> str | None:
        return "`y = x -> f -> g` applies `f`, then `g`, and names the result `y`"


@final
@dataclass(frozen=True)
class EqualsForComparison(Mistake):
    """`=` stands where two values are compared. `=` names a value; `==` compares."""

    code: ClassVar[str] = "W0151"
    bad: ClassVar[str] = "block f(x, n: int) {\n    if n = 2 { x = x -> relu }\n    return x\n}\n"
    good: ClassVar[str] = "block f(x, n: int) {\n    if n == 2 { x = x -> relu }\n    return x\n}\n"

    def title(self) -> str:
        return "`=` does not compare"

    def label(self) -> str:
        return "write `==`"


@final
@dataclass(frozen=True)
class ComparisonForEquals(Mistake):
    """`==` stands where a value is named. `==` compares; `name = value` names."""

    code: ClassVar[str] = "W0152"
    bad: ClassVar[str] = "block f(x) {\n    y == x -> relu\n    return y\n}\n"
    good: ClassVar[str] = "block f(x) {\n    y = x -> relu\n    return y\n}\n"

    def title(self) -> str:
        return f"`{self.found}` does not name a value"

    def label(self) -> str:
        return f"write `{self.head} = …`"


@final
@dataclass(frozen=True)
class ChainedComparison(Mistake):
    """Comparisons stand in a chain, as in `0 < x < 1`. Each takes two values: join them."""

    code: ClassVar[str] = "W0153"
    bad: ClassVar[str] = "block f(x) {\n    return where(0 < x < 1, x, 0.0)\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return where(0 < x and x < 1, x, 0.0)\n}\n"

    def title(self) -> str:
        return "comparisons do not chain"

    def label(self) -> str:
        return "a second comparison"

    def help(self) -> str | None:
        return "write `a < b and b < c`"


@final
@dataclass(frozen=True)
class ForeignOperator(Message):
    """An operator of another language. Weft says `and`, `or`, `not`, `**` and `->`."""

    code: ClassVar[str] = "W0154"
    bad: ClassVar[str] = "let both = true && false\n"
    good: ClassVar[str] = "let both = true and false\n"

    found: str
    meant: str

    def title(self) -> str:
        return f"`{self.found}` is no operator"

    def label(self) -> str:
        return f"write `{self.meant}`"


@final
@dataclass(frozen=True)
class ForeignArrow(Mistake):
    """An arrow of another language. A layer is applied by `->`."""

    code: ClassVar[str] = "W0155"
    bad: ClassVar[str] = "block f(x) {\n    return x => relu\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return x -> relu\n}\n"

    def title(self) -> str:
        return "this is no arrow"

    def label(self) -> str:
        return "write `->`"


@final
@dataclass(frozen=True)
class ForeignComment(Mistake):
    """A comment of another language. In Weft a comment begins with `#` and ends with the line."""

    code: ClassVar[str] = "W0156"
    bad: ClassVar[str] = "// the width\nlet width = 64\n"
    good: ClassVar[str] = "# the width\nlet width = 64\n"

    def title(self) -> str:
        return "a comment begins with `#`"

    def label(self) -> str:
        return "this begins none"


@final
@dataclass(frozen=True)
class Semicolon(Message):
    """A semicolon. A statement ends where the next one begins; several may share a line."""

    code: ClassVar[str] = "W0157"
    bad: ClassVar[str] = "block f(x) {\n    y = x -> relu;\n    return y\n}\n"
    good: ClassVar[str] = "block f(x) {\n    y = x -> relu\n    return y\n}\n"

    def title(self) -> str:
        return "statements need no semicolon"

    def label(self) -> str:
        return "remove it"


@final
@dataclass(frozen=True)
class Backslash(Message):
    """A backslash outside a string. A line goes on by itself where the next begins with `->`."""

    code: ClassVar[str] = "W0158"
    bad: ClassVar[str] = "block f(x) {\n    return x \\\n        -> relu\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return x\n        -> relu\n}\n"

    def title(self) -> str:
        return "a line needs no backslash to go on"

    def label(self) -> str:
        return "remove it"


@final
@dataclass(frozen=True)
class Augmented(Mistake):
    """`+=` and its kin. Nothing is changed in place: `x = x + y` makes a new `x`."""

    code: ClassVar[str] = "W0168"
    bad: ClassVar[str] = "block f(x) {\n    x += 1\n    return x\n}\n"
    good: ClassVar[str] = "block f(x) {\n    x = x + 1\n    return x\n}\n"

    def title(self) -> str:
        return "nothing is changed in place"

    def label(self) -> str:
        return f"write `{self.head} = {self.head} + …`"


@final
@dataclass(frozen=True)
class Decorator(Mistake):
    """A decorator. `@` multiplies matrices; items take no decorators."""

    code: ClassVar[str] = "W0170"
    bad: ClassVar[str] = "@compile\nblock f(x) { return x }\n"
    good: ClassVar[str] = "block f(x) { return x }\n"

    def title(self) -> str:
        return "items take no decorators"

    def label(self) -> str:
        return "`@` is the product of two matrices"


@final
@dataclass(frozen=True)
class StarArguments(Mistake):
    """`*list` or `**options` in a call or signature. Lists are passed as lists."""

    code: ClassVar[str] = "W0171"
    bad: ClassVar[str] = "block f(*xs) {\n    return concat(xs, axis=1)\n}\n"
    good: ClassVar[str] = "block f(xs: list) {\n    return concat(xs, axis=1)\n}\n"

    def title(self) -> str:
        return f"arguments are not spread by `{self.found}`"

    def label(self) -> str:
        return "a list is passed as a list"

    def help(self) -> str | None:
        return "declare the parameter as `name: list`, and give each option its own parameter"


@final
@dataclass(frozen=True)
class ColonForEquals(Mistake):
    """`:` stands between an argument and its value. `name=value` gives an argument."""

    code: ClassVar[str] = "W0172"
    bad: ClassVar[str] = "block f(x) {\n    return x -> conv(8, kernel: 3)\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return x -> conv(8, kernel=3)\n}\n"

    def title(self) -> str:
        return "an argument is given by `=`"

    def label(self) -> str:
        return "write `=`"


@final
@dataclass(frozen=True)
class BracesForValue(Mistake):
    """Braces stand where a value is due. There are lists, `[1, 2]`, but no sets or dictionaries."""

    code: ClassVar[str] = "W0173"
    bad: ClassVar[str] = "let widths = {16, 32}\n"
    good: ClassVar[str] = "let widths = [16, 32]\n"

    def title(self) -> str:
        return "braces make no value"

    def label(self) -> str:
        return "a list is written `[…]`; there are no sets or dictionaries"


@final
@dataclass(frozen=True)
class LoneCall(Mistake):
    """A call stands where a statement is due.

    There are no expression statements. Most often the `->` before it is missing, which applies the
    layer to what stands before; else its result needs a name.
    """

    code: ClassVar[str] = "W0175"
    bad: ClassVar[str] = "block f(x) {\n    y = x conv(64, kernel=3)\n    return y\n}\n"
    good: ClassVar[str] = "block f(x) {\n    y = x -> conv(64, kernel=3)\n    return y\n}\n"

    def title(self) -> str:
        return f"`{self.head}(…)` stands alone"

    def label(self) -> str:
        return "is `->` missing before this?"

    def help(self) -> str | None:
        return f"write `-> {self.head}(…)` to apply it, or `y = {self.head}(…)` to name its result"
