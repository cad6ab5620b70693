"""Messages about what the cells of a column hold: numbers, dates, categories or text."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.wording import count, list_words

Samples = tuple[tuple[int, str], ...]
"""Rows, counted from 0, and what stands there."""


@final
@dataclass(frozen=True)
class NearlyNumbers(Message):
    """Most cells of a column seem to be numbers, and some cannot be read as such: they are written
    with a decimal comma, with marks between thousands or with a unit, or a word stands for what
    is missing.

    A column of which one cell is no number would be a column of categories: each cell the place
    of its text in sorted order, which says nothing about its size. Tables have options that read
    such cells: `decimal=","`, `thousands="."`, `unit="kg"` and `missing=["?", "-"]`;
    `categories=["floor"]` reads the column `floor` as categories all the same. Rows are counted
    from 0, without the line that names the columns.
    """

    code: ClassVar[str] = "W1220"

    column: str
    samples: Samples
    numbers: int
    ways: tuple[tuple[str, str, float | None], ...] = ()
    """Options that read the cells, with a cell and its number."""
    strays: tuple[str, ...] = ()
    """Cells that are no numbers in any way; empty where there are too many to name."""

    def title(self) -> str:
        return f"the column `{self.column}` is nearly numbers"

    def label(self) -> str:
        cells = show_samples(self.samples)
        return f"{cells}; {count(self.numbers, 'cell')} can be read as numbers"

    def help(self) -> str:
        options = self._write_options()
        own = f'`categories=["{self.column}"]` reads categories'
        return f"{options}; {own}" if options else f"mend the cells; {own}"

    def _write_options(self) -> str:
        marks = ", ".join(f'"{text}"' for text in self.strays)
        missing = f"missing=[{marks}]" if marks else ""
        if not self.ways:
            return f"`{missing}` reads these cells as missing" if missing else ""
        told = []
        for options, cell, number in self.ways[:3]:
            meaning = f" (`{cell}` is {number:.15g})" if number is not None else ""
            together = ", ".join(filter(None, (options, missing)))
            told.append(f"`{together}` reads them{meaning}")
        return " or ".join(told)


@final
@dataclass(frozen=True)
class UnitsDiffer(Message):
    """The cells of a column are numbers in several units, kilograms here and grams there, or in
    several currencies. One of them read as the other would be wrong by a factor that nothing in
    the file tells, so the column cannot be used before the file has one unit."""

    code: ClassVar[str] = "W1391"

    column: str
    units: tuple[tuple[str, int, tuple[int, str]], ...]
    """Each unit with the number of its cells, and the first row with what stands there."""

    def title(self) -> str:
        names = list_words(tuple(unit or "none" for unit, _, _ in self.units))
        return f"the column `{self.column}` has several units: {names}"

    def label(self) -> str:
        shown = (
            f"{count(cells, 'cell')} in {unit or 'none'} ({show_samples((sample,))})"
            for unit, cells, sample in self.units[:4]
        )
        more = f"; and {len(self.units) - 4} more units" if len(self.units) > 4 else ""
        return f"{', '.join(shown)}{more}"

    def help(self) -> str:
        unit = next(unit for unit, _, _ in self.units if unit)
        own = f'`categories=["{self.column}"]` reads categories'
        return f'write one unit into the file, which `unit="{unit}"` then reads; {own}'


@final
@dataclass(frozen=True)
class CategoriesAlike(Message):
    """Categories of a column differ in capitals, in the spaces between words or in the form of
    their characters only: `yes`, `Yes` and `YES`. Each would be a class of its own, and it was
    hardly meant so. Where it was (letters that are to be told apart), `categories=["letter"]` reads
    them as they are."""

    code: ClassVar[str] = "W1405"

    column: str
    samples: Samples
    """Cells that are alike, with their first rows."""
    groups: int

    def title(self) -> str:
        return f"the column `{self.column}` writes one category in several ways"

    def label(self) -> str:
        more = f"; and {self.groups - 1:,} more" if self.groups > 1 else ""
        return f"{show_samples(self.samples)}{more}"

    def help(self) -> str:
        return (
            f'write one of them into the file; `categories=["{self.column}"]` reads each as a'
            " category of its own"
        )


@final
@dataclass(frozen=True)
class MissingCells(Message):
    """Cells of a column of categories or dates are empty, or hold a mark of what is missing
    (`NA`, `null`), and the column is used.

    Among numbers such cells are NaN, which `fill` replaces. A category that is not known is none
    of the categories, so it becomes one only where that is asked for:
    `missing_category=["kind"]`.
    """

    code: ClassVar[str] = "W1221"

    column: str
    kind: str  # "categories", "dates"
    missing: int
    cells: int
    rows: tuple[int, ...]

    def title(self) -> str:
        return f"the column `{self.column}` has missing cells"

    def label(self) -> str:
        rows = ", ".join(f"{row:,}" for row in self.rows)
        more = ", …" if self.missing > len(self.rows) else ""
        word = "row" if self.missing == 1 else "rows"
        return f"{self.missing:,} of {count(self.cells, 'cell')}: {word} {rows}{more}"

    def help(self) -> str:
        if self.kind == "dates":
            return "leave these rows out of the file, or write what they should hold"
        asked = f'`missing_category=["{self.column}"]` makes them a category of their own'
        return f"leave these rows out of the file; {asked}"


@final
@dataclass(frozen=True)
class NearlyDates(Message):
    """Most cells of a column are dates, and some are not; or it cannot be told which number is
    the day and which the month, or which century is meant.

    ISO dates and date-times (`2024-03-01`, `2024-03-01T12:30:00Z`) and the usual forms that mean
    one thing only are read as seconds since 1970. Others are read by `date="%d/%m/%Y"`, in the
    words of Python's `strptime`.
    """

    code: ClassVar[str] = "W1222"

    column: str
    samples: Samples
    others: int
    ways: tuple[str, ...] = ()

    def title(self) -> str:
        what = "may be read in several ways" if not self.others else "is nearly dates"
        return f"the column `{self.column}` {what}"

    def label(self) -> str:
        return show_samples(self.samples)

    def help(self) -> str:
        own = f'`categories=["{self.column}"]` reads categories'
        if self.others:
            marks = ", ".join(f'"{text}"' for _, text in self.samples)
            return f"`missing=[{marks}]` reads these cells as missing; {own}"
        forms = " or ".join(f'`date="{way}"`' for way in self.ways)
        return f"{forms}; {own}"


@final
@dataclass(frozen=True)
class DatesOutOfRange(Message):
    """A column of dates is used, and some of them are before the year 1700 or after 2249. Versions
    of pandas that count in nanoseconds hold no others; such dates often stand for what is missing
    (`9999-12-31`)."""

    code: ClassVar[str] = "W1339"

    column: str
    samples: Samples
    far: int
    first: int
    last: int

    def title(self) -> str:
        return f"the column `{self.column}` has dates outside of {self.first} to {self.last}"

    def label(self) -> str:
        return f"{count(self.far, 'cell')}: {show_samples(self.samples)}"

    def help(self) -> str:
        marks = ", ".join(f'"{text}"' for _, text in self.samples)
        return (
            f"`missing=[{marks}]` reads these cells of text as missing; "
            f'`categories=["{self.column}"]` reads text as categories'
        )


@final
@dataclass(frozen=True)
class ColumnNotHeld(Message):
    """A column of a file or of a data frame is used, and holds what no tensor does: durations,
    times of day, bytes, records, or lists that differ in length. Columns hold numbers, booleans,
    dates, text, or lists of numbers of one length; any others may stand in a table as long as
    nothing reads them."""

    code: ClassVar[str] = "W1340"

    column: str
    stored: str
    """What the entries are, in the words of the file."""
    reason: str
    advice: str

    def title(self) -> str:
        return f"the column `{self.column}` holds what no tensor does"

    def label(self) -> str:
        return self.reason

    def help(self) -> str:
        return self.advice


@final
@dataclass(frozen=True)
class TimesOfDay(Message):
    """The cells of a column are times without a date, and the column is used. As categories they
    would be the place of their text in sorted order."""

    code: ClassVar[str] = "W1223"

    column: str
    samples: Samples

    def title(self) -> str:
        return f"the column `{self.column}` holds times of day"

    def label(self) -> str:
        return show_samples(self.samples)

    def help(self) -> str:
        own = f'`categories=["{self.column}"]` reads categories'
        return f"write them as numbers, such as seconds since midnight; {own}"


@final
@dataclass(frozen=True)
class FreeText(Message):
    """A column of text is used as if it held categories: it has more than 100 different cells, and
    most of its rows share theirs with no other row, as names, addresses and comments do."""

    code: ClassVar[str] = "W1224"

    column: str
    different: int
    cells: int
    samples: Samples

    def title(self) -> str:
        return f"the column `{self.column}` is text, and a tensor holds numbers"

    def label(self) -> str:
        return f"{self.different:,} different texts in {count(self.cells, 'row')}"

    def help(self) -> str:
        return f'`categories=["{self.column}"]` reads each text as a category all the same'


@final
@dataclass(frozen=True)
class CategoryArithmetic(Message):
    """Something is computed with the numbers of categories. These are the places of their words
    in sorted order, which say nothing about size: `large` comes before `small`.

    A category is spread by `one_hot`, looked up by `embedding`, compared by `==`, or the target of
    a loss over classes. Two categories may be cast: they are 0 and 1.
    """

    code: ClassVar[str] = "W1225"

    op: str
    column: str
    categories: tuple[str, ...]

    def title(self) -> str:
        return f"`{self.op}` computes with the categories of `{self.column}`"

    def label(self) -> str:
        return f"they are {list_words(self.categories)}"

    def help(self) -> str:
        spread = f"`one_hot({self.column}, dtype=f32)` spreads them, `embedding` looks them up"
        if len(self.categories) == 2:
            return f"{spread}; `cast({self.column}, f32)` is 0 and 1"
        return spread


@final
@dataclass(frozen=True)
class MissingVanish(Message):
    """A column has missing cells, and an expression turns them into whole numbers or booleans,
    where nothing can be missing: NaN would become `false` or 0 without a word."""

    code: ClassVar[str] = "W1226"

    op: str
    column: str

    def title(self) -> str:
        return f"`{self.op}` turns missing cells of `{self.column}` into something"

    def label(self) -> str:
        return "its result has no NaN"

    def help(self) -> str:
        return f'`{self.column} = fill({self.column}, "median")` before it replaces them'


@final
@dataclass(frozen=True)
class NumberTooLarge(Message):
    """A column holds a number that its type does not: a whole number outside of i64, or another
    number beyond 3.4e38, the largest of f32, and the column is used.

    Whole numbers of twenty digits are mostly names of something: `categories=["id"]` reads a column
    of text so. Others are divided by a power of ten before they are stored.
    """

    code: ClassVar[str] = "W1378"

    column: str
    number: str
    row: int
    dtype: str
    text: bool
    """Whether the source has the option `categories`, and this is a column of text."""

    def title(self) -> str:
        return f"the column `{self.column}` holds a number that {self.dtype} does not"

    def label(self) -> str:
        return f"{self.number} is larger than {self.dtype} holds, row {self.row:,}"

    def help(self) -> str:
        scaled = "store the numbers divided by a power of ten"
        own = f'`categories=["{self.column}"]` reads each number as a category'
        return f"{own}, or {scaled}" if self.text and self.dtype == "i64" else scaled


def show_samples(samples: Samples) -> str:
    """`row 3 is "7,40"`, of a few rows."""
    return ", ".join(f"row {row:,} is `{_shorten(text)}`" for row, text in samples)


def _shorten(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 40 else f"{plain[:39]}…"
