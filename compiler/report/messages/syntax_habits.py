"""What people write out of habit from Python and other languages, and how Weft says it."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.source import Span


@message(
    "W0159",
    bad="block f(x) {\n    return x -> conv(8, kernel=3, bias=False)\n}\n",
    good="block f(x) {\n    return x -> conv(8, kernel=3, bias=false)\n}\n",
)
def foreign_literal(span: Span | None, found: str, meant: str) -> Text:
    """`True`, `False`, `None` and the like are written `true`, `false` and `none`."""
    return Text(f"`{found}` is written `{meant}`", label=f"write `{meant}`")


@message(
    "W0160",
    bad="block f(x, n: int) {\n    for i in 0..n:\n        x = x -> relu\n}\n",
    good="block f(x, n: int) {\n    for i in 0..n { x = x -> relu }\n}\n",
)
def colon_block(span: Span | None, found: str, head: str) -> Text:
    """A colon opens a body, as in Python. In Weft a body is in braces; indentation is free."""
    return Text(
        "a body is in braces",
        label="write `{` here, and `}` after the last statement of the body",
    )


@message("W0161", bad="def f(x):\n    return x\n", good="block f(x) {\n    return x\n}\n")
def foreign_definition(span: Span | None, found: str, head: str) -> Text:
    """`def`, `class` and the like. A part of a network is a `block`, a whole one a `model`."""
    if head == "class":
        label = "a network is a `model`, a part of one a `block`"
    else:
        label = "a part of a network is a `block`"
    if head == "class":
        advice = "write `model Name(width: int = 64) { input x: f32[n, 8] … output y = … }`"
    else:
        advice = "write `block name(x, width: int) { … return y }`"
    return Text(f"there is no `{head}`", label=label, help=advice)


@message("W0162", bad="import std.vision\n", good="use std.vision\n")
def import_statement(span: Span | None, found: str, head: str) -> Text:
    """`import` and `from`. Other specs are brought in by `use`; built-in words need nothing."""
    return Text(
        f"there is no `{head}`",
        label="write `use`",
        help='`use std.vision as v` brings in a library, `use "parts.weft"` a file',
    )


@message(
    "W0163",
    bad="block f(x, n: int) {\n    if n == 1 { return x }\n    elif n == 2 { return -x }\n}\n",
    good="block f(x, n: int) {\n    if n == 1 { return x }\n    else if n == 2 { return -x }\n}\n",
)
def else_if(span: Span | None, found: str, head: str) -> Text:
    """`elif` and `elseif` are written `else if`."""
    return Text(f"there is no `{head}`", label="write `else if`")


@message(
    "W0164",
    bad="block f(x) {\n    while x > 0 { x = x - 1 }\n    return x\n}\n",
    good="block f(x) {\n    scan i in 0..10 { x = x - 1  until all(x <= 0) }\n    return x\n}\n",
)
def while_loop(span: Span | None, found: str, head: str) -> Text:
    """`while` and its kin. `for` repeats when compiling, `scan` at run time until a condition."""
    return Text(
        f"there is no `{head}`",
        label="a loop is a `for` or a `scan`",
        help="`for i in 0..n { … }` acts when compiling, "
        "`scan i in 0..n { … until … }` at run time",
    )


@message(
    "W0165",
    bad="block f(x) {\n    act = lambda y: relu(y)\n    return x -> act\n}\n",
    good="block f(x) {\n    act = relu -> dropout(10%)\n    return x -> act\n}\n",
)
def lambda_function(span: Span | None, found: str, head: str) -> Text:
    """`lambda`. A layer made of others is a pipe without a beginning, or a `block`."""
    return Text(
        "there is no `lambda`", label="layers compose with `->`; anything else is a `block`"
    )


@message(
    "W0166",
    bad="block f(x) {\n    self.fc = dense(8)\n    return x -> fc\n}\n",
    good="block f(x) {\n    net fc = dense(8)\n    return x -> fc\n}\n",
)
def self_habit(span: Span | None, found: str, head: str) -> Text:
    """`self`. A layer needs no field: it owns its weights where it is applied, `net` shares
    them."""
    return Text(
        "there is no `self`",
        label="write the layer where it is applied, or `net name = …` to share its weights",
    )


@message(
    "W0167",
    bad="block f(x) {\n    var y = x -> relu\n    return y\n}\n",
    good="block f(x) {\n    y = x -> relu\n    return y\n}\n",
)
def foreign_statement(span: Span | None, found: str, head: str) -> Text:
    """A statement of another language that Weft has no use for, or says in another way."""
    return Text(f"there is no `{head}`", label=INSTEAD.get(head, "Weft has no such statement"))


@message(
    "W0169",
    bad="block f(x, n: int) {\n    y = x if n > 2 else -x\n    return y\n}\n",
    good="block f(x, n: int) {\n    y = if n > 2 then x else -x\n    return y\n}\n",
)
def python_ternary(span: Span | None, found: str, head: str) -> Text:
    """`a if c else b`, as Python has it. The condition comes first: `if c then a else b`."""
    return Text("the condition comes first", label="write `if condition then value else other`")


@message(
    "W0174",
    bad="block f(x) -> f32[n, 8] {\n    return x\n}\n",
    good="block f(x) {\n    y: f32[n, 8] = x\n    return y\n}\n",
)
def result_type(span: Span | None, found: str, head: str) -> Text:
    """A block states the type of its result, which is inferred. A binding may check a shape."""
    return Text(
        "a block states no type of its result",
        label="expected `{`",
        help="write `y: f32[n, 8] = …` before `return y` to have a shape checked",
    )


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
