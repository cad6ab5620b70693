"""`weft check --data` prints what the columns of every source hold."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import pytest
from typer.testing import CliRunner

from weft.cli.main import app

SPEC = """
data people {{
    source csv("t.csv")
    x = stack([age, {used}])
    split in_order, train=100%
}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = ["age,size,kind,day,price,note"]
    for i in range(150):
        size = "" if i in (2, 5) else str(i / 2)
        rows.append(f'{i},{size},{"ab"[i % 3 == 0]},2024-03-{i % 28 + 1:02},"{i},5",note {i}')
    (tmp_path / "t.csv").write_text("\n".join(rows))
    return tmp_path


def check(folder: Path, used: str, *options: str) -> tuple[int, str]:
    (folder / "s.weft").write_text(SPEC.format(used=used))
    result = CliRunner().invoke(app, ["check", "--data", *options, str(folder / "s.weft")])
    return result.exit_code, result.stdout


def test_a_line_for_each_column(folder: Path) -> None:
    status, text = check(folder, "age")
    assert status == 0
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "people:",
        "column kind type range missing examples",
        "age numbers i64[] 0 to 149 - 0, 1, 2",
        "size numbers f32[] 0 to 74.5 2 0, 0.5, 1.5",
        "kind categories i64[] 2 categories - a (100), b (50)",
        "day dates i64[] 2024-03-01 to 2024-03-28 - 2024-03-01, 2024-03-02, 2024-03-03",
        "price unclear i64[] 150 categories - 0,5 (1), 1,5 (1), 10,5 (1)",
        "note text i64[] text - note 0, note 1, note 2",
    ]


def test_the_table_stands_beside_faults(folder: Path) -> None:
    status, text = check(folder, "price")
    assert status == 1
    assert "price   unclear" in text


def test_as_json(folder: Path) -> None:
    status, text = check(folder, "age", "--format=json")
    assert status == 0
    found = json.loads(text)
    assert found["messages"] == []
    columns = {column["name"]: column for column in found["data"]["people"]}
    assert columns["size"] == {
        "name": "size",
        "kind": "numbers",
        "type": "f32[]",
        "range": "0 to 74.5",
        "missing": 2,
        "examples": ["0", "0.5", "1.5"],
        "trouble": "",
    }
    assert columns["price"]["trouble"] == "the column `price` is nearly numbers"


def test_rows_that_cannot_be_loaded_are_reported_once(tmp_path: Path) -> None:
    for part in ("train", "t10k"):
        for kind, axes in (("images-idx3-ubyte", (3, 2, 2)), ("labels-idx1-ubyte", (3,))):
            head = struct.pack(f">4B{len(axes)}I", 0, 0, 8, len(axes), *axes)
            (tmp_path / f"{part}-{kind}.gz").write_bytes(gzip.compress(head))
    (tmp_path / "s.weft").write_text('data m { source mnist(".")\n split given }\n')
    result = CliRunner().invoke(app, ["check", "--data", "--format=json", str(tmp_path / "s.weft")])
    assert result.exit_code == 1
    assert [m["code"] for m in json.loads(result.stdout)["messages"]] == ["W0702"]


DIVIDED = """
data table {
    source csv("t.csv")
    COLUMNS
    split in_order, train=60%, val=40%
}
model Net {
    input x: i64[batch]
    output y = stack([cast(QUOTIENT, f32)], axis=1) -> dense(2)
}
train fit of Net on table {
    minimize cross_entropy(y, label) with sgd(lr=0.1)
    batch 4  epochs 1
}
"""


@pytest.mark.parametrize(
    ("columns", "quotient", "told"),
    [
        ("x = b", "10 // x", "`x` holds numbers that `//`"),
        ("x = b", "x % (x - 2)", "`x` holds numbers that `%`"),
        ("x = 10 // b", "x", "`b` holds numbers that `//`"),
        ("x = b", "10 // maximum(x, 1)", ""),
        ("x = b\n where b != 0", "10 // x", ""),
        ("x = 10 // b\n where b != 0", "x", ""),
        ("x = b", "10 / x", ""),  # which is infinite
    ],
)
def test_whole_numbers_are_not_divided_by_zeros(
    columns: str, quotient: str, told: str, tmp_path: Path
) -> None:
    rows = (f"{k % 4},{k % 2}" for k in range(20))
    (tmp_path / "t.csv").write_text("\n".join(["b,label", *rows]))
    text = DIVIDED.replace("COLUMNS", columns).replace("QUOTIENT", quotient)
    (tmp_path / "s.weft").write_text(text)
    result = CliRunner().invoke(app, ["check", "--data", "--format=json", str(tmp_path / "s.weft")])
    messages = json.loads(result.stdout)["messages"]
    assert [m["code"] for m in messages] == ["W0724"] * bool(told), messages
    assert all(told in message["title"] for message in messages)
    assert all("anything but 0; row" in message["label"] for message in messages)
