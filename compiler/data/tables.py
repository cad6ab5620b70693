"""What tables of text have in common: their options, and the lines that read such columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from compiler.data.base import Column, DataSource
from compiler.data.cells import EMPTY, WHOLE, Dialect
from compiler.data.files import find_files, refuse_column, refuse_file, refuse_setting
from compiler.records import dataclass
from compiler.writing.python import write_dtype, write_string

STORED = "stored"
"""The form of dates that a source stores as such."""
NOWHERE = "the {} of every cell of a column, and no column has this one"
OF_COLUMNS = ("categories", "missing_category", "unknown_category")
"""Options that name columns."""
OF_CELLS = ("decimal", "thousands", "unit", "date", "missing", "separator", "header", "encoding")
"""Options that say how cells are written, and nothing else."""
ENCODE = [
    "def encode(cells: pd.Series, words: list[str]) -> np.ndarray:",
    '    """The place of each cell among the words; an error where it is none of them."""',
    "    codes = cells.map({word: code for code, word in enumerate(words)})",
    "    return codes.astype(np.int64).to_numpy()",
    "",
]
READ_DATES = [
    "def read_dates(cells: pd.Series, form: str | None) -> np.ndarray:",
    '    """Seconds since 1970."""',
    "    moments = pd.to_datetime(cells, format=form, utc=True)",
    '    return moments.dt.as_unit("s").astype(np.int64).to_numpy()',
    "",
]


class TextCells(DataSource):
    """Base of sources some of whose cells are text. Subclasses have these options, which say how
    it is read."""

    decimal: str
    thousands: str
    unit: str | tuple[str, ...]
    date: str
    missing: tuple[str, ...]
    categories: tuple[str, ...]
    missing_category: tuple[str, ...]
    unknown_category: tuple[str, ...]

    def check(self) -> None:
        if self.decimal not in (".", ","):
            refuse_setting(self.name, "decimal", f'"{self.decimal}"', '"." or ","')
        if len(self.thousands) > 1 or self.thousands == self.decimal or self.thousands.isalnum():
            expected = (
                "one character that is neither a digit nor what is written before the fraction"
            )
            refuse_setting(self.name, "thousands", f'"{self.thousands}"', expected)
        for unit in self.dialect.units:
            if not unit or any(c.isdigit() for c in unit[:-1]) or unit[-1:] in ("0", "1"):
                expected = 'what is written next to a number, such as "kg"'
                refuse_setting(self.name, "unit", f'"{unit}"', expected)
        if self.date and "%" not in self.date:
            expected = 'a form of Python\'s strptime, such as "%d/%m/%Y"'
            refuse_setting(self.name, "date", f'"{self.date}"', expected)

    @property
    def dialect(self) -> Dialect:
        """How the cells are written."""
        units = (self.unit,) if isinstance(self.unit, str) else self.unit
        return Dialect(
            self.decimal,
            self.thousands,
            tuple(unit.strip() for unit in units),
            self.date,
            tuple(mark.strip() for mark in self.missing),
            self.categories,
            self.missing_category,
            self.unknown_category,
        )

    def describe_reading(self) -> Mapping[str, object]:
        known = {o.name: (getattr(self, o.name), o.default) for o in type(self).options()}
        told = ((name, *known[name]) for name in OF_CELLS if name in known)
        return {name: value for name, value, default in told if value != default}

    def reading_words(self, columns: Sequence[str]) -> DataSource:
        known = (*self.categories, *columns)
        return replace(self, categories=known)  # type: ignore[type-var]  # subclasses are dataclasses

    def check_names(self, known: Sequence[str]) -> None:
        """Refuses options that name a column that is not there.

        Raises:
            Fault: which one.
        """
        for option in OF_COLUMNS:
            for name in getattr(self, option):
                if name not in known:
                    refuse_column(name, known, option)

    def check_use(self, columns: Sequence[Column]) -> None:
        """Refuses a unit or a form of dates that no column is written with. Columns of text that
        are in doubt say more about it themselves.

        Raises:
            Fault: which one.
        """
        if any(column.trouble is not None and not column.stored for column in columns):
            return
        written = [column.written for column in columns]
        for unit in self.dialect.units:
            if not any(w.unit == unit for w in written):
                refuse_setting(self.name, "unit", f'"{unit}"', NOWHERE.format("unit"))
        if self.date and not any(w.date == self.date for w in written):
            refuse_setting(self.name, "date", f'"{self.date}"', NOWHERE.format("form of dates"))

    def write_text(self, series: str, column: Column) -> str:
        """The expression that turns a pandas series of texts into the array of a column."""
        written = column.written
        if written.padded and not written.unit:
            series += ".str.strip()"
        if column.words:
            if "" in column.categories:
                series += '.fillna("")'
            return f"encode({series}, [{', '.join(map(write_string, column.categories))}])"
        if written.date:
            return f"read_dates({series}, {write_string(written.date)})"
        if self._needs_mending(column):
            unit = f", {write_string(written.unit)}" if self.dialect.units else ""
            series = f"mend_numbers({series}{unit})"
        if column.type == WHOLE:
            return f"{series}.astype(np.int64).to_numpy()"
        return f"{series}.astype(np.float64).to_numpy({write_dtype(column.type.dtype)})"

    def write_cells(self, column: Column) -> str:
        """The expression of a column of a pandas frame that keeps numbers, dates and text apart."""
        series = f"table[{write_string(column.name)}]"
        if column.type.rank:
            return f"np.stack({series}.to_list()).astype({write_dtype(column.type.dtype)})"
        if column.written.date == STORED:
            return f"read_dates({series}, None)"
        if not column.written.text:
            return write_numbers(series, column)
        if column.written.mixed:
            series += '.map(str, na_action="ignore")'
        cells = series if column.written.mixed else f"{series}.astype(object)"
        if column.missing or "" in column.categories:
            blanks = sorted({*EMPTY, *self.missing, *column.written.blanks})
            cells += f".mask({series}.isin([{', '.join(map(write_string, blanks))}]))"
        return self.write_text(cells, column)

    def helpers(self, columns: Iterable[Column]) -> list[str]:
        """The functions that these expressions call."""
        read = [c for c in columns if is_read_as_text(c)]
        lines = ENCODE if any(c.words for c in read) else []
        lines = [*lines, *(READ_DATES if any(c.written.date for c in read) else [])]
        return [*lines, *(self._write_mending() if any(map(self._needs_mending, read)) else [])]

    def _needs_mending(self, column: Column) -> bool:
        """Whether the numbers of a column are not written as Python writes them."""
        if column.words or column.written.date:
            return False
        return bool(column.written.unit or self.thousands or self.decimal != ".")

    def _write_mending(self) -> list[str]:
        """The function that writes numbers as Python does."""
        steps = []
        if self.dialect.units:
            steps += ['replace(unit, "", n=1, regex=False)', 'replace(r"\\s", "", regex=True)']
        if self.thousands:
            steps.append(f'replace({write_string(self.thousands)}, "", regex=False)')
        if self.decimal != ".":
            steps.append(f'replace({write_string(self.decimal)}, ".", regex=False)')
        unit = ", unit: str" if self.dialect.units else ""
        return [
            f"def mend_numbers(cells: pd.Series{unit}) -> pd.Series:",
            *(f"    cells = cells.str.{step}" for step in steps),
            "    return cells",
            "",
        ]


@dataclass(frozen=True)
class TextTable(TextCells):
    """Base of sources that are files with such cells."""

    path: str
    decimal: str = "."
    thousands: str = ""
    unit: str | tuple[str, ...] = ()
    date: str = ""
    missing: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    missing_category: tuple[str, ...] = ()
    unknown_category: tuple[str, ...] = ()

    def refuse(self, reason: str, advice: str = "") -> NoReturn:
        refuse_file(self.path, reason, advice)

    def files(self, folder: Path) -> Sequence[Path]:
        return find_files(folder, self.path)


def write_numbers(series: str, column: Column) -> str:
    """The expression that turns a pandas series of numbers into the array of a column. Where a
    number is missing in a file that has changed since, `astype` says that it is no whole number;
    `to_numpy` would make the smallest one of it."""
    dtype = write_dtype(column.type.dtype)
    if column.type.dtype.is_integer:
        return f"{series}.astype({dtype}).to_numpy()"
    return f"{series}.to_numpy({dtype})"


def is_read_as_text(column: Column) -> bool:
    """Whether the cells of a column of text are no plain numbers."""
    written = column.written
    return column.words or bool(written.unit or written.date or written.padded or written.text)
