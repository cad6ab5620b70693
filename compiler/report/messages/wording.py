"""How messages put lists and counts into words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compiler.report.source import Span

SHOWN = 8
"""Words of a list that are shown; a longer one ends with how many more there are."""


COLUMNS = "weft check --data FILE"
"""What lists the columns of the data of a spec."""


def list_words(words: Sequence[str], command: str = "") -> str:
    """`a`, `b` and `c`, as they are written in a spec; `command` lists all of them."""
    shown = [f"`{word}`" for word in words[:SHOWN]]
    if len(words) > SHOWN:
        listed = f"; `{command}` lists all" if command else ""
        return f"{', '.join(shown)} and {len(words) - SHOWN} more{listed}"
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def advise_share(span: Span | None) -> str | None:
    """How to write a share that was written as a number of percent; `130%` was one already, and
    of a name it is not known."""
    number = re.search(r"(?:^|=\s*)(\d+(?:\.\d+)?)$", span.text) if span is not None else None
    return f"write `{number[1]}%`" if number and 1 < float(number[1]) <= 100 else None


def count(number: int, word: str) -> str:
    """`1 row`, `3 rows`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


_SECONDS = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}


def describe_time(seconds: int) -> str:
    """`3 hours`, `1 day and 2 hours`: a whole number of seconds in the largest units."""
    found, rest = [], abs(seconds)
    for unit, size in _SECONDS.items():
        number, rest = divmod(rest, size)
        if number:
            found.append(count(number, unit))
    text = " and ".join((", ".join(found[:-1]), found[-1])) if found[1:] else "".join(found)
    return f"{'-' * (seconds < 0)}{text}" if text else count(0, "second")


TABLE_WIDTH = 68
"""How wide a table of names is, behind the mark of a note."""


def lay_in_columns(words: Sequence[str]) -> list[str]:
    """Lines with words one below the other in columns, as many of these as fit."""
    width = max(map(len, words)) + 2
    count = max(1, (TABLE_WIDTH + 2) // width)
    rows = -(-len(words) // count)
    lines = (words[row::rows] for row in range(rows))
    return ["".join(f"{word:{width}}" for word in line).rstrip() for line in lines]
