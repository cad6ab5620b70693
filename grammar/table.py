"""Parse tables of the language: read from weft.json, or made from weft.lark where that is newer.

Making the tables takes a quarter of a second and needs Lark; reading them takes two milliseconds.
So they are checked in, as JSON because it is data and cannot run code, and carry the digest of the
grammar they were made from.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from grammar.sources import TABLES, digest_sources


@dataclass(frozen=True)
class Rule:
    """One production: reducing it takes `size` symbols and makes `symbol`.

    `recipe` says which children the tree keeps, in order; `action` names the node to build, and is
    empty where the only child stands for the rule (`lifts`) or the children are a plain list.
    """

    symbol: int
    action: str
    size: int
    recipe: tuple[int, ...]
    lifts: bool

    @cached_property
    def renames(self) -> bool:
        """Whether reducing by it changes nothing but the symbol."""
        return self.lifts and self.recipe == (0,) and self.size == 1


@dataclass(frozen=True)
class Table:
    """An LALR(1) automaton. Symbols are numbered, terminals first.

    A row maps a symbol to a state to go to (0 or more), or `~rule` to reduce by. `words` are the
    words of the language and their symbols, `foreign` first words of statements in other languages
    and the codes of the messages about them. `shortcuts` is filled while parsing.
    """

    symbols: tuple[str, ...]
    terminals: int
    patterns: tuple[tuple[str, str], ...]
    words: dict[str, int]
    texts: dict[int, str]
    rules: tuple[Rule, ...]
    rows: tuple[dict[int, int], ...]
    starts: dict[str, int]
    accepts: dict[str, int]
    foreign: dict[str, str]
    shortcuts: dict[tuple[int, int, int], int] = field(default_factory=dict)

    @cached_property
    def kinds(self) -> dict[str, int]:
        """Number of each symbol by its name in the grammar."""
        return {name: number for number, name in enumerate(self.symbols)}

    @cached_property
    def scanner(self) -> re.Pattern[str]:
        """One pattern for every token; the name of the group that matched is the terminal."""
        return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in self.patterns))


@cache
def load_table() -> Table:
    """The tables of the language."""
    if TABLES.exists():
        data = json.loads(TABLES.read_text(encoding="utf-8"))
        if data["digest"] == digest_sources():
            return decode(data)
    from grammar.generate import generate  # Lark is only loaded when the grammar has changed

    return decode(generate())


def decode(data: dict[str, Any]) -> Table:
    """Tables from their JSON form."""
    rules = tuple(
        Rule(s, a, n, tuple(recipe), bool(lifts)) for s, a, n, recipe, lifts in data["rules"]
    )
    rows = tuple(dict(zip(row[::2], row[1::2], strict=True)) for row in data["rows"])
    return Table(
        symbols=tuple(data["symbols"]),
        terminals=data["terminals"],
        patterns=tuple((name, pattern) for name, pattern in data["patterns"]),
        words=data["words"],
        texts={int(kind): text for kind, text in data["texts"].items()},
        rules=rules,
        rows=rows,
        starts=data["starts"],
        accepts=data["accepts"],
        foreign=data["foreign"],
    )
