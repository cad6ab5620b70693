"""Opens files: their items by name, and what `use` brings, from the library or beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from compiler.elaborate.scopes.context import Entry, FileNet, FileScope, Session
from compiler.elaborate.scopes.library import list_library, open_library, parse_library
from compiler.elaborate.scopes.sound import keep_sound
from compiler.report.diagnostics import Message
from compiler.report.messages.names import (
    defined_twice,
    malformed_clause,
    not_available,
    unknown_clause,
)
from compiler.report.messages.uses import use_cycle, use_not_found
from compiler.report.source import Source, Span
from compiler.report.suggestions import did_you_mean
from compiler.system.files import list_names
from compiler.text.errors.recover import FILE_WORDS
from compiler.text.parse import parse
from compiler.text.tree.syntax import (
    Clause,
    Declare,
    File,
    Item,
    Let,
    Name,
    String,
    TopLevel,
    Use,
)
from compiler.vocabulary.clauses import find_homes, find_later


def open_scope(session: Session, file: File) -> FileScope:
    """The scope of a parsed file; the files that it uses are read."""
    session.opening.append(file.source.path)
    opening = _Opening(session, file)
    session.opening.pop()
    scope = opening.scope()
    session.files[file.source.path] = scope
    return scope


class _Opening:
    """Reads the names of one file."""

    def __init__(self, session: Session, file: File) -> None:
        self.session = session
        self.file, self.hidden = keep_sound(file)
        self.entries: dict[str, Entry] = {}
        self.uses: list[tuple[Use, FileScope | None]] = []
        for item in self.file.items:
            self._declare(item)

    def scope(self) -> FileScope:
        """The names."""
        return FileScope(self.session, self.file, self.hidden, self.entries, tuple(self.uses))

    def _declare(self, item: TopLevel) -> None:
        match item:
            case Use():
                self.uses.append((item, self._open_use(item)))
            case Let(binding=binding):
                self._add(binding.name, item)
            case Item(name=name):
                self._add(name, item)
            case Clause():
                self._declare_clause(item)

    def _declare_clause(self, clause: Clause) -> None:
        """`net name = …` at file level; no other clause stands there."""
        word, report = clause.word, self.session.report
        later = find_later(word.text)
        if later is not None:
            report(not_available(word.span, word.text, later))
            return
        if word.text != "net":
            report(describe_unknown_clause(word.span, word.text))
            self.hidden = self.hidden.add(operand.span for operand in clause.operands)
            return
        for operand in clause.operands:
            if operand.name is None or isinstance(operand.value, Declare):
                expected = "a net has a name and a layer"
                report(malformed_clause(operand.span, "net", expected, "net name = Model()"))
            else:
                self._add(operand.name, FileNet(operand.name, operand.value))

    def _add(self, name: Name, entry: Entry) -> None:
        first = self.entries.get(name.text)
        if first is None:
            self.entries[name.text] = entry
            return
        place = first.binding.name if isinstance(first, Let) else first.name
        self.session.report(defined_twice(name.span, name.text, "name", place.span))

    def _open_use(self, use: Use) -> FileScope | None:
        source = self._find_source(use)
        if source is None:
            return None
        session = self.session
        if source.path in session.opening:
            start = session.opening.index(source.path)
            names = tuple(Path(p).name for p in (*session.opening[start:], source.path))
            session.report(use_cycle(use.span, names))
            return None
        known = session.files.get(source.path)
        if known is not None:
            return known
        read = parse if use.file is not None else parse_library
        return open_scope(session, read(source, session.sink))

    def _find_source(self, use: Use) -> Source | None:
        if use.file is not None:
            return self._read_file(use, use.file)
        name = ".".join(part.text for part in use.path)
        source = open_library(name)
        if source is not None:
            return source
        known = list_library()
        span = use.path[0].span.to(use.path[-1].span)
        reason = f"the library has {', '.join(known)}"
        self.session.report(use_not_found(span, name, did_you_mean(name, known), reason))
        return None

    def _read_file(self, use: Use, written: String) -> Source | None:
        name = "".join(part for part in written.parts if isinstance(part, str))
        path = self.file.source.folder / name
        suggestion = None
        try:
            return Source(str(path), self.session.read(path))
        except FileNotFoundError:
            reason = "no such file"
            suggestion = did_you_mean(path.name, list_names(path.parent, "*.weft"))
        except UnicodeDecodeError as error:
            reason = f"it is not text in UTF-8 (byte {error.start})"
        except OSError as error:
            reason = error.strerror or str(error)
        self.session.report(use_not_found(written.span, f'"{name}"', suggestion, reason))
        return None


def describe_unknown_clause(span: Span, word: str) -> Message:
    """The message about a word that begins no statement at file level."""
    homes = tuple(home.place for home in find_homes(word))
    near = did_you_mean(word, FILE_WORDS) if not homes else None
    return unknown_clause(span, word, "a file", FILE_WORDS, near, elsewhere=homes)


K = TypeVar("K", bound=Item)


def items_by_kind(scope: FileScope, kind: type[K]) -> Mapping[str, K]:
    """The items of one kind in a file, in order."""
    return {n: e for n, e in scope.entries.items() if isinstance(e, kind)}
