"""Words of columns whose rows are codes: what a code means is its place among them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from compiler.data.base import Column

LONGEST = 60
"""Words of a column that are still listed one by one."""


def describe_codes(columns: Iterable[Column]) -> dict[str, list[str]]:
    """The words of every column that holds codes, in the order of the codes. Of long lists their
    number and a checksum."""
    found = {}
    for column in columns:
        words = list(column.categories)
        if len(words) > LONGEST:
            text = hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).hexdigest()
            words = [f"{len(words)} words", text[:12]]
        if words:
            found[column.name] = words
    return found
