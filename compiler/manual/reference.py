"""`docs/ops.md`: the vocabulary on one page, a line for each word."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

from compiler.manual.pages import CLAUSE, Page, find_pages
from compiler.vocabulary.clauses import ClauseHome

INTRODUCTION = (
    "Generated from the classes in `compiler/` and blocks in `specs/std/`; `make accept` writes "
    "it anew. `weft ops WORD` shows the page of a word in a terminal, with its formula, options, "
    "errors, source and an example that runs; `make docs` builds a site that has them all.\n\n"
    "Tensors come first in a signature and may be left out in a pipe: `x -> conv(64, kernel=3)`. "
    "A tensor with `?` is optional. Shapes are written as types, `...` stands for any leading "
    "axes. Every layer with weights also takes `init=` and `bias_init=`: how its weight and bias "
    "start, as an [initializer](#initializers), a number or a list of numbers. Costs are "
    "multiply-adds of one application; an entry without a cost has none, because it moves memory "
    "or does less than one multiply-add per element of its result."
)


def op_reference(
    link: Callable[[Page], str] = lambda page: f"`{page.name}`",
    show: Callable[[str], str] = lambda text: text,
) -> str:
    """Every word of the vocabulary in Markdown.

    Args:
        link: writes its name, which may lead to its page.
        show: writes what is said of it, whose formulas are plain text.
    """
    parts = ["# Vocabulary", INTRODUCTION]
    words = (page for page in find_pages() if page.kind != CLAUSE)
    for group, pages in groupby(words, lambda page: page.group):
        rows = ((link(page), show(tell(page))) for page in pages)
        parts += [f"## {group}", _write_table("word", rows)]
    homes = ClauseHome.every.values()
    return "\n\n".join([*parts, "## Clauses", *map(_write_clauses, homes)]) + "\n"


def tell(page: Page) -> str:
    """What a word is, and its other names."""
    others = f" Also called {join_names(page)}." if page.names[1:] else ""
    return f"{page.summary}{others}"


def join_names(page: Page) -> str:
    """The other names of a word."""
    return ", ".join(f"`{name}`" for name in page.names[1:])


def _write_clauses(home: ClauseHome) -> str:
    words = (*home.clauses.values(), *home.later_clauses.values())
    rows = ((f"`{word.form or word.word}`", word.manual) for word in words)
    return _write_table(f"clause of {home.place}", rows)


def _write_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = (f"| {first} | {second.replace('|', '&#124;')} |" for first, second in rows)
    return "\n".join([f"| {title} | what it says |", "|---|---|", *lines])
