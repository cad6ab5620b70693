"""`weft ops`: list and search the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from compiler.compression.registry import load_compression
from compiler.data.registry import load_sources
from compiler.manual import TITLES, write_entry, write_signature
from compiler.ops.registry import OPS, load_ops
from compiler.report.diagnostics import CompileError, did_you_mean
from compiler.report.messages.files import UnknownItem
from compiler.training.registry import load_training
from compiler.vocabulary.signature import Described
from weft.cli.reporting import say_lines


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("ops")
    def ops_command(
        query: Annotated[
            str | None, typer.Argument(metavar="[WORD]", help="A name, or a word to search for.")
        ] = None,
    ) -> None:
        """List ops, losses, optimizers, schedules, metrics, initializers, data sources and what
        compresses.

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
        entries = list(_find_entries())
        if query is None:
            _print_lines(entries)
            return
        exact = [cls for _, cls in entries if query in (cls.name, *cls.aliases)]
        if exact:
            say_lines("\n\n".join(write_entry(cls) for cls in exact))
            return
        word = query.lower()
        found = [e for e in entries if word in e[1].name or word in e[1].manual().lower()]
        if not found:
            known = tuple(cls.name for _, cls in entries)
            suggestion = did_you_mean(query, known)
            raise CompileError([UnknownItem(None, "vocabulary entry", query, (), suggestion)])
        _print_lines(found)


def _find_entries() -> Iterator[tuple[str, type[Described]]]:
    for registry in (OPS, *(registry for registry, _ in TITLES)):
        for cls in registry.classes():
            yield registry.kind, cls


def _print_lines(entries: list[tuple[str, type[Described]]]) -> None:
    kind = ""
    for heading, cls in entries:
        if heading != kind:
            say_lines(f"{heading}s" if not kind else f"\n{heading}s")
            kind = heading
        say_lines(f"  {write_signature(cls)}\n      {cls.summary()}")
