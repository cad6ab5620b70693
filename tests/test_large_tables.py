"""Tables larger than memory: looked at part by part, they are what they are whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compiler.data import csv_table, parquet_table, spilled
from compiler.data.base import DataSource
from compiler.data.csv_table import Csv
from compiler.data.holding import Rows
from compiler.data.parquet_table import Parquet
from compiler.report.diagnostics import Fault
from compiler.report.source import Source, Span
from compiler.rows.loading import SourcePlace

N = 60
WORDS = [f"w{k % 3}" for k in range(N)]
CELLS = {
    "whole": [str(k % 7 - 3) for k in range(N)],
    "numbers": [f"{k / 7:.4f}" for k in range(N)],
    "gaps": ["" if k in (3, 40) else str(k) for k in range(N)],
    "marks": ["?" if k in (3, 40) else f"{k}.5" for k in range(N)],
    "padded": [f" {k} " if k == 50 else str(k) for k in range(N)],
    "blanks": [" ? " if k == 50 else str(k) for k in range(N)],
    "words": WORDS,
    "late_word": [*map(str, range(N - 1)), "none of these"],
    "late_fraction": [*map(str, range(N - 1)), "0.5"],
    "dates": [f"2024-01-{1 + k % 28:02}" for k in range(N)],
    "units": [f"{k} kg" for k in range(N)],
    "wide": [f"{1e9 + k / 64:.6f}" for k in range(N)],
    "large": [*map(str, range(N - 1)), "12345678901234567890"],
    "too_large": [*map(str, range(N - 1)), "1e300"],
    "empty": [""] * N,
    "flags": [("yes", "Yes")[k % 2] for k in range(N)],
    "free": [f"a text {k} of many" for k in range(N)],
    "quoted": [f"a\nb{k % 2}" for k in range(N)],
    "far": [str(k) for k in range(N - 1)] + ["nan"],
}


def write_csv(folder: Path, cells: dict[str, list[str]]) -> None:
    pd.DataFrame({**cells, "other": range(N)}).to_csv(folder / "t.csv", index=False)


def read(source: DataSource, folder: Path) -> tuple[object, dict[str, Rows], dict[str, Rows]]:
    schema = source.schema(folder)
    return schema, dict(source.load(folder)), dict(source.open(folder))


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table is a large one, of parts of seven rows."""
    monkeypatch.setattr(csv_table, "LARGE", 0)
    monkeypatch.setattr(spilled, "PART", 7)
    monkeypatch.setattr(parquet_table, "PART", 7)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("options", [{}, {"missing": ("?",)}, {"unit": "kg"}], ids=str)
def test_a_column_of_a_large_table(
    name: str, options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path, {"x": CELLS[name]})
    if "unit" in options and name != "units":
        write_csv(tmp_path, {"x": CELLS[name], "y": CELLS["units"]})
    source = Csv("t.csv", **options)  # type: ignore[arg-type]
    whole = read(source, tmp_path)
    monkeypatch.setattr(csv_table, "LARGE", 0)
    monkeypatch.setattr(spilled, "PART", 7)
    csv_table._read_table.cache_clear()
    csv_table._map_table.cache_clear()
    schema, loaded, opened = read(source, tmp_path)
    assert schema == whole[0]
    for found in (loaded, opened):
        for column, rows in whole[1].items():
            assert found[column].dtype == rows.dtype
            assert found[column].shape == rows.shape
            np.testing.assert_array_equal(found[column][:], rows[:])
            some = np.array([5, 59, 0, 5])
            np.testing.assert_array_equal(found[column][some], rows[some])
            np.testing.assert_array_equal(found[column][3], rows[3])
    csv_table._read_table.cache_clear()
    csv_table._map_table.cache_clear()


def reason_of(source: DataSource, folder: Path) -> str:
    with pytest.raises(Fault) as caught:
        source.schema(folder)
    text = caught.value.make(SourcePlace(Span(Source("s.weft", ""), 0, 0))).text
    return f"{text.title} {text.label}"


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3\n",
        "a,b\n1,2\n3,4,5\n",
        "a;b\n1;2\n3;4\n",
        "a,a\n1,2\n",
        "a,b\n",
        "",
        'a,b\n1,"2\n',
        "a,b\n1,\0\n",
    ],
)
def test_a_large_table_is_refused_as_a_small_one(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.csv").write_text(text)
    source = Csv("t.csv")
    small = reason_of(source, tmp_path)
    monkeypatch.setattr(csv_table, "LARGE", 0)
    assert reason_of(source, tmp_path) == small


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a,\n1,2\n", {}),
        ("a,\n1,\n2,\n", {}),
        ("a,b\n1\n2,3\n", {"short_lines": True}),
        ("a table\nof two\na,b\n1,2\n", {"skip": 2}),
        ("1;2\n3;4\n", {"separator": ";", "header": False}),
    ],
)
def test_other_forms_of_a_large_table(
    text: str, options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("t1.csv", "t2.csv"):
        (tmp_path / name).write_text(text)
    source = Csv("t*.csv", **options)  # type: ignore[arg-type]
    small = source.schema(tmp_path), source.load(tmp_path)
    csv_table._read_table.cache_clear()
    monkeypatch.setattr(csv_table, "LARGE", 0)
    assert source.schema(tmp_path) == small[0]
    opened = source.open(tmp_path)
    assert opened.keys() == small[1].keys()
    for name, rows in small[1].items():
        np.testing.assert_array_equal(opened[name][:], rows)


def test_another_encoding_is_told(parts: None, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("a,b\n1,ü\n2,ö\n".encode("latin-1"))
    assert "UTF-8" in reason_of(Csv("t.csv"), tmp_path)
    found = Csv("t.csv", encoding="latin-1").schema(tmp_path)
    assert found[1].categories == ("ö", "ü")


@pytest.mark.parametrize("bom", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("header", [True, False])
def test_first_lines_of_a_large_table(bom: str, header: bool, parts: None, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,2\n3,4\n", encoding=bom)
    source = Csv("t.csv", header=header)
    assert [c.name for c in source.schema(tmp_path)] == (["1", "2"] if header else ["c0", "c1"])
    assert source.open(tmp_path)["2" if header else "c1"][:].tolist() == ([4] if header else [2, 4])


def test_a_parquet_table_is_mapped(parts: None, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "a": np.arange(N, dtype=np.float32) / 3,
            "b": np.where(np.arange(N) == 5, np.nan, np.arange(N)),
            "flag": np.arange(N) % 2 == 0,
            "kind": WORDS,
            "when": pd.date_range("2024-01-01", periods=N),
            "list": [[k, k + 1, k + 2] for k in range(N)],
            "text": [f"{k},5" for k in range(N)],
        }
    )
    for number, part in enumerate((frame[:25], frame[25:])):
        part.to_parquet(tmp_path / f"t{number}.parquet", row_group_size=10)
    source = Parquet("t*.parquet", decimal=",")
    _, loaded, opened = read(source, tmp_path)
    assert source.count_rows(tmp_path) == N
    for name, rows in loaded.items():
        assert (opened[name].dtype, opened[name].shape) == (rows.dtype, rows.shape), name
        np.testing.assert_array_equal(opened[name][:], rows[:])
