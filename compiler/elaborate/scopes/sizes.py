"""How large values are that are made when compiling: what is made counts as work, by its size."""

from __future__ import annotations

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.values import POISON, Known, Several, Val
from compiler.report.messages.syntax import nested_too_deep
from compiler.report.source import Span
from compiler.types.dims import Dim

MAX_NESTING = 100
"""Lists, or layers, inside one another."""

CHARACTERS = 32
"""Characters, or bits, that cost as much as one item of a list."""


def size_of(value: Val) -> int:
    """How much a value is, in items of lists. One that stands in a list twice counts twice: it is
    gone through twice."""
    match value:
        case Several():
            return value.size
        case Known(str() as text):
            return len(text) // CHARACTERS
        case Known(bool() | None):
            return 0
        case Known(int() as number):
            return number.bit_length() // CHARACTERS
        case Known(Dim() as dim):
            return dim.weight
    return 0


def keep(body: Body, value: Val, span: Span) -> Val:
    """A value that was made, with its size counted as work; poison where values stand inside
    one another too deeply, which is reported."""
    body.session.spend(size_of(value), span)
    if isinstance(value, Several) and value.depth > MAX_NESTING:
        body.report(nested_too_deep(span, MAX_NESTING))
        return POISON
    return value
