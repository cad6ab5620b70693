"""`weft run FILE.onnx rows.csv`: rows are read as those of the training were, whatever the file
that holds them, or refused."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backends.onnx_runtime.session import open_session
from compiler.data.codes import TrainedWords
from compiler.data.csv_table import Csv
from compiler.data.recoded import Recoded
from compiler.ir.evaluate import evaluate
from compiler.report.diagnostics import CompileError, Fault, Message
from compiler.rows.loading import load_data
from tests.test_command_faults import Weft, weft
from tests.test_deployed_words import write_file
from weft.deployed.predicting import Predictions, predict

__all__ = ["weft"]

TABLE = """area;kind;day;pm;weight;count
50,5;flat;03.01.2024;1,5;5 kg;1.000
120;house;04.01.2024;?;6 kg;2
70,25;flat;05.01.2024;2,5;7 kg;3.500
300;barn;06.01.2024;NA;8 kg;4
90;;07.01.2024;-3;9,5 kg;5
"""
OPTIONS = ', separator=";", decimal=",", thousands=".", unit="kg", missing=["?"]'
OPTIONS += ', missing_category=["kind"]'
SPEC = """
data homes {
    source csv("homes.csv"OPTIONS)
    pm = fill(pm, "median")
    age = (day - 1704067200) / 86400
    x = concat([
        one_hot(kind, dtype=f32),
        stack([area, pm, weight, count / 1000, age]) -> standardize,
    ])
    split in_order, train=60%, val=40%
}
model Price() {
    input x: f32[batch, 9]
    output price = x -> dense(2)
}
net priced = Price()
deploy priced as onnx { preprocess homes MORE }
"""


def predict_rows(path: Path, table: Path) -> Predictions:
    return predict(open_session(path), path, table)


def find_faults(path: Path, table: Path) -> list[Message]:
    with pytest.raises(CompileError) as refused:
        predict_rows(path, table)
    return list(refused.value.messages)


def make_homes(folder: Path, **options: Any) -> tuple[Path, Any]:
    """The file, and what it makes of the rows of the training by the meaning of its graph."""
    given = {"spec": SPEC, "table": TABLE, "options": OPTIONS, **options}
    deploy, weights, path = write_file(folder, **given)
    assert deploy.preprocess is not None
    rows = load_data(deploy.preprocess, folder).take_raw(np.arange(5))
    return path, evaluate(deploy.graph, weights, rows)["price"]


def read_frame() -> pd.DataFrame:
    """The rows of the table as a program would have them."""
    return pd.DataFrame(
        {
            "pm": [1.5, None, 2.5, None, -3],
            "kind": ["flat", "house", "flat", "barn", None],
            "day": pd.to_datetime(["2024-01-03", "2024-01-04", "2024-01-05"] + ["2024-01-06"] * 2)
            + pd.to_timedelta([0, 0, 0, 0, 1], "D"),
            "area": [50.5, 120, 70.25, 300, 90],
            "weight": [5, 6, 7, 8, 9.5],
            "count": [1000, 2, 3500, 4, 5],
            "other": list("abcde"),
        }
    )


def write_rows(folder: Path, kind: str) -> Path:
    """The same rows in a file of another kind."""
    path, frame = folder / f"new.{kind}", read_frame()
    match kind:
        case "csv":
            lines = list(csv.reader(io.StringIO(TABLE), delimiter=";"))
            order = [3, 0, 5, 1, 2, 4]
            text = "\n".join(";".join(row[k] for k in order) for row in lines)
            path.write_text(text.replace(";flat;", "; flat ;"), "utf-8")
        case "tsv":
            path.write_text(TABLE.replace(";", "\t"), "utf-8")
        case "parquet":
            frame.to_parquet(path)
        case "jsonl":
            frame["day"] = frame["day"].dt.strftime("%d.%m.%Y")
            frame.to_json(path, orient="records", lines=True)
        case "npz":
            arrays = {name: frame[name].to_numpy() for name in frame if name != "kind"}
            arrays["other"] = arrays["other"].astype(str)
            np.savez(path, kind=frame["kind"].fillna("").to_numpy(str), **arrays)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl", "npz"])
@pytest.mark.parametrize("more", ["", "fix batch=2"])
def test_rows_are_read_as_those_of_the_training(tmp_path: Path, kind: str, more: str) -> None:
    path, expected = make_homes(tmp_path, more=more)
    found = predict_rows(path, write_rows(tmp_path, kind))
    assert found.numbers.tolist() == list(range(5))
    np.testing.assert_allclose(found.outputs["price"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("1;boat;01.01.2024;1;1 kg;1", "W1741", "row 1 is `boat`"),
        ("1;Flat;01.01.2024;1;1 kg;1", "W1741", "`barn`, `flat` and `house`"),
        ("1;flat;2024-01-01;1;1 kg;1", "W1743", "the net was trained on dates"),
        ("1.5;flat;01.01.2024;1;1 kg;1", "W1743", "row 1 is `1.5`"),
        ("1;flat;01.01.2024;1;1 g;1", "W1743", "numbers in kg"),
        ("1;flat;01.01.2024;1;1;1", "W1743", "row 1 is `1`"),
        ("1;flat;01.01.2024;1;1 kg;1,5", "W1743", "row 1 is `1,5`; the net was trained on whole"),
        ("1;flat;;1;1 kg;1", "W1744", "in row 1"),
        ("1;flat;01.01.2024;1;1 kg;", "W1744", "in row 1"),
    ],
)
def test_cells_that_are_not_what_the_column_holds(
    tmp_path: Path, line: str, code: str, said: str
) -> None:
    path, _ = make_homes(tmp_path)
    table = tmp_path / "new.csv"
    table.write_text("\n".join([*TABLE.splitlines()[:2], line]) + "\n", "utf-8")
    (fault,) = find_faults(path, table)
    assert fault.code == code
    assert said in fault.text.label


def test_all_faults_of_a_table_are_told_at_once(tmp_path: Path) -> None:
    path, _ = make_homes(tmp_path)
    table = tmp_path / "new.csv"
    table.write_text("area;kind;day;pm;weight;count\nx;boat;;1;1 kg;1\n", "utf-8")
    assert sorted(fault.code for fault in find_faults(path, table)) == ["W1741", "W1743", "W1744"]
    table.write_text("area;sort\n1;2\n", "utf-8")
    (fault,) = find_faults(path, table)
    assert fault.code == "W1742"
    assert all(f"`{name}`" in fault.text.title for name in ("kind", "day", "pm", "weight"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("new.csv", b""),
        ("new.csv", b"area;kind;day;pm;weight;count\n"),
        ("new.csv", b"\xff\xfe\x00"),
        ("new.parquet", b"PAR1 no"),
        ("new.jsonl", b'{"area": 1}\nnone\n'),
        ("new.jsonl", b"[1, 2]\n"),
        ("new.npz", b"PK\x03\x04"),
    ],
)
def test_files_that_are_not_what_their_name_says(tmp_path: Path, name: str, content: bytes) -> None:
    path, _ = make_homes(tmp_path)
    (tmp_path / name).write_bytes(content)
    (fault,) = find_faults(path, tmp_path / name)
    assert name in fault.text.title


def test_stored_numbers_that_a_column_does_not_hold(tmp_path: Path) -> None:
    path, _ = make_homes(tmp_path)
    frame = read_frame()
    frame["count"] = [1, 2, 2.5, 4, 5]
    frame.to_parquet(tmp_path / "new.parquet")
    (fault,) = find_faults(path, tmp_path / "new.parquet")
    assert (fault.code, "row 2 is `2.5`" in fault.text.label) == ("W1743", True)
    frame["count"] = [1, None, 2, 4, 5]
    frame.to_parquet(tmp_path / "new.parquet")
    (fault,) = find_faults(path, tmp_path / "new.parquet")
    assert (fault.code, fault.text.label) == ("W1744", "in row 1")


def test_rows_outside_of_the_training_are_told(tmp_path: Path) -> None:
    """The first three rows are those of the training."""
    path, _ = make_homes(tmp_path)
    warning = predict_rows(path, write_rows(tmp_path, "csv")).warning
    assert warning is not None
    assert warning.code == "W1745"
    assert warning.text.title == "2 rows of 5 lie outside of what the net was trained on"
    told = warning.text.label.split("; ")
    assert sorted(told) == [
        "`area`: 1 row above 120, the greatest in training (row 3)",
        "`day`: 2 rows above 2024-01-05, the greatest in training (row 3, 4)",
        "`kind`: 2 rows of a category that no training row has (row 3, 4)",
        "`pm`: 1 row below 1.5, the least in training (row 4)",
        "`weight`: 2 rows above 7, the greatest in training (row 3, 4)",
    ]
    (tmp_path / "one.csv").write_text("\n".join(TABLE.splitlines()[:4]), "utf-8")
    assert predict_rows(path, tmp_path / "one.csv").warning is None


def test_missing_cells_that_no_training_row_has_are_told(tmp_path: Path) -> None:
    table = TABLE.replace("?", "3")
    path, _ = make_homes(tmp_path, table=table)
    text = "\n".join([*table.splitlines()[:2], "1;flat;03.01.2024;;5 kg;5"])
    (tmp_path / "new.csv").write_text(text, "utf-8")
    warning = predict_rows(path, tmp_path / "new.csv").warning
    assert warning is not None
    assert "`pm`: 1 row missing, as no training row is (row 1)" in warning.text.label


def test_words_that_may_be_unknown(tmp_path: Path) -> None:
    options = OPTIONS.replace("missing_category", "unknown_category")
    path, expected = make_homes(tmp_path, options=options)
    text = "\n".join([*TABLE.splitlines()[:5], TABLE.splitlines()[5].replace(";;", ";boat;")])
    (tmp_path / "new.csv").write_text(text, "utf-8")
    found = predict_rows(path, tmp_path / "new.csv")
    np.testing.assert_allclose(found.outputs["price"], expected, rtol=1e-5, atol=1e-6)
    assert found.warning is not None
    assert "`kind`: 2 rows" in found.warning.text.label


def test_unknown_words_of_other_data_have_the_code_of_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("kind\nflat\nboat\nflat\n")
    words = TrainedWords("fit", {"kind": ("", "barn", "flat")})
    source = Recoded(Csv("t.csv", unknown_category=("kind",)), words)
    assert source.schema(tmp_path)[0].categories == ("", "barn", "flat")
    assert source.load(tmp_path)["kind"].tolist() == [2, 0, 2]
    with pytest.raises(Fault):
        Recoded(Csv("t.csv"), words).schema(tmp_path)


WINDOWS = """
data homes {
    source csv("homes.csv"OPTIONS)
    x = stack([level, level * level]) -> standardize
    target = level
    window 3, ahead=1, by=at, group=site, STRIDE
    split in_order, train=60%, val=40%
}
model Next() {
    input x: f32[batch, t, 2]
    output change = (x -> dense(4) -> relu)[:, -1] -> dense(1) -> flatten(0)
}
train fit of Next on homes {
    minimize mse(change, target) with sgd(lr=0.1)
    batch 2
    epochs 1
}
deploy fit as onnx { preprocess homes MORE }
"""


@pytest.mark.parametrize("stride", ['gaps="split"', 'gaps="split", stride=2', 'gaps="ignore"'])
@pytest.mark.parametrize("at", ["number", "date"])
def test_windows_are_made_as_in_the_training(tmp_path: Path, stride: str, at: str) -> None:
    draws = np.random.default_rng(1)
    lines = []
    for site in "ba":
        for hour in [0, 1, 2, 3, 4, 9, 10, 11, 12, 13]:
            when = str(hour) if at == "number" else f"2024-01-01 {hour:02d}:00:00"
            lines.append(f"{site},{when.replace(' ', 'T')},{draws.normal():.4f}")
    draws.shuffle(lines)
    table = "\n".join(["site,at,level", *lines]) + "\n"
    spec = WINDOWS.replace("STRIDE", stride)
    deploy, weights, path = write_file(tmp_path, spec=spec, table=table)
    assert deploy.preprocess is not None
    loaded = load_data(deploy.preprocess, tmp_path)
    rows = np.sort(np.concatenate(list(loaded.rows.values())))
    expected = evaluate(deploy.graph, weights, loaded.take_raw(rows))["change"]
    # What a window reads last is the row before its target.
    names = loaded.name_rows(rows + 2)
    found = predict_rows(path, tmp_path / "homes.csv")
    known = dict(zip(found.numbers.tolist(), found.outputs["change"].tolist(), strict=True))
    assert set(names.tolist()) <= set(known)
    np.testing.assert_allclose([known[name] for name in names.tolist()], expected, rtol=1e-4)
    assert len(known) > len(rows), "the last rows have no target, and are predicted"
    # Other sites than those of the training are told apart too.
    lines = [line.replace("a,", "x,").replace("b,", "y,") for line in table.splitlines()]
    (tmp_path / "other.csv").write_text("\n".join(["site,at,level", *lines[1:]]), "utf-8")
    others = predict_rows(path, tmp_path / "other.csv")
    assert others.numbers.tolist() == found.numbers.tolist()
    np.testing.assert_array_equal(others.outputs["change"], found.outputs["change"])
    (tmp_path / "few.csv").write_text("\n".join(table.splitlines()[:3]), "utf-8")
    (fault,) = find_faults(path, tmp_path / "few.csv")
    assert fault.code == "W1747"


def test_what_is_printed_and_written(weft: Weft, tmp_path: Path) -> None:
    spec = SPEC.replace("preprocess homes", 'preprocess homes labels ["low", "high"]')
    path, expected = make_homes(tmp_path, spec=spec)
    table = write_rows(tmp_path, "csv")
    printed = weft("run", str(path), str(table))
    lines = [line for line in printed.splitlines() if re.match(r"row,|\d+,", line)]
    rows = list(csv.DictReader(lines))
    assert list(rows[0]) == ["row", "price[low]", "price[high]", "label"]
    assert [float(row["price[low]"]) for row in rows] == pytest.approx(expected[:, 0], rel=1e-4)
    names = ["low", "high"]
    assert [row["label"] for row in rows] == [names[k] for k in expected.argmax(1)]
    for kind in ("csv", "jsonl", "npz"):
        weft("run", str(path), str(table), "-o", str(tmp_path / f"out.{kind}"))
    assert list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8"))) == rows
    entries = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [entry["row"] for entry in entries] == list(range(5))
    assert np.array([entry["price"] for entry in entries]) == pytest.approx(expected, rel=1e-4)
    arrays = np.load(tmp_path / "out.npz")
    assert arrays["price"] == pytest.approx(expected, rel=1e-4)
    assert arrays["label"].tolist() == [row["label"] for row in rows]


def test_a_file_without_raw_rows_takes_no_table(tmp_path: Path) -> None:
    spec = SPEC.replace("preprocess homes", "")
    _, _, path = write_file(tmp_path, spec=spec, table=TABLE, options=OPTIONS)
    (fault,) = find_faults(path, tmp_path / "homes.csv")
    assert fault.code == "W1746"
    assert "x=FILE" in (fault.text.help or "")
