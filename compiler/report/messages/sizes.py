"""Messages about sizes that `fix` and `target` give."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.messages.deployments import WIDE, deploy_spec
from compiler.report.source import Span


@message(
    "W1213",
    bad=deploy_spec("fix height=8, width=8, height=16", subject="wide") + WIDE,
    good=deploy_spec("fix height=8, width=8", subject="wide") + WIDE,
)
def size_twice(span: Span | None, dim: str, first: Span | None = None) -> Text:
    """A clause gives a size twice: only one of them can hold."""
    return Text(
        f"`{dim}` has a size already",
        labels=(Label(first, "the first one"),) if first is not None else (),
        help="give each size once",
    )
