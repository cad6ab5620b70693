"""Pages of the manual found by words: `weft ops label smoothing`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compiler.manual.pages import Page
from compiler.report.habits import find_meant


def search_pages(pages: Sequence[Page], query: str) -> list[Page]:
    """Those that are meant by a usual name, and those in whose names, heading or first sentence
    every word of a query begins a word; where there are none, those that say them anywhere."""
    wanted = _split(query)
    meant = find_meant(query)
    found = [p for p in pages if meant & {*p.names} or _begins(wanted, _read_head(p))]
    return found or [page for page in pages if _begins(wanted, page.words)]


def _read_head(page: Page) -> str:
    sentence = re.split(r"(?<=\.) (?=[A-Z`])", page.summary, maxsplit=1)[0]
    return "\n".join((*page.names, page.group, sentence))


def _begins(wanted: Sequence[str], text: str) -> bool:
    words = _split(text)
    return all(any(word.startswith(start) for word in words) for start in wanted)


def _split(text: str) -> list[str]:
    """Its words: `label_smoothing` and "label-smoothing" are two."""
    return re.findall(r"[^\W_]+", text.lower())
