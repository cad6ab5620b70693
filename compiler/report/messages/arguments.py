"""What goes wrong in calls: arguments unknown, missing, given twice, or of the wrong kind."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.habits import advise
from compiler.report.source import Span


@message(
    "W0220",
    bad="model M() {\n    input x: f32[batch, 8]\n    n = 3\n    output y = x * (n)(2)\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    n = 3\n    output y = x * n\n}\n",
)
def not_callable(span: Span | None, found: str) -> Text:
    """Something is called that is not a layer, block, model or function."""
    return Text("this cannot be called", label=f"this is {found}")


@message(
    "W0221",
    bad="model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(4, kernal=3)\n}\n",
    good=(
        "model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(4, kernel=3)\n}\n"
    ),
)
def unknown_argument(
    span: Span | None,
    callee: str,
    name: str,
    known: tuple[str, ...],
    suggestion: str | None,
    definition: Span | None = None,
    *,
    by_position: bool = False,
) -> Text:
    """A call names an argument that the callee does not have."""
    advice = None
    if by_position:
        advice = f"`{callee}` takes its arguments by position"
    elif suggestion is None:
        advice = advise(name)
    if advice is None and not known:
        advice = f"`{callee}` takes no arguments"
    elif advice is None:
        advice = f"it takes {', '.join(f'`{k}`' for k in known)}"
    return Text(
        f"`{callee}` has no argument `{name}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "unknown argument",
        labels=(Label(definition, "defined here"),) if definition is not None else (),
        help=advice,
    )


@message(
    "W0222",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu(1, 2)\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu\n}\n",
)
def too_many_arguments(
    span: Span | None, callee: str, known: tuple[str, ...], definition: Span | None = None
) -> Text:
    """A call gives more arguments by position than the callee has."""
    if not known:
        advice = f"`{callee}` takes no arguments of its own"
    else:
        advice = f"it takes {', '.join(f'`{k}`' for k in known)}"
    return Text(
        f"too many arguments for `{callee}`",
        label="nothing takes this",
        labels=(Label(definition, "defined here"),) if definition is not None else (),
        help=advice,
    )


@message(
    "W0223",
    bad="model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(4)\n}\n",
    good=(
        "model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(4, kernel=3)\n}\n"
    ),
)
def missing_argument(
    span: Span | None, callee: str, names: tuple[str, ...], definition: Span | None = None
) -> Text:
    """A call leaves out an argument that has no default.

    Only leading tensors may be left out: the call then waits for them.
    """
    missing = " and ".join(f"`{n}`" for n in names)
    written = ", ".join(f"{n}=…" for n in names)
    return Text(
        f"`{callee}` needs {missing}",
        label="missing here" if len(names) == 1 else "these are missing here",
        labels=(Label(definition, "defined here"),) if definition is not None else (),
        help=f"write `{callee}({written})`",
    )


@message(
    "W0224",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4, out=8)\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(out=8)\n}\n",
)
def argument_twice(span: Span | None, callee: str, name: str, first: Span) -> Text:
    """A call gives one argument twice: by position and by name, or by name twice."""
    return Text(
        f"`{name}` is given twice to `{callee}`",
        label="given again here",
        labels=(Label(first, "given here"),),
    )


@message(
    "W0225",
    bad='model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense("four")\n}\n',
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4)\n}\n",
)
def wrong_argument(
    span: Span | None,
    callee: str,
    name: str,
    expected: str,
    found: str,
    suggestion: str | None = None,
    definition: Span | None = None,
) -> Text:
    """An argument is of the wrong kind: a string for a number, a tensor for a list, …"""
    return Text(
        f"`{name}` of `{callee}` is {expected}",
        label=f"this is {found}",
        labels=(Label(definition, "declared here"),) if definition is not None else (),
        help=f"did you mean {suggestion}?" if suggestion else None,
    )


@message(
    "W0226",
    bad="model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(kernel=3, 4)\n}\n",
    good=(
        "model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> conv(4, kernel=3)\n}\n"
    ),
)
def position_after_name(span: Span | None) -> Text:
    """An argument by position follows one by name. Positions come first."""
    return Text("arguments by position come before those by name", label="this one has no name")


@message(
    "W0227",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = (x, x) -> relu\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu\n}\n",
)
def wrong_inputs(
    span: Span | None,
    callee: str,
    supplied: int,
    takes: tuple[str, ...],
    definition: Span | None = None,
) -> Text:
    """`->` brings another number of tensors than the layer takes.

    `(a, b) -> f` gives two. A layer that was called with some of its tensors takes the others.
    """
    count = "one value" if supplied == 1 else f"{supplied} values"
    label = "it takes no tensor" if not takes else f"it takes {', '.join(f'`{t}`' for t in takes)}"
    return Text(
        f"`{callee}` is given {count}",
        label=label,
        labels=(Label(definition, "defined here"),) if definition is not None else (),
    )
