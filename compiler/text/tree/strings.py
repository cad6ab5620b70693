"""Reads what stands between the quotes of a string: text, escapes and `{expressions}`."""

from __future__ import annotations

import re
from collections.abc import Callable

from compiler.report.diagnostics import Message
from compiler.report.messages.syntax_text import empty_interpolation, lone_brace, unknown_escape
from compiler.report.source import Source, Span
from compiler.text.tree.syntax import Expr

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}

_WHOLE = re.compile(r'"([^"\\\n]|\\.)*"')
_PIECE = re.compile(
    r"(?P<text>[^\\{}]+)|\\u(?P<code>[0-9a-fA-F]{4})|\\(?P<escape>.)|(?P<double>\{\{|\}\})|(?P<brace>[{}])"
)

Parts = tuple[str | Expr, ...]


def read_string(
    span: Span,
    report: Callable[[Message], None],
    read_expression: Callable[[Source, int, int], Expr | None],
) -> Parts:
    """The parts of a string: text without escapes and expressions in turn, one text if plain.

    `span` covers the quotes too. A string that lacks its double quotes was reported before; it is
    taken as it stands.
    """
    source, text = span.source, span.text
    if _WHOLE.fullmatch(text) is None:
        return (text.strip("\"'"),)
    parts: list[str | Expr] = []
    words: list[str] = []
    at, end = span.start + 1, span.end - 1
    while at < end:
        match = _PIECE.match(source.text, at, end)
        if match is None:
            raise ValueError(f"unreadable string at {Span(source, at, end).location}")
        stop = match.end()
        if match["brace"] == "{":
            stop = closing_brace(source.text, at, end)
            expression = read_braces(Span(source, at, stop), report, read_expression)
            if expression is not None:
                if words:
                    parts.append("".join(words))
                    words = []
                parts.append(expression)
        elif match["brace"] == "}":
            report(lone_brace(Span(source, at, stop), "}"))
        else:
            words.append(read_text(match, Span(source, at, stop), report))
        at = stop
    if words or not parts:
        parts.append("".join(words))
    return tuple(parts)


def write_spec_string(text: str) -> str:
    """The string of a spec that stands for a text: the opposite of `read_string`."""
    letters = {char: f"\\{letter}" for letter, char in ESCAPES.items()}
    escapes = {**letters, "{": "{{", "}": "}}"}
    return f'"{"".join(escapes.get(char) or _escape_control(char) for char in text)}"'


def _escape_control(char: str) -> str:
    return char if char.isprintable() or ord(char) > 0xFFFF else f"\\u{ord(char):04x}"


def read_text(match: re.Match[str], span: Span, report: Callable[[Message], None]) -> str:
    """The characters that a piece of a string without expressions stands for."""
    if match["text"]:
        return match["text"]
    if match["double"]:
        return match["double"][0]
    if match["code"]:
        code = int(match["code"], 16)
        if not 0xD800 <= code < 0xE000:
            return chr(code)
    if match["escape"] in ESCAPES:
        return ESCAPES[match["escape"]]
    report(unknown_escape(span))
    return ""


def closing_brace(text: str, start: int, end: int) -> int:
    """Offset behind the brace that closes the one at `start`; `start + 1` where there is none."""
    depth = 0
    for at in range(start, end):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    return start + 1


def read_braces(
    span: Span,
    report: Callable[[Message], None],
    read_expression: Callable[[Source, int, int], Expr | None],
) -> Expr | None:
    """The expression between two braces; None with a report where there is none."""
    if span.end - span.start == 1:
        report(lone_brace(span, "{"))
        return None
    if not span.text[1:-1].strip():
        report(empty_interpolation(span))
        return None
    return read_expression(span.source, span.start + 1, span.end - 1)
