"""What the columns of a source hold: kind, range, missing cells, examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from compiler.data.base import Column, OpenedSource
from compiler.data.dates import GAP
from compiler.data.holding import Rows, cut_pieces, is_held
from compiler.records import dataclass
from compiler.report.messages.cells import free_text, missing_cells

SHOWN = 3
"""Examples of a column."""
LOOKED_AT = 2000
"""Rows among which these are."""


@dataclass(frozen=True)
class ColumnSummary:
    """One column in words. `trouble` is why nothing may be computed from it, if so; its kind is
    "unclear" where its cells can be read in several ways."""

    name: str
    kind: str
    type: str
    range: str
    missing: int
    examples: tuple[str, ...]
    trouble: str = ""


def summarize_source(opened: OpenedSource) -> Iterator[ColumnSummary]:
    """A line for each column; the rows are loaded.

    Raises:
        Fault: they cannot be.
    """
    source = opened.source
    lazy = len(source.ways()) > 1
    loaded = source.open(opened.folder) if lazy else source.load(opened.folder)
    for column in opened.schema:
        yield _summarize(column, loaded)


@dataclass(frozen=True)
class _Extent:
    """What the numbers of a column are, those that are missing left out: how many these are, the
    least and the largest number, the rows of each category by its code."""

    missing: int
    low: object
    high: object
    counts: Mapping[int, int]

    @staticmethod
    def of(column: Column, rows: Rows) -> _Extent:
        """Those of a column, piece by piece where it is not in memory."""
        missing, ends, counts = 0, [], Counter[int]()
        for piece in cut_pieces([rows], np.arange(len(rows))):
            array = np.asarray(rows if is_held(rows) else rows[piece])
            if array.dtype.kind == "f":
                known = ~np.isnan(array)
                missing += array.size - int(known.sum())
                array = array[known]
            elif column.written.date and (column.gaps or column.trouble is not None):
                array = array[array != GAP]
            if column.categories and column.type.rank == 0:
                codes, found = np.unique(array[array >= 0], return_counts=True)
                counts.update(dict(zip(codes.tolist(), found.tolist(), strict=True)))
            elif array.size:
                ends += [array.min(), array.max()]
        low, high = (min(ends), max(ends)) if ends else (None, None)
        return _Extent(missing or column.gaps, low, high, dict(sorted(counts.items())))


def _summarize(column: Column, loaded: Mapping[str, Rows]) -> ColumnSummary:
    trouble = column.trouble.text.title if column.trouble is not None else ""
    if column.stored:
        return ColumnSummary(column.name, "other", column.stored, "", 0, (), trouble)
    rows = loaded[column.name]
    found = _Extent.of(column, rows)
    examples: tuple[str, ...] = column.examples
    extent = ""
    if column.categories and column.type.rank == 0:
        frequent = sorted(found.counts, key=lambda code: -found.counts[code])[:SHOWN]
        extent = f"{len(column.categories):,} categories"
        examples = tuple(f"{column.categories[i]} ({found.counts[i]:,})" for i in frequent)
    elif column.words:
        extent = "text"
    elif found.low is not None:
        show = _show_date if column.written.date else _show_number
        extent = f"{show(found.low)} to {show(found.high)}"
        if len(rows.shape) == 1:
            first = dict.fromkeys(_list_first(column, rows))
            examples = tuple(show(value) for value, _ in zip(first, range(SHOWN), strict=False))
    unclear = column.trouble is not None and column.trouble.kind not in (free_text, missing_cells)
    kind = "unclear" if unclear else column.kind
    kinds = column.name, kind, str(column.type)
    return ColumnSummary(*kinds, extent, found.missing, examples, trouble)


def _list_first(column: Column, rows: Rows) -> list[object]:
    """The first numbers that are not missing."""
    array = np.asarray(rows[: min(len(rows), LOOKED_AT)])
    if array.dtype.kind == "f":
        array = array[~np.isnan(array)]
    elif column.written.date and (column.gaps or column.trouble is not None):
        array = array[array != GAP]
    return list(array[:1000].tolist())


def _show_number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value).lower()


def _show_date(value: object) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(str(value)))
    return moment.strftime("%Y-%m-%d" if not int(str(value)) % 86400 else "%Y-%m-%d %H:%M:%S")
