"""What is said of tables that are written in another way: with which option they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.data.base import OpenedSource
from compiler.data.csv_table import Csv
from compiler.data.numerals import Numerals, find_ways
from compiler.data.summary import summarize_source
from compiler.driver import check
from compiler.report.diagnostics import Message, Sink
from compiler.report.messages.cells import free_text
from compiler.report.messages.columns import label_out_of_range
from compiler.report.messages.data import other_separator
from compiler.report.source import Source, Span
from tests.sources import load_generated


def find_messages(tmp_path: Path, table: str, options: str = "") -> list[Message]:
    (tmp_path / "t.csv").write_text(table)
    spec = tmp_path / "t.weft"
    spec.write_text(
        f'data t {{\n    source csv("t.csv"{options})\n    x = reshape(a * 2, [1])\n'
        "    split in_order, train=60%, val=40%\n}\n"
    )
    sink = Sink()
    check(spec, sink=sink)
    return list(sink.messages)


@pytest.mark.parametrize(
    ("table", "options", "expected"),
    [
        ("a;b\n1.5;2\n2.5;3\n", "", '`separator=";"` reads 2 cells'),
        ("a;b\n1,5;2,5\n2,5;3,5\n", "", '`separator=";", decimal=","` reads 2 cells'),
        ("a\tb\tc\n1.5\t2\t3\n", "", '`separator="\\t"` reads 3 cells'),
        ("a|b\n1.5|2\n", "", '`separator="|"` reads 2 cells'),
        ("a,b\n1.5,2\n", ', separator=";"', '`separator=","` reads 2 cells'),
    ],
)
def test_the_separator_that_a_file_has_is_told(
    tmp_path: Path, table: str, options: str, expected: str
) -> None:
    (found,) = find_messages(tmp_path, table, options)
    assert found.kind is other_separator
    assert found.code == "W1393"
    assert expected in str(found.text.help)
    assert " ".join(table.split("\n")[0].split("\t")) in found.text.label


@pytest.mark.parametrize("table", ["a\n1.5\n2.5\n", 'a\n"1;5"\n2\n', "a;b\nx\ny\n"])
def test_a_file_of_one_column_has_no_other_separator(tmp_path: Path, table: str) -> None:
    assert "W1393" not in [message.code for message in find_messages(tmp_path, table)]


def test_ways_that_mean_the_same_are_told_once() -> None:
    cells = {"1433.6 kg": 1, "1438.7 kg": 1}
    assert [way for way, _ in find_ways(cells, Numerals())] == [Numerals(unit="kg")]
    ways = find_ways({"1,00": 1, "2,03": 1}, Numerals(thousands=","))
    assert [way for way, _ in ways] == [Numerals(",")]
    both = find_ways({"1,000": 1, "2,037": 1}, Numerals())
    assert len(both) == 2  # a thousand or one


@pytest.mark.parametrize("mark", ["\u00a0", "\u202f", "\u2009", " "])
def test_every_space_between_thousands_is_told(tmp_path: Path, mark: str) -> None:
    table = f"a\n1{mark}433.5\n2{mark}438.7\n"
    (found,) = find_messages(tmp_path, table)
    assert found.code == "W1220"
    option = " " if mark == " " else f"\\u{ord(mark):04x}"
    assert f'`thousands="{option}"` reads them' in str(found.text.help)
    assert find_messages(tmp_path, table, f', thousands="{option}"') == []
    source = Csv("t.csv", thousands=mark)
    assert load_generated(source, tmp_path, source.schema(tmp_path))["a"].tolist() == [
        1433.5,
        2438.699951171875,
    ]


def test_the_range_of_dates_holds_dates_only(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "day,other\n2024-01-01,1\n2024-02-30,2\n2024-03-01,3\n2024-03-02,3\n"
    )
    source = Csv("t.csv")
    span = Span(Source("t.weft", ""), 0, 0)
    opened = OpenedSource("t", source, source.schema(tmp_path), tmp_path, span)
    day = next(iter(summarize_source(opened)))
    assert day.range == "2024-01-01 to 2024-03-02"
    assert not any("1969" in example for example in day.examples)


@pytest.mark.parametrize("found", [float(np.iinfo(np.int64).min), -3e9])
def test_numbers_that_are_no_classes_are_not_shifted(found: float) -> None:
    fault = label_out_of_range(
        None, "y", 3, found, "0 to 9", "cross_entropy", (found, 5.0), places=True
    )
    assert "ignore_index" not in str(fault.text.help)
    assert "not class numbers" in str(fault.text.help)
    near = label_out_of_range(
        None, "y", 3, -1.0, "0 to 9", "cross_entropy", (-1.0, 5.0), places=True
    )
    assert "ignore_index=-1" in str(near.text.help)


@pytest.mark.parametrize(
    ("cells", "units"),
    [
        ([f"{i} kg" if i % 2 else f"{i * 1000} g" for i in range(8)], "`g` and `kg`"),
        ([f"{i} kg" if i % 5 else f"{i * 1000}g" for i in range(20)], "`kg` and `g`"),
        ([f"{i}ms" if i % 2 else f"{i}.5 s" for i in range(9)], "`s` and `ms`"),
        (["$5", "€6", "$7", "€8", "$9"], "`$` and `€`"),
        ([f"{i} lb" if i % 2 else f"{i} stone" for i in range(300)], "`stone` and `lb`"),
        (["5k", "6M", "7k"], "`k` and `M`"),
        ([f"{i} mm" for i in range(3)] + ["2 cm", "1 m"], "`mm`, `cm` and `m`"),
    ],
)
def test_units_that_differ_are_named_with_their_rows(
    tmp_path: Path, cells: list[str], units: str
) -> None:
    (found,) = find_messages(tmp_path, "\n".join(["a,b", *(f"{c},1" for c in cells)]) + "\n")
    assert found.code == "W1391"
    assert found.text.title == f"the column `a` has several units: {units}"
    assert f"is `{cells[0]}`" in found.text.label
    assert f"is `{cells[-1]}`" in found.text.label or f"is `{cells[1]}`" in found.text.label


@pytest.mark.parametrize(
    "cells",
    [
        ["1st", "2nd", "3rd", "1st", "2nd"],
        ["1a", "1b", "2a", "2b"],
        ["10 L", "12 XL", "10 L", "14 XXL"],
        ["B1", "C2", "B2", "C1"],
    ],
)
def test_words_with_numbers_are_still_categories(tmp_path: Path, cells: list[str]) -> None:
    found = find_messages(tmp_path, "\n".join(["a,b", *(f"{c},1" for c in cells)]) + "\n")
    assert "W1391" not in [message.code for message in found]


def test_text_that_is_no_categories_is_not_computed_with(tmp_path: Path) -> None:
    """Names of which most are in one row only; read as categories, they are taken."""
    table = "\n".join(["a", *(f"person {number}" for number in range(120)), "person 0", ""])
    (found,) = find_messages(tmp_path, table)
    assert found.kind is free_text
    assert found.text.label == "120 different texts in 121 rows"
    assert "W1224" not in [m.code for m in find_messages(tmp_path, table, ', categories=["a"]')]
