"""Lines of csv files: the names of columns, and rows of cells."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import islice

from compiler.data.files import refuse_file
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.data import other_separator, ragged_row

MOST_TITLES = 10
"""Lines above the one that names the columns, at most."""
LINES_LOOKED_AT = 20
"""How many lines tell that a file has another separator."""
SEPARATORS = ";\t,| "
"""What else may stand between cells."""
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?", re.ASCII)
_FRACTION = re.compile(r"[+-]?\d*[.,]\d+|-\d+", re.ASCII)


@dataclass(frozen=True)
class Form:
    """How the lines of a file are written: the options of `csv` that say so."""

    separator: str = ","
    header: bool = True
    skip: int = 0
    short_lines: bool = False
    encoding: str = "utf-8"
    decimal: str = "."


@dataclass(frozen=True)
class Head:
    """A column: its name, and the one that pandas has for it."""

    name: str
    written: str


Rows = list[list[str]]


def read_lines(form: Form, shown: str, text: str) -> tuple[list[Head], Rows]:
    """The columns of a text and the rows of its cells, all of one length.

    Args:
        form: how it is written.
        shown: the file in messages.
        text: what it holds.

    Raises:
        Fault: it is written otherwise.
    """
    rows = list(iterate_rows(form, shown, text, StringIO(text, newline="")))
    if not form.header:
        return name_heads(form, shown, rows[0]), rows
    return _name_columns(form, shown, rows[0], rows[1:])


def iterate_rows(form: Form, shown: str, text: str, lines: Iterable[str]) -> Iterator[list[str]]:
    """The rows of lines, at least one, that which names the columns among them; `text` is what the
    file begins with.

    Raises:
        Fault: they are written otherwise.
    """
    checked = _check_lines(form, shown, lines)
    reader = csv.reader(checked, delimiter=form.separator, strict=True)
    above: Rows = []
    try:
        for cells in reader:
            if not cells or (len(cells) == 1 and cells[0].isspace()):
                continue  # a blank line is no row, as in pandas
            row = _check_row(form, shown, reader.line_num + form.skip, cells, above)
            if not above and len(cells) == 1:
                _refuse_separator(form, shown, text)
            above += [row] if len(above) <= MOST_TITLES else []
            yield row
    except csv.Error as error:
        advice = 'a cell in quotes has them doubled inside: `"12"" tube"`'
        refuse_file(shown, f"line {reader.line_num + form.skip}: {error}", advice)
    if not above:
        refuse_file(shown, "it is empty")


def _check_lines(form: Form, shown: str, lines: Iterable[str]) -> Iterator[str]:
    """The lines with their ends, none of which holds a NUL, which ends texts for pandas."""
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            reason = f"line {number} holds a NUL byte: it is binary, or not {form.encoding}"
            refuse_file(shown, reason, 'text in UTF-16 needs `encoding="utf-16"`')
        if number > form.skip:
            yield line


def _check_row(
    form: Form, shown: str, line: int, row: list[str], above: Sequence[Sequence[str]]
) -> list[str]:
    """A row, as long as the first.

    Raises:
        Fault: it is not, or is the first again, as where files were put together.
    """
    if not above:
        if re.fullmatch("sep=.?", form.separator.join(row), re.IGNORECASE):
            reason = f"line {line:,} tells Excel its separator"
            refuse_file(shown, reason, f"`skip={line}` leaves it out")
        return row
    width = len(above[0])
    if form.header and width > 1 and row == above[0]:
        refuse_file(shown, f"line {line:,} names the columns again", "take it out")
    if form.short_lines and len(row) < width:
        return row + [""] * (width - len(row))
    if len(row) != width:
        _refuse_row(form, shown, line, row, above)
    return row


def name_heads(form: Form, shown: str, header: Sequence[str]) -> list[Head]:
    """The names of the first line without spaces around them. A column without a name has that of
    its place, `c0`, as without a header.

    Raises:
        Fault: two columns have one name, or the first line is a row.
    """
    if not form.header:
        names = [f"c{index}" for index in range(len(header))]
        return [Head(name, name) for name in names]
    heads = [
        Head(name.strip() or f"c{place}", name or f"Unnamed: {place}")
        for place, name in enumerate(header)
    ]
    by_place = "calls columns by their place: `c0`, `c1`, …"
    number = _find_number([name.strip() for name in header])
    if number is not None:
        reason = f"its first line is to name the columns, and has the number `{number}`"
        refuse_file(shown, reason, f"`header=false` {by_place}")
    counts = Counter(head.name for head in heads)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        advice = f"`header=false, skip=1` {by_place}"
        refuse_file(shown, f"its first line names `{twice}` twice", advice)
    return heads


def _name_columns(
    form: Form, shown: str, header: Sequence[str], rows: Rows
) -> tuple[list[Head], Rows]:
    """The columns, and the rows. One without a name is none at all where its cells are blank too,
    as where every line ends in a separator.

    Raises:
        Fault: two columns have one name, or the first line is a row.
    """
    heads = name_heads(form, shown, header)
    blank = {
        place
        for place, name in enumerate(header)
        if not name.strip() and not any(row[place].strip() for row in rows)
    }
    if not blank:
        return heads, rows
    kept = [place for place in range(len(header)) if place not in blank]
    return [heads[p] for p in kept], [[row[p] for p in kept] for row in rows]


def _find_number(names: Sequence[str]) -> str | None:
    """A number in the first line that no column is called by: with a fraction, or of whole numbers
    only that are no years or places, which increase."""
    fraction = next((name for name in names if _FRACTION.fullmatch(name)), None)
    if fraction is not None or not all(map(_NUMBER.fullmatch, names)):
        return fraction
    numbers = [int(name) for name in names]
    return None if numbers == sorted(set(numbers)) else names[0]


def _refuse_separator(form: Form, shown: str, text: str) -> None:
    """Refuses a file whose lines are one cell each, and several with another separator.

    Raises:
        Fault: which separator it is.
    """
    whole = list(islice(StringIO(text), form.skip, form.skip + LINES_LOOKED_AT))
    lines = [line for line in whole if line.strip()]
    others = SEPARATORS.replace(form.separator, "")
    ways = ((other, _count_titles(other, lines)) for other in others)
    found, titles = next(((s, n) for s, n in ways if n is not None), ("", 0))
    if not found:
        return
    header, row = lines[titles], lines[titles + 1]
    decimal = form.decimal != "," != found and re.search(r"\d,\d", row) is not None
    cells = len(next(csv.reader([header], delimiter=found)))
    skip = form.skip + whole.index(header) if titles else 0
    raise Fault(
        lambda where: other_separator(
            where.argument("path"), shown, header, found, decimal, cells, skip
        )
    )


def _count_titles(separator: str, lines: Sequence[str]) -> int | None:
    """How many lines stand above those which a separator divides, each into the same number of
    cells, more than one; None where it does not."""
    rows = list(csv.reader(lines, delimiter=separator))
    widths = [len(row) for row in rows]
    first = next((place for place, width in enumerate(widths) if width > 1), len(rows))
    if first > MOST_TITLES or len(rows) - first < 2 or len(set(widths[first:])) > 1:
        return None
    return first if separator != " " or _are_cells(rows) else None


def _are_cells(rows: Sequence[Sequence[str]]) -> bool:
    """Whether words with spaces between them are cells: the first line has as many as others, some
    are numbers in all of these, and none is always the same, as a unit is."""
    if len(rows[0]) == 1:
        return False
    columns = list(zip(*rows[1:], strict=True))
    numbers = [all(map(_NUMBER.fullmatch, cells)) for cells in columns]
    units = any(len(set(c)) == 1 and not n for c, n in zip(columns, numbers, strict=True))
    return any(numbers) and not units


def _refuse_row(
    form: Form, shown: str, line: int, row: Sequence[str], above: Sequence[Sequence[str]]
) -> None:
    """Refuses a line with more or fewer cells than the first.

    Raises:
        Fault: what reads it.
    """
    width = len(above[0])
    advice = ""
    if len(row) > width and len(above) <= MOST_TITLES and all(len(r) == 1 for r in above):
        advice = f"`skip={line - 1}` leaves out the lines above it"
    elif len(row) == width + 1 and not row[-1].strip():
        advice = "where every line ends in a separator, the first one needs it too"
    elif len(row) < width:
        advice = "`short_lines=true` reads the cells that it lacks as missing"
    raise Fault(
        lambda where: ragged_row(
            where.argument("path"), shown, line, len(row), width, form.separator, advice
        )
    )
