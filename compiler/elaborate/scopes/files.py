"""The items of a file by name, what `use` brings, and the values of its `let`s and nets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import specs
from compiler.elaborate.scopes.later import LATER_CLAUSES
from compiler.elaborate.scopes.sound import Hidden, keep_sound
from compiler.elaborate.scopes.words import find_homes
from compiler.elaborate.values.values import (
    POISON,
    BlockLayer,
    ItemValue,
    ListValue,
    Namespace,
    Poison,
    Record,
    Tensor,
    Val,
)
from compiler.records import dataclass
from compiler.report.diagnostics import did_you_mean
from compiler.report.messages.names import (
    CircularValue,
    DefinedTwice,
    MalformedClause,
    NotAvailable,
    UnknownClause,
)
from compiler.report.messages.uses import AmbiguousName, UseCycle, UseNotFound
from compiler.report.source import Source, Span
from compiler.system.files import list_names, read_source_text
from compiler.text.errors.recover import FILE_WORDS
from compiler.text.parse import parse
from compiler.text.tree.syntax import (
    Block,
    Clause,
    Declare,
    Expr,
    File,
    Item,
    Let,
    Model,
    Name,
    String,
    TopLevel,
    Use,
)

if TYPE_CHECKING:
    from compiler.elaborate.calls.signatures import BlockSignature
    from compiler.elaborate.scopes.context import Body, Session
    from compiler.elaborate.scopes.graphs import GraphState

STD = "std"
"""The first word of `use std.vision`: the library that comes with Weft."""


@dataclass(frozen=True, eq=False)
class FileNet:
    """One name of a `net` clause at file level."""

    name: Name
    value: Expr


Entry = Item | Let | FileNet


@dataclass(eq=False)
class FileScope:
    """A parsed file: its items by name (values are made when they are first asked for)."""

    session: Session
    file: File
    hidden: Hidden
    entries: dict[str, Entry] = field(default_factory=dict)
    uses: list[tuple[Use, FileScope | None]] = field(default_factory=list)
    values: dict[str, Val] = field(default_factory=dict)
    computing: list[str] = field(default_factory=list)
    signatures: dict[str, tuple[Item, BlockSignature]] = field(default_factory=dict)

    def names(self) -> Iterator[str]:
        """Every name that can be used here, for suggestions."""
        yield from self.entries
        for use, brought in self.uses:
            if use.alias is not None:
                yield use.alias.text
            elif brought is not None:
                yield from brought.entries

    def has(self, name: str) -> bool:
        """Whether the file, or one that it uses, has an item of that name."""
        used = (use.alias.text if use.alias is not None else None for use, _ in self.uses)
        brought = (b.entries for use, b in self.uses if use.alias is None and b is not None)
        return name in self.entries or name in used or any(name in other for other in brought)

    def find(self, name: str, span: Span) -> tuple[FileScope, Entry] | Namespace | None:
        """What a name means in this file: an item of its own or of a file that it uses."""
        own = self.entries.get(name)
        if own is not None:
            return self, own
        found: list[tuple[FileScope, Entry, Span]] = []
        for use, brought in self.uses:
            if use.alias is not None:
                if use.alias.text == name and brought is not None:
                    return Namespace(brought, name)
            elif brought is not None and name in brought.entries:
                found.append((brought, brought.entries[name], use.span))
        if len(found) > 1 and found[0][1] is not found[1][1]:
            self.session.report(AmbiguousName(span, name, found[0][2], found[1][2]))
        return found[0][:2] if found else None

    def value(self, name: str, span: Span, home: GraphState | None) -> Val | None:
        """The value of a name in this file; None where it has none. `home` is the graph under
        construction, in which a `let` of tensors is computed."""
        found = self.find(name, span)
        match found:
            case None | Namespace():
                return found
            case owner, entry:
                return owner.entry_value(entry, span, home)

    def entry_value(self, entry: Entry, span: Span, home: GraphState | None) -> Val:
        """The value of an item of this file."""
        match entry:
            case Block() | Model():
                return BlockLayer(entry, self, {}, entry.name.span)
            case Let(binding=binding):
                return self._compute(binding.name.text, entry, span, home)
            case FileNet(name=name):
                return self._compute(name.text, entry, span, home)
        return ItemValue(type(entry).__name__.lower(), entry.name.text, entry.name.span)

    def _compute(self, name: str, entry: Let | FileNet, span: Span, home: GraphState | None) -> Val:
        known = self.values.get(name)
        if known is None and home is not None:
            known = home.root.lets.get((self, name))
        if known is not None:
            return known
        if name in self.computing:
            self.session.report(CircularValue(span, name))
            return POISON
        self.computing.append(name)
        try:
            value = self.session.engine.evaluate_entry(self, entry, home)
        finally:
            self.computing.pop()
        if home is not None and holds_tensor(value):
            home.root.lets[self, name] = value
        elif home is not None or not isinstance(value, Poison):
            self.values[name] = value
        return value


def holds_tensor(value: Val) -> bool:
    """Whether a tensor is in it."""
    match value:
        case Tensor():
            return True
        case ListValue(items):
            return any(map(holds_tensor, items))
        case Record():
            return any(map(holds_tensor, value.values))
    return False


# --- opening ----------------------------------------------------------------------------------


def open_scope(session: Session, file: File) -> FileScope:
    """The scope of a parsed file; the files that it uses are read."""
    scope = FileScope(session, *keep_sound(file))
    session.files[file.source.path] = scope
    session.opening.append(file.source.path)
    for item in scope.file.items:
        _declare(scope, item)
    session.opening.pop()
    return scope


def _declare(scope: FileScope, item: TopLevel) -> None:
    match item:
        case Use():
            scope.uses.append((item, _open_use(scope, item)))
        case Let(binding=binding):
            _add(scope, binding.name, item)
        case Item(name=name):
            _add(scope, name, item)
        case Clause():
            _declare_clause(scope, item)


def _declare_clause(scope: FileScope, clause: Clause) -> None:
    """`net name = …` at file level; no other clause stands there."""
    word, report = clause.word, scope.session.report
    if word.text in LATER_CLAUSES:
        report(NotAvailable(word.span, word.text, LATER_CLAUSES[word.text]))
        return
    if word.text != "net":
        report(name_stray(word.span, word.text))
        scope.hidden = scope.hidden.add(operand.span for operand in clause.operands)
        return
    for operand in clause.operands:
        if operand.name is None or isinstance(operand.value, Declare):
            expected = "a net has a name and a layer"
            report(MalformedClause(operand.span, "net", expected, "net name = Model()"))
        else:
            _add(scope, operand.name, FileNet(operand.name, operand.value))


def name_stray(span: Span, word: str) -> UnknownClause:
    """The message about a word that begins no statement at file level."""
    homes = find_homes(word)
    near = did_you_mean(word, FILE_WORDS) if not homes else None
    return UnknownClause(span, word, "a file", FILE_WORDS, near, elsewhere=homes)


def _add(scope: FileScope, name: Name, entry: Entry) -> None:
    first = scope.entries.get(name.text)
    if first is None:
        scope.entries[name.text] = entry
        return
    place = first.binding.name if isinstance(first, Let) else first.name
    scope.session.report(DefinedTwice(name.span, name.text, "name", place.span))


def _open_use(scope: FileScope, use: Use) -> FileScope | None:
    source = _find_source(scope, use)
    if source is None:
        return None
    session = scope.session
    if source.path in session.opening:
        start = session.opening.index(source.path)
        names = tuple(Path(p).name for p in (*session.opening[start:], source.path))
        session.report(UseCycle(use.span, names))
        return None
    known = session.files.get(source.path)
    return known or open_scope(session, parse(source, session.sink))


def _find_source(scope: FileScope, use: Use) -> Source | None:
    if use.file is not None:
        return _read_file(scope, use, use.file)
    words = [part.text for part in use.path]
    library = Path(specs.__path__[0]) / STD
    if words[0] == STD and len(words) > 1:
        entry = library.joinpath(*words[1:-1], f"{words[-1]}.weft")
        if entry.is_file():
            return Source("/".join([STD, *words[1:]]) + ".weft", entry.read_text(encoding="utf-8"))
    known = [f"{STD}.{e.name[:-5]}" for e in library.iterdir() if e.name.endswith(".weft")]
    name = ".".join(words)
    span = use.path[0].span.to(use.path[-1].span)
    reason = f"the library has {', '.join(sorted(known))}"
    scope.session.report(UseNotFound(span, name, did_you_mean(name, known), reason))
    return None


def _read_file(scope: FileScope, use: Use, written: String) -> Source | None:
    name = "".join(part for part in written.parts if isinstance(part, str))
    path = scope.file.source.folder / name
    suggestion = None
    try:
        return Source(str(path), read_source_text(path))
    except FileNotFoundError:
        reason = "no such file"
        suggestion = did_you_mean(path.name, list_names(path.parent, "*.weft"))
    except UnicodeDecodeError as error:
        reason = f"it is no text in UTF-8 (byte {error.start})"
    except OSError as error:
        reason = error.strerror or str(error)
    scope.session.report(UseNotFound(written.span, f'"{name}"', suggestion, reason))
    return None


K = TypeVar("K", bound=Item)


def items_by_kind(scope: FileScope, kind: type[K]) -> Mapping[str, K]:
    """The items of one kind in a file, in order."""
    return {n: e for n, e in scope.entries.items() if isinstance(e, kind)}


__all__ = ["Body", "Entry", "FileNet", "FileScope", "holds_tensor", "items_by_kind", "open_scope"]
