"""Columns of parquet files and data frames that no tensor holds, dates among them that are missing
or far, and columns without a cell: what nothing reads keeps no file from being used."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from compiler.data.memory import Memory
from compiler.data.parquet_table import Parquet
from tests.sources import check_source
from weft.cli.main import app

NOT_HELD = {
    "duration": (pa.array([1, 2, 3], pa.duration("us")), "total_seconds"),
    "time": (pa.array([dt.time(1), None, dt.time(3)], pa.time64("us")), "since midnight"),
    "bytes": (pa.array([b"a", b"b", None]), "or text"),
    "ragged": (pa.array([[1.0], [1.0, 2.0], []]), "one length"),
    "gaps": (pa.array([[1.0], None, [2.0]]), "one length"),
    "holes": (pa.array([[1], [None], [2]]), "one length"),
    "words": (pa.array([["a"], ["b"], ["c"]]), "one length"),
    "record": (pa.array([{"a": 1}, {"a": 2}, {"a": 3}]), "a column of its own"),
}
SPEC = """
data d {
    source parquet("t.parquet")
    y = x + USED
    split in_order, train=100%
}
"""


def save(folder: Path, **columns: Any) -> Parquet:
    parquet.write_table(pa.table({"x": pa.array([1, 2, 3]), **columns}), folder / "t.parquet")
    return Parquet("t.parquet")


def run_check(folder: Path, used: str) -> tuple[int, str, str]:
    (folder / "s.weft").write_text(SPEC.replace("USED", used))
    result = CliRunner().invoke(app, ["check", "--data", str(folder / "s.weft")])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("name", NOT_HELD)
def test_a_column_that_no_tensor_holds_is_an_error_where_it_is_used(
    name: str, tmp_path: Path
) -> None:
    array, advice = NOT_HELD[name]
    source = save(tmp_path, odd=array)
    assert check_source(source, tmp_path)["x"].tolist() == [1, 2, 3]
    status, table, _ = run_check(tmp_path, "1")
    assert status == 0
    assert "odd     other" in table
    status, _, found = run_check(tmp_path, "odd")
    assert status == 1
    assert "error[W1340]: the column `odd` holds what no tensor does" in found
    assert advice in found


@pytest.mark.parametrize(
    "array",
    [
        np.array([3, 4, 5], "timedelta64[s]"),
        np.array([["a"], ["b"], ["c"]]),
        np.array([{1}, {2}, {3}]),
        np.array([1j, 2j, 3j]),
    ],
    ids=lambda a: str(a.dtype),
)
def test_so_it_is_in_memory(array: Any, tmp_path: Path) -> None:
    source = Memory({"x": np.array([1, 2, 3]), "odd": array})
    x, odd = source.schema(tmp_path)
    assert x.trouble is None
    assert odd.trouble is not None
    assert odd.trouble.code == "W1340"
    assert source.load(tmp_path)["x"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.float64(), pa.int32()], ids=str)
def test_a_column_without_a_cell_is_missing_everywhere(kind: Any, tmp_path: Path) -> None:
    source = save(tmp_path, empty=pa.array([None] * 3, kind))
    _, column = source.schema(tmp_path)
    assert (column.kind, column.missing, column.trouble) == ("numbers", True, None)
    assert np.isnan(check_source(source, tmp_path)["empty"]).all()


def test_dates_that_are_missing_are_counted(tmp_path: Path) -> None:
    days = [dt.date(2024, 1, 1), None, dt.date(2024, 1, 3)]
    source = save(tmp_path, day=pa.array(days), time=pa.array(days).cast(pa.timestamp("us")))
    assert [column.gaps for column in source.schema(tmp_path)] == [0, 1, 1]
    _, table, _ = run_check(tmp_path, "1")
    lines = [line.split() for line in table.splitlines() if "dates" in line]
    assert [line[-3] for line in lines] == ["1", "1"]
    moments = np.array(["2024-01-01", "NaT", "2024-01-03"], "datetime64[D]")
    (column,) = Memory({"day": moments}).schema(tmp_path)
    assert column.gaps == 1


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("s"), pa.timestamp("us")], ids=str)
def test_stored_dates_are_held_to_the_years_of_written_ones(kind: Any, tmp_path: Path) -> None:
    days = [dt.date(1700, 1, 1), dt.date(2249, 12, 31), dt.date(2000, 1, 1)]
    arrays = check_source(save(tmp_path, day=pa.array(days).cast(kind)), tmp_path)
    assert arrays["day"].tolist() == [day.toordinal() * 86400 - 62135683200 for day in days]
    for day in (dt.date(1699, 12, 31), dt.date(2250, 1, 1)):
        _, column = save(tmp_path, day=pa.array([day, *days[1:]]).cast(kind)).schema(tmp_path)
        assert column.trouble is not None
        assert column.trouble.code == "W1339"
        assert f"row 0 is `{day}" in (column.trouble.text.label or "")
