"""Words of columns whose rows are codes: what a code means is its place among them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from compiler.data.base import Column
from compiler.records import dataclass

LONGEST = 60
"""Words of a column that are still listed one by one."""


CHECKSUM = 12
"""Characters of the checksum of longer lists."""
WORDS = "words.json"
"""The file beside a generated training with all words of its columns, where these are many."""


@dataclass(frozen=True)
class TrainedWords:
    """The words that a training has seen, by column, in the order of their codes."""

    train: str
    columns: Mapping[str, tuple[str, ...]]


def describe_codes(columns: Iterable[Column]) -> dict[str, list[str]]:
    """The words of every column that holds codes, in the order of the codes. Of long lists their
    number and a checksum."""
    found = {}
    for column in columns:
        if column.categories:
            found[column.name] = shorten_words(column.categories)
    return found


def find_long_lists(columns: Iterable[Column]) -> dict[str, list[str]]:
    """The words of every column with more than are listed elsewhere."""
    return {c.name: list(c.categories) for c in columns if len(c.categories) > LONGEST}


def shorten_words(words: Iterable[str]) -> list[str]:
    """The words, or of many their number and a checksum."""
    listed = list(words)
    if len(listed) <= LONGEST:
        return listed
    text = hashlib.sha256("\n".join(listed).encode("utf-8", "surrogatepass")).hexdigest()
    return [f"{len(listed)} words", text[:CHECKSUM]]


def is_shortened(words: Sequence[str]) -> bool:
    """Whether these are the number of many words and their checksum, or may be."""
    number, _, rest = words[0].partition(" ") if len(words) == 2 else ("", "", "")
    return number.isdecimal() and rest == "words" and len(words[1]) == CHECKSUM
