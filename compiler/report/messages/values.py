"""What goes wrong while computing numbers, lists and conditions when compiling."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span


@message(
    "W0401",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    s = sum([i for i in 0..100_000_000])\n"
        "    output y = x * s\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    s = sum([i for i in 0..100])\n"
        "    output y = x * s\n}\n"
    ),
)
def too_much_work(span: Span | None, limit: int) -> Text:
    """An item takes more compile-time work than any network needs.

    Loops, lists and copies of layers are unrolled when compiling, and what they make counts by its
    size. A tensor of many numbers is computed from `arange(n)`; a loop over the steps of a long
    sequence belongs into `scan`, which runs when the network runs.
    """
    return Text(
        "this item takes too much work to compile",
        label=f"more than {limit:,} steps were done when this was reached",
        help=(
            "loops and lists are unrolled when compiling; a tensor of many numbers is computed "
            "from `arange(n)`, a loop over time is a `scan`"
        ),
    )


@message(
    "W0402",
    bad=(
        "block level(x, n: int) {\n    return x -> relu -> level(n + 1)\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> level(0)\n}\n"
    ),
    good=(
        "block level(x, n: int) {\n    if n == 4 { return x }\n"
        "    return x -> relu -> level(n + 1)\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> level(0)\n}\n"
    ),
)
def recursion_too_deep(span: Span | None, name: str, depth: int, definition: Span) -> Text:
    """Blocks call one another without end.

    Recursion acts when compiling, so a block that calls itself needs a condition, on something
    known when compiling, that ends it.
    """
    return Text(
        f"`{name}` calls itself without end",
        label=f"{depth:,} calls are nested here",
        labels=(Label(definition, f"`{name}` is defined here"),),
        help="end the recursion with `if` and `return`, on a parameter that changes",
    )


@message(
    "W0403",
    bad=(
        "model M() {\n    input x: f32[batch, h]\n"
        "    output y = x -> reshape([batch, h / 2, 2])\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 64]\n"
        "    output y = x -> reshape([batch, 64 / 2, 2])\n}\n"
    ),
)
def no_result(span: Span | None, reason: str, *, rounding: bool = False) -> Text:
    """Arithmetic on numbers known when compiling has no result.

    Sizes are exact: `h / 32` must be provably whole, `h // 32` rounds down.
    """
    return Text(
        "this has no exact result", label=reason, help="`//` rounds down" if rounding else None
    )


@message(
    "W1320",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(10 ** 30)\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(10 ** 3)\n}\n",
)
def size_too_large(span: Span | None, reason: str) -> Text:
    """A size or a tensor is larger than any machine holds, or a size takes a page to write down.

    A tensor has fewer than 2 ** 63 entries, at least as far as its sizes are known when compiling.
    A size that is not known is a sum of products of named sizes, such as `2 * h * w + 1`; one with
    hundreds of terms is not computed.
    """
    return Text("this is too large to compute", label=reason)


@message(
    "W0404",
    bad='model M() {\n    input x: f32[batch, 8]\n    n = 3 * "a"\n    output y = x * n\n}\n',
    good="model M() {\n    input x: f32[batch, 8]\n    n = 3 * 2\n    output y = x * n\n}\n",
)
def wrong_operand(
    span: Span | None, operator: str, operands: tuple[Label, ...], hint: str | None = None
) -> Text:
    """An operator has no meaning for its operands."""
    return Text(f"`{operator}` has no meaning here", label="", labels=operands, help=hint)


@message(
    "W0405",
    bad=(
        "block heads(x: f32[n, t, d], heads: int) {\n"
        '    assert d % heads == 0, "heads must divide d"\n'
        "    return x -> reshape([n, t, heads, d / heads])\n}\n"
        "model M() {\n    input x: f32[batch, 4, 10]\n    output y = x -> heads(3)\n}\n"
    ),
    good=(
        "block heads(x: f32[n, t, d], heads: int) {\n"
        '    assert d % heads == 0, "heads must divide d"\n'
        "    return x -> reshape([n, t, heads, d / heads])\n}\n"
        "model M() {\n    input x: f32[batch, 4, 10]\n    output y = x -> heads(5)\n}\n"
    ),
)
def assertion_fails(
    span: Span | None, text: str, values: str, labels: tuple[Label, ...] = ()
) -> Text:
    """An `assert` of the spec, or of a block that it calls, does not hold. That is how a block says
    what its arguments can be.

    The text after the condition says why; the values that were compared are below, and where the
    argument is given that they come from.
    """
    return Text(
        text or "assertion does not hold",
        label=f"here {values}" if values else "this does not hold",
        labels=labels,
    )


@message(
    "W0406",
    bad=(
        "block f(x, n: int = 0) {\n    if n { return x -> relu }\n    return x\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
    good=(
        "block f(x, n: int = 0) {\n    if n != 0 { return x -> relu }\n    return x\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
)
def condition_not_bool(span: Span | None, found: str, hint: str | None = None) -> Text:
    """A condition is not `true` or `false`.

    `if` takes a bool that is known when compiling. Numbers, lists and `none` are compared first.
    """
    return Text("a condition is `true` or `false`", label=f"this is {found}", help=hint)


@message(
    "W0407",
    bad=(
        "model M() {\n    input x: f32[batch, t, 8]\n"
        "    y = if t > 16 then (x -> relu) else x\n    output z = y\n}\n"
    ),
    good=(
        "model M(t: int = 16) {\n    input x: f32[batch, t, 8]\n"
        "    y = if t > 16 then (x -> relu) else x\n    output z = y\n}\n"
    ),
)
def condition_undecided(span: Span | None, text: str) -> Text:
    """A condition depends on a size that is known only when the network runs.

    `if` and `for` act when compiling. Give the size as a number, or write the choice with `where`.
    An `assert` may stay undecided: it is checked at run time.
    """
    return Text(
        "this condition cannot be decided when compiling",
        label=f"`{text}` depends on sizes that only a run knows",
        help="give the size as a number or a parameter, or state it with `assert`",
    )


@message(
    "W0408",
    bad=(
        "model M(n: int = 3) {\n    input x: f32[batch, 8]\n    for i in n { x = x -> relu }\n"
        "    output y = x\n}\n"
    ),
    good=(
        "model M(n: int = 3) {\n    input x: f32[batch, 8]\n    for i in 0..n { x = x -> relu }\n"
        "    output y = x\n}\n"
    ),
)
def not_a_list(span: Span | None, found: str, hint: str | None = None) -> Text:
    """Something that is iterated over is not a list."""
    return Text("this is not a list", label=f"this is {found}", help=hint)


@message(
    "W0409",
    bad=(
        "model M() {\n    input x: f32[batch, 9]\n    a, b = chunk(x, 3, axis=1)\n"
        "    output y = a\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 9]\n    a, b, c = chunk(x, 3, axis=1)\n"
        "    output y = a + b + c\n}\n"
    ),
)
def unpack_mismatch(span: Span | None, names: int, found: int, value: Span) -> Text:
    """Names and values do not pair up: `a, b = f(x)` takes exactly two values."""
    values = "one value" if found == 1 else f"{found} values"
    return Text(
        f"{names} names for {found} value{'s' if found != 1 else ''}",
        labels=(Label(value, f"this has {values}"),),
    )


@message(
    "W0410",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    w = [4, 5]\n"
        "    output y = x -> dense(w[2])\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    w = [4, 5]\n"
        "    output y = x -> dense(w[1])\n}\n"
    ),
)
def outside_list(span: Span | None, index: int, length: int) -> Text:
    """An index points outside a list. The first item is 0, the last is -1."""
    items = "one item" if length == 1 else f"{length} items"
    return Text(
        f"index {index} is outside the list",
        label=f"the list has {items if length else 'no items'}",
    )


@message(
    "W0411",
    bad='model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4) as "{x}"\n}\n',
    good=(
        "model M(i: int = 1) {\n    input x: f32[batch, 8]\n"
        '    output y = x -> dense(4) as "d{i}"\n}\n'
    ),
)
def not_text(span: Span | None, found: str) -> Text:
    """Only numbers, strings, bools and `none` can be between the braces of a string."""
    return Text("this cannot be in a string", label=f"this is {found}")
