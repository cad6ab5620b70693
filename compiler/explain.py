"""The page about a message: what it means, a spec that causes it, and the same spec mended."""

from __future__ import annotations

import re
from inspect import cleandoc

from compiler.driver import check_source
from compiler.report.diagnostics import MESSAGES, Message, Sink
from compiler.report.messages import load_messages
from compiler.report.render import ANSI, PLAIN, Palette, render_message
from compiler.report.source import Source

EXAMPLE = "example.weft"


def explain(code: str, *, color: bool = False) -> str | None:
    """The page about a code; None for a code that no message has."""
    load_messages()
    cls = MESSAGES.get(code)
    if cls is None:
        return None
    palette = ANSI if color else PLAIN
    hue = palette.severity(cls.severity)
    title = f"{hue}{cls.severity}[{code}]{palette.end}{palette.bold}: {say_name(cls)}{palette.end}"
    parts = [title, cleandoc(cls.__doc__ or "")]
    if cls.bad:
        parts += [heading("What causes it", palette), indent(cls.bad)]
        parts += [indent(render_message(message, palette)) for message in find_message(cls)]
    if cls.good:
        parts += [heading("What to write", palette), indent(cls.good)]
    return "\n\n".join(parts)


def find_message(cls: type[Message]) -> list[Message]:
    """The message that checking the bad example of a class gives."""
    sink = Sink()
    check_source(Source(EXAMPLE, cls.bad), sink=sink)
    return [message for message in sink.messages if type(message) is cls][:1]


def say_name(cls: type[Message]) -> str:
    """The name of a class as words: `UnclosedBracket` is "unclosed bracket"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__).lower()


def heading(text: str, palette: Palette) -> str:
    """A heading on the page."""
    return f"{palette.bold}{text}{palette.end}"


def indent(text: str) -> str:
    """A text moved to the right, as it stands on the page."""
    return "\n".join(f"    {line}".rstrip() for line in text.rstrip("\n").split("\n"))
