"""`weft ops`: list and search the vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import indent
from typing import Annotated

import typer

from compiler.manual.pages import Page, find_pages, write_page
from compiler.manual.search import search_pages
from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import unknown_item
from compiler.report.suggestions import did_you_mean
from weft.cli.printing import say_lines


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("ops")
    def ops_command(
        words: Annotated[
            list[str] | None,
            typer.Argument(metavar="[WORD]...", help="A name, or words to search for."),
        ] = None,
    ) -> None:
        """List ops, losses, optimizers, schedules, metrics, initializers, data sources, what
        compresses, blocks of the library, and clauses.

        With the name of one, its manual; with other words, those whose names or first sentence
        have them all.

        Examples:

            weft ops

            weft ops conv

            weft ops label smoothing
        """
        pages = list(find_pages())
        if not words:
            _print_lines(pages)
            return
        query = " ".join(words)
        exact = [page for page in pages if query in page.names]
        if exact:
            say_lines("\n\n\n".join(map(_write_whole, exact)))
            return
        found = search_pages(pages, query)
        if not found:
            suggestion = did_you_mean(query, tuple(page.name for page in pages))
            raise CompileError([unknown_item(None, "vocabulary entry", query, (), suggestion)])
        _print_lines(found)


def _write_whole(page: Page) -> str:
    """A page, and what its example becomes."""
    from weft.examples import spell

    texts = [write_page(page)]
    spelled = spell(page) if page.example else None
    if spelled is not None and spelled.pytorch:
        texts.append(f"In PyTorch:\n\n{indent(spelled.pytorch, '    ')}")
    if spelled is not None and spelled.operators:
        texts.append(f"In ONNX: {spelled.operators}")
    return "\n\n".join(texts)


def _print_lines(pages: Iterable[Page]) -> None:
    group = ""
    for page in pages:
        if page.group != group:
            say_lines(page.group if not group else f"\n{page.group}")
            group = page.group
        say_lines(f"  {page.signature}\n      {page.summary}")
