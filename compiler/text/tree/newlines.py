"""The check that reads newlines: which lines may go on with the statement above them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise

from compiler.report.diagnostics import Message
from compiler.report.messages.syntax import broken_line, lone_word, missing_name, missing_value
from compiler.report.messages.syntax_text import half_number, spaced_unit
from compiler.report.messages.training import detached_group
from compiler.report.source import Span
from compiler.text.tree.syntax import Clause
from compiler.text.tree.tokens import Tokens
from compiler.types.units import UNITS
from grammar.table import load_table

OPENING, CLOSING = ("LPAR", "LSQB", "LBRACE"), ("RPAR", "RSQB", "RBRACE")
LINKS = ("AND", "OR", "NOT", "IN", "THEN", "ELSE", "AS", "WITH", "OVER")
"""Reserved words that go on with a statement; `not` may be the one of `not in`."""
VALUES = ("NAME", "NUMBER", "STRING", "LPAR", "LSQB")
NEEDS_VALUE = (
    *("EQUAL", "COMPARE", "PLUS", "MINUS", "STAR", "TIMES", "POWER", "ARROW", "RANGE", "DOT"),
    *("AND", "OR", "NOT", "IN", "IF", "THEN", "ELSE", "RETURN", "WITH", "OVER"),
)
"""What cannot end a statement: a value or name has to follow."""

MOVABLE = tuple(name for name in NEEDS_VALUE if name not in ("EQUAL", "IF", "RETURN", "DOT", "NOT"))
"""What may as well begin the next line."""

Broken = tuple[int, Message]
"""The token that a line may not begin with, and the message about it."""


def find_broken_lines(
    tokens: Tokens, beginnings: set[int], skipped: list[tuple[int, int]]
) -> Iterator[Broken]:
    """Lines inside a statement and outside brackets that look as if they began a new one.

    `beginnings` holds the offsets at which statements and items start, `skipped` stretches that
    were not read.
    """
    table = load_table()
    kinds = table.kinds
    refused = {kinds[name] for name in VALUES} | set(table.words.values())
    refused -= {kinds[name] for name in LINKS}
    opening, closing = ({kinds[name] for name in names} for names in (OPENING, CLOSING))
    item_links = {kinds["OF"], kinds["ON"]}
    open_brackets: list[int] = []
    starts = sorted(beginnings)
    for index, kind in enumerate(tokens.kinds):
        start = tokens.starts[index]
        if tokens.fresh[index] and kind in refused and start not in beginnings and index:
            inside = bool(open_brackets) and open_brackets[-1] != kinds["LBRACE"]
            links_item = kind in item_links and not open_brackets
            if not inside and not links_item and not any(a <= start < b for a, b in skipped):
                yield index, describe(tokens, index, starts)
        if kind in opening:
            open_brackets.append(kind)
        elif kind in closing and open_brackets:
            open_brackets.pop()


def describe(tokens: Tokens, index: int, starts: list[int]) -> Message:
    """The message for a line that may not begin with this token."""
    kinds = load_table().kinds
    before = bisect_right(starts, tokens.starts[index]) - 1
    first = bisect_left(tokens.starts, starts[before]) if before >= 0 else 0
    found, head = tokens.text(index), tokens.text(first)
    margin = tokens.column(tokens.first_on_line(first))
    if tokens.column(index) <= margin:
        if first == index - 1 and tokens.kinds[first] == kinds["NAME"]:
            if head in UNITS and first and tokens.kinds[first - 1] == kinds["NUMBER"]:
                return spaced_unit(tokens.span(first), found, head, head)
            return lone_word(tokens.span(first), found, head)
        if tokens.kinds[index - 1] in [kinds[name] for name in (*NEEDS_VALUE, "COMMA", "AS")]:
            return describe_missing(tokens, index, head)
    statement = Span(tokens.source, tokens.starts[first], tokens.ends[index - 1])
    last = index - 1
    can_move = tokens.kinds[last] in [kinds[name] for name in MOVABLE]
    return broken_line(
        tokens.span(index), first_line(statement), tokens.text(last) if can_move else ""
    )


def describe_missing(tokens: Tokens, index: int, head: str) -> Message:
    """The message for a statement that lacks its last value, before the token of the next line."""
    found, last = tokens.text(index), tokens.text(index - 1)
    if index > 1 and tokens.kinds[index - 2] == load_table().kinds["NUMBER"]:
        if last == "%":
            return spaced_unit(tokens.span(index - 1), found, head, last)
        if last == ".":
            return half_number(tokens.span(index - 2).to(tokens.span(index - 1)), found, head)
    if last in (".", "as"):
        return missing_name(tokens.place(index), found, head)
    return missing_value(tokens.place(index), found, head, last)


def first_line(span: Span) -> Span:
    """The part of a span on its first line."""
    text = span.text
    stop = text.find("\n")
    return (
        span if stop < 0 else Span(span.source, span.start, span.start + len(text[:stop].rstrip()))
    )


def find_detached_groups(clause: Clause) -> Iterator[Message]:
    """Each `over` that begins a line behind a `with`: it would belong to the optimizer above it,
    and looks as if it began the group of the next one."""
    for before, tail in pairwise(clause.tails):
        if (before.word, tail.word) == ("with", "over") and tail.span.starts_line:
            yield detached_group(tail.span, first_line(before.span).text, tail.span.text)
