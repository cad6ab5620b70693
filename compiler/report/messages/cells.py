"""Messages about what the cells of a column hold: numbers, dates, categories or text."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.wording import count, list_words
from compiler.report.sessions import change_homes, homes
from compiler.report.source import Span

Samples = tuple[tuple[int, str], ...]
Ways = tuple[tuple[str, str, float | None], ...]
"""Options that read cells, each with a cell and its number."""
"""Rows, counted from 0, and what is there."""


@message(
    "W1220",
    console=homes("54 kg", "7", "12"),
    mended=change_homes('missing=["54 kg"]'),
)
def nearly_numbers(
    span: Span | None,
    column: str,
    samples: Samples,
    numbers: int,
    ways: Ways = (),
    # Cells that are no numbers in any way; empty where there are too many to name.
    strays: tuple[str, ...] = (),
) -> Text:
    """Most cells of a column seem to be numbers, and some cannot be read as such: they are written
    with a decimal comma, with marks between thousands or with a unit, or a word stands for what
    is missing.

    A column of which one cell is not a number would be a categorical column: each cell the place of
    its text in sorted order, which says nothing about its size. Tables have options that read such
    cells: `decimal=","`, `thousands="."`, `unit="kg"` and `missing=["?", "-"]`;
    `categories=["floor"]` reads the column `floor` as categories all the same. Rows are counted
    from 0, without the line that names the columns.
    """
    cells = show_samples(samples)
    options = _write_options(ways, strays)
    own = f'`categories=["{column}"]` reads categories'
    return Text(
        f"the column `{column}` is nearly numbers",
        label=f"{cells}; {count(numbers, 'cell')} can be read as numbers",
        help=f"{options}; {own}" if options else f"mend the cells; {own}",
    )


def _write_options(ways: Ways, strays: tuple[str, ...]) -> str:
    marks = ", ".join(f'"{text}"' for text in strays)
    missing = f"missing=[{marks}]" if marks else ""
    if not ways:
        return f"`{missing}` reads these cells as missing" if missing else ""
    told = []
    for options, cell, number in ways[:3]:
        meaning = f" (`{cell}` is {number:.15g})" if number is not None else ""
        together = ", ".join(filter(None, (options, missing)))
        told.append(f"`{together}` reads them{meaning}")
    return " or ".join(told)


@message(
    "W1391",
    console=homes("54 m2", "610 sqft", "71 m2"),
    mended=homes("54 m2", "57 m2", "71 m2", options='unit="m2"'),
)
def units_differ(
    span: Span | None,
    column: str,
    # Each unit with the number of its cells, and the first row with what stands there.
    units: tuple[tuple[str, int, tuple[int, str]], ...],
) -> Text:
    """The cells of a column are numbers in several units, kilograms here and grams there, or in
    several currencies. One of them read as the other would be wrong by a factor that nothing in
    the file tells, so the column cannot be used before the file has one unit."""
    names = list_words(tuple(unit or "none" for unit, _, _ in units))
    shown = (
        f"{count(cells, 'cell')} in {unit or 'none'} ({show_samples((sample,))})"
        for unit, cells, sample in units[:4]
    )
    more = f"; and {len(units) - 4} more units" if len(units) > 4 else ""
    unit = next(unit for unit, _, _ in units if unit)
    own = f'`categories=["{column}"]` reads categories'
    return Text(
        f"the column `{column}` has several units: {names}",
        label=f"{', '.join(shown)}{more}",
        help=f'write one unit into the file, which `unit="{unit}"` then reads; {own}',
    )


@message(
    "W1405",
    console=homes("large", "Large", "small", line="large = area == 0"),
    mended=homes("large", "large", "small", line="large = area == 0"),
)
def categories_alike(
    span: Span | None,
    column: str,
    # Cells that are alike, with their first rows.
    samples: Samples,
    groups: int,
) -> Text:
    """Categories of a column differ in capitals, in the spaces between words or in the form of
    their characters only: `yes`, `Yes` and `YES`. Each would be a class of its own, and it was
    hardly meant so. Where it was (letters that are to be told apart), `categories=["letter"]` reads
    them as they are."""
    more = f"; and {groups - 1:,} more" if groups > 1 else ""
    return Text(
        f"the column `{column}` writes one category in several ways",
        label=f"{show_samples(samples)}{more}",
        help=(
            f'write one of them into the file; `categories=["{column}"]` reads each as a'
            " category of its own"
        ),
    )


@message(
    "W1221",
    console=homes("large", "", "small", line="large = area == 0"),
    mended=change_homes('missing_category=["area"]', line="large = area == 0"),
)
def missing_cells(
    span: Span | None,
    column: str,
    kind: str,  # "categories", "dates"
    missing: int,
    cells: int,
    rows: tuple[int, ...],
) -> Text:
    """Cells of a column of categories or dates are empty, or hold a mark of what is missing
    (`NA`, `null`), and the column is used.

    Among numbers such cells are NaN, which `fill` replaces. A category that is not known is none
    of the categories, so it becomes one only where that is asked for:
    `missing_category=["kind"]`. Its name is `""`, so that `where kind != ""` leaves these rows out.
    """
    numbers = ", ".join(f"{row:,}" for row in rows)
    more = ", …" if missing > len(rows) else ""
    word = "row" if missing == 1 else "rows"
    if kind == "dates":
        advice = "leave these rows out of the file, or write what they should hold"
    else:
        asked = f'`missing_category=["{column}"]` makes them a category of their own, ""'
        advice = f'{asked}, and `where {column} != ""` leaves their rows out'
    return Text(
        f"the column `{column}` has missing cells",
        label=f"{missing:,} of {count(cells, 'cell')}: {word} {numbers}{more}",
        help=advice,
    )


@message(
    "W1222",
    console=homes("1/2/2024", "3/4/2024", "5/6/2024"),
    mended=change_homes('date="%d/%m/%Y"'),
)
def nearly_dates(
    span: Span | None, column: str, samples: Samples, others: int, ways: tuple[str, ...] = ()
) -> Text:
    """Most cells of a column are dates, and some are not; or it cannot be told which number is
    the day and which the month, which century is meant, or whether `20240131` is a date; or they
    are written in several forms.

    ISO dates and date-times (`2024-03-01`, `2024-03-01T12:30:00Z`) and the usual forms that mean
    one thing only are read as seconds since 1970. Others are read by `date="%d/%m/%Y"`, in the
    words of Python's `strptime`.
    """
    what = "may be read in several ways" if not others else "is nearly dates"
    if not (others or ways):
        what = "has dates in several forms"
    own = f'`categories=["{column}"]` reads categories'
    if others:
        marks = ", ".join(f'"{text}"' for _, text in samples)
        advice = f"`missing=[{marks}]` reads these cells as missing; {own}"
    else:
        forms = " or ".join(f'`date="{way}"`' for way in ways) or "write them in one form"
        advice = f"{forms}; {own}"
    return Text(f"the column `{column}` {what}", label=show_samples(samples), help=advice)


@message(
    "W1339",
    console=homes("2024-01-31", "9999-12-31", "2024-03-31"),
    mended=homes("2024-01-31", "2249-12-31", "2024-03-31"),
)
def dates_out_of_range(
    span: Span | None, column: str, samples: Samples, far: int, first: int, last: int
) -> Text:
    """A column of dates is used, and some of them are before the year 1700 or after 2249. Versions
    of pandas that count in nanoseconds hold no others; such dates often stand for what is missing
    (`9999-12-31`)."""
    marks = ", ".join(f'"{text}"' for _, text in samples)
    return Text(
        f"the column `{column}` has dates outside of {first} to {last}",
        label=f"{count(far, 'cell')}: {show_samples(samples)}",
        help=(
            f"`missing=[{marks}]` reads these cells of text as missing; "
            f'`categories=["{column}"]` reads text as categories'
        ),
    )


@message(
    "W1340",
    console="""\
$ cat save.py
import datetime
import pandas

waits = [datetime.timedelta(minutes=5), datetime.timedelta(hours=1)]
pandas.DataFrame({"wait": waits}).to_parquet("waits.parquet")
$ python save.py
$ cat waits.weft
data waits {
    source parquet("waits.parquet")
    half = wait / 2
    split in_order, train=50%, val=50%
}
$ weft check waits.weft
""",
    mended="""\
$ cat save.py
import pandas

pandas.DataFrame({"wait": [300, 3600]}).to_parquet("waits.parquet")
$ python save.py
$ weft check waits.weft
""",
)
def column_not_held(span: Span | None, column: str, reason: str, advice: str) -> Text:
    """A column of a file or of a data frame is used, and holds what no tensor does: durations,
    times of day, bytes, records, or lists that differ in length. Columns hold numbers, booleans,
    dates, text, or lists of numbers of one length; any others may be in a table as long as nothing
    reads them."""
    return Text(f"the column `{column}` holds what no tensor does", label=reason, help=advice)


@message(
    "W1223",
    console=homes("12:30", "8:15", "23:59"),
    mended=homes("45000", "29700", "86340"),
)
def times_of_day(span: Span | None, column: str, samples: Samples) -> Text:
    """The cells of a column are times without a date, and the column is used. As categories they
    would be the place of their text in sorted order."""
    own = f'`categories=["{column}"]` reads categories'
    return Text(
        f"the column `{column}` holds times of day",
        label=show_samples(samples),
        help=f"write them as numbers, such as seconds since midnight; {own}",
    )


@message(
    "W1224",
    console="""\
$ cat make.py
with open("homes.csv", "w") as file:
    print("id,about", *(f"{k},a home with {k} rooms" for k in range(101)), sep="\\n", file=file)
$ python make.py
$ cat homes.weft
data homes {
    source csv("homes.csv")
    first = about == 0
    split in_order, train=50%, val=50%
}
$ weft check homes.weft
""",
    mended="""\
$ cat homes.weft
data homes {
    source csv("homes.csv", categories=["about"])
    first = about == 0
    split in_order, train=50%, val=50%
}
$ weft check homes.weft
""",
)
def free_text(span: Span | None, column: str, different: int, cells: int) -> Text:
    """A column of text is used as if it held categories: it has more than 100 different cells, and
    most of its rows share theirs with no other row, as names, addresses and comments do."""
    return Text(
        f"the column `{column}` is text, and a tensor holds numbers",
        label=f"{different:,} different texts in {count(cells, 'row')}",
        help=f'`categories=["{column}"]` reads each text as a category all the same',
    )


@message(
    "W1225",
    console=homes("large", "medium", "small"),
    mended=change_homes(line="kinds = one_hot(area, dtype=f32)"),
)
def category_arithmetic(
    span: Span | None, op: str, column: str, categories: tuple[str, ...]
) -> Text:
    """Something is computed with the numbers of categories. These are the places of their words
    in sorted order, which say nothing about size: `large` comes before `small`.

    A category is spread by `one_hot`, looked up by `embedding`, compared by `==`, or the target of
    a loss over classes. Two categories may be cast: they are 0 and 1.
    """
    spread = f"`one_hot({column}, dtype=f32)` spreads them, `embedding` looks them up"
    return Text(
        f"`{op}` computes with the categories of `{column}`",
        label=f"they are {list_words(categories)}",
        help=f"{spread}; `cast({column}, f32)` is 0 and 1" if len(categories) == 2 else spread,
    )


@message(
    "W1226",
    console=homes("54", "", "71", line="large = area > 60"),
    mended=change_homes(line='large = fill(area, "median") > 60'),
)
def missing_vanish(span: Span | None, op: str, column: str) -> Text:
    """A column has missing cells, and an expression turns them into whole numbers or booleans,
    where nothing can be missing: NaN would become `false` or 0 without a word."""
    return Text(
        f"`{op}` turns missing cells of `{column}` into something",
        label="its result has no NaN",
        help=f'`{column} = fill({column}, "median")` before it replaces them',
    )


@message(
    "W1378",
    console=homes("54", "12345678901234567890", "71", line="large = area > 60"),
    mended=homes("54", "123", "71", line="large = area > 60"),
)
def number_too_large(
    span: Span | None,
    column: str,
    number: str,
    row: int,
    dtype: str,
    # Whether the source has the option `categories`, and this is a column of text.
    text: bool,
) -> Text:
    """A column holds a number that its type does not: a whole number outside of i64, or another
    number beyond 3.4e38, the largest of f32, and the column is used.

    Whole numbers of twenty digits are mostly names of something: `categories=["id"]` reads a column
    of text so. Others are divided by a power of ten before they are stored.
    """
    scaled = "store the numbers divided by a power of ten"
    own = f'`categories=["{column}"]` reads each number as a category'
    return Text(
        f"the column `{column}` holds a number that {dtype} does not",
        label=f"{number} is larger than {dtype} holds, row {row:,}",
        help=f"{own}, or {scaled}" if text and dtype == "i64" else scaled,
    )


def show_samples(samples: Samples) -> str:
    """`row 3 is "7,40"`, of a few rows."""
    return ", ".join(f"row {row:,} is `{_shorten(text)}`" for row, text in samples)


def _shorten(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 40 else f"{plain[:39]}…"
