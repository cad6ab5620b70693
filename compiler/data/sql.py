"""Tables of databases: what a query gives, through SQLAlchemy."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, final

from compiler.data.base import SOURCES, Column, LoadingCode
from compiler.data.files import find_file, refuse_setting
from compiler.data.frames import FrameTable, Stamps, stamp_files
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.databases import (
    database_refused,
    database_variable_missing,
    package_missing,
    password_in_spec,
    rows_in_no_order,
)
from compiler.writing.python import write_path, write_string

if TYPE_CHECKING:
    from sqlalchemy import URL

VARIABLE = "env:"
"""What an address begins with that is the value of a variable of the environment."""
_FILE = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>[^?]+)")
_PASSWORD = re.compile(r"[\w+.-]+://[^/?@]*:[^/?]*@|[?&](?:password|passwd|pwd)=", re.IGNORECASE)
_READS = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*\(*\s*(?:select|with|values|table)\b",
    re.DOTALL | re.IGNORECASE,
)
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)


@SOURCES.register
@final
@dataclass(frozen=True)
class Sql(FrameTable):
    """The rows that a query finds in a database: SQLite, PostgreSQL, MySQL and whatever else
    SQLAlchemy has a driver for.

    Whole numbers are i64, other numbers f32 with NaN where there is none, booleans bool, dates and
    times i64, the seconds since 1970. Columns of text are read as those of a csv file are: numbers,
    dates or categories. Rows come in the order of the query's `order by`; without one a database
    may return them in any, and `weft check` warns. A process asks once.

    A spec has no passwords in it: the address of a server stands in a variable of the environment,
    `"env:SHOP_DATABASE"`, or its password where the driver looks for it (`~/.pgpass`).

    - `url`: the address as SQLAlchemy writes it: `"sqlite:///shop.db"` is the file `shop.db`
      relative to the spec's folder, `"env:SHOP_DATABASE"` the value of a variable.
    - `query`: what is asked: one `select`; nothing is ever changed.
    - `decimal`: what stands before the fraction of a number in text.
    - `thousands`: what stands between thousands in text.
    - `unit`: what stands beside each number in text: `"kg"`, `["$", "km"]`.
    - `date`: the form of dates in text that are not read by themselves: `"%d/%m/%y"`.
    - `missing`: more cells of text that are missing: `["?", "-"]`.
    - `categories`: columns of text that are categories whatever their cells look like.
    - `missing_category`: columns of categories in which missing cells are one more category.
    - `unknown_category`: the same, and so are words that a deployed file is given and the training
      did not have.

    Example:

        source sql("sqlite:///houses.db", "select area, rooms from houses order by id")
        inputs = stack([area, rooms]) -> standardize

    Source: https://docs.sqlalchemy.org/en/20/core/engines.html#database-urls
    """

    name: ClassVar[str] = "sql"
    url: str
    query: str
    decimal: str = "."
    thousands: str = ""
    unit: str | tuple[str, ...] = ()
    date: str = ""
    missing: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    missing_category: tuple[str, ...] = ()
    unknown_category: tuple[str, ...] = ()

    def check(self) -> None:
        if _PASSWORD.search(self.url):
            raise Fault(lambda _: password_in_spec(None))  # no span: its line would be shown
        if self._variable is None and "://" not in self.url:
            expected = 'an address, such as "sqlite:///shop.db" or "env:SHOP_DATABASE"'
            refuse_setting(self.name, "url", f'"{self.url}"', expected)
        if self._variable is not None and not self._variable.isidentifier():
            expected = '"env:" and the name of a variable of the environment'
            refuse_setting(self.name, "url", f'"{self.url}"', expected)
        if _READS.match(self.query) is None:
            shown = " ".join(self.query.split())[:40]
            refuse_setting(self.name, "query", f'"{shown}"', 'a query, such as "select * from t"')
        super().check()

    def schema(self, folder: Path) -> tuple[Column, ...]:
        first, *others = super().schema(folder)
        if _ORDERED.search(self.query) is None and first.doubt is None:
            first = replace(first, doubt=rows_in_no_order(None))
        return (first, *others)

    def read_frame(self, folder: Path) -> Any:
        address = os.environ.get(self._variable) if self._variable is not None else None
        return _ask(self, folder, stamp_files(self.files(folder)), address)

    def refuse(self, reason: str, advice: str = "") -> NoReturn:
        raise Fault(lambda w: database_refused(w.argument("query"), self.url, reason, advice))

    def files(self, folder: Path) -> Sequence[Path]:
        if self._path is None:
            return ()
        path = find_file(folder, self._path, "url")
        log = path.with_name(f"{path.name}-wal")
        return (path, log) if log.is_file() else (path,)

    def fingerprint(self, folder: Path) -> str:
        rows = self.read_frame(folder).to_csv(index=False)
        return hashlib.sha256(rows.encode("utf-8", "surrogatepass")).hexdigest()

    def imports(self) -> Sequence[str]:
        read = ["import os"] if self._variable is not None else []
        return [*read, "import pandas as pd", "import sqlalchemy"]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        found = [f"url = {write_string(self.url)}"]
        if self._variable is not None:
            found = [f"url = os.environ[{write_string(self._variable)}]"]
        if self._path is not None:
            found = [
                f"path = ({write_path(self._path)}).resolve(strict=True)",
                'url = sqlalchemy.URL.create("sqlite", database=str(path))',
            ]
        lines = [
            *self.helpers(columns),
            *found,
            "with sqlalchemy.create_engine(url).connect() as connection:",
            f"    table = pd.read_sql_query({write_string(self.query)}, connection)",
        ]
        return LoadingCode(lines, self.write_columns(columns))

    @property
    def _variable(self) -> str | None:
        """The variable that holds the address."""
        return self.url.removeprefix(VARIABLE) if self.url.startswith(VARIABLE) else None

    @property
    def _path(self) -> str | None:
        """The file of SQLite that the address names."""
        match = _FILE.fullmatch(self.url)
        return match["path"] if match is not None and match["path"] != ":memory:" else None

    def find_url(self, folder: Path) -> str | URL:
        """The address with its password, and the path of a file relative to a folder.

        Raises:
            Fault: the variable that holds it is not set.
        """
        from sqlalchemy import URL

        if self._path is not None:
            return URL.create("sqlite", database=str(find_file(folder, self._path, "url")))
        if self._variable is None:
            return self.url
        known, name = os.environ.get(self._variable), self._variable
        if not known:
            raise Fault(lambda w: database_variable_missing(w.argument("url"), name))
        return known


@lru_cache(maxsize=4)  # the schema and the rows come from one answer
def _ask(source: Sql, folder: Path, stamps: Stamps, address: str | None) -> Any:
    """The answer of the database as a frame; `stamps` and `address` are part of the
    key of the cache.

    Raises:
        Fault: a package or the database is missing, or it refuses the query.
    """
    try:
        import pandas
        import sqlalchemy
    except ImportError as error:
        missing = package_missing
        raise Fault(lambda w: missing(w.call, "sqlalchemy", "databases", "sql")) from error
    url = source.find_url(folder)
    try:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return pandas.read_sql_query(source.query, connection)
    except ImportError as error:
        module = error.name or str(error)
        reason = f"its driver `{module}` is not installed"
        source.refuse(reason, f"`pip install {module}`")
    except (sqlalchemy.exc.SQLAlchemyError, ValueError, TypeError, OSError) as error:
        source.refuse(_explain(error, url))


def _explain(error: Exception, url: str | URL) -> str:
    """What a database says of its fault, without the password of its address."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    told = error.__cause__ if error.__cause__ is not None else error  # pandas repeats the query
    text = str(getattr(told, "orig", None) or told).strip().splitlines()[0]
    try:
        password = make_url(url).password
    except ArgumentError:
        return "its address is not written as SQLAlchemy writes one"
    return text.replace(str(password), "***") if password else text
