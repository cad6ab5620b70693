"""Lines of at most 88 columns, broken at brackets the way `ruff format` breaks them."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.writing.layout import split_words
from compiler.writing.python import WIDTH

STEP = 4


@dataclass(frozen=True, slots=True)
class Group:
    """Something in brackets. `comma` joins the items with commas (a comprehension has none);
    `display` is a literal list, tuple or dict, whose items never share a line of their own."""

    opening: str
    items: tuple[Doc, ...]
    closing: str
    comma: bool = True
    display: bool = False


Doc = str | Group | tuple["Doc", ...]
"""Text, brackets, or a row of both."""


def flat(doc: Doc) -> str:
    """A document on one line."""
    match doc:
        case str():
            return doc
        case Group(opening, items, closing, comma, display):
            body = (", " if comma else " ").join(map(flat, items))
            single = display and comma and opening == "(" and len(items) == 1
            return f"{opening}{body}{',' if single else ''}{closing}"
    return "".join(map(flat, doc))


def lay_out(prefix: str, doc: Doc, indent: int, suffix: str = "") -> list[str]:
    """A document after a prefix as lines: on one where it fits, else broken at its last
    bracket; an argument list stays on one line of its own where that is enough."""
    text = f"{' ' * indent}{prefix}{flat(doc)}{suffix}"
    if len(text) <= WIDTH:
        return [text]
    row = _flatten(doc)
    place = max((k for k, p in enumerate(row) if isinstance(p, Group) and p.items), default=None)
    if place is None:
        return [text]
    group = row[place]
    assert isinstance(group, Group)
    head = f"{' ' * indent}{prefix}{flat(tuple(row[:place]))}{group.opening}"
    tail = f"{' ' * indent}{group.closing}{flat(tuple(row[place + 1 :]))}{suffix}"
    return [head, *_lay_items(group, indent + STEP), tail]


def _lay_items(group: Group, indent: int) -> list[str]:
    inside = " " * indent + ", ".join(map(flat, group.items))
    if group.comma and not group.display and len(inside) <= WIDTH:
        alone = len(group.items) == 1
        if alone or not any(_has_group(item) for item in group.items):
            return [inside]
    single = len(group.items) == 1 and not group.display
    comma = "," if group.comma and not single else ""
    return [line for item in group.items for line in lay_out("", item, indent, comma)]


def _flatten(doc: Doc) -> list[Doc]:
    if isinstance(doc, tuple):
        return [piece for part in doc for piece in _flatten(part)]
    return [doc]


def _has_group(doc: Doc) -> bool:
    if isinstance(doc, tuple):
        return any(map(_has_group, doc))
    return isinstance(doc, Group) and bool(doc.items)


def write_test(text: str, indent: int) -> list[str]:
    """`if test:`, in brackets and broken at its `or` or `and` where it is long."""
    line = f"{' ' * indent}if {text}:"
    if len(line) <= WIDTH:
        return [line]
    splits = (split_words(text, (word,)) for word in (" or ", " and "))
    parts = next((found for found in splits if found[1:]), None)
    if parts is None:
        return [line]
    inner = " " * (indent + STEP)
    return [f"{' ' * indent}if (", *(inner + part for part in parts), f"{' ' * indent}):"]
