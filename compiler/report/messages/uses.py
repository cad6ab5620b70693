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


@message(
    "W0210",
    console="""\
$ cat one.weft
use "two.weft"
block a(x: f32[n]) { return b(x) }
$ cat two.weft
use "one.weft"
block b(x: f32[n]) { return x -> relu }
$ weft check one.weft
""",
    mended="""\
$ cat two.weft
block b(x: f32[n]) { return x -> relu }
$ weft check one.weft
""",
)
def use_cycle(span: Span | None, files: tuple[str, ...]) -> Text:
    """Two files use one another. What both need goes into a third."""
    return Text("files use one another in a circle", label=" uses ".join(files))


@message(
    "W0211",
    console="""\
$ cat one.weft
block act(x: f32[n]) { return x -> relu }
$ cat two.weft
block act(x: f32[n]) { return x -> silu }
$ cat net.weft
use "one.weft"
use "two.weft"
model Net { input x: f32[n]  output y = act(x) }
$ weft check net.weft
""",
    mended="""\
$ cat net.weft
use "one.weft"
model Net { input x: f32[n]  output y = act(x) }
$ weft check net.weft
""",
)
def ambiguous_name(span: Span | None, name: str, first: Span, second: Span) -> Text:
    """Two files that are used bring the same name. `use … as t` keeps them apart: `t.name`."""
    return Text(
        f"`{name}` comes from two files",
        labels=(Label(first, "from here"), Label(second, "and from here")),
        help="give one of them a name: `use … as t`, then `t.name`",
    )
