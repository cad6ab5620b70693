"""Lists of tensors as a body makes and reads them, for code that keeps them as lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler.elaborate.scopes.application import ExpectedUse
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.values import ArgumentValue, ListValue, Tensor, Val
from compiler.ir.frame import Listed, Listing, Pick, Reading, Site
from compiler.ir.hint import Hint, find_readable, hint_names
from compiler.report.source import Span


def note_list(body: Body, value: ListValue, span: Span, want: ExpectedUse) -> ListValue:
    """A list that is written out, with where it was made, if it holds tensors or nothing."""
    parts = _items_of(body, value.items)
    if parts is None or body.frame is None or body.loop is not None:
        return value
    return _note(body, value, parts, span, want)


def note_joined(
    body: Body, value: ListValue, left: Val, right: Val, span: Span, want: ExpectedUse
) -> ListValue:
    """`left + right`, with the lists that it goes on from."""
    if not isinstance(left, ListValue) or not isinstance(right, ListValue):
        return value
    known = [side.source for side in (left, right) if side.source is not None]
    if len(known) < 2 or body.frame is None or body.loop is not None:
        return value
    here = (body.frame, body.turns)
    parts = [p for s in known for p in (s.parts if s.is_here(*here) else (s,))]
    marked = len(left.items) if known[0].grows else 0
    return _note(body, value, tuple(parts), span, want, marked)


def pick(
    body: Body,
    source: Listing,
    item: Tensor,
    place: int,
    hint: Hint | None,
    want: ExpectedUse,
    span: Span,
) -> Tensor:
    """The item of a list, with how its place was written."""
    written = find_readable(hint)
    if body.frame is None or body.loop is not None or written is None:
        return item
    site = _site(body, span, want, (("index", written),))
    return replace(
        item, picked=Pick(Reading.ITEM, source, item.value.name, body.frame, site, place)
    )


def note_sum(body: Body, source: Listing, total: Tensor, names: tuple[str, ...]) -> Tensor:
    """The sum of a list."""
    if body.frame is None or body.loop is not None:
        return total
    site = _site(body, total.made, ExpectedUse(names))
    return replace(total, picked=Pick(Reading.SUM, source, total.value.name, body.frame, site))


def lose(items: Sequence[Val], source: Listing) -> tuple[Val, ...]:
    """Items of a list that are read in a way that nobody writes down."""
    return tuple(
        replace(item, picked=Pick(Reading.LOST, source, item.value.name, source.scope, Site()))
        if isinstance(item, Tensor)
        else item
        for item in items
    )


def list_picks(
    body: Body, operands: Sequence[ArgumentValue | None]
) -> tuple[tuple[str, Pick | None], ...]:
    """The operands of a node by name, with how those were read that come from lists; empty where
    none does."""
    given = (g.value for g in operands if g is not None)
    return note_picks(body, [value for value in given if isinstance(value, Tensor)])


def note_picks(body: Body, tensors: Sequence[Tensor]) -> tuple[tuple[str, Pick | None], ...]:
    """The same of tensors."""
    picks = tuple((tensor.value.name, find_pick(body, tensor)) for tensor in tensors)
    return picks if any(one for _, one in picks) else ()


def find_pick(body: Body, tensor: Tensor) -> Pick | None:
    """How a tensor was read off a list, where that says more than the value: not of one that was
    written out at the same place, by a number."""
    picked = tensor.picked
    if picked is None:
        return None
    named = picked.index is not None and any(True for _ in hint_names(picked.index))
    return picked if named or not picked.source.is_here(body.frame, body.turns) else None


def find_list(body: Body, value: Val) -> Listing | None:
    """The list that a value is, where that says more than its items."""
    source = value.source if isinstance(value, ListValue) else None
    return source if source is not None and not source.is_here(body.frame, body.turns) else None


def _note(
    body: Body,
    value: ListValue,
    parts: tuple[Listed | Listing, ...],
    span: Span,
    want: ExpectedUse,
    known: int = 0,
) -> ListValue:
    """The list with its source. Items of one that grows are lost where nobody writes how they are
    read; the first `known` are marked so already."""
    assert body.frame is not None
    source = Listing(parts, body.frame, _site(body, span, want))
    if not source.grows:  # its items stay what they are
        return replace(value, source=source)
    items = (*value.items[:known], *lose(value.items[known:], source))
    return replace(value, items=items, source=source)


def _items_of(body: Body, items: Sequence[Val]) -> tuple[Listed, ...] | None:
    tensors = [item for item in items if isinstance(item, Tensor)]
    if len(tensors) < len(items):
        return None
    return tuple(Listed(tensor.value.name, find_pick(body, tensor)) for tensor in tensors)


def _site(
    body: Body, span: Span | None, want: ExpectedUse, hints: tuple[tuple[str, Hint], ...] = ()
) -> Site:
    name = want.names[0] if len(want.names) == 1 else ""
    return Site(span, name, hints, body.guard, turns=body.turns)
