"""What goes wrong in the structure of a text: brackets, commas, words and missing values."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span


@message(
    "W0101",
    bad="block f(x) {\n    return x -> relu as act as last\n}\n",
    good="block f(x) {\n    return x -> relu as act\n}\n",
)
def unexpected_token(span: Span | None, found: str, head: str, expected: str) -> Text:
    """The text cannot go on like this, and none of the more precise messages fits.

    Look at what is before the mark too: something may be missing there.
    """
    return Text(f"unexpected {show(found)}", label=f"expected {expected}" if expected else "")


@message(
    "W0102",
    bad="block f(x) {\n    return x -> conv(64, kernel=3\n}\n",
    good="block f(x) {\n    return x -> conv(64, kernel=3)\n}\n",
)
def unclosed_bracket(span: Span | None, opener: Span, bracket: str) -> Text:
    """A bracket is opened and not closed.

    The mark is at the place where the closing bracket was due; the bracket that waits for it is
    shown below. Newlines do not close brackets: `}` ends a body, `)` and `]` end a list.
    """
    return Text(
        f"`{bracket}` is never closed",
        label=f"`{CLOSERS[bracket]}` is missing here",
        labels=(Label(opener, "opened here"),),
    )


@message(
    "W0103",
    bad="block f(x) {\n    return x -> relu)\n}\n",
    good="block f(x) {\n    return x -> relu\n}\n",
)
def unmatched_close(span: Span | None) -> Text:
    """A closing bracket has no partner: nothing was opened that it could close."""
    return Text(
        f"`{span.text if span else ''}` closes nothing",
        label="nothing is open that this could close",
        help="remove it, or write the bracket that it should close",
    )


@message(
    "W0104",
    bad="block f(x) {\n    return x -> reshape([1, 8, 8))\n}\n",
    good="block f(x) {\n    return x -> reshape([1, 8, 8])\n}\n",
)
def mismatched_bracket(span: Span | None, opener: Span, bracket: str) -> Text:
    """A bracket is closed by one of another kind: `(` by `]`, for instance."""
    return Text(
        f"`{bracket}` is closed by `{span.text if span else ''}`",
        label=f"expected `{CLOSERS[bracket]}`",
        labels=(Label(opener, "opened here"),),
    )


@message(
    "W0105",
    bad="block f(x) {\n    return x -> conv(64 kernel=3)\n}\n",
    good="block f(x) {\n    return x -> conv(64, kernel=3)\n}\n",
)
def missing_comma(span: Span | None, found: str, head: str) -> Text:
    """Two arguments, elements or parameters are side by side without a comma between them.

    Where the second is a layer to be applied to the first, it is `->` that is missing.
    """
    return Text(
        f"a comma is missing before {show(found)}",
        label="expected `,`",
        help="separate elements with `,`; `->` applies a layer to what is before it",
    )


@message(
    "W0106",
    bad="block f(x) {\n    y = x\n    (y, x) -> add\n    return y\n}\n",
    good="block f(x) {\n    y = x\n        -> relu\n    return y\n}\n",
)
def broken_line(span: Span | None, statement: Span, after: str) -> Text:
    """A line goes on with the statement above, and looks as if it began a new one.

    Newlines carry no meaning, so a statement ends where the next one begins. To keep that from
    joining what was meant to be apart, a line inside a statement may begin with an operator such as
    `->` or `+`, with `with`, `over`, `else`, or be inside brackets, but it may not begin with a
    word, a number, a string, `(` or `[`.
    """
    first = show(span.text) if span else ""
    if after:
        advice = f"move the `{after}` before it to the beginning of this line"
    else:
        advice = (
            "begin the line with an operator such as `->`, or put the expression in parentheses;\n"
            "a statement of its own is `name = value` or a clause"
        )
    return Text(
        f"this line goes on with the statement above it, so it cannot begin with {first}",
        label="read as part of the statement above",
        labels=(Label(statement, "which begins here"),),
        help=advice,
    )


@message(
    "W0107",
    bad="block f(x) {\n    return x + x -> relu\n}\n",
    good="block f(x) {\n    return x + (x -> relu)\n}\n",
)
def bare_arithmetic(span: Span | None, operator: str, operands: int, arrow: Span) -> Text:
    """Arithmetic is next to `->` without parentheses, and could be read in two ways.

    `x + x -> attn` may mean `(x + x) -> attn` or `x + (x -> attn)`; write the one you mean. Only
    copies of a layer may be bare: `x -> 3 * block`, and not a product of tensors.
    """
    word = operator
    if word == "if":
        advice = "write `(if … then … else …) -> f`, or `if … then … else (x -> f)`"
    elif operands == 1:
        gap = " " if word.isalpha() else ""
        advice = f"write `({word}{gap}a) -> f` or `{word}{gap}(a -> f)`"
    elif span is not None and span.start > arrow.start:
        comment = "; a comment begins with `#`" if word == "//" else ""
        advice = f"write `(a -> f) {word} b` or `a -> (f {word} b)`{comment}"
    else:
        advice = f"write `a {word} (b -> f)` or `(a {word} b) -> f`"
    return Text(
        f"`{operator}` next to `->` needs parentheses",
        label="this can be read in two ways",
        labels=(Label(arrow, "next to this"),),
        help=advice,
    )


@message(
    "W0108",
    bad="block f(x, n: int) {\n    y = if n > 2 x else relu(x)\n    return y\n}\n",
    good="block f(x, n: int) {\n    y = if n > 2 then x else relu(x)\n    return y\n}\n",
)
def missing_symbol(span: Span | None, found: str, head: str, missing: str) -> Text:
    """A word or symbol that has to be here is missing: `of`, `then`, `in`, `{` and their kin."""
    return Text(f"`{missing}` is missing before {show(found)}", label=f"expected `{missing}`")


@message(
    "W0109",
    bad="block f(x, in: int) {\n    return x\n}\n",
    good="block f(x, `in`: int) {\n    return x * `in`\n}\n",
)
def reserved_word(span: Span | None, found: str, head: str) -> Text:
    """A word that the language keeps for itself is used as a name.

    Fifteen words are reserved: `and or not in if then else for as with over return true false
    none`. In backquotes any text is a name.
    """
    return Text(
        f"`{found}` is a reserved word, not a name",
        label="expected a name",
        help=f"choose another name, or write it in backquotes: `` `{found}` ``",
    )


@message(
    "W0110",
    bad="block f(x) {\n    y =\n    return x\n}\n",
    good="block f(x) {\n    y = x\n    return y\n}\n",
)
def missing_value(span: Span | None, found: str, head: str, after: str) -> Text:
    """Nothing follows where a value is due: after `=`, after an operator, before `->`."""
    return Text(f"a value is missing after `{after}`", label="expected a value")


@message("W0111", bad="width = 64\n", good="let width = 64\n")
def statement_at_file_level(span: Span | None, found: str, head: str) -> Text:
    """A statement is outside every item.

    A file holds items (`model`, `block`, `data`, `train`, `variant`, `sweep`, `deploy`), `use`,
    clauses such as `net`, and constants, which begin with `let`.
    """
    if found in ("=", ":", ","):
        advice = f"write `let {head} = …` for a constant of the file"
    else:
        advice = "put it between the braces of a `block`, `model`, `data` or `train`"
    return Text(
        "this statement belongs in the body of an item",
        label="a file holds items, `use`, `let` and clauses",
        help=advice,
    )


@message(
    "W0112",
    bad="block f(x) {\n    block g(y) { return y }\n    return x -> g\n}\n",
    good="block g(y) { return y }\nblock f(x) { return x -> g }\n",
)
def nested_item(span: Span | None, found: str, head: str) -> Text:
    """An item is inside the body of another. Items are side by side, at file level."""
    if head == "let":
        advice = "a body needs no `let`: write `name = value`"
    else:
        advice = "move it out of the braces: an item may be used before the line it is on"
    return Text(f"`{head}` cannot be inside a body", label="items are at file level", help=advice)


@message("W0113", bad=f"let x = {'(' * 120}1{')' * 120}\n", good="let x = ((1))\n")
def nested_too_deep(span: Span | None, limit: int) -> Text:
    """Brackets, operators, bodies or lists are nested more deeply than is read.

    A chain of `->` may be of any length. What is meant to repeat is written with `for`, `n * layer`
    or a block that calls itself.
    """
    return Text(
        "this is nested too deeply",
        label=f"more than {limit} levels",
        help="give the inner parts names of their own, or write a loop",
    )


@message(
    "W0114",
    bad="block f(x) {\n    return x\n    relu\n}\n",
    good="block f(x) {\n    return x -> relu\n}\n",
)
def lone_word(span: Span | None, found: str, head: str) -> Text:
    """A word is written alone where a statement is due.

    There are no expression statements: a statement is `name = value`, or a clause with what it
    needs (`batch 64`).
    """
    return Text(
        f"`{head}` alone is not a statement",
        label="a statement is `name = value` or a clause such as `batch 64`",
        help=f"write `-> {head}` to apply it, or `y = {head}` to name it",
    )


@message(
    "W0115",
    bad="model {\n    input x: f32[n, 8]\n    output y = x\n}\n",
    good="model Same {\n    input x: f32[n, 8]\n    output y = x\n}\n",
)
def missing_name(span: Span | None, found: str, head: str) -> Text:
    """An item, a parameter or an attribute has no name."""
    return Text(f"a name is missing before {show(found)}", label="expected a name")


CLOSERS = {"(": ")", "[": "]", "{": "}"}


def show(found: str) -> str:
    """A piece of text as it is quoted in a message."""
    if not found:
        return "the end of the file"
    line = found.splitlines()[0]
    return f"`{line if len(line) <= 30 else line[:29] + '…'}`"
