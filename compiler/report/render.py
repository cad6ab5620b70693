"""Diagnostics as text, with the lines they speak of and carets below, and as JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message, Severity
from compiler.report.source import Span

TAB = 4
WIDTH = 140
"""Columns of a source line that are shown; a longer line is cut around the marked place."""
CHARACTERS = 4000
"""Characters of a title, label or help that are shown."""
LINES = 6
"""Lines of a span that are shown; of a longer one, the first and the last few."""


@dataclass(frozen=True)
class Palette:
    """Escape sequences for the parts of a diagnostic; all empty without colour."""

    error: str = ""
    warning: str = ""
    frame: str = ""
    bold: str = ""
    end: str = ""

    def severity(self, severity: Severity) -> str:
        """The colour of a severity."""
        return self.error if severity is Severity.ERROR else self.warning


PLAIN = Palette()
ANSI = Palette("\x1b[1;31m", "\x1b[1;33m", "\x1b[34m", "\x1b[1m", "\x1b[0m")


def render(messages: Sequence[Message], *, color: bool = False) -> str:
    """Every diagnostic in turn, and how many there were; empty without any."""
    if not messages:
        return ""
    palette = ANSI if color else PLAIN
    blocks = [render_message(message, palette) for message in messages]
    return "\n\n".join([*blocks, summarize(messages)])


def summarize(messages: Iterable[Message]) -> str:
    """`2 errors, 1 warning`."""
    severities = [message.severity for message in messages]
    counts = [(severity, severities.count(severity)) for severity in Severity]
    return ", ".join(f"{n} {severity}{'s' if n > 1 else ''}" for severity, n in counts if n)


def render_message(message: Message, palette: Palette = PLAIN) -> str:
    """One diagnostic as text."""
    hue = palette.severity(message.severity)
    head = f"{hue}{message.severity}[{message.code}]{palette.end}"
    lines = [f"{head}{palette.bold}: {printable_line(message.text.title)}{palette.end}"]
    labels = list(message.all_labels())
    if message.span is None:
        lines += [f"   {note}" for note in note_lines("=", message.text.label)]
    else:
        lines += render_places(message.span, message.text.label, labels, hue, palette)
    lines += [f"   {note}" for note in note_lines("= help:", message.text.help or "")]
    return "\n".join(lines)


def note_lines(mark: str, text: str) -> list[str]:
    """A note behind its mark; further lines stand below its first."""
    if not text:
        return []
    first, *more = printable(text).split("\n")
    return [f"{mark} {first}", *(f"{' ' * len(mark)} {line}" for line in more)]


# --- places -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gutter:
    """The column of line numbers, wide enough for every number shown."""

    width: int
    palette: Palette

    def numbered(self, number: int, text: str) -> str:
        """A line of source with its number."""
        frame, end = self.palette.frame, self.palette.end
        return f"{frame}{number:>{self.width}} |{end} {text}".rstrip()

    def blank(self, text: str, hue: str) -> str:
        """A line of marks below a line of source."""
        frame, end = self.palette.frame, self.palette.end
        return f"{frame}{'':>{self.width}} |{end} {hue}{text}{end if hue else ''}"


def render_places(
    span: Span, label: str, labels: Sequence[Label], hue: str, palette: Palette
) -> list[str]:
    """Where it is, the lines with carets, and the secondary places below."""
    spans = [span, *(label.span for label in labels)]
    last = max(span.source.position(span.end)[0] for span in spans)
    gutter = Gutter(max(4, len(str(last))), palette)
    lines = [f"  {palette.frame}-->{palette.end} {printable_line(span.location)}"]
    lines += mark_span(span, "^", label, hue, gutter)
    shown = (span.source.path, span.source.position(span.start)[0])
    source = span.source
    for extra in labels:
        if extra.span.source.path != source.path:
            source = extra.span.source
            lines.append(f"  {palette.frame}:::{palette.end} {printable_line(extra.span.location)}")
        marks = mark_span(extra.span, "-", extra.text, palette.frame, gutter)
        here = (source.path, source.position(extra.span.start)[0])
        lines += marks[1:] if here == shown and fits_below(span, extra.span) else marks
        shown = here
    return lines


def fits_below(first: Span, second: Span) -> bool:
    """Whether marks of a second span can stand below those of the first without its line again."""
    line = first.source.position(first.start)[0]
    same = first.source is second.source and second.source.position(second.end)[0] == line
    return same and len(first.source.line(line)) < WIDTH


def mark_span(span: Span, mark: str, label: str, hue: str, gutter: Gutter) -> list[str]:
    """The lines of a span, marks below each, and the label behind the last."""
    source = span.source
    first, last = source.position(span.start)[0], source.position(max(span.start, span.end - 1))[0]
    numbers = list(range(first, last + 1))
    if len(numbers) > LINES:
        numbers = [*numbers[: LINES - 2], 0, numbers[-1]]
    lines = []
    for number in numbers:
        if number == 0:
            lines.append(gutter.blank("…", ""))
            continue
        text, start, end = marked_part(span, number)
        shown, at, width = cut(text, start, end)
        lines.append(gutter.numbered(number, shown))
        marks = " " * at + mark * max(1, width)
        note = f" {printable(label)}" if label and number == last else ""
        more = note.split("\n")
        lines.append(gutter.blank(marks + more[0], hue))
        lines += [gutter.blank(f"{' ' * len(marks)} {line}", hue) for line in more[1:]]
    return lines


def marked_part(span: Span, number: int) -> tuple[str, int, int]:
    """A line of a span, and the part of it that belongs to the span, without indentation."""
    source = span.source
    text = source.line(number)
    begin = source.line_starts[number - 1]
    start = max(0, span.start - begin)
    end = min(len(text), span.end - begin)
    if begin > span.start:
        start = len(text) - len(text.lstrip())
    return text, min(start, len(text)), max(start, end)


def cut(text: str, start: int, end: int) -> tuple[str, int, int]:
    """A line as it is shown, and the column and width of the marked part in it."""
    left = 0
    if len(text) > WIDTH:
        left = max(0, min(start - WIDTH // 4, len(text) - WIDTH))
    right = min(len(text), left + WIDTH)
    before, part = "…" if left else "", text[start : min(end, right)]
    shown = before + expand(text[left:right]) + ("…" if right < len(text) else "")
    return shown, len(before) + columns(text[left:start]), columns(part)


def expand(text: str) -> str:
    """A line with tabs as spaces and without characters that a terminal would obey."""
    return printable(text.replace("\t", " " * TAB))


def printable(text: str) -> str:
    """A text in which control and direction characters are replaced by a visible sign."""
    return "".join(
        char if char == "\n" or is_harmless(char) else "\N{REPLACEMENT CHARACTER}"
        for char in shorten(text)
    )


def printable_line(text: str) -> str:
    """The same of a text that has one line: a file's name may hold a line break."""
    return printable(text).replace("\n", "\N{REPLACEMENT CHARACTER}")


def shorten(text: str) -> str:
    """A text that may quote a value of any size, without its middle where it is too long."""
    half = CHARACTERS // 2
    return text if len(text) <= CHARACTERS else f"{text[:half]} … {text[-half:]}"


def is_harmless(char: str) -> bool:
    """Whether a terminal prints a character and does nothing else."""
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def columns(text: str) -> int:
    """How many columns a text takes on a terminal."""
    return sum(column_width(char) for char in text)


def column_width(char: str) -> int:
    """Columns of one character: tabs and East Asian characters are wide, accents add nothing."""
    if char == "\t":
        return TAB
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


# --- JSON ---------------------------------------------------------------------------------------


def render_json(messages: Sequence[Message], extra: Mapping[str, object] | None = None) -> str:
    """Diagnostics as JSON.

    `{"errors": n, "warnings": n, "messages": [{"code", "severity", "title", "file", "start",
    "end", "label", "labels", "help"}]}`; `start` and `end` are `{"line", "column"}` counted from
    1, the end exclusive; `file`, `start` and `end` are null for a fault that lies in no file.
    `extra` are entries beside these.
    """
    severities = [message.severity for message in messages]
    report = {
        "errors": severities.count(Severity.ERROR),
        "warnings": severities.count(Severity.WARNING),
        "messages": [encode_message(message) for message in messages],
        **(extra or {}),
    }
    return escape_controls(json.dumps(report, indent=2, ensure_ascii=False))


def escape_controls(text: str) -> str:
    """A text of JSON with escapes for the control and direction characters in its strings, which
    a terminal would obey."""
    return "".join(
        char if char == "\n" or is_harmless(char) else json.dumps(char)[1:-1] for char in text
    )


def encode_message(message: Message) -> dict[str, Any]:
    """A diagnostic as JSON values."""
    return {
        "code": message.code,
        "severity": str(message.severity),
        "title": shorten(message.text.title),
        **encode_span(message.span),
        "label": shorten(message.text.label),
        "labels": [
            {**encode_span(label.span), "text": shorten(label.text)}
            for label in message.all_labels()
        ],
        "help": shorten(found) if (found := message.text.help) is not None else None,
    }


def encode_span(span: Span | None) -> dict[str, Any]:
    """A place as JSON values."""
    if span is None:
        return {"file": None, "start": None, "end": None}
    start, end = span.source.position(span.start), span.source.position(span.end)
    return {
        "file": span.source.path,
        "start": {"line": start[0], "column": start[1]},
        "end": {"line": end[0], "column": end[1]},
    }
