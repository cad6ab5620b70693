"""Tables of data: csv and parquet files, what their columns hold, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pytest
from pyarrow import parquet

from compiler.data.csv_table import Csv
from compiler.data.parquet_table import Parquet
from tests.faults import fault_of
from tests.sources import SHARED, check_source

# --- csv ----------------------------------------------------------------------------------------

TABLE = """\
size,rooms,kind,`odd` "name",note
1.5,3,house,1e-3,
2,4,"flat, small",-7,a
NA,5,house,+2.5,b
"""


def write_csv(folder: Path, text: str) -> None:
    (folder / "table.csv").write_text(text, encoding="utf-8")


def test_csv_columns(tmp_path: Path) -> None:
    write_csv(tmp_path, TABLE)
    source = Csv("table.csv")
    arrays = check_source(source, tmp_path)
    size, rooms, kind, odd, note = source.schema(tmp_path)
    assert (str(size.type), size.missing) == ("f32[]", True)
    assert (str(rooms.type), rooms.words) == ("i64[]", False)
    assert kind.categories == ("flat, small", "house")
    assert odd.name == '`odd` "name"'
    assert note.trouble is not None
    np.testing.assert_array_equal(arrays["size"], np.array([1.5, 2, np.nan], np.float32))
    assert arrays["kind"].tolist() == [1, 0, 1]
    noted = Csv("table.csv", missing_category=("note",))
    assert noted.schema(tmp_path)[-1].categories == ("", "a", "b")
    assert check_source(noted, tmp_path)["note"].tolist() == [0, 1, 2]


def test_csv_dialects(tmp_path: Path) -> None:
    write_csv(tmp_path, "\ufeffa;b\n1,5;x\n\n2,25;y\n")
    arrays = check_source(Csv("table.csv", separator=";", decimal=","), tmp_path)
    assert arrays["a"].tolist() == [1.5, 2.25]
    write_csv(tmp_path, "1\t2\n3\t4\n")
    arrays = check_source(Csv("table.csv", separator="\t", header=False), tmp_path)
    assert arrays["c1"].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("a,b\n", "it holds no rows"),
        ("a,a\n1,2\n", "twice"),
    ],
)
def test_csv_refusals(tmp_path: Path, text: str, reason: str) -> None:
    write_csv(tmp_path, text)
    assert reason in fault_of(lambda: Csv("table.csv").schema(tmp_path)).text.label


def test_csv_ragged_row_is_named_by_its_line(tmp_path: Path) -> None:
    write_csv(tmp_path, 'a,b\n1,2\n"x\ny",3\n4\n')
    message = fault_of(lambda: Csv("table.csv").schema(tmp_path))
    assert message.text.title == "line 5 of `table.csv` has 1 cell"
    (tmp_path / "table.csv").write_bytes(b"a\n\xff\n")
    message = fault_of(lambda: Csv("table.csv").schema(tmp_path))
    assert (message.code, message.text.title) == ("W1227", "`table.csv` is not text in UTF-8")
    assert message.text.label == "byte 2, in line 2, is 0xff"
    assert check_source(Csv("table.csv", encoding="latin-1"), tmp_path)["a"].tolist() == [0]


def test_csv_settings(tmp_path: Path) -> None:
    assert fault_of(lambda: Csv("t", separator="")).text.title
    assert fault_of(lambda: Csv("t", decimal="x")).text.title
    assert fault_of(lambda: Csv("t", decimal=",", separator=";", thousands=",")).text.title
    assert fault_of(lambda: Csv("t", separator=";", thousands=";")).text.title
    assert fault_of(lambda: Csv("t", thousands="0")).text.title
    assert fault_of(lambda: Csv("t", unit="5kg")).text.title
    assert fault_of(lambda: Csv("t", date="iso")).text.title
    for encoding in ("klingon", "hex", "utf\0"):
        assert fault_of(lambda e=encoding: Csv("t", encoding=e)).text.title  # type: ignore[misc]


def test_csv_follows_a_changed_file(tmp_path: Path) -> None:
    write_csv(tmp_path, "a\n1\n")
    assert Csv("table.csv").load(tmp_path)["a"].tolist() == [1]
    write_csv(tmp_path, "a\n12\n")
    assert Csv("table.csv").load(tmp_path)["a"].tolist() == [12]


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
@pytest.mark.parametrize(
    "path",
    [
        "california_housing/housing.csv",
        "timeseries/pollution.csv",
        "timeseries/airline-passengers.csv",
        "timeseries/daily-min-temperatures.csv",
    ],
)
def test_real_tables(path: str) -> None:
    arrays = check_source(Csv(path), SHARED)
    table = pandas.read_csv(SHARED / path)
    assert list(table) == list(arrays)
    for name, series in table.items():
        if series.dtype.kind in "if":
            np.testing.assert_array_equal(
                arrays[str(name)], series.to_numpy(arrays[str(name)].dtype)
            )


# --- parquet ------------------------------------------------------------------------------------


def test_parquet_columns(tmp_path: Path) -> None:
    table = pandas.DataFrame(
        {
            "size": [1.5, None, 2.0],
            "rooms": [3, 4, 5],
            "sold": [True, False, True],
            "kind": ["house", "flat", "house"],
            "points": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
            "small": np.array([1, 2, 3], np.int8),
        }
    )
    table.to_parquet(tmp_path / "t.parquet")
    source = Parquet("t.parquet")
    arrays = check_source(source, tmp_path)
    types = {c.name: (str(c.type), c.missing) for c in source.schema(tmp_path)}
    assert types == {
        "size": ("f32[]", True),
        "rooms": ("i64[]", False),
        "sold": ("bool[]", False),
        "kind": ("i64[]", False),
        "points": ("f32[2]", False),
        "small": ("i64[]", False),
    }
    assert arrays["kind"].tolist() == [1, 0, 1]


def test_parquet_refusals(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing PAR1")
    assert (
        "not a parquet file" in fault_of(lambda: Parquet("t.parquet").schema(tmp_path)).text.label
    )


def test_parquet_files_of_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "jets").mkdir()
    for name, kind in (("b", "x"), ("a", "y")):
        table = pandas.DataFrame({"size": [1.5, 2.5], "kind": [kind, "z"]})
        table.to_parquet(tmp_path / "jets" / f"{name}.parquet")
    source = Parquet("jets/*.parquet")
    arrays = check_source(source, tmp_path)
    assert arrays["kind"].tolist() == [1, 2, 0, 2]
    assert len(source.files(tmp_path)) == 2
    pandas.DataFrame({"other": [1]}).to_parquet(tmp_path / "jets" / "c.parquet")
    assert "differ" in fault_of(lambda: source.schema(tmp_path)).text.label
    missing = Parquet("jetts/*.parquet")
    assert "no file" in fault_of(lambda: missing.schema(tmp_path)).text.title


def test_parquet_files_that_are_damaged(tmp_path: Path) -> None:
    path, source = tmp_path / "t.parquet", Parquet("t.parquet")
    words = pyarrow.table({"word": ["alpha", "beta"] * 50})
    parquet.write_table(words, path, compression="none", use_dictionary=False)
    whole = path.read_bytes()
    for stop in (0, 4, 11, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:stop])
        assert fault_of(lambda: source.schema(tmp_path)).code == "W0702"
    path.write_bytes(whole.replace(b"alpha", b"al\xffha"))
    assert "cannot be read" in fault_of(lambda: source.schema(tmp_path)).text.label


def test_parquet_files_whose_statistics_name_no_column(tmp_path: Path) -> None:
    path, source = tmp_path / "t.parquet", Parquet("t.parquet")
    parquet.write_table(pyarrow.table({"x": [[1.0, 2.0]] * 3}), path)
    first, second, rest = path.read_bytes().split(b"element", 2)
    path.write_bytes(first + b"element" + second + b"eleme\xd6t" + rest)
    assert "not a parquet file" in fault_of(lambda: source.schema(tmp_path)).text.label


def test_parquet_files_that_promise_gigabytes(tmp_path: Path) -> None:
    path, source = tmp_path / "t.parquet", Parquet("t.parquet")
    zeros = pyarrow.array(np.zeros(70_000_000, np.int8))
    for column in (zeros, pyarrow.FixedSizeListArray.from_arrays(zeros, 70_000_000)):
        parquet.write_table(pyarrow.table({"x": column}), path)
        assert path.stat().st_size < 1 << 20
        assert "it promises 267.0 MiB" in fault_of(lambda: source.schema(tmp_path)).text.label


def test_parquet_lists_with_missing_entries(tmp_path: Path) -> None:
    path, source = tmp_path / "t.parquet", Parquet("t.parquet")
    parquet.write_table(pyarrow.table({"x": [[1, 2], [3, None]]}), path)
    (column,) = source.schema(tmp_path)
    assert column.trouble is not None
    assert "are missing" in (column.trouble.text.label or "")
    parquet.write_table(pyarrow.table({"x": [[1.0, 2.0], [3.0, None]]}), path)
    assert np.isnan(source.load(tmp_path)["x"][1, 1])


def test_csv_files_of_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "part-00.csv").write_text("n,x,kind\n1,0.5,a\n2,,b\n")
    (tmp_path / "part-01.csv").write_text("n,x,kind\n3,7,a\n")
    (tmp_path / "part-02.csv").write_text("n,x,kind\n4,8,12\n")
    for path in ("part-*.csv", "part-{00..02}.csv", f"{tmp_path}/part-??.csv"):
        arrays = check_source(Csv(path), tmp_path)
        assert arrays["n"].tolist() == [1, 2, 3, 4]
        assert arrays["kind"].tolist() == [1, 2, 1, 0]
    for text, reason in (
        ("n,kind\n4,c\n", "it lacks the column `x`, unlike `part-00.csv`"),
        ("n,x,kind,more\n4,1,c,d\n", "it has a column `more`, unlike `part-00.csv`"),
        ("x,n,kind\n4,1,c\n", "its columns stand in another order, unlike `part-00.csv`"),
        ("n,x,kind\n", "it holds no rows"),
    ):
        (tmp_path / "part-02.csv").write_text(text)
        message = fault_of(lambda: Csv("part-*.csv").schema(tmp_path))
        assert message.text.title == "`part-02.csv` cannot be read"
        assert message.text.label == reason
    (tmp_path / "part-02.csv").write_text("n,x,kind\n1,2\n")
    message = fault_of(lambda: Csv("part-*.csv").schema(tmp_path))
    assert message.text.title == "line 2 of `part-02.csv` has 2 cells"
