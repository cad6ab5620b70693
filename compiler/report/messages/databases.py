"""Messages about tables that a database or a package of others holds."""

from __future__ import annotations

from compiler.report.diagnostics import Severity, Text, message
from compiler.report.source import Span

_MAKE = """\
$ cat make.py
import sqlite3

with sqlite3.connect("shop.db") as shop:
    shop.execute("create table homes (area real, price real)")
    shop.executemany("insert into homes values (?, ?)", [(54, 2.5), (67, 3.5)])
$ python make.py
"""


def _homes(source: str) -> str:
    return f"""\
$ cat homes.weft
data homes {{
    source {source}
    split in_order, train=50%, val=50%
}}
"""


def _shop(source: str, options: str = "") -> str:
    return f"{_MAKE}{_homes(source)}$ weft check homes.weft{options}\n"


def _mended(source: str, options: str = "") -> str:
    return f"{_homes(source)}$ weft check homes.weft{options}\n"


_OF_SERVER = 'sql("env:SHOP_DATABASE", "select * from homes order by area")'
_RIGHT = 'sql("sqlite:///shop.db", "select * from homes order by area")'


@message(
    "W1680",
    console=_shop('sql("postgresql://ada:secret@shop/homes", "select * from homes")'),
    mended=_mended(_RIGHT),
)
def password_in_spec(span: Span | None) -> Text:
    """The address of a database in a spec has a password in it. A spec is read by others, and what
    is made of it (scripts, checkpoints, reports) keeps its text.

    `sql("env:SHOP_DATABASE", …)` takes the address from a variable of the environment; most drivers
    also look for passwords themselves, as PostgreSQL's does in `~/.pgpass`.
    """
    return Text(
        "the address of a database in `source sql` has a password in it",
        help='put the address into a variable of the environment: `sql("env:SHOP_DATABASE", …)`',
    )


@message(
    "W1681",
    console=_shop('sql("sqlite:///shop.db", "select * from houses order by area")'),
    mended=_mended(_RIGHT),
)
def database_refused(span: Span | None, url: str, reason: str, advice: str = "") -> Text:
    """A database cannot be reached, its driver is not installed, or it refuses a query; or what it
    gives makes no columns. The reason is in its own words."""
    return Text(f"`{url}` gives no table", label=reason, help=advice or None)


@message(
    "W1682",
    console=_shop(_OF_SERVER),
    mended=_homes(_OF_SERVER) + "$ SHOP_DATABASE=sqlite:///shop.db weft check homes.weft\n",
)
def database_variable_missing(span: Span | None, name: str) -> Text:
    """The address of a database is to be the value of a variable of the environment that is not
    set, or empty."""
    return Text(
        f"the environment has no variable `{name}`",
        label="it is to hold the address of the database",
        help=f"`export {name}=postgresql://user:password@host/database` sets it",
    )


@message(
    "W1683",
    severity=Severity.WARNING,
    console=_shop('sql("sqlite:///shop.db", "select * from homes")'),
    mended=_mended(_RIGHT),
)
def rows_in_no_order(span: Span | None) -> Text:
    """A query has no `order by`, so that a database may return its rows in another order each time.
    A split, a batch and with them a training would be others then."""
    return Text(
        "the rows of this query come in no certain order",
        label="it has no `order by`",
        help="add one by a column that tells all rows apart: `order by id`",
    )


@message(
    "W1684",
    console=_MAKE
    + _homes(_RIGHT)
    + """\
$ pip uninstall -y sqlalchemy
$ weft check homes.weft
""",
)
def package_missing(span: Span | None, package: str, what: str, extra: str) -> Text:
    """A source reads its rows with a package that is not installed. Weft does not need it
    otherwise, so that it is an extra: `pip install 'weft[sql]'`."""
    return Text(
        f"{what} are read with `{package}`, which is not installed",
        help=f"install it: `pip install 'weft[{extra}]'`, or `pip install {package}`",
    )


@message(
    "W1686",
    console="""\
$ cat make.py
from datasets import Dataset

Dataset.from_dict({"area": [54, 67], "price": [2.5, 3.5]}).save_to_disk("homes")
$ python make.py
$ cat homes.weft
data homes {
    source hf("./homes", split="trian")
    split in_order, train=50%, val=50%
}
$ weft check homes.weft
""",
    mended="""\
$ cat homes.weft
data homes {
    source hf("./homes")
    split in_order, train=50%, val=50%
}
$ weft check homes.weft
""",
)
def data_set_unavailable(span: Span | None, name: str, reason: str, advice: str = "") -> Text:
    """A data set of Hugging Face cannot be loaded: there is no such one, it lacks the split or the
    revision, or the hub cannot be reached and the cache does not have it. What was loaded once is
    used offline too."""
    return Text(f"the data set `{name}` cannot be loaded", label=reason, help=advice or None)
