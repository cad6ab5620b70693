"""What goes wrong with `use`: files and parts of the library that are missing or clash."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span


@message("W0209", bad="use std.visoin\n", good="use std.vision\n")
def use_not_found(span: Span | None, name: str, suggestion: str | None, reason: str) -> Text:
    """`use` names a file or a part of the library that does not exist."""
    return Text(
        f"`use` finds no {name}", label=f"did you mean `{suggestion}`?" if suggestion else reason
    )


@message("W0210", good="use std.vision\n")
def use_cycle(span: Span | None, files: tuple[str, ...]) -> Text:
    """Two files use one another. What both need goes into a third."""
    return Text("files use one another in a circle", label=" uses ".join(files))


@message("W0211", good="use std.vision as v\n")
def ambiguous_name(span: Span | None, name: str, first: Span, second: Span) -> Text:
    """Two files that are used bring the same name. `use … as t` keeps them apart: `t.name`."""
    return Text(
        f"`{name}` comes from two files",
        labels=(Label(first, "from here"), Label(second, "and from here")),
        help="give one of them a name: `use … as t`, then `t.name`",
    )
