"""Rows that `where` keeps: in NumPy and in the script, against the same condition in pandas."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.program.program import Program
from compiler.report.diagnostics import CompileError, Sink
from compiler.rows.loading import load_data
from compiler.rows.validation import validate_data
from tests.test_train_steps import import_script
from tests.train_scripts import lint, run
from weft.cli.main import app

SPEC = """
model Net() {
    input x: f32[batch, 2]
    output y: f32[batch] = x -> dense(8) -> tanh -> dense(1) -> flatten(0)
}
data table {
    source csv("table.csv")
    CONDITIONS
    x = stack([a, cast(n, f32)]) -> standardize
    split random(seed=4), train=60%, val=20%, test=20%
}
train fit of Net on table {
    minimize mse(y, b) with adam(lr=0.01)
    metric error = mae(y, b)
    batch 8  epochs 1  seed 1
}
"""


def make_table(rows: int = 150) -> pd.DataFrame:
    drawn = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "a": drawn.normal(size=rows).round(3),
            "b": drawn.normal(size=rows).round(3),
            "gap": drawn.normal(size=rows).round(2),
            "n": drawn.integers(-5, 6, rows),
            "kind": drawn.choice(["red", "dark green", "blue"], rows),
            "day": pd.Timestamp("2024-02-20") + pd.to_timedelta(drawn.integers(0, 30, rows), "D"),
        }
    )
    table.loc[drawn.random(rows) < 0.3, "gap"] = np.nan
    return table


def open_spec(folder: Path, conditions: str, text: str = SPEC) -> tuple[Program | None, Sink]:
    make_table().to_csv(folder / "table.csv", index=False)
    (folder / "spec.weft").write_text(text.replace("CONDITIONS", conditions))
    sink = Sink()
    return check(folder / "spec.weft", overrides={}, sink=sink), sink


Keep = Callable[[pd.DataFrame], Any]
CASES: dict[str, tuple[str, Keep]] = {
    "numbers": ("where a > 0.1", lambda t: t.a > 0.1),
    "whole numbers": ("where n % 2 == 0 and n != 4", lambda t: (t.n % 2 == 0) & (t.n != 4)),
    "two clauses": ("where a > -1\n    where b < 1", lambda t: (t.a > -1) & (t.b < 1)),
    "or, not": ("where not (a > 0 or b > 0)", lambda t: ~((t.a > 0) | (t.b > 0))),
    "present": ("where not isnan(gap)", lambda t: t.gap.notna()),
    "missing": ("where isnan(gap)", lambda t: t.gap.isna()),
    "missing compared": ("where gap > 0", lambda t: t.gap > 0),
    "a word": ('where kind == "dark green"', lambda t: t.kind == "dark green"),
    "no word": ('where "red" != kind', lambda t: t.kind != "red"),
    "words": ('where kind in ["red", "blue"]', lambda t: t.kind.isin(["red", "blue"])),
    "other words": ('where kind not in ["red", "blue"]', lambda t: t.kind == "dark green"),
    "numbers of a list": ("where n in [1, 3, -5]", lambda t: t.n.isin([1, 3, -5])),
    "days": (
        'where day >= "2024-02-28" and day < "2024-03-10T00:00:00"',
        lambda t: (t.day >= "2024-02-28") & (t.day < "2024-03-10"),
    ),
    "a computed column": ("c = a * b\n    where c > 0", lambda t: t.a * t.b > 0),
    "a column bound anew": ("b = b + 3\n    where b > 3\n    b = b - 3", lambda t: t.b > 0),
}


@pytest.mark.parametrize("case", CASES)
def test_kept_rows_are_those_of_pandas(tmp_path: Path, case: str) -> None:
    conditions, keep = CASES[case]
    program, sink = open_spec(tmp_path, conditions)
    assert program is not None, [m.text for m in sink.messages]
    table = make_table()
    kept = table[keep(table)]
    assert 0 < len(kept) < len(table)
    loaded = load_data(program.data["table"])
    order = np.random.default_rng(4).permutation(len(kept))
    borders = np.cumsum([0, round(0.6 * len(kept)), 0, 0])
    train = kept.iloc[order[: borders[1]]]
    scaler = StandardScaler().fit(train[["a", "n"]])
    np.testing.assert_array_equal(loaded.numbers, kept.index)
    np.testing.assert_allclose(loaded.split("train")["b"], train.b, atol=1e-6)
    scaled = scaler.transform(train[["a", "n"]])
    np.testing.assert_allclose(loaded.split("train")["x"], scaled, rtol=1e-4, atol=1e-5)
    assert sum(map(len, loaded.rows.values())) == len(kept)


@pytest.mark.parametrize("case", CASES)
def test_a_script_keeps_the_same_rows(tmp_path: Path, case: str) -> None:
    program, _ = open_spec(tmp_path, CASES[case][0])
    assert program is not None
    compare_script(program, "table", tmp_path)


def compare_script(program: Program, name: str, folder: Path) -> None:
    """The script of the train has the columns of the data in memory, split by split."""
    write_training(program.trains["fit"], folder)
    lint(folder)
    (folder / "run").mkdir()
    splits = import_script(folder, "train").load_splits(folder, folder / "run", "cpu")
    loaded = load_data(program.data[name])
    names = [item.name for item in program.trains["fit"].graph.inputs]
    for split, columns in splits.items():
        for column, array in zip(names, columns, strict=True):
            own = loaded.split(split)[column]
            np.testing.assert_allclose(array.numpy(), own, rtol=1e-5, atol=1e-6)


def test_strata_are_those_of_the_rows_that_are_left(tmp_path: Path) -> None:
    text = SPEC.replace("random(seed=4)", "random(seed=4, stratify=kind)")
    program, _ = open_spec(tmp_path, 'where kind != "red"', text)
    assert program is not None
    compare_script(program, "table", tmp_path)
    loaded = load_data(program.data["table"])
    assert loaded.labels is not None
    shares = [np.mean(loaded.labels[rows] == 0) for rows in loaded.rows.values()]
    assert np.ptp(shares) < 0.05


@pytest.mark.parametrize("split", ["given", "given(seed=2), val=20%"])
@pytest.mark.parametrize("window", ["", "window 3, ahead=1, target=b"])
def test_splits_of_the_source_stay_apart(tmp_path: Path, split: str, window: str) -> None:
    if window and split != "given":
        return  # windows are not drawn at random
    measured = "val" if "val" in split else "test"
    numbers = np.random.default_rng(1)
    arrays = {
        f"{name}_{part}": numbers.integers(0, 9, count)
        if name == "n"
        else numbers.normal(size=count)
        for part, count in (("test", 40), ("train", 90))
        for name in ("a", "b", "n", "t")
    }
    arrays |= {
        f"t_{part}": numbers.permutation(len(arrays[f"a_{part}"])) for part in ("train", "test")
    }
    np.savez(tmp_path / "table.npz", **arrays)
    text = SPEC.replace('csv("table.csv")', 'npz("table.npz")')
    text = text.replace("random(seed=4), train=60%, val=20%, test=20%", split)
    if window:
        text = text.replace("f32[batch, 2]", "f32[batch, 3, 2]").replace(
            "x -> dense", "x -> flatten -> dense"
        )
        text = text.replace("    split", f'    {window}, by=t, gaps="split"\n    split')
    text = text.replace("batch 8", f"until stalled({measured}.error, epochs=3)\n    batch 8")
    program, sink = open_spec(tmp_path, "where n > 1", text)
    assert program is not None, [m.text for m in sink.messages]
    loaded = load_data(program.data["table"])
    kept = {part: arrays[f"n_{part}"] > 1 for part in ("train", "test")}
    if not window:
        expected = arrays["b_test"][kept["test"]]
        np.testing.assert_allclose(loaded.split("test")["b"], expected, rtol=1e-6)
        drawn = [name for name in ("train", "val") if name in loaded.rows]
        training = np.concatenate([loaded.split(name)["b"] for name in drawn])
        expected = arrays["b_train"][kept["train"]]
        np.testing.assert_allclose(sorted(training), sorted(expected), rtol=1e-6)
    compare_script(program, "table", tmp_path)


def test_windows_go_across_no_row_that_is_left_out(tmp_path: Path) -> None:
    text = SPEC.replace("f32[batch, 2]", "f32[batch, 4, 2]")
    text = text.replace("x -> dense", "x -> flatten -> dense").replace("random(seed=4)", "in_order")
    text = text.replace(
        "    split", '    window 4, ahead=2, target=b, by=i, gaps="split"\n    split'
    )
    table = make_table()
    table["i"] = np.random.default_rng(5).permutation(len(table))
    program, _ = open_spec(tmp_path, "where n != 0", text.replace("by=i", "by=n"))
    table.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "spec.weft").write_text(text.replace("CONDITIONS", "where n != 0"))
    program = check(tmp_path / "spec.weft", overrides={}, sink=Sink())
    assert program is not None
    loaded = load_data(program.data["table"])
    assert loaded.numbers is not None
    for rows in loaded.rows.values():
        for start in rows:
            piece = table.iloc[loaded.numbers[start : start + 6]]
            assert (piece.i.diff().dropna() == 1).all()
            assert (piece.n != 0).all()
    compare_script(program, "table", tmp_path)


@pytest.mark.parametrize(
    "split", ["random(seed=3, group=n)", "random(group=day)", "in_order(by=day)", "in_order(by=n)"]
)
def test_splits_by_columns(tmp_path: Path, split: str) -> None:
    program, sink = open_spec(tmp_path, "where a > -1", SPEC.replace("random(seed=4)", split))
    assert program is not None, [m.text for m in sink.messages]
    table = make_table()
    table = table[table.a > -1].reset_index(drop=True)
    loaded = load_data(program.data["table"])
    parts = [table.iloc[rows] for rows in loaded.rows.values()]
    key = split.rstrip(")").rpartition("=")[2]
    for one, other in pairwise(parts):
        assert set(one[key]).isdisjoint(other[key])
        assert "in_order" not in split or one[key].max() < other[key].min()
    compare_script(program, "table", tmp_path)


@pytest.mark.parametrize(
    ("split", "code", "label"),
    [
        ("random(group=knid)", "W1620", "did you mean `kind`?"),
        ("random(group=a)", "W1620", "it is of numbers, f32[]"),
        ("in_order(by=kind)", "W1620", "it is of categories, i64[]"),
        ("in_order(seed=1)", "W0221", ""),
        ("random(group=kind, stratify=n)", "W0727", ""),
    ],
)
def test_splits_that_cannot_be(tmp_path: Path, split: str, code: str, label: str) -> None:
    _, sink = open_spec(tmp_path, "", SPEC.replace("random(seed=4)", split))
    assert [m.code for m in sink.messages] == [code], sink.messages[0].text
    assert not label or sink.messages[0].text.label == label


def test_shares_of_groups_are_parts(tmp_path: Path) -> None:
    text = SPEC.replace("random(seed=4), train=60%", "random(group=n), train=3")
    _, sink = open_spec(tmp_path, "", text)
    assert "groups go whole" in (sink.messages[0].text.label or "")


def test_missing_words_are_left_out_or_told(tmp_path: Path) -> None:
    """What `missing_category` names as \"\" is a word like others."""
    table = make_table()
    table.loc[table.index % 5 == 0, "kind"] = None
    text = SPEC.replace('csv("table.csv")', 'csv("table.csv", missing_category=["kind"])')
    text = text.replace("CONDITIONS", 'where kind != ""\n    b = b + cast(kind == "red", f32)')
    table.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "spec.weft").write_text(text)
    program = check(tmp_path / "spec.weft", overrides={}, sink=Sink())
    assert program is not None
    loaded = load_data(program.data["table"])
    np.testing.assert_array_equal(loaded.numbers, table[table.kind.notna()].index)
    compare_script(program, "table", tmp_path)


def test_a_gap_is_filled_with_what_is_most_frequent(tmp_path: Path) -> None:
    text = SPEC.replace("split random", 'filled = fill(gap, "most_frequent")\n    split random')
    text = text.replace("mse(y, b)", "mse(y, filled)")
    program, sink = open_spec(tmp_path, "gap = round(gap)", text)
    assert program is not None, [m.text for m in sink.messages]
    table = make_table()
    loaded = load_data(program.data["table"])
    gap = np.round(table[["gap"]].astype(np.float32)).to_numpy()
    oracle = SimpleImputer(strategy="most_frequent").fit(gap[loaded.rows["train"]])
    expected = oracle.transform(gap)[:, 0]
    np.testing.assert_allclose(loaded.columns["filled"], expected)
    compare_script(program, "table", tmp_path)


def test_other_conditions_are_other_settings(tmp_path: Path) -> None:
    for conditions in ("where a > 0", "where a > 0.5"):
        program, _ = open_spec(tmp_path, conditions)
        assert program is not None
        write_training(program.trains["fit"], tmp_path)
        done = run(tmp_path, "out", *(["--resume"] if "0.5" in conditions else []))
        assert bool(done.returncode) == ("0.5" in conditions), done.stderr


def test_check_counts_the_rows(tmp_path: Path) -> None:
    open_spec(tmp_path, 'where kind == "red"')
    told = CliRunner().invoke(app, ["check", str(tmp_path / "spec.weft"), "--data"])
    kept = int((make_table().kind == "red").sum())
    assert (
        f"150 rows, {kept} of them kept by `where`; rows: train {round(0.6 * kept)}" in told.output
    )


def test_check_counts_the_rows_for_programs(tmp_path: Path) -> None:
    open_spec(tmp_path, "where a > 0")
    told = CliRunner().invoke(
        app, ["check", str(tmp_path / "spec.weft"), "--data", "--format=json"]
    )
    kept = int((make_table().a > 0).sum())
    counts = json.loads(told.stdout)["rows"]["table"]
    assert (counts["source"], counts["kept"], counts["windows"]) == (150, kept, False)
    assert sum(counts["splits"].values()) == kept


def test_a_missing_cell_is_named_by_its_row_of_the_file(tmp_path: Path) -> None:
    program, _ = open_spec(tmp_path, "where a > 0\n    b = b + gap")
    assert program is not None
    sink = Sink()
    validate_data(program.trains["fit"], sink)
    table = make_table()
    row = table[(table.a > 0) & table.gap.isna()].index[0]
    assert any(f"row {row:,}" in (m.text.label or "") for m in sink.messages)


@pytest.mark.parametrize(
    ("conditions", "code", "label"),
    [
        ("where gap != none", "W1625", "this is true"),
        ('where kind == "gren"', "W1624", ""),
        ('where kind == "bleu"', "W1624", "did you mean `blue`?"),
        ('where day > "yesterday"', "W1624", "`day` holds dates"),
        ("where a", "W1625", "this is a tensor f32[]"),
        ("where stack([a, b]) > 0", "W1625", "this is a tensor bool[2]"),
        ("where true", "W1625", "this is true"),
        ("where standardize(a) > 0", "W1626", ""),
        ('where fill(gap, "mean") > 0', "W1626", ""),
        ("where kind > 1", "W1225", ""),
        ('where kind > "red"', "W0404", ""),
        ('where n == "one"', "W0404", ""),
    ],
)
def test_conditions_that_cannot_be(tmp_path: Path, conditions: str, code: str, label: str) -> None:
    _, sink = open_spec(tmp_path, conditions)
    assert [m.code for m in sink.messages] == [code], sink.messages[0].text
    assert not label or sink.messages[0].text.label == label


def test_no_row_left_is_an_error(tmp_path: Path) -> None:
    program, _ = open_spec(tmp_path, "where a > 100")
    assert program is not None
    with pytest.raises(CompileError) as error:
        load_data(program.data["table"])
    assert [m.code for m in error.value.messages] == ["W1627"]
