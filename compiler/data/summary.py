"""What the columns of a source hold: kind, range, missing cells, examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from compiler.data.base import Column, OpenedSource
from compiler.data.dates import GAP
from compiler.ir.operands import Array
from compiler.records import dataclass
from compiler.report.messages.cells import free_text, missing_cells

SHOWN = 3
"""Examples of a column."""


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
    loaded = opened.source.load(opened.folder)
    for column in opened.schema:
        yield _summarize(column, loaded)


def _summarize(column: Column, loaded: Mapping[str, Array]) -> ColumnSummary:
    trouble = column.trouble.text.title if column.trouble is not None else ""
    if column.stored:
        return ColumnSummary(column.name, "other", column.stored, "", 0, (), trouble)
    array = loaded[column.name]
    missing = column.gaps
    if array.dtype.kind == "f":
        missing = int(np.isnan(array).sum())
        array = array[~np.isnan(array)]
    elif column.written.date and (missing or column.trouble is not None):
        array = array[array != GAP]
    examples: tuple[str, ...] = column.examples
    extent = ""
    if column.categories and column.type.rank == 0:
        codes, counts = np.unique(array[array >= 0], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:SHOWN]
        extent = f"{len(column.categories):,} categories"
        examples = tuple(f"{column.categories[codes[i]]} ({counts[i]:,})" for i in order)
    elif column.words:
        extent = "text"
    elif array.size:
        show = _show_date if column.written.date else _show_number
        extent = f"{show(array.min())} to {show(array.max())}"
        if array.ndim == 1:
            first = dict.fromkeys(array[:1000].tolist())
            examples = tuple(show(value) for value, _ in zip(first, range(SHOWN), strict=False))
    unclear = column.trouble is not None and column.trouble.kind not in (free_text, missing_cells)
    kind = "unclear" if unclear else column.kind
    return ColumnSummary(column.name, kind, str(column.type), extent, missing, examples, trouble)


def _show_number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value).lower()


def _show_date(value: object) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(str(value)))
    return moment.strftime("%Y-%m-%d" if not int(str(value)) % 86400 else "%Y-%m-%d %H:%M:%S")
