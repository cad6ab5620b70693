"""Messages about numbers that may have been meant otherwise."""

from __future__ import annotations

from compiler.report.diagnostics import Severity, Text, message
from compiler.report.source import Span


def _homes(header: str, *rows: str, options: str = "", split: str = "train=50%, val=50%") -> str:
    lines = "\n".join((header, *rows))
    return f"""\
$ cat homes.csv
{lines}
$ cat homes.weft
data homes {{
    source csv("homes.csv"{options})
    split in_order, {split}
}}
$ weft check homes.weft
"""


_CODES = "02134", "10001", "94110"
_HEAT = "21", "-999", "23", "22"
_EUROS = "1.250;2", "12.500;3"
_SALES = "York,5,7", "Bath,6,8", "Ely,2,1", "Total,13,16"


@message(
    "W1692",
    severity=Severity.WARNING,
    console=_homes("zip", *_CODES),
    mended=_homes("zip", *_CODES, options=', categories=["zip"]'),
)
def leading_zeros(span: Span | None, column: str, cell: str) -> Text:
    """The cells of a column are whole numbers of one length, some with zeros in front, as postal
    codes and numbers of articles are: they name things, and say nothing of a size. As numbers they
    lose the zeros."""
    return Text(
        f"the column `{column}` may hold codes and not numbers",
        label=f"`{cell}` is read as {int(cell)}",
        help=f'`categories=["{column}"]` reads them as they are written',
    )


@message(
    "W1693",
    severity=Severity.WARNING,
    console=_homes("heat", *_HEAT),
    mended=_homes("heat", *_HEAT, options=', missing=["-999"]'),
)
def maybe_missing(span: Span | None, column: str, cell: str, others: str) -> Text:
    """A column has one of the numbers that tables write where they have none (-999, 9999), far away
    from all others. As a number it spoils means, and what is learned from the column."""
    return Text(
        f"`{cell}` may stand for what is missing in the column `{column}`",
        label=f"all others are {others}",
        help=f'`missing=["{cell}"]` reads it as missing',
    )


@message(
    "W1694",
    severity=Severity.WARNING,
    console=_homes("price;rooms", *_EUROS, options=', separator=";"'),
    mended=_homes("price;rooms", *_EUROS, options=', separator=";", decimal=",", thousands="."'),
)
def grouped_by_points(span: Span | None, column: str, cell: str) -> Text:
    """All numbers of a column have three digits behind a point, in a file with semicolons between
    cells, as it is written where a comma stands before the fraction and a point between thousands:
    `1.250` is read as one and a quarter, and may be one thousand two hundred and fifty."""
    whole = cell.replace(".", "")
    return Text(
        f"the points in the column `{column}` may stand between thousands",
        label=f"`{cell}` is read as {float(cell) if cell.count('.') == 1 else cell}",
        help=f'`decimal=",", thousands="."` reads {whole}',
    )


@message(
    "W1695",
    severity=Severity.WARNING,
    console=_homes("town,may,june", *_SALES),
    mended=_homes("town,may,june", *_SALES[:-1], split="train=2, val=1"),
)
def maybe_total(span: Span | None, column: str, words: str, word: str) -> Text:
    """The last row of a table is the sum of those above it in every column of numbers: a line with
    totals, which is no row like the others."""
    what = f'`where {words} != "{word}"` leaves it out' if words else "take it out of the file"
    return Text(
        "the last row may hold the totals of the others",
        label=f"it is their sum, in `{column}` for one",
        help=what,
    )
