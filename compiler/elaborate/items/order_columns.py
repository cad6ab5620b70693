"""Raw columns that rows are ordered or grouped by: `by=day`, `group=station`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler.data.base import Column
from compiler.elaborate.scopes.context import Body
from compiler.report.messages.series import not_an_order
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Expr, Name


def read_order_column(
    body: Body, option: str, expression: Expr, schema: Sequence[Column]
) -> str | None:
    """The raw column of whole numbers or dates, or of words too unless rows are ordered by it; None
    where
    it is none, which is reported."""
    word = expression.text if isinstance(expression, Name) else expression.span.text
    column = next((c for c in schema if c.name == word), None)
    if column is not None and column.trouble is not None:
        body.report(replace(column.trouble, span=expression.span))
        return None
    known = tuple(c.name for c in schema if _orders(c, option))
    if word in known:
        return word
    found = "" if column is None else f"{column.kind}, {column.type}"
    near = did_you_mean(word, known)
    body.report(not_an_order(expression.span, option, word, found, known, near))
    return None


def _orders(column: Column, option: str) -> bool:
    whole_numbers = column.type.dtype.is_integer and not column.type.rank
    return whole_numbers and (option != "by" or not column.words)
