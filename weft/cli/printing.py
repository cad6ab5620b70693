"""How commands print: diagnostics, lines with names of the user's, pages."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from compiler.report.diagnostics import Message
from compiler.report.render import render, render_json
from compiler.writing.python import show
from weft.cli.options import OutputFormat


def use_color(stream_is_terminal: bool | None = None) -> bool:
    """Whether diagnostics are coloured: on a terminal, unless NO_COLOR is set
    (https://no-color.org)."""
    terminal = sys.stderr.isatty() if stream_is_terminal is None else stream_is_terminal
    return terminal and not os.environ.get("NO_COLOR")


def print_messages(messages: Sequence[Message], form: OutputFormat = OutputFormat.TEXT) -> None:
    """Prints diagnostics: text to standard error, JSON to standard output."""
    if form is OutputFormat.JSON:
        print_page(render_json(messages))
    elif messages:
        print_page(render(messages, color=use_color()), sys.stderr)


def say(text: str) -> None:
    """Prints a line that holds names of the user's: what a terminal would obey is escaped."""
    print(show(text))


def say_lines(text: str) -> None:
    """Prints several lines as `say` does each."""
    for line in text.split("\n"):
        say(line)


def print_page(text: str, stream: TextIO | None = None) -> None:
    """Prints what is escaped, and maybe coloured, already: diagnostics and pages of Weft's own."""
    print(text, file=stream)
