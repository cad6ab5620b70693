"""Symbols of Python and other languages, and those that Weft has in their place."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.source import Span


@message(
    "W0150",
    bad="block f(x) {\n    y = conv(8, kernel=3)(x) = relu\n    return y\n}\n",
    good="block f(x) {\n    y = x -> conv(8, kernel=3) -> relu\n    return y\n}\n",
)
def equals_for_arrow(span: Span | None, found: str, head: str) -> Text:
    """`=` is written where a layer is applied. `=` names a value, once, at the left; `->`
    applies."""
    return Text(
        "`=` cannot follow a value",
        label="write `->` to apply a layer",
        help="`y = x -> f -> g` applies `f`, then `g`, and names the result `y`",
    )


@message(
    "W0151",
    bad="block f(x, n: int) {\n    if n = 2 { x = x -> relu }\n    return x\n}\n",
    good="block f(x, n: int) {\n    if n == 2 { x = x -> relu }\n    return x\n}\n",
)
def equals_for_comparison(span: Span | None, found: str, head: str) -> Text:
    """`=` is written where two values are compared. `=` names a value; `==` compares."""
    return Text("`=` does not compare", label="write `==`")


@message(
    "W0152",
    bad="block f(x) {\n    y == x -> relu\n    return y\n}\n",
    good="block f(x) {\n    y = x -> relu\n    return y\n}\n",
)
def comparison_for_equals(span: Span | None, found: str, head: str) -> Text:
    """`==` is written where a value is named. `==` compares; `name = value` names."""
    return Text(f"`{found}` does not name a value", label=f"write `{head} = …`")


@message(
    "W0153",
    bad="block f(x) {\n    return where(0 < x < 1, x, 0.0)\n}\n",
    good="block f(x) {\n    return where(0 < x and x < 1, x, 0.0)\n}\n",
)
def chained_comparison(span: Span | None, found: str, head: str) -> Text:
    """Comparisons are chained, as in `0 < x < 1`. Each takes two values: join them."""
    return Text(
        "comparisons do not chain", label="a second comparison", help="write `a < b and b < c`"
    )


@message("W0154", bad="let both = true && false\n", good="let both = true and false\n")
def foreign_operator(span: Span | None, found: str, meant: str) -> Text:
    """An operator of another language. Weft says `and`, `or`, `not`, `**` and `->`."""
    return Text(f"`{found}` is not an operator", label=f"write `{meant}`")


@message(
    "W0155",
    bad="block f(x) {\n    return x => relu\n}\n",
    good="block f(x) {\n    return x -> relu\n}\n",
)
def foreign_arrow(span: Span | None, found: str, head: str) -> Text:
    """An arrow of another language. A layer is applied by `->`."""
    return Text("this is not an arrow", label="write `->`")


@message("W0156", bad="// the width\nlet width = 64\n", good="# the width\nlet width = 64\n")
def foreign_comment(span: Span | None, found: str, head: str) -> Text:
    """A comment of another language. In Weft a comment begins with `#` and ends with the line."""
    return Text("a comment begins with `#`", label="this begins none")


@message(
    "W0157",
    bad="block f(x) {\n    y = x -> relu;\n    return y\n}\n",
    good="block f(x) {\n    y = x -> relu\n    return y\n}\n",
)
def semicolon(span: Span | None) -> Text:
    """A semicolon. A statement ends where the next one begins; several may share a line."""
    return Text("statements need no semicolon", label="remove it")


@message(
    "W0158",
    bad="block f(x) {\n    return x \\\n        -> relu\n}\n",
    good="block f(x) {\n    return x\n        -> relu\n}\n",
)
def backslash(span: Span | None) -> Text:
    """A backslash outside a string. A line goes on by itself where the next begins with `->`."""
    return Text("a line needs no backslash to go on", label="remove it")


@message(
    "W0168",
    bad="block f(x) {\n    x += 1\n    return x\n}\n",
    good="block f(x) {\n    x = x + 1\n    return x\n}\n",
)
def augmented_assignment(span: Span | None, found: str, head: str) -> Text:
    """`+=` and its kin. Nothing is changed in place: `x = x + y` makes a new `x`."""
    return Text("nothing is changed in place", label=f"write `{head} = {head} + …`")


@message("W0170", bad="@compile\nblock f(x) { return x }\n", good="block f(x) { return x }\n")
def decorator(span: Span | None, found: str, head: str) -> Text:
    """A decorator. `@` multiplies matrices; items take no decorators."""
    return Text("items take no decorators", label="`@` is the product of two matrices")


@message(
    "W0171",
    bad="block f(*xs) {\n    return concat(xs, axis=1)\n}\n",
    good="block f(xs: list) {\n    return concat(xs, axis=1)\n}\n",
)
def star_arguments(span: Span | None, found: str, head: str) -> Text:
    """`*list` or `**options` in a call or signature. Lists are passed as lists."""
    return Text(
        f"arguments are not spread by `{found}`",
        label="a list is passed as a list",
        help="declare the parameter as `name: list`, and give each option its own parameter",
    )


@message(
    "W0172",
    bad="block f(x) {\n    return x -> conv(8, kernel: 3)\n}\n",
    good="block f(x) {\n    return x -> conv(8, kernel=3)\n}\n",
)
def colon_for_equals(span: Span | None, found: str, head: str) -> Text:
    """`:` is written between an argument and its value. `name=value` gives an argument."""
    return Text("an argument is given by `=`", label="write `=`")


@message("W0173", bad="let widths = {16, 32}\n", good="let widths = [16, 32]\n")
def braces_for_value(span: Span | None, found: str, head: str) -> Text:
    """Braces are written where a value is due. There are lists, `[1, 2]`, but no sets or
    dictionaries."""
    return Text(
        "braces make no value", label="a list is written `[…]`; there are no sets or dictionaries"
    )


@message(
    "W0176",
    bad="block f(x) {\n    a, b = x, x + 1\n    return a * b\n}\n",
    good="block f(x) {\n    a, b = (x, x + 1)\n    return a * b\n}\n",
)
def bare_values(span: Span | None, found: str, head: str) -> Text:
    """Several values stand behind `=` without parentheses. `a, b = (x, y)` gives two names their
    values, and `return a, b` needs none."""
    return Text(
        "several values need parentheses",
        label="another value follows",
        help="write `a, b = (x, y)`, or a statement for each",
    )


_SMALL = """\
model Net { input x: f32[n, 4]  output y = x -> dense(8) -> relu -> dense(3) }
data iris { source sklearn("iris")  split random(seed=0), train=80%, val=20% }
train fit of Net(x=features) on iris {
    minimize cross_entropy(y, label) with adam(lr=1e-3)
    batch 16
    epochs 3
}
variant small of fit {
    PASS
}
"""


@message(
    "W0175",
    bad="block f(x) {\n    y = x conv(64, kernel=3)\n    return y\n}\n",
    good="block f(x) {\n    y = x -> conv(64, kernel=3)\n    return y\n}\n",
)
def lone_call(span: Span | None, found: str, head: str) -> Text:
    """A call is written where a statement is due.

    There are no expression statements. Most often the `->` before it is missing, which applies the
    layer to what is before it; else its result needs a name.
    """
    return Text(
        f"`{head}(…)` alone is not a statement",
        label="is `->` missing before this?",
        help=f"write `-> {head}(…)` to apply it, or `y = {head}(…)` to name its result",
    )


@message(
    "W1640",
    bad=_SMALL.replace("PASS", "prune(weights=50%) -> finetune(epochs=2)"),
    good=_SMALL.replace("PASS", "apply prune(weights=50%) -> finetune(epochs=2)"),
)
def pass_without_apply(span: Span | None, head: str) -> Text:
    """A variant names a pass where a clause is due. Its passes stand behind `apply`, in their
    order: `apply prune(channels=50%) -> finetune(epochs=8)`."""
    return Text(
        f"`{head}` needs `apply` before it",
        label="`apply` is missing here",
        help=f"write `apply {head}(…)`; a pass behind it follows with `->`",
    )
