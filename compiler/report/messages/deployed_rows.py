"""Messages about rows that are given to a deployed file."""

from __future__ import annotations

from compiler.report.diagnostics import Severity, Text, message
from compiler.report.messages.cells import Samples, show_samples
from compiler.report.messages.wording import count, list_words
from compiler.report.sessions import HOMES_FILE, run_homes
from compiler.report.source import Span

GIVEN = run_homes("kind,area", "flat,60", "barn,200")
"""Rows that the file takes."""


@message(
    "W1740",
    console=HOMES_FILE
    + """\
$ python -c "import numpy as np; np.savez('x.npz', kind=np.array([0.0]), area=np.array([5]))"
$ weft run out/priced.onnx kind=x.npz area=x.npz
""",
    mended="""\
$ python -c "import numpy as np; np.savez('x.npz', kind=np.array(['flat']), area=np.array([5]))"
$ weft run out/priced.onnx kind=x.npz area=x.npz
""",
)
def not_words(span: Span | None, name: str, given: str) -> Text:
    """An input of a deployed file is a column of words, and an array of something else is given to
    it. The file itself finds the code of each word; whole numbers are taken for these codes."""
    return Text(
        f"the input `{name}` takes words, and the array is `{given}`",
        help="give the words themselves, an array of strings",
    )


@message(
    "W1741",
    console=HOMES_FILE + run_homes("kind,area", "flat,60", "Flat,70", "boat,40"),
    mended=GIVEN,
)
def unknown_words(span: Span | None, column: str, samples: Samples, known: tuple[str, ...]) -> Text:
    """A row that is given to a deployed file has a category that the net was trained on no row of.
    It has no code, and the net nothing that it could make of it. The file itself stops at such a
    word too, with the name of its column.

    A column of which new words are to be expected says so in the data item:
    `csv("homes.csv", unknown_category=["kind"])` takes them for the category `""`, as missing cells
    of a column in `missing_category` are.
    """
    return Text(
        f"the column `{column}` holds words that the file does not know",
        label=f"{show_samples(samples)}; it knows {list_words(known)}",
        help=f'mend the cells, or train with `unknown_category=["{column}"]`',
    )


@message("W1742", console=HOMES_FILE + run_homes("sort,area", "flat,60"), mended=GIVEN)
def columns_missing(
    span: Span | None, path: str, missing: tuple[str, ...], found: tuple[str, ...]
) -> Text:
    """A table that is given to a deployed file lacks a column that its net reads. Columns are found
    by their names, in any order; others may stand beside them."""
    return Text(
        f"`{path}` has no column {list_words(missing)}",
        label=f"has {list_words(found)}" if found else "has no column that the file takes",
        help="call the columns as those of the training are called",
    )


@message(
    "W1743",
    console=HOMES_FILE + run_homes("kind,area", "flat,60", "barn,2 acres"),
    mended=GIVEN,
)
def cells_do_not_fit(
    span: Span | None, column: str, samples: Samples, cells: int, expected: str
) -> Text:
    """Cells of a table that is given to a deployed file are not what their column held in the
    training: words among numbers, dates of another form, numbers with another unit or decimal mark.
    They are read by the rules of the training, which the file carries."""
    return Text(
        f"{count(cells, 'cell')} of the column `{column}` cannot be read",
        label=f"{show_samples(samples)}; the net was trained on {expected}",
        help="write them as the table of the training does",
    )


@message("W1744", console=HOMES_FILE + run_homes("kind,area", "flat,", "barn,70"), mended=GIVEN)
def cells_missing(span: Span | None, column: str, rows: tuple[int, ...], cells: int) -> Text:
    """Cells of a table that is given to a deployed file are missing, in a column of which the
    training had all of them: whole numbers, dates or categories, which have nothing that stands for
    a missing one."""
    shown = ", ".join(f"{row:,}" for row in rows)
    return Text(
        f"{count(cells, 'cell')} of the column `{column}` {'is' if cells == 1 else 'are'} missing",
        label=f"in row {shown}{', …' if cells > len(rows) else ''}",
        help="leave these rows out; in training, `fill` and `missing_category` say what they mean",
    )


@message(
    "W1745",
    severity=Severity.WARNING,
    console=HOMES_FILE + run_homes("kind,area", "flat,60", "barn,900"),
    mended=GIVEN,
)
def rows_outside(
    span: Span | None,
    rows: int,
    total: int,
    # Each column with the number of its rows, what is with them, and the first of them.
    columns: tuple[tuple[str, int, str, tuple[int, ...]], ...],
) -> Text:
    """Rows lie outside of what the net was trained on: numbers below the least or above the
    greatest of the training rows, missing where none of these was, or words that none of them had.
    What a net makes of such rows nobody has measured. The file carries these ranges.

    `weft run` and `weft eval` say it and go on. Many such rows say that the world has changed
    since, or that a column means something else now (another unit, another sensor).
    """
    told = []
    for column, number, what, first in columns:
        shown = ", ".join(f"{row:,}" for row in first)
        more = ", …" if number > len(first) else ""
        told.append(f"`{column}`: {count(number, 'row')} {what} (row {shown}{more})")
    few, which = count(rows, "row"), "lies" if rows == 1 else "lie"
    return Text(
        f"{few} of {total:,} {which} outside of what the net was trained on",
        label="; ".join(told),
        help="look at these rows; where many lie outside, train on newer ones",
    )


@message(
    "W1746",
    console=HOMES_FILE.replace(" { preprocess homes }", "")
    + run_homes("kind,area", "flat,60", "barn,200"),
)
def takes_no_rows(span: Span | None, model: str, inputs: tuple[str, ...]) -> Text:
    """A table is given to a file that does not say which raw columns it takes: it was deployed
    without `preprocess`, or somebody else wrote it. Its inputs are arrays."""
    given = " ".join(f"{name}=FILE" for name in inputs)
    return Text(
        f"`{model}` takes no rows of a table",
        help=f"give an array for each input ({given}), or deploy with `preprocess DATA`",
    )


@message(
    "W1747",
    console=HOMES_FILE.replace("    split in_order", "    window 2\n    split in_order")
    .replace("75%, val=25%", "50%, val=50%")
    .replace("f32[batch, 4]", "f32[batch, 2, 4]")
    .replace("dense(1)", "flatten -> dense(1)")
    + run_homes("kind,area", "flat,60"),
    mended=GIVEN,
)
def no_window_of_rows(span: Span | None, rows: int, length: int) -> Text:
    """A file of a net that was trained on windows takes as many rows at a time as a window has,
    which follow one another as those of the training did; the rows that are given hold no such run.
    """
    return Text(
        f"there is no window in {count(rows, 'row')}",
        label=f"one takes {count(length, 'row')} that follow one another",
        help="give the rows before them too",
    )


@message(
    "W1748",
    console=HOMES_FILE.replace("dense(1) as head", "dense(4) -> reshape([batch, 2, 2])")
    + run_homes("kind,area", "flat,60", "barn,200"),
    mended="""\
$ weft run out/priced.onnx rows.csv -o prices.npz
""",
)
def not_for_a_table(span: Span | None, output: str, kind: str) -> Text:
    """An output of a file has several axes for each row, and a table has one line: it is written as
    arrays, to a file whose name ends in `.npz`."""
    return Text(
        f"the output `{output}` is {kind}, which no table holds",
        help="write arrays: `-o FILE.npz`",
    )
