"""Tables of databases: what a query gives, in a check and in the script that Weft prints."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.data.sql import Sql
from tests.faults import fault_of
from tests.loading_alike import assert_script_loads_alike
from tests.sources import check_source, refused

ROWS = [
    (1, 54.5, "house", "2024-01-31", 1, "7"),
    (2, None, "flat", "2024-02-28", 0, "12"),
    (3, 71.0, "house", "2024-03-31", 1, 'oak\'s "best"'),
]
QUERY = "select * from homes order by id"


def write_shop(folder: Path, rows: Sequence[tuple[Any, ...]] = ROWS) -> Path:
    path = folder / "shop.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as shop:
        shop.execute("create table homes (id integer, area real, kind text, day, sold, note)")
        shop.executemany("insert into homes values (?, ?, ?, ?, ?, ?)", rows)
    shop.close()
    return path


def test_a_query_gives_columns(tmp_path: Path) -> None:
    write_shop(tmp_path)
    source = Sql("sqlite:///shop.db", QUERY)
    arrays = check_source(source, tmp_path)
    kinds = {c.name: (c.kind, str(c.type), c.missing) for c in source.schema(tmp_path)}
    assert kinds == {
        "id": ("numbers", "i64[]", False),
        "area": ("numbers", "f32[]", True),
        "kind": ("categories", "i64[]", False),
        "day": ("dates", "i64[]", False),
        "sold": ("numbers", "i64[]", False),
        "note": ("categories", "i64[]", False),
    }
    np.testing.assert_array_equal(arrays["area"], np.array([54.5, np.nan, 71], np.float32))
    assert arrays["kind"].tolist() == [1, 0, 1]
    assert arrays["day"].tolist() == [1706659200, 1709078400, 1711843200]


@pytest.mark.parametrize(
    ("cells", "options", "expected"),
    [
        (["1,5", "2,25", None], {"decimal": ","}, [1.5, 2.25, np.nan]),
        (["1,200 kg", "3 kg", "?"], {"thousands": ",", "unit": "kg", "missing": ("?",)}, None),
        ([1, "2", 3.5], {}, [1, 2, 3.5]),
        (["a", None, "b"], {"missing_category": ("x",)}, [1, 0, 2]),
        ([" a", "b ", "a"], {}, [0, 1, 0]),
        ([1, 2, 2], {"categories": ("x",)}, [0, 1, 1]),
        ([2**40, 1, -3], {}, [2**40, 1, -3]),
        ([1e300, 2.0, 3.0], {}, None),
    ],
)
def test_cells_of_text(
    tmp_path: Path, cells: list[Any], options: dict[str, Any], expected: list[float] | None
) -> None:
    with sqlite3.connect(tmp_path / "t.db") as shop:
        shop.execute("create table t (k integer, x)")
        shop.executemany("insert into t values (?, ?)", list(enumerate(cells)))
    shop.close()
    source = Sql("sqlite:///t.db", "select k, x from t order by k", **options)
    arrays = check_source(source, tmp_path)
    if expected is not None:
        assert arrays["x"].astype(float).tolist() == pytest.approx(expected, nan_ok=True)


def test_names_and_texts_of_queries_stay_texts(tmp_path: Path) -> None:
    write_shop(tmp_path)
    query = "select id as `a \"b\"`, '100%' || ' :id' as \"c\\d\",\n id * 2 from homes order by id"
    arrays = check_source(Sql("sqlite:///shop.db", query), tmp_path)
    assert list(arrays) == ['a "b"', "c\\d", "id * 2"]
    assert arrays["id * 2"].tolist() == [2, 4, 6]


def test_the_address_may_stand_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_shop(tmp_path)
    source = Sql("env:SHOP_DATABASE", QUERY)
    assert fault_of(lambda: source.schema(tmp_path)).code == "W1682"
    monkeypatch.setenv("SHOP_DATABASE", f"sqlite:///{path}")
    assert check_source(source, tmp_path)["id"].tolist() == [1, 2, 3]
    assert not source.code(source.schema(tmp_path)).reads_folder


def test_no_password_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("mysql://ada:secret@h/d", "mssql://h/d?uid=a&Password=secret"):
        message = fault_of(lambda u=url: Sql(u, QUERY))  # type: ignore[misc]
        assert (message.code, message.span) == ("W1680", None)
        assert "secret" not in f"{message.text}"
    Sql("postgresql://ada@host:5432/homes", QUERY)
    monkeypatch.setenv("SHOP_DATABASE", "sqlite://ada:secret@host/shop.db")
    message = fault_of(lambda: Sql("env:SHOP_DATABASE", QUERY).schema(tmp_path))
    assert message.code == "W1681"
    assert "secret" not in f"{message.text}"


def test_refusals(tmp_path: Path) -> None:
    write_shop(tmp_path)
    with refused("no such table: houses"):
        Sql("sqlite:///shop.db", "select * from houses order by 1").schema(tmp_path)
    with refused("it holds no rows"):
        Sql("sqlite:///shop.db", "select * from homes where id > 9 order by id").schema(tmp_path)
    with refused("two columns are called `id`"):
        Sql("sqlite:///shop.db", "select id, id from homes order by id").schema(tmp_path)
    for query in ("drop table homes", "", "update homes set id = 1", "selection"):
        assert "a query" in fault_of(lambda q=query: Sql("sqlite:///shop.db", q)).text.title  # type: ignore[misc]
    for url in ("shop.db", "env:", "env:a b"):
        assert fault_of(lambda u=url: Sql(u, QUERY)).code == "W0705"  # type: ignore[misc]
    missing = fault_of(lambda: Sql("sqlite:///shops.db", QUERY).schema(tmp_path))
    assert (missing.code, missing.text.help) == ("W0701", "did you mean `shop.db`?")
    assert not (tmp_path / "shops.db").exists()
    (tmp_path / "text.db").write_text("area,price\n" * 200)
    with refused("file is not a database"):
        Sql("sqlite:///text.db", QUERY).schema(tmp_path)
    message = fault_of(lambda: Sql("nosuch://host/d", QUERY).schema(tmp_path))
    assert message.code == "W1681"


def test_bytes_are_told_where_they_are_used(tmp_path: Path) -> None:
    write_shop(tmp_path, [(1, 2.0, b"\x00\xff", "a", 1, "b")])
    columns = {c.name: c for c in Sql("sqlite:///shop.db", QUERY).schema(tmp_path)}
    trouble = columns["kind"].trouble
    assert trouble is not None
    assert (trouble.code, trouble.text.label) == ("W1340", "row 0 holds bytes")


def test_rows_in_no_order_are_told(tmp_path: Path) -> None:
    write_shop(tmp_path)
    first, *_ = Sql("sqlite:///shop.db", "select * from homes").schema(tmp_path)
    assert first.doubt is not None
    assert first.doubt.code == "W1683"
    assert all(c.doubt is None for c in Sql("sqlite:///shop.db", QUERY).schema(tmp_path))


def test_a_changed_table_is_read_anew(tmp_path: Path) -> None:
    write_shop(tmp_path)
    source = Sql("sqlite:///shop.db", QUERY)
    before = source.fingerprint(tmp_path)
    assert source.fingerprint(tmp_path) == before
    write_shop(tmp_path, [*ROWS, (4, 1.0, "hut", "2024-04-30", 0, "8")])
    assert len(source.load(tmp_path)["id"]) == 4
    assert source.fingerprint(tmp_path) != before


SPEC = """
data homes {
    source sql("sqlite:///shop.db", "select area, kind, day from homes order by id")
    size = fill(area, "mean") / 100
    split in_order, train=1, val=1, test=1
}
model Net() {
    input size: f32[batch]
    output y = reshape(size, [-1, 1]) -> dense(2) as head
}
train fit of Net on homes {
    minimize cross_entropy(y, kind) with sgd(lr=0.1)
    batch 1
    epochs 1
}
"""


def test_a_script_loads_what_weft_loads(tmp_path: Path) -> None:
    write_shop(tmp_path)
    script = assert_script_loads_alike(SPEC, tmp_path)
    assert 'URL.create("sqlite", database=str(path))' in script


def test_a_column_may_be_called_like_a_variable_of_the_script(tmp_path: Path) -> None:
    write_shop(tmp_path)
    names = "area, area as url, area as connection, area as path, id as 'table', kind"
    spec = SPEC.replace("area, kind, day", names).replace(
        'fill(area, "mean")', 'fill(url + connection + path + table, "mean")'
    )
    assert_script_loads_alike(spec, tmp_path)
