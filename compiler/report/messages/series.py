"""Messages about rows that are kept, and windows of rows: order, targets, gaps, none at all."""

from __future__ import annotations

from typing import Protocol

from compiler.report.diagnostics import Severity, Text, message
from compiler.report.messages.wording import COLUMNS, count, describe_time, list_words
from compiler.report.sessions import change_fit, fit
from compiler.report.source import Span

DAY = 86400
"""Seconds."""


def _digits(window: str) -> str:
    """A spec of the digits with these windows."""
    source = 'source sklearn("digits")'
    return f"data digits {{\n    {source}\n    window {window}\n    split in_order, train=90%\n}}\n"


class Steps(Protocol):
    """Steps between rows that are not all the same."""

    @property
    def found(self) -> int:
        """The first that is another."""

    @property
    def usual(self) -> int:
        """That of most rows."""

    @property
    def count(self) -> int:
        """How many are others."""

    @property
    def least(self) -> int:
        """The smallest of all."""

    @property
    def most(self) -> int:
        """The largest of all."""


@message(
    "W1620",
    bad=_digits("8, by=image"),
    good=_digits('8, by=label, gaps="ignore"'),
)
def not_an_order(
    span: Span | None,
    option: str,  # "by", "group" or "balance"
    column: str,
    found: str,  # its kind and type; empty where there is none
    known: tuple[str, ...],
    suggestion: str | None = None,
) -> Text:
    """Windows are brought into the order of a raw column of dates or whole numbers, `by=`, and kept
    apart by one of words or whole numbers, `group=`; so are splits. Classes that are balanced
    are words or whole numbers too."""
    verb = "order" if option == "by" else option
    title = f"`{column}` cannot {verb} rows" if found else f"the source has no column `{column}`"
    label = f"it is of {found}" if found else ""
    if suggestion:
        label = f"did you mean `{suggestion}`?"
    kinds = "dates or whole numbers" if option == "by" else "words or whole numbers"
    advice = f"columns of {kinds} are {list_words(known, COLUMNS)}" if known else None
    if option == "by" and not known:
        advice = "without `by=`, rows follow one another as the source has them"
    return Text(title, label=label, help=advice)


@message(
    "W1621",
    bad=_digits("8, ahead=1"),
    good=_digits("8, ahead=1, target=label"),
)
def no_such_target(
    span: Span | None,
    column: str,  # empty where none is named
    known: tuple[str, ...],
    suggestion: str | None = None,
) -> Text:
    """With `ahead=`, a window has targets: columns that are taken so many rows after its last one.
    They are named by `target=`; the column called `target` is one by itself."""
    columns = f"columns are {list_words(known, COLUMNS)}"
    first = known[-1] if known else "y"
    if column:
        close = f"did you mean `{suggestion}`?" if suggestion else ""
        return Text(f"there is no column `{column}`", label=close, help=columns)
    return Text(
        "the windows have no target",
        label="is how far a target lies behind the last row of a window",
        help=f"name it, `target={first}`, or call a column `target`; {columns}",
    )


_GAP = fit(
    ("{k / 8},", "{k + (k > 12)},"),
    ("stack([a, b])\n", "stack([a, b])\n    window 2, ahead=1, target=label, by=a\n"),
    ("f32[batch, 2]", "f32[batch, 2, 2]"),
    ("y = x -> dense(8)", "y = x -> flatten -> dense(8)"),
)


@message(
    "W1622",
    console=_GAP.replace("stack([a, b])", "stack([cast(a, f32), b])")
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit(
        (
            "stack([a, b])\n",
            'stack([cast(a, f32), b])\n    window 2, ahead=1, target=label, by=a, gaps="split"\n',
        ),
        ("f32[batch, 2]", "f32[batch, 2, 2]"),
        ("y = x -> dense(8)", "y = x -> flatten -> dense(8)"),
    )
    + """\
$ weft check fit.weft --data
""",
)
def irregular_steps(
    span: Span | None,
    column: str,
    row: int,
    steps: Steps,
    *,
    dates: bool = False,  # whether the steps are seconds
) -> Text:
    """Rows of a window follow one another at equal steps of the column `by`: a row that is missing,
    or that stands there twice, would make other windows of the same length.

    `gaps="split"` makes no window across such a place, `gaps="ignore"` takes rows as they follow
    one another, whatever lies between. Steps of months and years are not equal in seconds: they
    are to be ignored.
    """
    if steps.found == 0:
        label = f"row {row:,} and the next have the same `{column}`"
        advice = "rows of several series are told apart by `group=station`"
    else:
        found, usual = (
            describe_time(number) if dates else f"{number:,}"
            for number in (steps.found, steps.usual)
        )
        label = f"behind row {row:,} it goes on by {found}, usually by {usual}"
        advice = '`gaps="split"` makes no window across such places'
    if steps.least >= 28 * DAY and steps.most <= 366 * DAY:
        advice = 'months and years differ in length: `gaps="ignore"` takes rows as they follow'
    return Text(
        f"the steps of `{column}` are not equal in {count(steps.count, 'place')}",
        label=label,
        help=advice,
    )


@message(
    "W1623",
    console=fit(
        ("stack([a, b])\n", "stack([a, b])\n    window 6, ahead=1, target=label\n"),
        ("f32[batch, 2]", "f32[batch, 6, 2]"),
        ("y = x -> dense(8)", "y = x -> flatten -> dense(8)"),
    )
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit(
        ("stack([a, b])\n", "stack([a, b])\n    window 2, ahead=1, target=label\n"),
        ("f32[batch, 2]", "f32[batch, 2, 2]"),
        ("y = x -> dense(8)", "y = x -> flatten -> dense(8)"),
    )
    + """\
$ weft check fit.weft --data
""",
)
def no_window(span: Span | None, split: str, rows: int, needed: int) -> Text:
    """A split holds no window: windows lie within one split, with their targets, and go across no
    gap and no border of a group, and this split has no such run of rows."""
    return Text(
        f"the split `{split}` holds no window",
        label=f"one takes {count(needed, 'row')} that follow one another",
        help=f"the split has {count(rows, 'row')}; take a larger share, or shorter windows",
    )


_HOUSES = """\
$ cat make.py
rows = [f"{k},{'red' if k % 2 else 'green'}" for k in range(20)]
with open("table.csv", "w") as file:
    print("area,kind", *rows, sep="\\n", file=file)
$ python make.py
"""


def _check_houses(condition: str) -> str:
    """A session that checks a data item with this condition."""
    return f"""\
$ cat data.weft
data table {{
    source csv("table.csv")
    where {condition}
    split in_order, train=80%, val=20%
}}
$ weft check data.weft
"""


@message(
    "W1624",
    console=_HOUSES + _check_houses('kind == "gren"'),
    mended=_check_houses('kind == "green"'),
)
def no_such_cell(
    span: Span | None,
    column: str,
    text: str,
    known: tuple[str, ...],  # its categories; none of a column of dates
    suggestion: str | None = None,
) -> Text:
    """A text beside a raw column stands for a category of it, as the cells have it, or for a date
    in the form of its cells or as `"2024-03-01"`, `"2024-03-01T12:30:00"`. A condition on what no
    cell holds would keep no row, or all of them."""
    if not known:
        return Text(
            f'"{text}" is no date',
            label=f"`{column}` holds dates",
            help='a date is written as its cells are, or as "2024-03-01" or "2024-03-01T12:30:00"',
        )
    label = f"did you mean `{suggestion}`?" if suggestion else ""
    return Text(
        f'no cell of `{column}` is "{text}"',
        label=label,
        help=f"its categories are {list_words(known, COLUMNS)}",
    )


@message(
    "W1625",
    console=_HOUSES + _check_houses("area"),
    mended=_check_houses("area > 3"),
)
def no_condition(span: Span | None, found: str) -> Text:
    """`where` takes one boolean for each row: a comparison of columns, joined by `and`, `or` and
    `not`. No column is `none`: a missing number is found by `isnan`, and missing words are the
    category `""` where `missing_category=["kind"]` says so."""
    advice = 'compare: `where area > 0 and kind == "house"`'
    if found in ("true", "false"):
        advice = 'missing cells are found by `isnan(area)`, and by `kind == ""` of words'
    return Text("`where` takes a boolean of each row", label=f"this is {found}", help=advice)


@message(
    "W1626",
    console=_HOUSES + _check_houses("standardize(area) > 0"),
    mended=_check_houses("area > 10"),
)
def condition_is_fitted(span: Span | None, op: str) -> Text:
    """`standardize` and `fill` with a mean or median are fitted on the training rows, and these are
    known only after `where` has chosen among all rows."""
    return Text(
        f"`where` cannot read what `{op}` computes",
        label="is fitted on training rows, which `where` chooses first",
        help="compare raw columns with numbers: `where area > 10`, `where not isnan(area)`",
    )


@message(
    "W1627",
    console=fit(("stack([a, b])\n", "stack([a, b])\n    where a > 100\n"))
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit(("stack([a, b])\n", "stack([a, b])\n    where a > 0.1\n"))
    + """\
$ weft check fit.weft --data
""",
)
def no_row_left(span: Span | None, rows: int) -> Text:
    """No row of the source holds what `where` asks for. A cell that is missing holds no comparison,
    so that `where pm > 5` keeps none of these either."""
    return Text(
        "`where` keeps no row",
        label=f"it holds for none of {count(rows, 'row')}",
        help=f"`{COLUMNS}` shows what the columns hold",
    )


@message(
    "W1628",
    bad=_digits("8, ahead=1, target=label\n    balance label"),
    good=_digits("8, ahead=1, target=label"),
)
def balances_windows(span: Span | None, column: str) -> Text:
    """`balance` repeats rows, and a window is of many rows, of several classes."""
    return Text(
        "windows cannot be balanced",
        label=f"a window holds several cells of `{column}`",
        help="give the loss `weight=` for the classes instead",
    )


@message(
    "W1629",
    severity=Severity.WARNING,
    console=fit(("{k / 8},{k % 3}", "{k % 70 / 8},{k % 70}"), ("range(20)", "range(100)"))
    + "$ weft check fit.weft --data\n",
    mended=change_fit(
        (
            "split in_order, train=60%, val=20%, test=20%",
            "split random(group=b), train=50%, val=25%, test=25%",
        )
    )
    + "$ weft check fit.weft --data\n",
)
def same_rows(span: Span | None, split: str, found: int, rows: int) -> Text:
    """Rows of a split stand among the training rows as well, in every column that the training
    reads. A figure of such rows says how well the net remembers, not how well it does on others.

    Rows that belong together (copies, pictures of one scene, visits of one patient) go into one
    split by `split random(group=patient)`.
    """
    share = 100 * found / rows
    return Text(
        f"{count(found, 'row')} of `{split}` ({share:.2g} %) stand in `train` as well",
        label="divided here",
        help="leave copies out of the data, or keep what belongs together in one split: `group=`",
    )


@message(
    "W1691",
    severity=Severity.WARNING,
    console=fit(
        ("{k % 3}", "{'abc'[k // 14]}"),
        ("range(20)", "range(40)"),
        ("stack([a, b])", "concat([stack([a]), one_hot(b, dtype=f32)])"),
        ("f32[batch, 2]", "f32[batch, 4]"),
    )
    + "$ weft check fit.weft --data\n",
    mended=change_fit(
        ("split in_order, train=60%", "split random(stratify=b), train=60%"),
        ("stack([a, b])", "concat([stack([a]), one_hot(b, dtype=f32)])"),
        ("f32[batch, 2]", "f32[batch, 4]"),
    )
    + "$ weft check fit.weft --data\n",
)
def class_not_trained(
    span: Span | None, column: str, classes: tuple[str, ...], split: str, rows: int
) -> Text:
    """A class of a column of words stands in `val` or `test` only: the net never sees it in
    training, and cannot know what to make of it."""
    one = len(classes) == 1
    return Text(
        f"no training row has the {'class' if one else 'classes'} {list_words(classes)} "
        f"of `{column}`",
        label=f"{count(rows, 'row')} of `{split}` {'has' if rows == 1 else 'have'} "
        f"{'it' if one else 'one of them'}",
        help=f"`split random(stratify={column})` gives each split its part of every class",
    )
