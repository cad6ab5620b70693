"""Dirty tables: each is read as a person would read it, or refused with what reads it; and the
script reads what the check read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.data.csv_table import Csv
from compiler.report.diagnostics import Fault, Message
from tests.faults import Somewhere
from tests.sources import check_source

NAN = float("nan")
JANUARY, FEBRUARY = 1706659200, 1709164800
"""31 January and 29 February 2024, in seconds since 1970."""


@dataclass(frozen=True)
class Dirty:
    """A table in a file, and its column `a`.

    text: what the file holds.
    rows: the numbers of the column, or its words.
    refused: a code and words of the message, where no option was given.
    options: those that the message names, and that read the table.
    """

    text: str | bytes
    rows: list[float] | list[str]
    refused: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    column: str = "a"


TABLES = {
    # --- separators
    "semicolons": Dirty("a;b\n1;2\n3;4\n", [1, 3], 'W1393 `separator=";"`', {"separator": ";"}),
    "tabs": Dirty("a\tb\n1\t2\n3\t4\n", [1, 3], 'W1393 `separator="\\t"`', {"separator": "\t"}),
    "bars": Dirty("a|b\n1|2\n3|4\n", [1, 3], 'W1393 `separator="|"`', {"separator": "|"}),
    "spaces": Dirty("a b\n1 x\n3 y\n", [1, 3], 'W1393 `separator=" "`', {"separator": " "}),
    "words with spaces": Dirty("a name\nx y\nz w\n", ["x y", "z w"], column="a name"),
    "semicolons and decimal commas": Dirty(
        "a;b\n1,5;2\n-3,25;4\n",
        [1.5, -3.25],
        'W1393 `separator=";", decimal=","`',
        {"separator": ";", "decimal": ","},
    ),
    "separator for Excel": Dirty(
        "sep=;\na;b\n1;2\n", [1], "W0702 `skip=1`", {"separator": ";", "skip": 1}
    ),
    "title and other separator": Dirty(
        "Sales of May\n\na;b\n1;2\n3;4\n",
        [1, 3],
        'W1393 `separator=";", skip=2`',
        {"separator": ";", "skip": 2},
    ),
    # --- numbers
    "decimal commas": Dirty(
        'a\n"1,5"\n"3,25"\n', [1.5, 3.25], 'W1220 `decimal=","`', {"decimal": ","}
    ),
    "thousands with commas": Dirty(
        'a\n"1,234.5"\n"12,500"\n', [1234.5, 12500], 'W1220 `thousands=","`', {"thousands": ","}
    ),
    "thousands with points": Dirty(
        "a\n1.234.567\n12.500\n",
        [1234567, 12500],
        'W1220 `decimal=",", thousands="."`',
        {"decimal": ",", "thousands": "."},
    ),
    "thousands with spaces": Dirty(
        "a\n1 234\n12 500\n", [1234, 12500], 'W1220 `thousands=" "`', {"thousands": " "}
    ),
    "thousands with narrow spaces": Dirty(
        "a\n1\u202f234\n12\u202f500\n",
        [1234, 12500],
        'W1220 `thousands="\\u202f"`',
        {"thousands": "\u202f"},
    ),
    "thousands with apostrophes": Dirty(
        "a\n1'234\n12'500\n", [1234, 12500], 'W1220 `thousands="\'"`', {"thousands": "'"}
    ),
    "thousands of India": Dirty(
        'a\n"1,23,456"\n"12,345"\n', [123456, 12345], 'W1220 `thousands=","`', {"thousands": ","}
    ),
    "thousands or fractions": Dirty(
        'a\n"1,234"\n"2,500"\n', [1.234, 2.5], 'W1220 `decimal=","`', {"decimal": ","}
    ),
    "commas here and points there": Dirty(
        'a\n"1,5"\n2.5\n', ["1,5", "2.5"], "W1220 mend the cells", {"categories": ("a",)}
    ),
    "kilograms": Dirty("a\n5 kg\n7.5kg\n", [5, 7.5], 'W1220 `unit="kg"`', {"unit": "kg"}),
    "kilograms in part": Dirty(
        "a\n5 kg\n7\n", ["5 kg", "7"], 'W1391 `unit="kg"`', {"categories": ("a",)}
    ),
    "kilograms and grams": Dirty(
        "a\n5 kg\n200 g\n", ["200 g", "5 kg"], 'W1391 `unit="kg"`', {"categories": ("a",)}
    ),
    "inches": Dirty(
        'a\n5"" pipe\n6"" pipe\n', [5, 6], 'W1220 `unit="\\"\\" pipe"`', {"unit": '"" pipe'}
    ),
    "percent": Dirty("a\n5 %\n7.5 %\n", [5, 7.5], 'W1220 `unit="%"`', {"unit": "%"}),
    "dollars": Dirty("a\n$5.00\n-$7.50\n", [5, -7.5], 'W1220 `unit="$"`', {"unit": "$"}),
    "euros behind": Dirty(
        'a\n"1.005,00 €"\n"7,50 €"\n',
        [1005, 7.5],
        'W1220 `decimal=",", thousands=".", unit="€"`',
        {"decimal": ",", "thousands": ".", "unit": "€"},
    ),
    "powers of ten": Dirty("a\n1e3\n2E-4\n-.5\n", [1000, 2e-4, -0.5]),
    "brackets of what is owed": Dirty(
        "a\n(1200)\n300\n", ["(1200)", "300"], "W1220 mend the cells", {"categories": ("a",)}
    ),
    "long numbers": Dirty(
        "a\n12345678901234567890\n1\n",
        ["1", "12345678901234567890"],
        'W1378 `categories=["a"]`',
        {"categories": ("a",)},
    ),
    # --- bytes
    "a mark of the order of bytes": Dirty(b"\xef\xbb\xbfa,b\n1,2\n", [1]),
    "Latin-1": Dirty(
        "a,b\nMünchen,2\n".encode("latin-1"),
        ["München"],
        'W1227 `"latin-1"`',
        {"encoding": "latin-1"},
    ),
    "Windows": Dirty(
        "a,b\n5 €,2\n".encode("cp1252"),
        ["5 €"],
        'W1227 `encoding="cp1252"`',
        {"encoding": "cp1252", "categories": ("a",)},
    ),
    "UTF-16": Dirty(
        "a,b\nMünchen,2\n".encode("utf-16"), ["München"], 'W1227 `"utf-16"`', {"encoding": "utf-16"}
    ),
    "UTF-16 without a mark": Dirty(
        "a,b\n1,2\n".encode("utf-16-le"),
        [1],
        'W0702 `encoding="utf-16"`',
        {"encoding": "utf-16-le"},
    ),
    "lines of Windows": Dirty("a,b\r\n1,2\r\n3,4\r\n", [1, 3]),
    "lines of old Macs": Dirty("a,b\r1,2\r3,4\r", [1, 3]),
    # --- lines
    "quoted newlines": Dirty('a,b\n"x\ny",1\nz,2\n', ["x\ny", "z"]),
    "quoted separators and quotes": Dirty('a,b\n"x, ""y""",1\nz,2\n', ['x, "y"', "z"]),
    "blank lines": Dirty("\na,b\n\n1,2\n \n3,4\n\n", [1, 3]),
    "short lines": Dirty(
        "a,b\n1,2\n3\n", [2, NAN], "W0703 `short_lines=true`", {"short_lines": True}, column="b"
    ),
    "separators at the ends": Dirty("a,b,\n1,2,\n3,4,\n", [1, 3]),
    "an index without a name": Dirty(",a\n0,5\n1,7\n", [5, 7]),
    "a title": Dirty("Sales of May\na,b\n1,2\n", [1], "W0703 `skip=1`", {"skip": 1}),
    "remarks": Dirty("# by hand\n# twice\na,b\n1,2\n", [1], "W0703 `skip=2`", {"skip": 2}),
    "duplicate heads": Dirty(
        "a,b,a\n1,2,3\n", [1], "W0702 `header=false, skip=1`", {"header": False, "skip": 1}, "c0"
    ),
    "no heads": Dirty(
        "5.1,3.5,x\n4.9,3,y\n", [5.1, 4.9], "W0702 `header=false`", {"header": False}, "c0"
    ),
    "spaces around": Dirty(" a , b\n 1 , 2\n3,  4\n", [1, 3]),
    # --- dates
    "ISO dates": Dirty("a\n2024-01-31\n2024-02-29\n", [JANUARY, FEBRUARY]),
    "ISO dates without zeros": Dirty("a\n2024-1-31\n2024-2-29\n", [JANUARY, FEBRUARY]),
    "German dates": Dirty("a\n31.1.2024\n29.02.2024\n", [JANUARY, FEBRUARY]),
    "American dates": Dirty("a\n01/31/2024\n2/29/2024\n", [JANUARY, FEBRUARY]),
    "dates with words": Dirty('a\n"Jan 31, 2024"\n"Feb 29, 2024"\n', [JANUARY, FEBRUARY]),
    "days or months": Dirty(
        "a\n02/01/2024\n03/02/2024\n",
        [1704153600, 1706918400],
        'W1222 `date="%d/%m/%Y"`',
        {"date": "%d/%m/%Y"},
    ),
    "two digits of the year": Dirty(
        "a\n31.01.24\n29.02.24\n",
        [JANUARY, FEBRUARY],
        'W1222 `date="%d.%m.%y"`',
        {"date": "%d.%m.%y"},
    ),
    "dates without marks": Dirty(
        "a\n20240131\n20240229\n", [JANUARY, FEBRUARY], 'W1222 `date="%Y%m%d"`', {"date": "%Y%m%d"}
    ),
    "dates in two forms": Dirty(
        "a\n2024-01-31\n29.02.2024\n",
        ["2024-01-31", "29.02.2024"],
        "W1222 write them in one form",
        {"categories": ("a",)},
    ),
    "dates that are none": Dirty(
        "a\n2024-02-30\n2024-01-31\n2024-02-29\n",
        ["2024-01-31", "2024-02-29", "2024-02-30"],
        'W1222 `missing=["2024-02-30"]`',
        {"categories": ("a",)},
    ),
    # --- booleans
    "true and false": Dirty("a\ntrue\nfalse\n", ["false", "true"]),
    "TRUE and FALSE": Dirty("a\nTRUE\nFALSE\n", ["FALSE", "TRUE"]),
    "yes and no": Dirty("a\nyes\nno\n", ["no", "yes"]),
    "y and n": Dirty("a\nY\nN\n", ["N", "Y"]),
    "on and off": Dirty("a\non\noff\n", ["off", "on"]),
    "0 and 1": Dirty("a\n1\n0\n", [1, 0]),
    "two spellings": Dirty(
        "a\nyes\nYes\nno\n",
        ["Yes", "no", "yes"],
        'W1405 `categories=["a"]`',
        {"categories": ("a",)},
    ),
    # --- what is missing
    "blank numbers": Dirty("a,b\n1,2\n,4\n NA ,5\n", [1, NAN, NAN]),
    "question marks": Dirty(
        "a\n1\n?\n3\n", [1, NAN, 3], 'W1220 `missing=["?"]`', {"missing": ("?",)}
    ),
    "errors of Excel": Dirty(
        "a\n1\n#DIV/0!\n3\n", [1, NAN, 3], 'W1220 `missing=["#DIV/0!"]`', {"missing": ("#DIV/0!",)}
    ),
    "blank words": Dirty(
        "a,b\nx,1\n,2\n", ["", "x"], 'W1221 `missing_category=["a"]`', {"missing_category": ("a",)}
    ),
    "a column of blanks": Dirty("a,b\n,1\n,2\n", [NAN, NAN]),
    # --- few rows
    "one row": Dirty("a,b\n1,x\n", [1]),
}
REFUSED = {
    "no rows": ("a,b\n", "W0702 it holds no rows"),
    "nothing": ("", "W0702 it is empty"),
    "long lines": ("a,b\n1,2\n3,4,5\n", "W0703 line 3"),
    "separators at the ends of rows": ("a,b\n1,2,\n3,4,\n", "W0703 the first one needs it too"),
    "names again": ("a,b\n1,2\na,b\n3,4\n", "W0702 line 3 names the columns again"),
    "open quotes": ('a,b\n"1,2\n3,4\n', "W0702 has them doubled inside"),
    "backslashes before quotes": ('a,b\n"x\\"y",2\n', "W0702 has them doubled inside"),
    "NUL": (b"a,b\n1,\x002\n", "W0702 line 2 holds a NUL byte"),
    "numbers as names": ("2,1\n3,4\n", "W0702 `header=false`"),
}


def read(folder: Path, text: str | bytes, **options: Any) -> tuple[Csv, Message | None]:
    """The source of a table, and what is said of it."""
    data = text.encode() if isinstance(text, str) else text
    (folder / "table.csv").write_bytes(data)
    source = Csv("table.csv", **options)
    try:
        columns = source.schema(folder)
    except Fault as fault:
        return source, fault.make(Somewhere())
    return source, next((c.trouble for c in columns if c.trouble is not None), None)


def show(message: Message) -> str:
    return f"{message.code} {message.text.title} {message.text.label} {message.text.help}"


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_dirty_table_is_read_as_a_person_would(table: Dirty, tmp_path: Path) -> None:
    _, message = read(tmp_path, table.text)
    if table.refused:
        code, _, words = table.refused.partition(" ")
        assert message is not None
        assert message.code == code
        assert words in show(message)
    else:
        assert message is None, show(message)
    source, message = read(tmp_path, table.text, **table.options)
    assert message is None, show(message)
    found = check_source(source, tmp_path)[table.column]
    column = next(c for c in source.schema(tmp_path) if c.name == table.column)
    if isinstance(table.rows[0], str):
        assert column.words
        assert sorted(column.categories[code] for code in found) == sorted(table.rows)
    else:
        assert not column.words
        np.testing.assert_allclose(found, table.rows, rtol=1e-6)


@pytest.mark.parametrize(("text", "refused"), REFUSED.values(), ids=REFUSED)
def test_a_damaged_table_is_refused(text: str | bytes, refused: str, tmp_path: Path) -> None:
    _, message = read(tmp_path, text)
    assert message is not None
    code, _, words = refused.partition(" ")
    assert message.code == code
    assert words in show(message)


def test_there_are_fifty_tables() -> None:
    assert len(TABLES) + len(REFUSED) >= 50


@pytest.mark.parametrize(
    ("text", "encoding", "reason"),
    [
        ("a,b\nMünchen,2\n".encode(), "latin-1", "its letters are in UTF-8"),
        ("a,b\nMünchen,2\n".encode(), "cp1252", "its letters are in UTF-8"),
        ("a,b\n5 €,2\n".encode("cp1252"), "latin-1", "0x80 in line 2 is no letter in latin-1"),
    ],
)
def test_another_encoding_is_told(text: bytes, encoding: str, reason: str, tmp_path: Path) -> None:
    _, message = read(tmp_path, text, encoding=encoding)
    assert message is not None
    assert reason in show(message)


@pytest.mark.parametrize(
    ("text", "code", "options", "words"),
    [
        ("a\n02134\n10001\n", "W1692", {"categories": ("a",)}, "`02134` is read as 2134"),
        ("a\n21\n-999\n23\n22\n", "W1693", {"missing": ("-999",)}, "all others are 21 to 23"),
        ("a\n0.5\n9999\n9999\n0.25\n", "W1693", {"missing": ("9999",)}, "0.25 to 0.5"),
        (
            "a;b\n1.250;1\n12.500;2\n",
            "W1694",
            {"separator": ";", "decimal": ",", "thousands": "."},
            "`1.250` is read as 1.25",
        ),
        ("k,a\nx,5\ny,6\nz,2.5\nTotal,13.5\n", "W1695", {}, '`where k != "Total"` leaves it out'),
    ],
)
def test_numbers_in_doubt_are_told(
    text: str, code: str, options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "table.csv").write_text(text)
    separator = options.get("separator", ",")
    columns = Csv("table.csv", separator=separator).schema(tmp_path)
    (doubt,) = [c.doubt for c in columns if c.doubt is not None]
    assert doubt.code == code
    assert words in show(doubt)
    if options:
        source = Csv("table.csv", **options)
        assert all(c.doubt is None for c in source.schema(tmp_path))
        check_source(source, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "a\n01\n12\n",  # months
        "a\n0013\n2\n",
        "a\n-999\n-998\n-5\n100\n",
        "a\n1.5\n999\n",
        "a\n9999\n9000\n8000\n12000\n",
        "a,b\n1,2\n2,3\n3,4\n7,9\n",
        "a,b\n0,0\n0,0\n0,0\n0,0\n",
        "a\n1.250\n12.500\n",  # not in a file with semicolons
    ],
)
def test_plain_numbers_are_not_doubted(text: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(text)
    assert all(column.doubt is None for column in Csv("table.csv").schema(tmp_path))
