"""What the names of a file mean: entries found, and computed when they are first asked for."""

from __future__ import annotations

from compiler.elaborate.scopes.context import Entry, FileNet, FileScope
from compiler.elaborate.values.parts import holds_tensor
from compiler.elaborate.values.values import (
    POISON,
    BlockLayer,
    GraphState,
    ItemValue,
    Namespace,
    Poison,
    Val,
)
from compiler.report.messages.names import circular_value
from compiler.report.messages.uses import ambiguous_name
from compiler.report.source import Span
from compiler.text.tree.syntax import Block, Let, Model


def find_entry(
    scope: FileScope, name: str, span: Span
) -> tuple[FileScope, Entry] | Namespace | None:
    """What a name means in a file: an item of its own or of a file that it uses."""
    own = scope.entries.get(name)
    if own is not None:
        return scope, own
    found: list[tuple[FileScope, Entry, Span]] = []
    for use, brought in scope.uses:
        if use.alias is not None:
            if use.alias.text == name and brought is not None:
                return Namespace(brought, name)
        elif brought is not None and name in brought.entries:
            found.append((brought, brought.entries[name], use.span))
    if len(found) > 1 and found[0][1] is not found[1][1]:
        scope.session.report(ambiguous_name(span, name, found[0][2], found[1][2]))
    return found[0][:2] if found else None


def resolve_name(scope: FileScope, name: str, span: Span, home: GraphState | None) -> Val | None:
    """The value of a name in a file; None where it has none. `home` is the graph under
    construction, in which a `let` of tensors is computed."""
    match find_entry(scope, name, span):
        case None:
            return None
        case Namespace() as space:
            return space
        case owner, entry:
            return resolve_entry(owner, entry, span, home)


def resolve_entry(scope: FileScope, entry: Entry, span: Span, home: GraphState | None) -> Val:
    """The value of an item of a file."""
    match entry:
        case Block() | Model():
            return BlockLayer(entry, scope, {}, entry.name.span)
        case Let(binding=binding):
            return _compute(scope, binding.name.text, entry, span, home)
        case FileNet(name=name):
            return _compute(scope, name.text, entry, span, home)
    return ItemValue(type(entry).__name__.lower(), entry.name.text, entry.name.span)


def _compute(
    scope: FileScope, name: str, entry: Let | FileNet, span: Span, home: GraphState | None
) -> Val:
    session, key = scope.session, (scope, name)
    known = session.values.get(key)
    if known is None and home is not None:
        known = home.root.lets.get(key)
    if known is not None:
        return known
    if key in session.computing:
        session.report(circular_value(span, name))
        return POISON
    session.computing.append(key)
    try:
        value = session.engine.evaluate_entry(scope, entry, home)
    finally:
        session.computing.pop()
    if home is not None and holds_tensor(value):
        home.root.lets[key] = value
    elif home is not None or not isinstance(value, Poison):
        session.values[key] = value
    return value
