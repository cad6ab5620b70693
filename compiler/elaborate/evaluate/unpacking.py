"""`a, b = value`: names paired with the items of a list or record."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import plain_items
from compiler.elaborate.values.values import POISON, Poison, Tensor, Val
from compiler.report.messages.values import not_a_list, unpack_mismatch
from compiler.report.source import Span
from compiler.text.tree.syntax import Name


def unpack(body: Body, names: Sequence[Name], value: Val, span: Span) -> None:
    """Binds names to the items of a value, in order; what does not pair up is reported."""
    items = None if isinstance(value, Poison) else _items(body, value, span)
    if items is not None and len(items) != len(names):
        whole = names[0].span.to(names[-1].span)
        body.report(unpack_mismatch(whole, len(names), len(items), span))
        items = None
    for index, name in enumerate(names):
        if name.text != "_":
            item = items[index] if items is not None else POISON
            body.bind(name.text, item)
            note_name(body, name.text, item)


def note_name(body: Body, name: str, value: Val) -> None:
    """Keeps what the author calls a tensor that a block has named already."""
    if isinstance(value, Tensor) and body.frame is not None:
        value.home.builder.note_name(body.frame, value.value, name)


def _items(body: Body, value: Val, span: Span) -> Sequence[Val] | None:
    items = plain_items(value)
    if items is None:
        hint = None
        if isinstance(value, Tensor):
            hint = "to take a tensor apart, use `unbind(x, axis=0)` or `split`"
        body.report(not_a_list(span, describe(value), hint))
    return items


def bind_items(body: Body, names: Sequence[Name], item: Val, span: Span) -> None:
    """Binds the names of a `for` to one item."""
    if len(names) > 1:
        unpack(body, names, item, span)
    elif names[0].text != "_":
        body.bind(names[0].text, item)
