"""Text to tree: one run of the automaton that reports every mistake it can tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compiler.report.diagnostics import Message, Severity, Sink
from compiler.report.messages.syntax import nested_too_deep, unclosed_bracket
from compiler.report.messages.syntax_text import source_too_long
from compiler.report.source import Source, Span
from compiler.text.errors.diagnose import diagnose
from compiler.text.errors.mistakes import find_foreign_clause
from compiler.text.errors.recover import Trouble, apply_edit, skip
from compiler.text.tree.automaton import MAX_DEPTH, Automaton, DepthExceeded
from compiler.text.tree.newlines import find_broken_lines, find_detached_groups
from compiler.text.tree.parse_tree import TreeBuilder
from compiler.text.tree.strings import Parts, read_string
from compiler.text.tree.syntax import Expr, File
from compiler.text.tree.tokens import tokenize
from grammar.table import load_table

MAX_MISTAKES = 20
"""Mistakes reported per file; what follows so many is no longer worth reading."""


MARK = "# weft:"
"""How a comment begins that says something to Weft."""

MAX_INSIDE = 5_000
"""Expressions in strings that are read."""


def parse(source: Source, sink: Sink) -> File:
    """The tree of a text. Mistakes are reported to `sink`; what stands around them is kept."""
    reading = Reading(source, 0, len(source.text))
    items = reading.run("start") or ()
    for message in reading.select():
        sink.report(message)
    return File(source, tuple(items), tuple(reading.find_faulty()), reading.find_directives())


def parse_expression(source: Source, sink: Sink) -> Expr | None:
    """The tree of a text that is one expression, such as a value given on the command line."""
    reading = Reading(source, 0, len(source.text))
    value: Expr | None = reading.run("inside")
    for message in reading.select():
        sink.report(message)
    return value


class Reading:
    """One stretch of text on its way to a tree, with the messages about it.

    `messages` are sure. `mistakes` are those at which the parser stumbled, each with the lines it
    concerns; they may be consequences of one another.
    """

    def __init__(self, source: Source, start: int, end: int, around: Reading | None = None) -> None:
        self.source = source
        self.messages: list[Message] = []
        self.mistakes: list[tuple[set[int], Message]] = []
        self.skipped: list[tuple[int, int]] = []
        self.whole: Reading = around.whole if around is not None else self
        self.inside = 0
        self.tokens = tokenize(source, start, end, self.messages.append)
        self.builder = TreeBuilder(
            self.tokens, self.messages.append, self.report_mistake, self.read_string
        )

    def run(self, start: str) -> Any:
        """The tree, or None where none could be made."""
        if any(message.kind in (nested_too_deep, source_too_long) for message in self.messages):
            return None
        lexical = list(self.messages)
        try:
            automaton = Automaton(load_table(), self.tokens, self.builder, start)
            if not automaton.advance():
                self.messages[:] = lexical
                self.mistakes.clear()
                automaton = Automaton(load_table(), self.tokens, self.builder, start)
                self.run_carefully(automaton, most=MAX_MISTAKES if start == "start" else 1)
        except DepthExceeded as error:
            self.messages.append(nested_too_deep(error.span, MAX_DEPTH))
            return None
        self.skipped = automaton.skipped
        if start == "start" and automaton.result is not None:
            self.check_lines(automaton)
        return automaton.result

    def run_carefully(self, automaton: Automaton, most: int) -> None:
        """Read a text that has mistakes: report each, mend it or skip it, and go on."""
        stuck = -1
        for _ in range(most):
            if automaton.advance(careful=True):
                break
            trouble = Trouble(automaton)
            message, edit = diagnose(trouble)
            self.report_mistake(message)
            if edit is not None:
                apply_edit(automaton, edit)
                continue
            skip(trouble, past=automaton.index <= stuck)
            stuck = automaton.index

    def check_lines(self, automaton: Automaton) -> None:
        """The checks that need the whole text."""
        for clause in self.builder.clauses:
            foreign = find_foreign_clause(clause)
            if foreign is not None:
                self.report_mistake(foreign)
            self.messages += find_detached_groups(clause)
        for index, message in find_broken_lines(
            self.tokens, automaton.beginnings, automaton.skipped
        ):
            self.report_mistake(message, index)

    def find_faulty(self) -> Iterator[Span]:
        """Where mistakes were found, and what was skipped because of them."""
        for message in (*self.messages, *(message for _, message in self.mistakes)):
            if message.span is not None and message.severity is Severity.ERROR:
                yield message.span
        for start, end in self.skipped:
            text = self.source.text[start:end]
            yield Span(self.source, start, start + len(text.rstrip()))

    def find_directives(self) -> tuple[Span, ...]:
        """Comments that begin as those do that Weft reads."""
        text, comments = self.source.text, self.tokens.comments
        return tuple(
            Span(self.source, start, end) for start, end in comments if text.startswith(MARK, start)
        )

    def read_string(self, span: Span) -> Parts:
        """The parts of a string."""
        return read_string(span, self.messages.append, self.read_inside)

    def read_inside(self, source: Source, start: int, end: int) -> Expr | None:
        """The expression between the braces of a string."""
        self.whole.inside += 1
        if self.whole.inside > MAX_INSIDE:
            if self.whole.inside == MAX_INSIDE + 1:
                unit = "expressions in its strings"
                self.messages.append(source_too_long(Span(source, start, start), MAX_INSIDE, unit))
            return None
        inside = Reading(source, start, end, self)
        value: Expr | None = inside.run("inside")
        self.messages += inside.select()
        return value

    def report_mistake(self, message: Message, index: int | None = None) -> None:
        """Note a message, unless it is about a bracket that was put in.

        It also concerns the line of the token at `index`, if given.
        """
        lines = set() if index is None else {self.line_of(self.tokens.starts[index])}
        if message.span is not None:
            lines.add(self.line_of(message.span.start))
        if message.kind is not unclosed_bracket or message.text.labels[0].span.text:
            self.mistakes.append((lines, message))

    def line_of(self, offset: int) -> int:
        """The line of an offset."""
        return self.source.position(offset)[0]

    def select(self) -> list[Message]:
        """The messages to show, in the order of the text and not too many: one mistake per line.

        A second mistake on a line, or one on a line with a sure message, is most likely a
        consequence.
        """
        sure = [message for message in self.messages if message.span is not None]
        taken = {self.line_of(start_of(message)) for message in sure}
        selected = list(sure)
        for lines, message in sorted(self.mistakes, key=lambda entry: start_of(entry[1])):
            if not lines & taken:
                selected.append(message)
            taken |= lines
        return sorted(selected, key=start_of)[:MAX_MISTAKES]


def start_of(message: Message) -> int:
    """The offset at which a message points."""
    return message.span.start if message.span else 0
