"""Classes with as many training rows, and rows that stand in two splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.program.program import Program
from compiler.report.diagnostics import Sink
from compiler.rows.loading import load_data
from compiler.rows.validation import validate_data
from tests.test_train_steps import import_script
from tests.train_scripts import assert_two_processes_agree, lint, run, share

SPEC = """
model Net() {
    input x: f32[batch, 2]
    output y: f32[batch, 3] = x -> dense(8) -> tanh -> dense(3)
}
data table {
    source csv("table.csv")
    x = stack([a, b]) -> standardize
    CLAUSES
    split SPLIT
}
train fit of Net on table {
    minimize cross_entropy(y, kind) with adam(lr=0.01)
    metric accuracy = accuracy(y, kind)
    batch 8  epochs 2  seed 1
}
"""
RANDOM = "random(seed=4), train=60%, val=20%, test=20%"


def make_table(rows: int = 150) -> pd.DataFrame:
    drawn = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "a": drawn.normal(size=rows).round(3),
            "b": drawn.normal(size=rows).round(3),
            "n": drawn.integers(-5, 6, rows),
            "kind": drawn.choice(["red", "green", "blue"], rows, p=[0.7, 0.2, 0.1]),
        }
    )


def open_spec(
    folder: Path, clauses: str, split: str = RANDOM, table: pd.DataFrame | None = None
) -> tuple[Program | None, Sink]:
    (make_table() if table is None else table).to_csv(folder / "table.csv", index=False)
    text = SPEC.replace("CLAUSES", clauses).replace("SPLIT", split)
    (folder / "spec.weft").write_text(text)
    sink = Sink()
    return check(folder / "spec.weft", overrides={}, sink=sink), sink


@pytest.mark.parametrize("method", ["repeat", "leave_out"])
@pytest.mark.parametrize("split", [RANDOM, "random(seed=4, stratify=kind), train=80%, test=20%"])
@pytest.mark.parametrize("more", ["", "where n != 2\n    "])
def test_classes_have_as_many_training_rows(
    tmp_path: Path, method: str, split: str, more: str
) -> None:
    clauses = f'{more}balance kind, seed=3, method="{method}"'
    program, sink = open_spec(tmp_path, clauses, split)
    assert program is not None, [m.text for m in sink.messages]
    table = make_table()
    kept = table[table.n != 2].reset_index(drop=True) if more else table
    loaded = load_data(program.data["table"])
    plain = kept.iloc[loaded.divided["train"]]
    counts = plain.kind.value_counts()
    wanted = counts.max() if method == "repeat" else counts.min()
    drawn = kept.iloc[loaded.rows["train"]]
    assert dict(drawn.kind.value_counts()) == dict.fromkeys(counts.index, wanted)
    times = drawn.index.value_counts()
    for kind, count in counts.items():
        own = times[times.index.isin(plain.index[plain.kind == kind])]
        if method == "repeat":
            assert len(own) == count
        assert set(own) <= {wanted // count, -(-wanted // count)}
    others = [name for name in loaded.rows if name != "train"]
    assert all(loaded.rows[name] is loaded.divided[name] for name in others)
    scale = np.float32(plain[["a", "b"]].std(ddof=0))
    np.testing.assert_allclose(loaded.statistics["standardize.scale"], scale, rtol=1e-4)
    compare_script(program, tmp_path)


def compare_script(program: Program, folder: Path) -> None:
    write_training(program.trains["fit"], folder)
    lint(folder)
    (folder / "run").mkdir()
    splits = import_script(folder, "train").load_splits(folder, folder / "run", "cpu")
    loaded = load_data(program.data["table"])
    names = [item.name for item in program.trains["fit"].graph.inputs]
    for split, columns in splits.items():
        for column, array in zip(names, columns, strict=True):
            own = loaded.split(split)[column]
            np.testing.assert_allclose(array.numpy(), own, rtol=1e-5, atol=1e-6)


def test_a_column_may_be_bound_anew(tmp_path: Path) -> None:
    program, _ = open_spec(tmp_path, "balance n\n    n = n + 3\n    x = x + n")
    assert program is not None
    compare_script(program, tmp_path)


def test_two_processes_agree(tmp_path: Path) -> None:
    make_table().to_csv(tmp_path / "table.csv", index=False)
    text = share(SPEC.replace("CLAUSES", "balance kind").replace("SPLIT", RANDOM))
    (tmp_path / "spec.weft").write_text(text)
    program = check(tmp_path / "spec.weft", overrides={}, sink=Sink())
    assert program is not None
    write_training(program.trains["fit"], tmp_path)
    assert_two_processes_agree(tmp_path, "val.accuracy")


def test_other_balances_are_other_settings(tmp_path: Path) -> None:
    for number, clause in enumerate(("balance kind", "balance kind, seed=1")):
        program, _ = open_spec(tmp_path, clause)
        assert program is not None
        write_training(program.trains["fit"], tmp_path)
        done = run(tmp_path, "out", *(["--resume"] if number else []))
        assert bool(done.returncode) == bool(number)


@pytest.mark.parametrize(
    ("clause", "code", "label"),
    [
        ("balance knd", "W1620", "did you mean `kind`?"),
        ("balance a", "W1620", "it is of numbers, f32[]"),
        ("balance kind, sed=1", "W0221", "did you mean `seed`?"),
        ("balance kind, seed=-1", "W0225", ""),
        ('balance kind, method="weigh"', "W0225", ""),
        ("balance kind, 3", "W0208", ""),
        ("balance kind\n    balance n", "W0210", ""),
    ],
)
def test_balances_that_cannot_be(tmp_path: Path, clause: str, code: str, label: str) -> None:
    _, sink = open_spec(tmp_path, clause)
    assert len(sink.messages) == 1
    assert not label or sink.messages[0].text.label == label
    assert code in ("W0208", "W0210") or sink.messages[0].code == code


def find_warnings(folder: Path, table: pd.DataFrame, **given: Any) -> list[str]:
    program, _ = open_spec(folder, "", table=table, **given)
    assert program is not None
    sink = Sink()
    assert validate_data(program.trains["fit"], sink) is not None
    return [m.text.title for m in sink.messages if m.code == "W1629"]


def test_copies_in_two_splits_are_told(tmp_path: Path) -> None:
    table = make_table()
    order = "in_order, train=60%, val=20%, test=20%"
    assert find_warnings(tmp_path, table, split=order) == []
    table.iloc[[95, 97, 101]] = table.iloc[[3, 3, 50]].to_numpy()
    table.iloc[140, table.columns.get_loc("n")] = table.n[5]  # one cell is no copy of a row
    table.iloc[149, :2] = table.iloc[2, :2]
    table.iloc[149, 3] = "red" if table.kind[2] != "red" else "blue"  # nor is another label
    told = ["3 rows of `val` (10 %) stand in `train` as well"]
    assert find_warnings(tmp_path, table, split=order) == told
    few = "in_order, train=90, val=19, test=41"
    assert find_warnings(tmp_path, table, split=few) == []
    alike = table.assign(a=np.where(table.a > 0, 0.5, 1.5), b=1.5)
    assert find_warnings(tmp_path, alike, split=order) == []
    table["n"] = np.arange(len(table))  # what no train reads tells no rows apart
    assert find_warnings(tmp_path, table, split=order) == told
