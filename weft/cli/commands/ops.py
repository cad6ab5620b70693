"""`weft ops`: list and search the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from compiler.compression.registry import load_compression
from compiler.data.registry import load_sources
from compiler.elaborate.scopes.library import find_blocks
from compiler.manual import TITLES, find_clauses, write_entry, write_signature
from compiler.ops.registry import OPS, load_ops
from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import unknown_item
from compiler.report.suggestions import did_you_mean
from compiler.training.registry import load_training
from weft.cli.printing import say_lines


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("ops")
    def ops_command(
        query: Annotated[
            str | None, typer.Argument(metavar="[WORD]", help="A name, or a word to search for.")
        ] = None,
    ) -> None:
        """List ops, losses, optimizers, schedules, metrics, initializers, data sources, what
        compresses, blocks of the library, and clauses.

        With the name of one, its manual; with another word, those whose description has it.

        Examples:

            weft ops

            weft ops conv

            weft ops pool
        """
        load_ops()
        load_training()
        load_sources()
        load_compression()
        entries = list(find_entries())
        if query is None:
            _print_lines(entries)
            return
        exact = [entry.page for entry in entries if query in entry.names]
        if exact:
            say_lines("\n\n".join(exact))
            return
        word = query.lower()
        found = [e for e in entries if word in e.names[0] or word in e.page.lower()]
        if not found:
            suggestion = did_you_mean(query, tuple(entry.names[0] for entry in entries))
            raise CompileError([unknown_item(None, "vocabulary entry", query, (), suggestion)])
        _print_lines(found)


@dataclass(frozen=True)
class Entry:
    """A word of the vocabulary: its heading in a list, its names, its line there, its manual."""

    heading: str
    names: tuple[str, ...]
    line: str
    page: str


def find_entries() -> Iterator[Entry]:
    """Every word of the vocabulary, registry by registry."""
    for registry in (OPS, *(registry for registry, _ in TITLES)):
        for cls in filter(lambda cls: cls.written, registry.classes()):
            names, line = (cls.name, *cls.aliases), f"{write_signature(cls)}\n      {cls.summary()}"
            yield Entry(f"{registry.kind}s", names, line, write_entry(cls))
    for block in find_blocks():
        summary = block.manual.split("\n\n")[0].replace("\n", " ")
        page = f"{block.signature}\n\nA block of `{block.file}`. {block.manual}"
        line = f"{block.signature}\n      {summary}"
        yield Entry(f"blocks of {block.file}", (block.name,), line, page)
    for place, word in find_clauses():
        form = word.form or word.word
        page = f"{form}\n\nA clause of {place}. {word.manual}"
        line = f"{form}\n      {word.manual}"
        yield Entry(f"clauses of {place}", (word.word,), line, page)


def _print_lines(entries: list[Entry]) -> None:
    heading = ""
    for entry in entries:
        if entry.heading != heading:
            say_lines(entry.heading if not heading else f"\n{entry.heading}")
            heading = entry.heading
        say_lines(f"  {entry.line}")
