"""Dates and times of day in cells: which forms are read, and the seconds since 1970 they mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

ISO = "ISO8601"
"""The form of ISO dates and date-times, in the word of `pandas.to_datetime`."""

GAP = -1
"""What a column holds where there is no date; a spec may not use such a column."""

_CLOCK = r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_ISO = re.compile(rf"\d{{4}}-\d{{2}}(?:-\d{{2}}{_CLOCK})?", re.ASCII)
_DAYS = {
    "%Y-%m-%d": r"\d{4}-\d{1,2}-\d{1,2}",
    "%Y/%m/%d": r"\d{4}/\d{1,2}/\d{1,2}",
    "%Y.%m.%d": r"\d{4}\.\d{1,2}\.\d{1,2}",
    "%d.%m.%Y": r"\d{1,2}\.\d{1,2}\.\d{4}",
    "%d/%m/%Y": r"\d{1,2}/\d{1,2}/\d{4}",
    "%m/%d/%Y": r"\d{1,2}/\d{1,2}/\d{4}",
    "%d-%m-%Y": r"\d{1,2}-\d{1,2}-\d{4}",
    "%m-%d-%Y": r"\d{1,2}-\d{1,2}-\d{4}",
    "%d %b %Y": r"\d{1,2} [A-Za-z]{3} \d{4}",
    "%d %B %Y": r"\d{1,2} [A-Za-z]{3,9} \d{4}",
    "%d-%b-%Y": r"\d{1,2}-[A-Za-z]{3}-\d{4}",
    "%d/%b/%Y": r"\d{1,2}/[A-Za-z]{3}/\d{4}",
    "%b %d, %Y": r"[A-Za-z]{3} \d{1,2}, \d{4}",
    "%B %d, %Y": r"[A-Za-z]{3,9} \d{1,2}, \d{4}",
}
"""The forms of a day that are read without being asked for, in the words of `strptime`."""
_SHORT = {
    "%d.%m.%y": r"\d{1,2}\.\d{1,2}\.\d{2}",
    "%d/%m/%y": r"\d{1,2}/\d{1,2}/\d{2}",
    "%m/%d/%y": r"\d{1,2}/\d{1,2}/\d{2}",
    "%d-%b-%y": r"\d{1,2}-[A-Za-z]{3}-\d{2}",
}
"""Forms whose year has two digits: these are asked for."""
_HOURS = {
    "": "",
    " %H:%M": r" \d{1,2}:\d{2}",
    " %H:%M:%S": r" \d{1,2}:\d{2}:\d{2}",
    " %I:%M %p": r" \d{1,2}:\d{2} [AaPp][Mm]",
    " %I:%M:%S %p": r" \d{1,2}:\d{2}:\d{2} [AaPp][Mm]",
}
_TIME = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?", re.ASCII)
YEARS = range(1700, 2250)
"""Years of dates that may be used: what fits into nanoseconds of 64 bits, in which some versions of
pandas count."""


@cache
def _list_shapes() -> Mapping[str, re.Pattern[str]]:
    """What cells of each form look like."""
    shapes = {ISO: _ISO}
    for day, shape in (*_DAYS.items(), *_SHORT.items()):
        for hour, behind in _HOURS.items():
            shapes[day + hour] = re.compile(shape + behind, re.ASCII)
    return shapes


def read_dates(cells: Collection[str], form: str) -> dict[str, int]:
    """Seconds since 1970-01-01 00:00 UTC of those cells that are dates of a form; fractions of a
    second are left out, times without a zone are UTC."""
    found = {}
    for cell in cells:
        moment = _read(cell, form)
        if moment is not None:
            zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            found[cell] = int(zoned.replace(microsecond=0).timestamp())
    return found


def are_far(seconds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which seconds since 1970 lie in no year that may be used."""
    first, end = (np.datetime64(f"{year}", "s") for year in (YEARS.start, YEARS.stop))
    return (seconds < first.astype(np.int64)) | (seconds >= end.astype(np.int64))


def seconds_of(moments: NDArray[Any]) -> NDArray[np.int64]:
    """Times of NumPy as seconds since 1970; `GAP` where there is none, which a spec may not use."""
    seconds = moments.astype("datetime64[s]").astype(np.int64)
    return np.where(np.isnat(moments), GAP, seconds)


def find_forms(cells: Mapping[str, int]) -> list[str]:
    """The forms that read most of the cells (each with its number of rows), all of them alike."""
    best: list[str] = []
    most = 0
    first = next(iter(cells), "")
    # A form that no cell of a handful has is not looked for in all of them.
    some = [cell for cell, _ in zip(cells, range(20), strict=False)]
    if not first or not any(map(_may_be_date, some)):
        return []
    for form, shape in _list_shapes().items():
        if not any(map(shape.fullmatch, some)):
            continue
        rows = sum(cells[cell] for cell in read_dates(cells, form))
        if rows > most:
            best, most = [], rows
        if rows == most and rows:
            best.append(form)
    if ISO in best:  # which others read too, and means one thing only
        best = [ISO]
    return best if 2 * most > sum(cells.values()) else []


def find_mixed_dates(cells: Mapping[str, int]) -> set[str]:
    """The cells that are dates in one form or another, where most are so."""
    found: set[str] = set()
    for form, shape in _list_shapes().items():
        near = {cell for cell in cells if shape.fullmatch(cell)} if _may_have(cells) else set()
        found |= read_dates(near, form).keys()
    return found if 2 * sum(cells[cell] for cell in found) > sum(cells.values()) else set()


COMPACT = "%Y%m%d"
_COMPACT = re.compile(r"(?:1[6-9]|2[01])\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII)


def are_compact(cells: Collection[str]) -> bool:
    """Whether whole numbers are dates without marks, `20240131`: all of them, and more than one."""
    if len(cells) < 2 or not all(map(_COMPACT.fullmatch, cells)):
        return False
    return len(read_dates(cells, COMPACT)) == len(cells)


def _may_have(cells: Mapping[str, int]) -> bool:
    """Whether there may be dates among cells, as a handful of them tells."""
    some = [cell for cell, _ in zip(cells, range(20), strict=False)]
    return any(map(_may_be_date, some))


def asks_for_century(form: str) -> bool:
    """Whether the year of a form has two digits."""
    return "%y" in form


def are_times(cells: Mapping[str, int]) -> bool:
    """Whether most of the cells are times of day, without a date."""
    rows = sum(count for cell, count in cells.items() if _TIME.fullmatch(cell))
    return 2 * rows > sum(cells.values())


def _may_be_date(cell: str) -> bool:
    return 6 <= len(cell) <= 40 and any(c.isdigit() for c in cell)


def _read(cell: str, form: str) -> datetime | None:
    shape = _list_shapes().get(form)
    if shape is not None and not shape.fullmatch(cell):
        return None
    try:
        if form != ISO:
            return datetime.strptime(cell, form)
        return datetime.fromisoformat(f"{cell}-01" if len(cell) == 7 else cell)
    except ValueError:
        return None
