"""Messages about windows of rows: what orders them, their targets, gaps, and splits without any."""

from __future__ import annotations

from typing import Protocol

from compiler.report.diagnostics import Text, message
from compiler.report.messages.wording import COLUMNS, count, list_words
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
    option: str,  # "by" or "group"
    column: str,
    found: str,  # its kind and type; empty where there is none
    known: tuple[str, ...],
    suggestion: str | None = None,
) -> Text:
    """Windows are brought into the order of a raw column of dates or whole numbers, `by=`, and kept
    apart by one of words or whole numbers, `group=`."""
    verb = "order" if option == "by" else "group"
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
def irregular_steps(span: Span | None, column: str, row: int, steps: Steps) -> Text:
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
        label = f"behind row {row:,} it goes on by {steps.found:,}, usually by {steps.usual:,}"
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
