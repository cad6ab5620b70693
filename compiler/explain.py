"""The page about a message: what it means, a spec or a console session that causes it, and the
same mended."""

from __future__ import annotations

from inspect import cleandoc

from compiler.driver import check_source
from compiler.report.console import read_printed
from compiler.report.diagnostics import MESSAGES, Message, MessageKind, Sink
from compiler.report.messages import load_messages
from compiler.report.render import ANSI, PLAIN, Palette, render_message
from compiler.report.source import Source

EXAMPLE = "example.weft"


def explain(code: str, *, color: bool = False) -> str | None:
    """The page about a code; None for a code that no message has."""
    load_messages()
    kind = MESSAGES.get(code)
    if kind is None:
        return None
    palette = ANSI if color else PLAIN
    hue = palette.severity(kind.severity)
    title = (
        f"{hue}{kind.severity}[{code}]{palette.end}{palette.bold}: {say_name(kind)}{palette.end}"
    )
    parts = [title, cleandoc(kind.page)]
    if kind.bad:
        parts += [heading("What causes it", palette), indent(kind.bad)]
        parts += [indent(render_message(message, palette)) for message in find_message(kind)]
    if kind.console:
        parts += [heading("What causes it", palette), indent(kind.console + read_printed(code))]
    if kind.good:
        parts += [heading("What to write", palette), indent(kind.good)]
    if kind.mended:
        parts += [heading("What to do", palette), indent(kind.mended)]
    if kind.lint:
        parts += [heading("Where it is meant", palette), indent(f"# weft: allow {kind.name}")]
    return "\n\n".join(parts)


def find_message(kind: MessageKind[...]) -> list[Message]:
    """The message that checking its bad example gives."""
    sink = Sink()
    check_source(Source(EXAMPLE, kind.bad), sink=sink)
    return [message for message in sink.messages if message.kind is kind][:1]


def say_name(kind: MessageKind[...]) -> str:
    """The name of a message as words: `unclosed_bracket` is "unclosed bracket"."""
    return kind.name.replace("_", " ")


def heading(text: str, palette: Palette) -> str:
    """A heading on the page."""
    return f"{palette.bold}{text}{palette.end}"


def indent(text: str) -> str:
    """A text moved to the right, as it stands on the page."""
    return "\n".join(f"    {line}".rstrip() for line in text.rstrip("\n").split("\n"))
