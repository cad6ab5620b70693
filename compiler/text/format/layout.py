"""Lays out pieces of text on lines of limited width, after Wadler's "A prettier printer" (2003)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from compiler.records import dataclass

INDENT = 4


@dataclass(frozen=True)
class Line:
    """A place to break, taken by all of a group or by none; unbroken, `flat` stands there."""

    flat: str = ""


@dataclass(frozen=True)
class Hard:
    """A line break, with an empty line if `blank`."""

    blank: bool = False


@dataclass(frozen=True)
class Comma:
    """The comma behind a last element; it stands only where the group is broken."""


@dataclass(frozen=True)
class Trailing:
    """A comment behind what stands before it; it ends the line."""

    text: str


@dataclass(frozen=True)
class Own:
    """A comment on a line of its own."""

    text: str


@dataclass(frozen=True)
class Nest:
    """Breaks within are indented once more."""

    doc: Doc


@dataclass(frozen=True)
class Group:
    """Stands on one line if it fits there; else its `Line`s are broken."""

    doc: Doc


@dataclass(frozen=True)
class Fill:
    """Stands behind what is before it, after `flat`, if it fits there; else on the next line."""

    flat: str
    doc: Doc


Doc = str | Line | Hard | Comma | Trailing | Own | Nest | Group | Fill | Sequence["Doc"]
Entry = tuple[int, bool, Doc]
"""Indentation, whether it stands on one line, and what is to be laid out."""


def lay_out(doc: Doc, width: int) -> str:
    """The text of a document on lines of at most `width` columns where that can be had."""
    return Printer(width).run(doc)


class Printer:
    """The lines laid out so far, each with the comment behind it; `waiting` is for this line."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[tuple[str, str]] = []
        self.line = ""
        self.waiting = ""

    def run(self, doc: Doc) -> str:
        """Lay out a whole document."""
        stack: list[Entry] = [(0, False, doc)]
        while stack:
            indent, flat, doc = stack.pop()
            match doc:
                case str():
                    self.line += doc
                case Line():
                    self.put_line(indent, doc.flat if flat else None)
                case Hard():
                    self.end_line(indent, blank=doc.blank)
                case Comma():
                    self.line += "" if flat else ","
                case Trailing():
                    self.put_trailing(doc.text)
                    self.end_line(indent, blank=False)
                case Own():
                    self.end_line(indent, blank=False)
                    self.line += doc.text
                    self.end_line(indent, blank=False)
                case Nest():
                    stack.append((indent + INDENT, flat, doc.doc))
                case Group():
                    fitting = flat or self.fits(stack, (indent, True, doc.doc), "")
                    stack.append((indent, fitting, doc.doc))
                case Fill():
                    fitting = flat or self.fits(stack, (indent, True, doc.doc), doc.flat)
                    self.put_line(indent, doc.flat if fitting else None)
                    stack.append((indent, flat, doc.doc))
                case _:
                    stack += [(indent, flat, part) for part in reversed(doc)]
        self.end_line(0, blank=False)
        return "".join(f"{line}\n" for line in self.align_comments())

    def put_line(self, indent: int, flat: str | None) -> None:
        """A place to break: the text that stands there unbroken, or the end of the line."""
        if flat is None:
            self.end_line(indent, blank=False)
        else:
            self.line += flat

    def end_line(self, indent: int, *, blank: bool) -> None:
        """End the line if anything is on it, and indent the next."""
        if self.line.strip() or self.waiting:
            self.lines.append((self.line.rstrip(), self.waiting))
            self.waiting = ""
        if blank and self.lines and self.lines[-1] != ("", ""):
            self.lines.append(("", ""))
        self.line = " " * indent

    def put_trailing(self, text: str) -> None:
        """A comment behind this line, or behind the line above where this one is still empty."""
        code, comment = self.lines[-1] if self.lines else ("", "")
        if self.line.strip() or not code:
            self.waiting = f"{self.waiting}  {text}".lstrip()
        elif code.lstrip().startswith("#"):
            self.line += text
        else:
            self.lines[-1] = code, f"{comment}  {text}".lstrip()

    def align_comments(self) -> list[str]:
        """The lines with their comments; those behind neighbouring lines begin in one column."""
        found: list[str] = []
        for has_comment, run in groupby(self.lines, key=lambda line: bool(line[1])):
            lines = list(run)
            column = max(len(code) for code, _ in lines)
            if any(column + 2 + len(comment) > self.width for _, comment in lines):
                column = 0
            for code, comment in lines:
                found.append(f"{code:<{column}}  {comment}" if has_comment else code)
        return found

    def fits(self, stack: list[Entry], entry: Entry, before: str) -> bool:
        """Whether an entry fits on this line, with what follows up to the next place to break."""
        room = self.width - len(self.line) - len(before)
        todo = [entry]
        behind = len(stack)
        while room >= 0:
            if not todo:
                if behind == 0:
                    return True
                behind -= 1
                todo.append(stack[behind])
            indent, flat, doc = todo.pop()
            match doc:
                case str():
                    room -= len(doc)
                case Line() if flat:
                    room -= len(doc.flat)
                case Fill() if flat:
                    room -= len(doc.flat)
                    todo.append((indent, flat, doc.doc))
                case Line() | Fill():
                    return True
                case Hard() | Trailing() | Own():
                    return not flat
                case Comma():
                    pass
                case Nest() | Group():
                    todo.append((indent, flat, doc.doc))
                case _:
                    todo += [(indent, flat, part) for part in reversed(doc)]
        return False
