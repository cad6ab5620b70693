"""What the cells of a table are: numbers, dates, categories or text, decided column by column.

The rule is written down for users in docs/language.md, "What a column is"."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import Column, Written
from compiler.data.dates import (
    COMPACT,
    GAP,
    YEARS,
    are_compact,
    are_far,
    are_times,
    asks_for_century,
    find_forms,
    find_mixed_dates,
    read_dates,
    seconds_of,
)
from compiler.data.narrowing import choose_float
from compiler.data.numerals import (
    Numerals,
    find_disguised,
    find_large,
    find_mixed,
    find_units,
    find_ways,
    measure_alike,
)
from compiler.data.suspicions import suspect_numbers
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.cells import (
    categories_alike,
    dates_out_of_range,
    free_text,
    missing_cells,
    nearly_dates,
    nearly_numbers,
    number_too_large,
    times_of_day,
    units_differ,
)
from compiler.types.tensor import DType, TensorType

WHOLE = TensorType.of("i64", ())
Samples = tuple[tuple[int, str], ...]
"""Rows, counted from 0, and what stands there."""

EMPTY = frozenset(
    [
        "",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
    ]
)
"""Cells that hold nothing: what `pandas.read_csv` reads as missing."""
SHOWN = 3
"""Sample cells and rows in a message."""
MANY = 100
"""A column of text has more different cells than this, most of which stand in one row only."""


@dataclass(frozen=True)
class Dialect:
    """How the cells of a table are written, and what is asked of some of its columns."""

    decimal: str = "."
    thousands: str = ""
    units: tuple[str, ...] = ()
    date: str = ""
    missing: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    missing_category: tuple[str, ...] = ()
    unknown_category: tuple[str, ...] = ()

    @property
    def with_blank(self) -> tuple[str, ...]:
        """The columns of categories of which `""` is one."""
        return (*self.missing_category, *self.unknown_category)

    def find_missing(self, cells: Collection[str]) -> set[str]:
        """The cells (without spaces around them) that hold nothing. A mark that is a number
        stands for the number, however it is written: `-999` for `-999.0` too."""
        found = {cell for cell in cells if cell in EMPTY or cell in self.missing}
        marked = set(Numerals().read(self.missing).values())
        if marked:
            numbers = self.way().read(cells)
            found |= {cell for cell, number in numbers.items() if number in marked}
        return found

    def way(self, unit: str = "") -> Numerals:
        """How numbers are written."""
        return Numerals(self.decimal, self.thousands, unit)


PLAIN = Dialect()
_DIGIT = re.compile(r"[1-9]")


def describe_cells(name: str, cells: Sequence[str], dialect: Dialect = PLAIN) -> Column:
    """What a column of text holds."""
    return _Describing(name, cells, dialect).run()


class _Describing:
    """One column: its different cells without spaces around them, and the rule."""

    def __init__(self, name: str, cells: Sequence[str], dialect: Dialect) -> None:
        self.name = name
        self.cells = cells
        self.dialect = dialect
        raw = set(cells)
        stripped = {cell: cell.strip() for cell in raw}
        empty = dialect.find_missing(stripped.values())
        filled = {cell: text for cell, text in stripped.items() if text not in empty}
        self.distinct = set(filled.values())
        self.missing = len(filled) < len(stripped)
        self.written = Written(
            padded=any(cell != text for cell, text in filled.items()),
            blanks=tuple(sorted(raw - filled.keys() - EMPTY - set(dialect.missing))),
        )

    def run(self) -> Column:
        """The column, with what is missing and what is to be looked at."""
        column = self.count(self.find_kind())
        if column.trouble is not None or column.kind != "numbers":
            return column
        way = self.dialect.way(column.written.unit)
        return replace(column, doubt=suspect_numbers(self.name, self.distinct, way))

    def find_kind(self) -> Column:
        """The column."""
        if self.name in (*self.dialect.categories, *self.dialect.with_blank):
            return self.make_categories()
        return self.find_compact() or self.find_numbers() or self.find_dates() or self.find_words()

    def count(self, column: Column) -> Column:
        """The column with what is missing, and the first of its cells where it is text."""
        if not self.missing and (column.kind != "text"):
            return column
        filled = sum(self.counts.values())
        examples = tuple(text for _, text in self.find_samples(self.distinct))
        return replace(column, gaps=len(self.cells) - filled, examples=examples)

    def find_compact(self) -> Column | None:
        """The column, where every cell is a date without marks between its parts (`20240131`),
        which is a number too."""
        if not are_compact(self.distinct):
            return None
        trouble: Message | None = None
        if self.dialect.date != COMPACT:
            samples = self.find_samples(self.distinct)
            trouble = nearly_dates(None, self.name, samples, 0, (COMPACT,))
        elif self.missing:
            trouble = self.report_missing("dates")
        written = replace(self.written, date=COMPACT)
        return Column(self.name, WHOLE, written=written, trouble=trouble)

    def find_numbers(self) -> Column | None:
        """The column, where every cell that is not missing is a number, all with one unit."""
        for unit in ("", *self.dialect.units):
            way = self.dialect.way(unit)
            written = replace(self.written, unit=unit, text=not way.thousands.isascii())
            whole = bool(self.distinct) and way.are_whole(self.distinct)
            large = way.find_large_whole(self.distinct) if whole else set()
            if whole and not self.missing and not large:
                return Column(self.name, WHOLE, written=written)
            numbers = way.read(self.distinct)
            if len(numbers) == len(self.distinct):
                dtype = DType.I64 if large else DType.F32
                trouble = self.report_large(large or find_large(numbers), dtype)
                kind = TensorType.of(choose_float(np.array([*numbers.values(), np.nan])), ())
                missing = self.missing
                return Column(self.name, kind, missing=missing, written=written, trouble=trouble)
        return None

    def find_dates(self) -> Column | None:
        """The column, where most cells that are not missing are dates."""
        asked = self.dialect.date
        forms = find_forms(self.counts)
        if asked and len(read_dates(self.distinct, asked)) == len(self.distinct):
            forms = [asked]
        if not forms:
            return None
        dates = read_dates(self.distinct, forms[0])
        unread = self.distinct - dates.keys()
        far = {cell for cell, second in dates.items() if are_far(np.array(second))}
        unsure = len(forms) > 1 or (asks_for_century(forms[0]) and forms != [asked])
        trouble: Message | None = None
        if unread or unsure:
            samples = self.find_samples(unread or self.distinct)
            ways = tuple(forms) if unsure else ()
            trouble = nearly_dates(None, self.name, samples, len(unread), ways)
        elif far:
            rows = sum(self.counts[cell] for cell in far)
            trouble = report_far(self.name, self.find_samples(far), rows)
        elif self.missing:
            trouble = self.report_missing("dates")
        written = replace(self.written, date=forms[0])
        return Column(self.name, WHOLE, written=written, trouble=trouble)

    def find_words(self) -> Column:
        """The column of words: categories, text, or cells that seem to be meant as numbers."""
        trouble = self.doubt_words()
        if trouble is not None:
            return self.make_categories(trouble)
        if self.is_free_text():
            filled = sum(self.counts.values())
            text = free_text(None, self.name, len(self.distinct), filled)
            return Column(self.name, WHOLE, words=True, trouble=text)
        return self.make_categories(self.report_alike())

    def is_free_text(self) -> bool:
        """Whether there are many different words, most of which stand in one row only."""
        once = sum(count == 1 for count in self.counts.values())
        return len(self.distinct) > MANY and 2 * once > sum(self.counts.values())

    def doubt_words(self) -> Message | None:
        """Why words seem to be meant as numbers."""
        known = self.dialect.way()
        ways = find_ways(self.counts, known)
        units = find_units(self.counts)
        measured = [unit for unit in units if unit]
        several = len(measured) > 1
        if several and (ways or measure_alike(measured) or self.is_free_text()):
            return self.report_units(units)
        if ways:
            _, numbers = ways[0]
            plain = known.read(self.distinct)
            others = [c for c in self.distinct if c not in numbers]
            # What is read only in another way is shown first: it says which option is meant.
            odd = [c for c in numbers if c not in plain]
            samples = self.find_samples([*odd, *others])
            told = next((text for _, text in samples if text in numbers), "")
            meanings = tuple(
                (way.options(known), told, found.get(told)) for way, found in ways if way != known
            )
            strays = self.name_few(others)
            if any(_DIGIT.search(text) for text in others):
                meanings, strays = (), ()  # no option reads these beside the others
            read = sum(self.counts[c] for c in numbers)
            return nearly_numbers(None, self.name, samples, read, meanings, strays)
        if units and not several:
            return self.report_units(units)
        mixed = find_mixed(self.counts, known)
        if mixed:
            read = sum(self.counts[cell] for cell in mixed)
            return nearly_numbers(None, self.name, self.find_samples(mixed), read)
        dates = find_mixed_dates(self.counts)
        if dates:
            return nearly_dates(None, self.name, self.find_samples(dates), 0)
        disguised = find_disguised(self.counts)
        read = sum(self.counts[c] for c in disguised | known.read(self.distinct).keys())
        if disguised and 2 * read > sum(self.counts.values()):
            return nearly_numbers(None, self.name, self.find_samples(disguised), read)
        if are_times(self.counts):
            return times_of_day(None, self.name, self.find_samples(self.distinct))
        return None

    def make_categories(self, trouble: Message | None = None) -> Column:
        """The column as categories, in sorted order; missing cells, and words that are unknown
        later, are the category `""` where that was asked for."""
        words = sorted(self.distinct)
        unknown = self.name in self.dialect.unknown_category
        if unknown or (self.missing and self.name in self.dialect.missing_category):
            words = sorted({"", *words})
        elif self.missing and trouble is None:
            trouble = self.report_missing("categories")
        return Column(
            self.name,
            WHOLE,
            words=True,
            categories=tuple(words),
            unknown=unknown,
            written=self.written,
            trouble=trouble,
        )

    # --- what messages show -----------------------------------------------------------------

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """The number of rows of each cell that is not missing."""
        found = Counter(cell.strip() for cell in self.cells)
        return {cell: count for cell, count in found.items() if cell in self.distinct}

    def find_samples(self, wanted: Iterable[str]) -> Samples:
        """The first rows of some cells, each cell once."""
        left, found = set(wanted), []
        for row, cell in enumerate(self.cells):
            text = cell.strip()
            if text in left:
                left.remove(text)
                found.append((row, text))
                if len(found) == SHOWN:
                    break
        return tuple(found)

    def name_few(self, cells: Sequence[str]) -> tuple[str, ...]:
        """Cells in the order in which they first stand there; none where they are many."""
        return tuple(text for _, text in self.find_samples(cells)) if len(cells) <= SHOWN else ()

    def report_large(self, cells: Collection[str], dtype: DType) -> Message | None:
        """The message of a column with numbers that are too large, if there are any."""
        if not cells:
            return None
        row, text = self.find_samples(cells)[0]
        return number_too_large(None, self.name, text, row, str(dtype), text=True)

    def report_units(self, units: Mapping[str, Sequence[str]]) -> Message:
        """The message of numbers in different units, the most frequent first."""
        rows = {unit: sum(self.counts[cell] for cell in cells) for unit, cells in units.items()}
        order = sorted(units, key=lambda unit: -rows[unit])
        told = tuple((unit, rows[unit], self.find_samples(units[unit])[0]) for unit in order)
        return units_differ(None, self.name, told)

    def report_alike(self) -> Message | None:
        """The message of categories that one word is meant by: `yes` and `Yes`."""
        groups: dict[str, list[str]] = {}
        for cell in self.distinct:
            folded = unicodedata.normalize("NFKC", cell).casefold()
            groups.setdefault(" ".join(folded.split()), []).append(cell)
        alike = [sorted(cells) for cells in groups.values() if len(cells) > 1]
        if not alike:
            return None
        shown = min((self.find_samples(cells) for cells in alike), key=lambda found: found[0])
        return categories_alike(None, self.name, shown, len(alike))

    def report_missing(self, kind: str) -> Message:
        """The message of a column whose missing cells can mean nothing."""
        rows = [i for i, c in enumerate(self.cells) if c.strip() not in self.distinct]
        return missing_cells(None, self.name, kind, len(rows), len(self.cells), tuple(rows[:SHOWN]))


def describe_moments(name: str, moments: NDArray[Any], form: str) -> Column:
    """The column of dates that are stored as such, NaT where there is none."""
    gaps = np.flatnonzero(np.isnat(moments))
    far = np.flatnonzero(are_far(seconds_of(moments)) & ~np.isnat(moments))
    trouble: Message | None = None
    if len(far):
        samples = tuple((int(row), str(moments[row])) for row in far[:SHOWN])
        trouble = report_far(name, samples, len(far))
    elif len(gaps):
        rows = tuple(int(row) for row in gaps[:SHOWN])
        trouble = missing_cells(None, name, "dates", len(gaps), len(moments), rows)
    return Column(name, WHOLE, written=Written(date=form), trouble=trouble, gaps=len(gaps))


def report_far(name: str, samples: Samples, cells: int) -> Message:
    """The message of dates that are too early or too late."""
    return dates_out_of_range(None, name, samples, cells, YEARS.start, YEARS.stop - 1)


def convert_cells(column: Column, cells: Sequence[str], dialect: Dialect = PLAIN) -> NDArray[Any]:
    """The rows of a column that `describe_cells` found. Cells that are missing are NaN among
    numbers; among dates and words, which a spec may then not use, they are -1."""
    stripped = {cell: cell.strip() for cell in set(cells)}
    distinct = set(stripped.values())
    distinct -= dialect.find_missing(distinct)
    found: Mapping[str, float]
    if column.words:
        found = {word: code for code, word in enumerate(column.categories)}
        blank: float = found.get("", -1)
    elif column.written.date:
        found, blank = read_dates(distinct, column.written.date), GAP
    else:
        way = dialect.way(column.written.unit)
        blank = float("nan")
        whole = column.type == WHOLE
        found = {c: int(way.plain(c)) for c in distinct} if whole else way.read(distinct)
    values = {cell: found.get(text, blank) for cell, text in stripped.items()}
    if column.type == WHOLE:
        return np.array([values[c] for c in cells], np.int64)
    with np.errstate(over="ignore"):  # a column with such numbers may not be used
        return np.array([values[c] for c in cells], np.float64).astype(column.type.dtype.numpy)
