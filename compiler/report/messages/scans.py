"""What goes wrong with `scan`, the loop at run time."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span

_HEAD = "model M() {\n    input x: f32[batch, t, 8]\n    h = zeros([batch, 8])\n"


@message(
    "W0530",
    bad=(
        _HEAD + "    scan x_t in x, axis=1 {\n        h = concat([h, x_t], axis=1)\n    }\n"
        "    output y = h\n}\n"
    ),
    good=(
        _HEAD
        + "    scan x_t in x, axis=1 {\n        h = tanh(h + x_t)\n    }\n    output y = h\n}\n"
    ),
)
def carried_type_changes(
    span: Span | None, name: str, before: str, after: str, outside: Span
) -> Text:
    """A name that a `scan` carries from step to step has another type after a step than before.

    A name from outside that is bound again inside the loop is carried; its type must stay.
    """
    return Text(
        f"`{name}` changes its type from step to step",
        label=f"after a step it is {after}",
        labels=(Label(outside, f"before the loop it is {before}"),),
        help=f"keep the type, or give the value inside the loop another name than `{name}`",
    )


@message(
    "W0531",
    bad=_HEAD + "    scan k in [1, 2] {\n        h = h + x[:, 0] * k\n    }\n    output y = h\n}\n",
    good=_HEAD + "    scan k in 0..2 {\n        h = h + x[:, 0] * k\n    }\n    output y = h\n}\n",
)
def scan_over(span: Span | None, found: str) -> Text:
    """`scan` iterates over something that is neither a tensor nor a range.

    A list is known when compiling: iterate over it with `for`, or make a tensor of it.
    """
    return Text(
        "`scan` goes over tensors and ranges",
        label=f"this is {found}",
        help="what is known when compiling is iterated over with `for`",
    )


@message(
    "W0532",
    bad=(
        "model M() {\n    input x: f32[batch, 4, 8]\n    input z: f32[batch, 5, 8]\n"
        "    h = zeros([batch, 8])\n"
        "    scan a in x, b in z, axis=1 {\n        h = h + a * b\n    }\n    output y = h\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 4, 8]\n    input z: f32[batch, 4, 8]\n"
        "    h = zeros([batch, 8])\n"
        "    scan a in x, b in z, axis=1 {\n        h = h + a * b\n    }\n    output y = h\n}\n"
    ),
)
def lengths_differ(span: Span | None, length: str, first: str, place: Span) -> Text:
    """The sequences of a `scan` have different lengths along its axis."""
    return Text(
        "the sequences have different lengths",
        label=f"this has {length} steps",
        labels=(Label(place, f"this has {first}"),),
    )


@message(
    "W0533",
    bad=_HEAD + "    scan x_t in x, axis=3 {\n        h = h + x_t\n    }\n    output y = h\n}\n",
    good=_HEAD + "    scan x_t in x, axis=1 {\n        h = h + x_t\n    }\n    output y = h\n}\n",
)
def scan_axis(span: Span | None, axis: int, found: str) -> Text:
    """A `scan` goes along an axis that its sequence does not have, or `emit` stacks along one
    that its result does not have."""
    return Text(f"there is no axis {axis}", label=f"this is {found}")


@message(
    "W0534",
    bad=_HEAD + "    scan x_t in x, axis=1 {\n        g = h + x_t\n    }\n    output y = h\n}\n",
    good=_HEAD + "    scan x_t in x, axis=1 {\n        h = h + x_t\n    }\n    output y = h\n}\n",
)
def nothing_from_scan(span: Span | None) -> Text:
    """A `scan` carries nothing and emits nothing, so it has no effect.

    Bind a name from outside the loop again inside it, or write `emit name = value`.
    """
    return Text(
        "this loop has no effect",
        label="it carries nothing and emits nothing",
        help="bind a name from before the loop again inside it, or write `emit name = value`",
    )


@message(
    "W0535",
    bad=(
        _HEAD
        + "    k = 0\n    scan x_t in x, axis=1 {\n        h = h + x_t\n        k = k + 1\n    }\n"
        "    output y = h\n}\n"
    ),
    good=(
        _HEAD + "    k = full([], 0)\n"
        "    scan x_t in x, axis=1 {\n        h = h + x_t\n        k = k + 1\n    }\n"
        "    output y = h * k\n}\n"
    ),
)
def carried_not_a_tensor(span: Span | None, name: str, found: str, outside: str) -> Text:
    """A value that is known when compiling is bound again inside a `scan`.

    The body of a `scan` is compiled once and runs many times, so what it carries are tensors:
    start a count with a tensor (`full([], 0)`), or bind another name.
    """
    return Text(
        f"`{name}` cannot be carried through a `scan`",
        label=f"after a step it is {found}, before the loop it is {outside}",
        help="a loop at run time carries tensors: start from `zeros([…])` or `full([…], value)`",
    )


@message(
    "W0536",
    bad=(
        "block f(x: f32[n, t, d]) {\n    h = zeros([n, d])\n"
        "    scan x_t in x, axis=1 {\n        h = h + x_t\n        return h\n    }\n"
        "    return h\n}\n"
        "model M() {\n    input x: f32[batch, t, 8]\n    output y = x -> f\n}\n"
    ),
    good=(
        "block f(x: f32[n, t, d]) {\n    h = zeros([n, d])\n"
        "    scan x_t in x, axis=1 {\n        h = h + x_t\n    }\n    return h\n}\n"
        "model M() {\n    input x: f32[batch, t, 8]\n    output y = x -> f\n}\n"
    ),
)
def inside_scan(span: Span | None, word: str) -> Text:
    """`return`, and declarations of nets and inputs, cannot be inside a `scan`."""
    return Text(
        f"`{word}` cannot be inside a `scan`",
        help="the body of a `scan` runs many times; put it before or after the loop",
    )


@message(
    "W0537",
    bad=(
        _HEAD + "    scan x_t in x, axis=1 {\n        h = h + x_t\n        until h > 3\n    }\n"
        "    output y = h\n}\n"
    ),
    good=(
        _HEAD
        + "    scan x_t in x, axis=1 {\n        h = h + x_t\n        until all(h > 3)\n    }\n"
        "    output y = h\n}\n"
    ),
)
def until_not_bool(span: Span | None, found: str) -> Text:
    """The condition of `until` in a `scan` is one truth value: a tensor `bool[]`."""
    return Text(
        "`until` takes one truth value",
        label=f"this is {found}",
        help="join many with `all(…)` or `any(…)`",
    )


@message(
    "W1591",
    bad=(
        _HEAD
        + "    scan x_t in x, axis=1 {\n        h = h + x_t\n        emit steps = h\n"
        + "        until all(h > 3)\n    }\n"
        + "    output y = steps + transpose(x, 0, 1)\n}\n"
    ),
    good=(
        _HEAD
        + "    scan x_t in x, axis=1 {\n        h = h + x_t\n        emit steps = h\n"
        + "        until all(h > 3)\n    }\n    output y = mean(steps, axis=0)\n}\n"
    ),
)
def steps_unknown(span: Span | None, left: str, relation: str, right: str) -> Text:
    """What a `scan` with `until` emits has as many entries as steps were made. That number is
    decided by the run, and nothing else can be promised to be equal to it: not another loop's
    number, nor the length of a sequence."""
    needed = "equal to" if relation == "==" else "at most"
    return Text(
        "the number of steps of a loop with `until` is decided by the run",
        label=f"here `{left}` must be {needed} `{right}`",
        help="carry what is needed as a state of the loop, or leave `until` out",
    )


@message(
    "W1592",
    bad=(
        _HEAD
        + "    scan x_t in x, axis=1 {\n        h = h + x_t\n        k = h\n"
        + "        scan i in 0..9 {\n            k = k + 1.0\n            emit inner = k\n"
        + "            until all(k > 3)\n        }\n        emit all_of_them = inner\n    }\n"
        + "    output y = all_of_them\n}\n"
    ),
    good=(
        _HEAD
        + "    scan x_t in x, axis=1 {\n        h = h + x_t\n        k = h\n"
        + "        scan i in 0..9 {\n            k = k + 1.0\n"
        + "            until all(k > 3)\n        }\n"
        + "        emit last = k\n    }\n    output y = last\n}\n"
    ),
)
def emit_changes_size(span: Span | None, name: str, size: str) -> Text:
    """A loop emits a tensor that has another size in each step: the number of steps of a loop
    with `until` inside it. Tensors of different sizes cannot be stacked."""
    return Text(
        f"`{name}` may have another size in each step",
        label=f"`{size}` is the number of steps of a loop that `until` ends",
        help="emit a number of fixed size, such as a mean, or leave `until` out",
    )
