"""What people write out of habit from Python and other languages, and how Weft says it."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.syntax import Mistake


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
    """`def`, `class` and the like. A part of a network is a `block`, a whole one a `model`."""

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
    """`while` and its kin. `for` repeats when compiling, `scan` at run time until a condition."""

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
        return (
            "`for i in 0..n { … }` acts when compiling, `scan i in 0..n { … until … }` at run time"
        )


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
    bad: ClassVar[str] = "block f(x) {\n    self.fc = dense(8)\n    return x -> fc\n}\n"
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
class ResultType(Mistake):
    """A block states the type of its result, which is inferred. A binding may check a shape."""

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
