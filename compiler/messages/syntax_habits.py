"""What people write out of habit from Python and other languages, and how Weft says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from compiler.diagnostics import Message
from compiler.messages.syntax import Mistake


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
    """Comparisons stand in a chain, as in `0 < x < 1`. Each takes two values; join them by `and`."""

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
class ForeignLiteral(Message):
    """`True`, `False`, `None` and the like are written `true`, `false` and `none`."""

    code: ClassVar[str] = "W0159"
    bad: ClassVar[str] = "block f(x) {\n    return x -> conv(8, kernel=3, bias=False)\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return x -> conv(8, kernel=3, bias=false)\n}\n"

    found: str
    meant: str

    def title(self) -> str:
        return f"`{self.found}` is written `{self.meant}`"

    def label(self) -> str:
        return f"write `{self.meant}`"


@final
@dataclass(frozen=True)
class ColonBlock(Mistake):
    """A colon opens a body, as in Python. In Weft a body stands in braces; indentation is free."""

    code: ClassVar[str] = "W0160"
    bad: ClassVar[str] = "block f(x, n: int) {\n    for i in 0..n:\n        x = x -> relu\n}\n"
    good: ClassVar[str] = "block f(x, n: int) {\n    for i in 0..n { x = x -> relu }\n}\n"

    def title(self) -> str:
        return "a body stands in braces"

    def label(self) -> str:
        return "write `{` here, and `}` after the last statement of the body"


@final
@dataclass(frozen=True)
class Definition(Mistake):
    """`def`, `class`, `function` and the like. A part of a network is a `block`, a whole a `model`."""

    code: ClassVar[str] = "W0161"
    bad: ClassVar[str] = "def f(x):\n    return x\n"
    good: ClassVar[str] = "block f(x) {\n    return x\n}\n"

    def title(self) -> str:
        return f"there is no `{self.head}`"

    def label(self) -> str:
        if self.head == "class":
            return "a network is a `model`, a part of one a `block`"
        return "a part of a network is a `block`"

    def help(self) -> str | None:
        if self.head == "class":
            return "write `model Name(width: int = 64) { input x: f32[n, 8] … output y = … }`"
        return "write `block name(x, width: int) { … return y }`"


@final
@dataclass(frozen=True)
class Import(Mistake):
    """`import` and `from`. Other specs are brought in by `use`; built-in words need nothing."""

    code: ClassVar[str] = "W0162"
    bad: ClassVar[str] = "import std.vision\n"
    good: ClassVar[str] = "use std.vision\n"

    def title(self) -> str:
        return f"there is no `{self.head}`"

    def label(self) -> str:
        return "write `use`"

    def help(self) -> str | None:
        return '`use std.vision as v` brings in a library, `use "parts.weft"` a file'


@final
@dataclass(frozen=True)
class ElseIf(Mistake):
    """`elif` and `elseif` are written `else if`."""

    code: ClassVar[str] = "W0163"
    bad: ClassVar[str] = (
        "block f(x, n: int) {\n    if n == 1 { return x }\n    elif n == 2 { return -x }\n}\n"
    )
    good: ClassVar[str] = (
        "block f(x, n: int) {\n    if n == 1 { return x }\n    else if n == 2 { return -x }\n}\n"
    )

    def title(self) -> str:
        return f"there is no `{self.head}`"

    def label(self) -> str:
        return "write `else if`"


@final
@dataclass(frozen=True)
class While(Mistake):
    """`while` and its kin. `for` repeats when compiling, `scan` at run time, `until` ends a scan."""

    code: ClassVar[str] = "W0164"
    bad: ClassVar[str] = "block f(x) {\n    while x > 0 { x = x - 1 }\n    return x\n}\n"
    good: ClassVar[str] = (
        "block f(x) {\n    scan i in 0..10 { x = x - 1  until all(x <= 0) }\n    return x\n}\n"
    )

    def title(self) -> str:
        return f"there is no `{self.head}`"

    def label(self) -> str:
        return "a loop is a `for` or a `scan`"

    def help(self) -> str | None:
        return "`for i in 0..n { … }` repeats when compiling, `scan i in 0..n { … until … }` at run time"


@final
@dataclass(frozen=True)
class Lambda(Mistake):
    """`lambda`. A layer made of others is a pipe without a beginning, or a `block`."""

    code: ClassVar[str] = "W0165"
    bad: ClassVar[str] = "block f(x) {\n    act = lambda y: relu(y)\n    return x -> act\n}\n"
    good: ClassVar[str] = "block f(x) {\n    act = relu -> dropout(10%)\n    return x -> act\n}\n"

    def title(self) -> str:
        return "there is no `lambda`"

    def label(self) -> str:
        return "layers compose with `->`; anything else is a `block`"


@final
@dataclass(frozen=True)
class SelfHabit(Mistake):
    """`self`. A layer needs no field: it owns its weights where it stands, `net` shares them."""

    code: ClassVar[str] = "W0166"
    bad: ClassVar[str] = "block f(x) {\n    self.fc = dense(8)\n    return x -> self.fc\n}\n"
    good: ClassVar[str] = "block f(x) {\n    net fc = dense(8)\n    return x -> fc\n}\n"

    def title(self) -> str:
        return "there is no `self`"

    def label(self) -> str:
        return "write the layer where it is applied, or `net name = …` to share its weights"


@final
@dataclass(frozen=True)
class ForeignStatement(Mistake):
    """A statement of another language that Weft has no use for, or says in another way."""

    code: ClassVar[str] = "W0167"
    bad: ClassVar[str] = "block f(x) {\n    var y = x -> relu\n    return y\n}\n"
    good: ClassVar[str] = "block f(x) {\n    y = x -> relu\n    return y\n}\n"

    def title(self) -> str:
        return f"there is no `{self.head}`"

    def label(self) -> str:
        return INSTEAD.get(self.head, "Weft has no such statement")


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
class PythonTernary(Mistake):
    """`a if c else b`, as Python has it. The condition comes first: `if c then a else b`."""

    code: ClassVar[str] = "W0169"
    bad: ClassVar[str] = "block f(x, n: int) {\n    y = x if n > 2 else -x\n    return y\n}\n"
    good: ClassVar[str] = "block f(x, n: int) {\n    y = if n > 2 then x else -x\n    return y\n}\n"

    def title(self) -> str:
        return "the condition comes first"

    def label(self) -> str:
        return "write `if condition then value else other`"


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
class ResultType(Mistake):
    """A block states the type of its result. It is inferred; `return` may be checked by a binding."""

    code: ClassVar[str] = "W0174"
    bad: ClassVar[str] = "block f(x) -> f32[n, 8] {\n    return x\n}\n"
    good: ClassVar[str] = "block f(x) {\n    y: f32[n, 8] = x\n    return y\n}\n"

    def title(self) -> str:
        return "a block states no type of its result"

    def label(self) -> str:
        return "expected `{`"

    def help(self) -> str | None:
        return "write `y: f32[n, 8] = …` before `return y` to have a shape checked"


INSTEAD = {
    "var": "write `name = value`",
    "const": "write `name = value`",
    "val": "write `name = value`",
    "pass": "an empty body is `{ }`",
    "break": "`until condition` ends a `scan`",
    "continue": "choose with `where(condition, a, b)` or `if`",
    "del": "names need no end",
    "global": "names of the file are in sight everywhere",
    "nonlocal": "names of the body above are in sight",
    "raise": "write `assert condition`",
    "try": "what can go wrong is found when compiling",
    "except": "what can go wrong is found when compiling",
    "yield": "`emit name = value` collects the turns of a `scan`",
    "async": "everything is run as the graph allows",
    "await": "everything is run as the graph allows",
}
"""What Weft has in the place of a statement of another language."""
