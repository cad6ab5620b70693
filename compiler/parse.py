"""Text to tree: one run of the automaton that reports every mistake it can tell apart."""

from __future__ import annotations

from typing import Any

from compiler.automaton import MAX_DEPTH, Automaton, DepthExceeded
from compiler.diagnose import diagnose
from compiler.diagnostics import Message, Sink
from compiler.messages.syntax import NestedTooDeep, UnclosedBracket
from compiler.mistakes import check_words
from compiler.newlines import check_line_starts
from compiler.parse_tree import TreeBuilder
from compiler.recover import Trouble, apply_edit, skip
from compiler.source import Source, Span
from compiler.strings import Parts, read_string
from compiler.syntax import Expr, File
from compiler.tokens import tokenize
from grammar.table import load_table

MAX_MISTAKES = 20
"""Mistakes reported per file; what follows so many is no longer worth reading."""


def parse(source: Source, sink: Sink) -> File:
    """The tree of a text. Mistakes are reported to `sink`; what stands around them is kept."""
    reading = Reading(source, 0, len(source.text))
    items = reading.run("start") or ()
    reading.check_lines()
    reading.deliver(sink)
    return File(source, tuple(items))


def parse_expression(source: Source, sink: Sink) -> Expr | None:
    """The tree of a text that is one expression, such as a value given on the command line."""
    reading = Reading(source, 0, len(source.text))
    value: Expr | None = reading.run("inside")
    reading.deliver(sink)
    return value


class Reading:
    """One stretch of text on its way to a tree, with the messages about it."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self.source = source
        self.messages: list[Message] = []
        self.tokens = tokenize(source, start, end, self.messages.append)
        self.builder = TreeBuilder(self.tokens, self.messages.append, self.read_string)
        self.mistakes = 0

    def run(self, start: str) -> Any:
        """The tree, or None where none could be made."""
        if any(isinstance(message, NestedTooDeep) for message in self.messages):
            return None
        automaton = Automaton(load_table(), self.tokens, self.builder, start)
        stuck = -1
        try:
            while not automaton.advance():
                trouble = Trouble(automaton)
                if self.mistakes == MAX_MISTAKES or (start == "inside" and self.mistakes):
                    return None
                message, edit = diagnose(trouble)
                self.report_mistake(message)
                if edit is not None and stuck < 0:
                    apply_edit(automaton, edit)
                else:
                    skip(trouble, past=automaton.index <= stuck)
                    stuck = automaton.index
        except DepthExceeded as error:
            self.messages.append(NestedTooDeep(error.span, MAX_DEPTH))
            return None
        return automaton.result

    def read_string(self, span: Span) -> Parts:
        """The parts of a string."""
        return read_string(span, self.messages.append, self.read_inside)

    def read_inside(self, source: Source, start: int, end: int) -> Expr | None:
        """The expression between the braces of a string."""
        inside = Reading(source, start, end)
        value: Expr | None = inside.run("inside")
        self.messages += inside.messages
        return value

    def report_mistake(self, message: Message) -> None:
        """Keep a message unless it is a consequence: its line has one, or its bracket was put in."""
        self.mistakes += 1
        if isinstance(message, UnclosedBracket) and not message.opener.text:
            return
        if message.span is None or self.line_of(message) not in map(self.line_of, self.messages):
            self.messages.append(message)

    def line_of(self, message: Message) -> int:
        """The line a message points at."""
        return self.source.position(message.span.start)[0] if message.span else 0

    def check_lines(self) -> None:
        """The checks that need the whole text; broken lines only where every statement was read."""
        check_words(self.tokens, self.builder.clauses, self.report_mistake)
        if not self.mistakes:
            check_line_starts(self.tokens, self.builder.beginnings, self.report_mistake)

    def deliver(self, sink: Sink) -> None:
        """Hand the messages on, in the order of the text."""
        for message in sorted(self.messages, key=lambda m: m.span.start if m.span else 0):
            sink.report(message)
