"""What goes wrong in the structure of a text: brackets, commas, words and missing values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.source import Span


@dataclass(frozen=True)
class Mistake(Message):
    """A place where the grammar does not let the text go on.

    `found` is the text that stands there (empty at the end of the file), `head` the first word of
    the statement or item it belongs to.
    """

    found: str
    head: str


@final
@dataclass(frozen=True)
class UnexpectedToken(Mistake):
    """The text cannot go on like this, and none of the more precise messages fits.

    Look at what stands before the mark too: something may be missing there.
    """

    code: ClassVar[str] = "W0101"
    bad: ClassVar[str] = "block f(x) {\n    return x -> relu as act as last\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return x -> relu as act\n}\n"

    expected: str

    def title(self) -> str:
        return f"unexpected {show(self.found)}"

    def label(self) -> str:
        return f"expected {self.expected}" if self.expected else ""


@final
@dataclass(frozen=True)
class UnclosedBracket(Message):
    """A bracket is opened and not closed.

    The mark is at the place where the closing bracket was due; the bracket that waits for it is
    shown below. Newlines do not close brackets: `}` ends a body, `)` and `]` end a list.
    """

    code: ClassVar[str] = "W0102"
    bad: ClassVar[str] = "block f(x) {\n    return x -> conv(64, kernel=3\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return x -> conv(64, kernel=3)\n}\n"

    opener: Span
    bracket: str

    def title(self) -> str:
        return f"`{self.bracket}` is never closed"

    def label(self) -> str:
        return f"`{CLOSERS[self.bracket]}` is missing here"

    def labels(self) -> Sequence[Label]:
        return (Label(self.opener, "opened here"),)


@final
@dataclass(frozen=True)
class UnmatchedClose(Message):
    """A closing bracket has no partner: nothing was opened that it could close."""

    code: ClassVar[str] = "W0103"
    bad: ClassVar[str] = "block f(x) {\n    return x -> relu)\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return x -> relu\n}\n"

    def title(self) -> str:
        return f"`{self.span.text if self.span else ''}` closes nothing"

    def label(self) -> str:
        return "nothing is open that this could close"

    def help(self) -> str | None:
        return "remove it, or write the bracket that it should close"


@final
@dataclass(frozen=True)
class MismatchedBracket(Message):
    """A bracket is closed by one of another kind: `(` by `]`, for instance."""

    code: ClassVar[str] = "W0104"
    bad: ClassVar[str] = "block f(x) {\n    return x -> reshape([1, 8, 8))\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return x -> reshape([1, 8, 8])\n}\n"

    opener: Span
    bracket: str

    def title(self) -> str:
        return f"`{self.bracket}` is closed by `{self.span.text if self.span else ''}`"

    def label(self) -> str:
        return f"expected `{CLOSERS[self.bracket]}`"

    def labels(self) -> Sequence[Label]:
        return (Label(self.opener, "opened here"),)


@final
@dataclass(frozen=True)
class MissingComma(Mistake):
    """Two arguments, elements or parameters stand side by side without a comma between them.

    Where the second is a layer to be applied to the first, it is `->` that is missing.
    """

    code: ClassVar[str] = "W0105"
    bad: ClassVar[str] = "block f(x) {\n    return x -> conv(64 kernel=3)\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return x -> conv(64, kernel=3)\n}\n"

    def title(self) -> str:
        return f"a comma is missing before {show(self.found)}"

    def label(self) -> str:
        return "expected `,`"

    def help(self) -> str | None:
        return "separate elements with `,`; `->` applies a layer to what stands before it"


@final
@dataclass(frozen=True)
class BrokenLine(Message):
    """A line goes on with the statement above, and looks as if it began a new one.

    Newlines carry no meaning, so a statement ends where the next one begins. To keep that from
    joining what was meant to be apart, a line inside a statement may begin with an operator such
    as `->` or `+`, with `with`, `over`, `else`, or stand inside brackets, but it may not begin with
    a word, a number, a string, `(` or `[`.
    """

    code: ClassVar[str] = "W0106"
    bad: ClassVar[str] = "block f(x) {\n    y = x\n    (y, x) -> add\n    return y\n}\n"
    good: ClassVar[str] = "block f(x) {\n    y = x\n        -> relu\n    return y\n}\n"

    statement: Span
    after: str

    def title(self) -> str:
        return f"this line goes on with the statement above it, so it cannot begin with {self.what}"

    @property
    def what(self) -> str:
        """What the line begins with."""
        return show(self.span.text) if self.span else ""

    def label(self) -> str:
        return "read as part of the statement above"

    def labels(self) -> Sequence[Label]:
        return (Label(self.statement, "which begins here"),)

    def help(self) -> str | None:
        if self.after:
            return f"move the `{self.after}` before it to the beginning of this line"
        return (
            "begin the line with an operator such as `->`, or put the expression in parentheses;\n"
            "a statement of its own is `name = value` or a clause"
        )


@final
@dataclass(frozen=True)
class BareArithmetic(Message):
    """Arithmetic stands beside `->` without parentheses, and could be read in two ways.

    `x + x -> attn` may mean `(x + x) -> attn` or `x + (x -> attn)`; write the one you mean. Only
    repetition may stand bare: `x -> 3 * block`.
    """

    code: ClassVar[str] = "W0107"
    bad: ClassVar[str] = "block f(x) {\n    return x + x -> relu\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return x + (x -> relu)\n}\n"

    operator: str
    operands: int
    arrow: Span

    def title(self) -> str:
        return f"`{self.operator}` beside `->` needs parentheses"

    def label(self) -> str:
        return "this can be read in two ways"

    def labels(self) -> Sequence[Label]:
        return (Label(self.arrow, "next to this"),)

    def help(self) -> str | None:
        word, arrow = self.operator, self.arrow.start
        if word == "if":
            return "write `(if … then … else …) -> f`, or `if … then … else (x -> f)`"
        if self.operands == 1:
            gap = " " if word.isalpha() else ""
            return f"write `({word}{gap}a) -> f` or `{word}{gap}(a -> f)`"
        if self.span is not None and self.span.start > arrow:
            comment = "; a comment begins with `#`" if word == "//" else ""
            return f"write `(a -> f) {word} b` or `a -> (f {word} b)`{comment}"
        return f"write `a {word} (b -> f)` or `(a {word} b) -> f`"


@final
@dataclass(frozen=True)
class MissingSymbol(Mistake):
    """A word or symbol that has to stand here is missing: `of`, `then`, `in`, `{` and their kin."""

    code: ClassVar[str] = "W0108"
    bad: ClassVar[str] = "block f(x, n: int) {\n    y = if n > 2 x else relu(x)\n    return y\n}\n"
    good: ClassVar[str] = (
        "block f(x, n: int) {\n    y = if n > 2 then x else relu(x)\n    return y\n}\n"
    )

    missing: str

    def title(self) -> str:
        return f"`{self.missing}` is missing before {show(self.found)}"

    def label(self) -> str:
        return f"expected `{self.missing}`"


@final
@dataclass(frozen=True)
class ReservedWord(Mistake):
    """A word that the language keeps for itself is used as a name.

    Fifteen words are reserved: `and or not in if then else for as with over return true false
    none`. In backquotes any text is a name.
    """

    code: ClassVar[str] = "W0109"
    bad: ClassVar[str] = "block f(x, in: int) {\n    return x\n}\n"
    good: ClassVar[str] = "block f(x, `in`: int) {\n    return x * `in`\n}\n"

    def title(self) -> str:
        return f"`{self.found}` is a reserved word, not a name"

    def label(self) -> str:
        return "expected a name"

    def help(self) -> str | None:
        return f"choose another name, or write it in backquotes: `` `{self.found}` ``"


@final
@dataclass(frozen=True)
class MissingValue(Mistake):
    """Nothing follows where a value is due: after `=`, after an operator, before `->`."""

    code: ClassVar[str] = "W0110"
    bad: ClassVar[str] = "block f(x) {\n    y =\n    return x\n}\n"
    good: ClassVar[str] = "block f(x) {\n    y = x\n    return y\n}\n"

    after: str

    def title(self) -> str:
        return f"a value is missing after `{self.after}`"

    def label(self) -> str:
        return "expected a value"


@final
@dataclass(frozen=True)
class StatementAtFileLevel(Mistake):
    """A statement stands outside every item.

    A file holds items (`model`, `block`, `data`, `train`, `variant`, `sweep`, `deploy`), `use`,
    clauses such as `net`, and constants, which begin with `let`.
    """

    code: ClassVar[str] = "W0111"
    bad: ClassVar[str] = "width = 64\n"
    good: ClassVar[str] = "let width = 64\n"

    def title(self) -> str:
        return "this statement belongs in the body of an item"

    def label(self) -> str:
        return "a file holds items, `use`, `let` and clauses"

    def help(self) -> str | None:
        if self.found in ("=", ":", ","):
            return f"write `let {self.head} = …` for a constant of the file"
        return "put it between the braces of a `block`, `model`, `data` or `train`"


@final
@dataclass(frozen=True)
class NestedItem(Mistake):
    """An item stands inside the body of another. Items stand side by side, at file level."""

    code: ClassVar[str] = "W0112"
    bad: ClassVar[str] = "block f(x) {\n    block g(y) { return y }\n    return x -> g\n}\n"
    good: ClassVar[str] = "block g(y) { return y }\nblock f(x) { return x -> g }\n"

    def title(self) -> str:
        return f"`{self.head}` cannot stand inside a body"

    def label(self) -> str:
        return "items stand at file level"

    def help(self) -> str | None:
        if self.head == "let":
            return "a body needs no `let`: write `name = value`"
        return "move it out of the braces: an item may be used before the line it stands on"


@final
@dataclass(frozen=True)
class NestedTooDeep(Message):
    """Brackets, operators, bodies or lists stand inside one another more deeply than is read.

    A chain of `->` may be of any length. What is meant to repeat is written with `for`, `n * layer`
    or a block that calls itself.
    """

    code: ClassVar[str] = "W0113"
    bad: ClassVar[str] = f"let x = {'(' * 120}1{')' * 120}\n"
    good: ClassVar[str] = "let x = ((1))\n"

    limit: int

    def title(self) -> str:
        return "this is nested too deeply"

    def label(self) -> str:
        return f"more than {self.limit} levels"

    def help(self) -> str | None:
        return "give the inner parts names of their own, or write a loop"


@final
@dataclass(frozen=True)
class LoneWord(Mistake):
    """A word stands alone where a statement is due.

    There are no expression statements: a statement is `name = value`, or a clause with what it
    needs (`batch 64`).
    """

    code: ClassVar[str] = "W0114"
    bad: ClassVar[str] = "block f(x) {\n    return x\n    relu\n}\n"
    good: ClassVar[str] = "block f(x) {\n    return x -> relu\n}\n"

    def title(self) -> str:
        return f"`{self.head}` stands alone"

    def label(self) -> str:
        return "a statement is `name = value` or a clause such as `batch 64`"

    def help(self) -> str | None:
        return f"write `-> {self.head}` to apply it, or `y = {self.head}` to name it"


@final
@dataclass(frozen=True)
class MissingName(Mistake):
    """An item, a parameter or an attribute has no name."""

    code: ClassVar[str] = "W0115"
    bad: ClassVar[str] = "model {\n    input x: f32[n, 8]\n    output y = x\n}\n"
    good: ClassVar[str] = "model Same {\n    input x: f32[n, 8]\n    output y = x\n}\n"

    def title(self) -> str:
        return f"a name is missing before {show(self.found)}"

    def label(self) -> str:
        return "expected a name"


CLOSERS = {"(": ")", "[": "]", "{": "}"}


def show(found: str) -> str:
    """A piece of text as it is quoted in a message."""
    if not found:
        return "the end of the file"
    line = found.splitlines()[0]
    return f"`{line if len(line) <= 30 else line[:29] + '…'}`"
