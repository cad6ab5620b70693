"""Messages about data that is made of two sources."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.source import Span

_HOMES = """\
$ cat homes.csv
town,area
York,54
Bath,67
"""


def _join(towns: str, source: str) -> str:
    return f"{_HOMES}$ cat towns.csv\n{towns}{_spec(source)}"


def _spec(source: str) -> str:
    return f"""\
$ cat homes.weft
data homes {{
    source {source}
    split in_order, train=50%, val=50%
}}
$ weft check homes.weft --data
"""


_BY_TOWN = 'join(csv("homes.csv"), csv("towns.csv"), on="town")'
_BELOW = 'concat(csv("homes.csv"), csv("towns.csv"))'


@message(
    "W1687",
    console=_join("town,size\nHove,71\n", _BELOW),
    mended=_join("town,area\nHove,71\n", _BELOW),
)
def columns_differ(span: Span | None, column: str, reason: str) -> Text:
    """Two sources are put together, and a column is not the same in both: one lacks it, or it holds
    numbers here and words there. `categories=["kind"]` of a table reads a column as words whatever
    stands in it."""
    return Text(f"the sources differ in their column `{column}`", label=reason)


@message(
    "W1688",
    console=_join("town,people\nYork,1\nYork,2\nBath,3\n", _BY_TOWN),
    mended=_join("town,people\nYork,1\nBath,3\n", _BY_TOWN),
)
def key_not_unique(span: Span | None, key: str, first: int, second: int) -> Text:
    """Rows are to be joined with those of a second source, of which two have one key. Which of them
    is meant is not said; the other way round, a row of the second source may belong to many."""
    return Text(
        f"two rows of the second source have the key {key}",
        label=f"rows {first:,} and {second:,}",
        help="each key stands there once: exchange the sources, or leave one of the rows out",
    )


@message(
    "W1689",
    console=_join("town,people\nYork,1\nHove,2\n", _BY_TOWN),
    mended=_spec(_BY_TOWN.replace('"town")', '"town", unmatched="leave_out")')).replace(
        "train=50%, val=50%", "train=1"
    ),
)
def key_not_found(span: Span | None, key: str, row: int, rows: int) -> Text:
    """Rows are to be joined with those of a second source, which has none with the key of one of
    them."""
    more = f"; and {rows - 1:,} more" if rows > 1 else ""
    return Text(
        f"the second source has no row with the key {key}",
        label=f"row {row:,} of the first has it{more}",
        help='`unmatched="leave_out"` leaves such rows out',
    )


@message(
    "W1690",
    console=_join("town,area\nYork,1\nBath,2\n", _BY_TOWN),
    mended=_join("town,people\nYork,1\nBath,2\n", _BY_TOWN),
)
def sources_overlap(span: Span | None, column: str) -> Text:
    """Two sources are joined that both have a column of one name, which is not part of the key."""
    return Text(
        f"both sources have a column `{column}`",
        help="rename one of them in its file, or make it part of the key: `on=[…]`",
    )
