"""What goes wrong in calls of compile-time functions and in the use of known values."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.source import Span


@message(
    "W0420",
    bad="model M(n: int = 3) {\n    input x: f32[batch, 8]\n    output y = x -> dense(len(n))\n}\n",
    good=(
        "model M(n: list = [3]) {\n    input x: f32[batch, 8]\n"
        "    output y = x -> dense(len(n))\n}\n"
    ),
)
def function_refuses(span: Span | None, function: str, takes: str, found: str) -> Text:
    """A function on compile-time values is called with something that it does not take."""
    return Text(f"`{function}` takes {takes}", label=f"this is {found}")


@message(
    "W0421",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(len([1], [2]))\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(len([1]))\n}\n",
)
def wrong_count(span: Span | None, function: str, expected: str, found: int) -> Text:
    """A function on compile-time values is called with too many or too few arguments."""
    return Text(
        f"`{function}` takes {expected}",
        label=f"{found} given here" if found else "none given here",
    )


@message(
    "W0422",
    bad=(
        "model M() {\n    input x: f32[batch, t, 8]\n    for i in 0..t { x = x -> relu }\n"
        "    output y = x\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, t, 8]\n    for i in 0..4 { x = x -> relu }\n"
        "    output y = x\n}\n"
    ),
)
def unknown_when_compiling(
    span: Span | None, what: str, found: str, hint: str | None = None
) -> Text:
    """A place that needs a value known when compiling got one that only a run knows.

    Shapes of weights, numbers of layers, `if` and `for` are settled when compiling; tensors, and
    sizes such as `batch`, are known when the network runs.
    """
    return Text(f"{what} must be known when compiling", label=f"this is {found}", help=hint)


@message(
    "W0423",
    bad=(
        "model M(d: int = 10) {\n    input x: f32[batch, 8]\n"
        "    output y = x -> (d / 3) * relu\n}\n"
    ),
    good=(
        "model M(d: int = 10) {\n    input x: f32[batch, 8]\n"
        "    output y = x -> (d // 3) * relu\n}\n"
    ),
)
def not_whole(span: Span | None, what: str, found: str, *, is_range: bool = False) -> Text:
    """A whole number is needed: a size, a count or an index."""
    advice = "a slice has a colon: `x[a:b]`" if is_range else "`//` divides and rounds down"
    return Text(f"{what} is a whole number", label=f"this is {found}", help=advice)


@message(
    "W0424",
    bad="model M() {\n    input x: f32[batch, 8]\n    y = dense(4)\n    output z = y + 1\n}\n",
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    y = x -> dense(4)\n    output z = y + 1\n}\n"
    ),
)
def not_a_layer_here(
    span: Span | None,
    found: str,
    waits_for: str,
    # How a function or an op is called that stands there by its name alone.
    word: str = "",
) -> Text:
    """A tensor is needed, and a layer is given that nothing was applied to.

    A call that leaves out its leading tensor arguments waits for them: `conv(64, kernel=3)` is a
    layer until a tensor comes to it, by `x -> conv(64, kernel=3)`.
    """
    waits = f", which still waits for {waits_for}" if waits_for else ""
    advice = "apply it: `x -> layer`"
    if word:
        advice = f"apply it, `{word}(x)`; no tensor is called `{word}` above this line"
    kind = "function" if found.startswith("the function") else "layer"
    return Text(
        f"a {kind} is given where a tensor is needed",
        label=f"this is {found}{waits}",
        help=advice,
    )


@message(
    "W0426",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = max(x, 0)\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = maximum(x, 0)\n}\n",
)
def axis_or_number(span: Span | None, function: str, op: str, number: str) -> Text:
    """`max(x, 1)` could mean the largest along axis 1, as in PyTorch, or each element but at
    least 1, as in Python. Write which one is meant.
    """
    axis = f"`{function}(x, axis={number})` reduces"
    return Text(
        f"`{function}` of a tensor and a whole number reads two ways",
        label="an axis, or a number to compare with?",
        help=f"{axis}; `{op}(x, {number})` compares element by element",
    )
