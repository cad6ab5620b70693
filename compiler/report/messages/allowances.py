"""Messages about comments that silence lints: `# weft: allow NAME`."""

from __future__ import annotations

from compiler.report.diagnostics import Severity, Text, message
from compiler.report.source import Span

UNUSED = (
    "model M() {\n    input x: f32[batch, 8]\n"
    "    h = x -> dense(8)  # weft: allow unused_binding\n    output y = x -> relu\n}\n"
)


@message("W1456", bad=UNUSED.replace("unused_binding", "unused_binding, sigmod_depth"), good=UNUSED)
def unknown_lint(span: Span | None, name: str, suggestion: str | None) -> Text:
    """A comment `# weft: allow …` names a lint that does not exist.

    Lints are warnings about a spec that is right and most likely not meant. `weft explain CODE`
    says what the lint of a warning is called. Errors, and warnings about data, weights and builds,
    cannot be silenced.
    """
    return Text(
        f"no lint is called `{name}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "",
        help="`weft explain CODE` says what the lint of a warning is called",
    )


@message("W1457", bad=UNUSED + "# weft: ignore unused_binding\n", good=UNUSED)
def malformed_allowance(span: Span | None) -> Text:
    """A comment that begins with `# weft:` is one that Weft reads: the names of lints, with commas
    between them, that stay silent at the statement on its line, or at the line below it where
    nothing else stands on its own."""
    return Text("this comment says nothing to Weft", help="write `# weft: allow NAME, NAME`")


@message(
    "W1458",
    severity=Severity.WARNING,
    bad=UNUSED.replace("x -> relu", "h -> relu"),
    good=UNUSED,
)
def allows_nothing(span: Span | None, name: str, lines: str) -> Text:
    """A comment silences a lint that has nothing to say there: what it warned of was mended or
    moved. Nothing is said of lines in a block or model that no check reaches, such as a branch
    that is not taken.
    """
    return Text(f"`{name}` has nothing to say here", label=lines, help="remove the comment")
