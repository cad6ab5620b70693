"""A file with mistakes: the items that can be checked all the same, and what to keep quiet."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, replace

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.source import Span
from compiler.text.tree.syntax import Clause, File, Item, Let, TopLevel, Use


@dataclass(frozen=True)
class Hidden:
    """Names that a file may define where it could not be read."""

    names: frozenset[str] = field(default_factory=frozenset)
    all_names: bool = False
    """Whether it may be any name: a `use` could not be read."""

    def add(self, spans: Iterable[Span]) -> Hidden:
        """With the words of more text that could not be understood."""
        return replace(self, names=self.names | set(_words(span.text for span in spans)))

    def explains(self, message: Message) -> bool:
        """Whether a message says that a name is not there which may be among these."""
        absent = message.text.absent
        return absent is not None and (self.all_names or absent in self.names)


def keep_sound(file: File) -> tuple[File, Hidden]:
    """The file without the items that hold a mistake, and the names that are missing with them:
    those of the items, and all words of what was skipped between items."""
    if not file.faulty:
        return file, Hidden()
    faulty = sorted(file.faulty, key=lambda span: span.start)
    broken = [entry for entry in file.items if _touches(entry.span, faulty)]
    places = sorted((entry.span for entry in broken), key=lambda span: span.start)
    outside = [span.text for span in faulty if not _touches(span, places)]
    words = _words(outside)
    any_use = any(isinstance(entry, Use) for entry in broken) or "use" in words
    gone = {id(entry) for entry in broken}
    sound = tuple(entry for entry in file.items if id(entry) not in gone)
    return replace(file, items=sound), Hidden(frozenset((*_defined(broken), *words)), any_use)


def _words(texts: Iterable[str]) -> list[str]:
    return re.findall(r"\w+", " ".join(texts))


def _defined(entries: Iterable[TopLevel]) -> Iterator[str]:
    for entry in entries:
        match entry:
            case Item(name=name):
                yield name.text
            case Let(binding=binding):
                yield binding.name.text
            case Clause(operands=operands):
                yield from (o.name.text for o in operands if o.name is not None)


def _touches(place: Span, spans: Sequence[Span]) -> bool:
    """Whether a stretch shares a character or a border with one of `spans`, sorted by start."""
    before = bisect_left(spans, place.end + 1, key=lambda span: span.start)
    return any(span.end >= place.start for span in spans[:before])
