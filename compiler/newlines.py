"""The check that reads newlines: which lines may go on with the statement above them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from compiler.diagnostics import Message
from compiler.messages.syntax import BrokenLine, LoneWord
from compiler.source import Span
from compiler.tokens import Tokens
from grammar.table import load_table

OPENERS, CLOSERS = ("LPAR", "LSQB", "LBRACE"), ("RPAR", "RSQB", "RBRACE")


def check_line_starts(
    tokens: Tokens, beginnings: set[int], report: Callable[[Message], None]
) -> None:
    """Report lines inside a statement and outside brackets that look as if they began a new one.

    `beginnings` holds the offsets at which statements and items start.
    """
    table = load_table()
    kinds = table.kinds
    operands = {
        kinds[name]
        for name in ("NAME", "NUMBER", "STRING", "LPAR", "LSQB", "TRUE", "FALSE", "NONE", "IF")
    } | set(table.words.values()) - {kinds[name] for name in CONNECTING}
    links = {kinds["OF"], kinds["ON"]}
    opening = {kinds[name] for name in OPENERS}
    closing = {kinds[name] for name in CLOSERS}
    open_brackets: list[int] = []
    starts = sorted(beginnings)
    for index, kind in enumerate(tokens.kinds):
        if tokens.fresh[index] and kind in operands and tokens.starts[index] not in beginnings:
            in_body = bool(open_brackets) and open_brackets[-1] == kinds["LBRACE"]
            links_item = kind in links and not open_brackets
            if (in_body or not open_brackets) and not links_item and index:
                report(describe(tokens, index, starts))
        if kind in opening:
            open_brackets.append(kind)
        elif kind in closing and open_brackets:
            open_brackets.pop()


CONNECTING = ("AND", "OR", "NOT", "IN", "THEN", "ELSE", "AS", "WITH", "OVER")
"""Reserved words that no statement and no value begins with; `not` may be the one of `not in`."""


def describe(tokens: Tokens, index: int, starts: list[int]) -> Message:
    """The message for a line that may not begin with this token."""
    kinds = load_table().kinds
    begin = starts[max(0, bisect_right(starts, tokens.starts[index]) - 1)] if starts else 0
    first = tokens.starts.index(begin) if begin in tokens.starts else 0
    if first == index - 1 and tokens.kinds[first] == kinds["NAME"]:
        return LoneWord(tokens.span(first), tokens.text(index), tokens.text(first))
    statement = Span(tokens.source, begin, tokens.ends[index - 1])
    return BrokenLine(tokens.span(index), first_line(statement))


def first_line(span: Span) -> Span:
    """The part of a span on its first line."""
    text = span.text
    stop = text.find("\n")
    return (
        span if stop < 0 else Span(span.source, span.start, span.start + len(text[:stop].rstrip()))
    )
