"""Windows of rows: in NumPy and in the script, against windows cut by hand of a table in pandas."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from backends.pytorch.train.folder import write_training
from compiler.data.windows import Window
from compiler.driver import check
from compiler.program.program import Program
from compiler.report.diagnostics import CompileError, Sink
from compiler.rows.loading import load_data
from compiler.rows.validation import validate_data
from tests.test_train_steps import import_script
from tests.train_scripts import (
    assert_two_processes_agree,
    check_equal,
    kill_after,
    lint,
    run,
    share,
)
from weft.cli.main import app

SPEC = """
model Net() {
    input x: f32[batch, LENGTH, 2]
    output y: f32[batch] = x -> flatten -> dense(8) -> tanh -> dense(1) -> flatten(0)
}
data series {
    source csv("series.csv")
    x = stack([a, b]) -> standardize
    target = a - b
    window LENGTH, OPTIONS
    split in_order, train=60%, val=20%, test=20%
}
train fit of Net on series {
    minimize mse(y, target) with adam(lr=0.01)
    metric error = mae(y, target)
    metric last = mae(a[:, -1] - b[:, -1], target)
    batch 8  epochs 3  seed 1
}
"""
HOUR = 3600


def make_table(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    """Two stations whose hours stand in no order, some of them missing."""
    drawn = np.random.default_rng(seed)
    hours = np.arange(rows // 2)
    parts = []
    for name in ("north", "south"):
        kept = np.delete(hours, [17, 18, 40]) if name == "north" else hours
        parts.append(pd.DataFrame({"hour": kept, "station": name}))
    table = pd.concat(parts, ignore_index=True)
    table["when"] = pd.Timestamp("2024-03-01") + pd.to_timedelta(table["hour"], unit="h")
    table["a"] = drawn.normal(size=len(table)).round(3)
    table["b"] = drawn.normal(size=len(table)).round(3)
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)


def open_spec(folder: Path, text: str, table: pd.DataFrame) -> Program:
    table.to_csv(folder / "series.csv", index=False)
    (folder / "spec.weft").write_text(text)
    sink = Sink()
    program = check(folder / "spec.weft", overrides={}, sink=sink)
    assert program is not None, [m.text.title for m in sink.messages]
    assert not sink.has_errors, [m.text for m in sink.messages]
    return program


def spec(length: int, options: str) -> str:
    return SPEC.replace("LENGTH", str(length)).replace(", OPTIONS", options and f", {options}")


def cut_by_hand(
    table: pd.DataFrame, length: int, ahead: int, case: dict[str, Any]
) -> dict[str, list[tuple[Any, float]]]:
    """The rows of windows, and the target behind each, split by split."""
    by, group = case.get("by"), case.get("group")
    order = table if by is None else table.sort_values(by, kind="stable")
    count = len(order)
    borders = [0, round(0.6 * count), round(0.8 * count), count]
    found: dict[str, list[tuple[Any, float]]] = {}
    for name, low, high in zip(("train", "val", "test"), borders, borders[1:], strict=False):
        part = order.iloc[low:high]
        if group and by:  # rows of one hour stay together
            hours = np.sort(table[by])
            after = hours[high] if high < count else hours[-1] + np.timedelta64(1, "h")
            part = order[(order[by] >= hours[low]) & (order[by] < after)]
        found[name] = []
        for _, series in part.groupby(group) if group else [(None, part)]:
            starts = []
            for start in range(len(series) - length - ahead + 1):
                piece = series.iloc[start : start + length + ahead]
                steps = piece[by].diff().dropna() if by else []
                if case.get("gaps") == "split" and (steps != pd.Timedelta(hours=1)).any():
                    continue
                starts.append((piece.iloc[:length], piece.iloc[-1]))
            found[name] += [
                (piece[["a", "b"]].to_numpy(), row["a"] - row["b"]) for piece, row in starts
            ]
    return found


CASES: dict[str, tuple[int, int, str, dict[str, Any]]] = {
    "as they stand": (5, 1, "ahead=1", {}),
    "far ahead": (3, 4, "ahead=4", {}),
    "in time": (4, 2, 'ahead=2, by=when, gaps="ignore"', {"by": "when"}),
    "groups": (
        4,
        1,
        'ahead=1, by=when, group=station, gaps="split"',
        {"by": "when", "group": "station", "gaps": "split"},
    ),
    "groups without gaps": (
        6,
        2,
        'ahead=2, by=when, group=station, gaps="ignore"',
        {"by": "when", "group": "station"},
    ),
    "groups as they stand": (2, 1, "ahead=1, group=station", {"group": "station"}),
    "one row": (1, 1, "ahead=1", {}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [0, 3])
def test_windows_are_those_cut_by_hand(tmp_path: Path, case: str, seed: int) -> None:
    length, ahead, options, keys = CASES[case]
    table = make_table(seed=seed)
    program = open_spec(tmp_path, spec(length, options), table)
    expected = cut_by_hand(table, length, ahead, keys)
    loaded = load_data(program.data["series"])
    training = loaded.raw["a"][loaded.divided["train"]], loaded.raw["b"][loaded.divided["train"]]
    scaler = StandardScaler().fit(np.stack(training, 1))
    for name, windows in expected.items():
        own = loaded.split(name)
        assert len(own["x"]) == len(windows) > 0
        scaled = [scaler.transform(piece) for piece, _ in windows]
        np.testing.assert_allclose(own["x"], np.array(scaled), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(own["target"], [row for _, row in windows], atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_a_script_cuts_the_same_windows(tmp_path: Path, case: str) -> None:
    length, _, options, _ = CASES[case]
    program = open_spec(tmp_path, spec(length, options + ", stride=2"), make_table())
    write_training(program.trains["fit"], tmp_path)
    lint(tmp_path)
    (tmp_path / "run").mkdir()
    splits = import_script(tmp_path, "train").load_splits(tmp_path, tmp_path / "run", "cpu")
    loaded = load_data(program.data["series"])
    names = [item.name for item in program.trains["fit"].graph.inputs]
    for split, columns in splits.items():
        own = loaded.split(split)
        for name, column in zip(names, columns, strict=True):
            np.testing.assert_allclose(column.numpy(), own[name], rtol=1e-5, atol=1e-6)


def several(steps: str, count: int, options: str = "") -> str:
    """The spec with targets of several rows after each window."""
    text = spec(4, f"ahead={steps}{options}")
    text = text.replace("y: f32[batch] =", f"y: f32[batch, {count}] =")
    text = text.replace("dense(1) -> flatten(0)", f"dense({count})")
    return text.replace("mae(a[:, -1] - b[:, -1], target)", "mae(y, target)")


@pytest.mark.parametrize(
    ("steps", "rows"),
    [("[1, 6]", [1, 6]), ("1..4", [1, 2, 3]), ("[2]", [2]), ("[1, 3, 4]", [1, 3, 4])],
)
@pytest.mark.parametrize("keys", ["", ', by=when, group=station, gaps="split"'])
def test_targets_of_several_rows_are_those_of_each(
    tmp_path: Path, steps: str, rows: list[int], keys: str
) -> None:
    program = open_spec(tmp_path, several(steps, len(rows), keys), make_table())
    loaded = load_data(program.data["series"])
    single = loaded.single["target"]
    for name, first in loaded.rows.items():
        own = loaded.split(name)["target"]
        assert own.shape == (len(first), len(rows))
        assert len(first) > 0
        expected = np.stack([single[first + 3 + row] for row in rows], axis=1)
        np.testing.assert_array_equal(own, expected)
    write_training(program.trains["fit"], tmp_path)
    lint(tmp_path)
    (tmp_path / "run").mkdir()
    splits = import_script(tmp_path, "train").load_splits(tmp_path, tmp_path / "run", "cpu")
    names = [item.name for item in program.trains["fit"].graph.inputs]
    for split, columns in splits.items():
        for name, column in zip(names, columns, strict=True):
            np.testing.assert_allclose(column.numpy(), loaded.split(split)[name], atol=1e-6)


def test_a_net_of_several_targets_trains_and_is_deployed(tmp_path: Path) -> None:
    text = several("[1, 6]", 2) + "deploy fit as onnx { preprocess series  dynamic batch }\n"
    open_spec(tmp_path, text, make_table())
    spec_file, out = str(tmp_path / "spec.weft"), str(tmp_path / "out")
    made = CliRunner().invoke(app, ["build", spec_file, "-o", out])
    assert made.exit_code == 0, made.output


def test_a_stride_is_counted_from_the_beginning_of_each_series() -> None:
    rows = np.arange(12)
    short = Window(length=2, ahead=1, stride=3).find_starts(rows, np.repeat(np.arange(4), 3))
    assert short.tolist() == [0, 3, 6, 9]
    two = Window(length=2, ahead=1, stride=2).find_starts(rows, np.repeat(np.arange(2), [7, 5]))
    assert two.tolist() == [0, 2, 4, 7, 9]
    single = Window(length=1, stride=2).find_starts(rows, np.repeat(np.arange(2), [7, 5]))
    assert single.tolist() == [0, 2, 4, 6, 7, 9, 11]


def test_no_cell_is_in_two_splits(tmp_path: Path) -> None:
    options = 'ahead=3, by=when, group=station, gaps="split"'
    program = open_spec(tmp_path, spec(4, options), make_table())
    loaded = load_data(program.data["series"])
    assert loaded.data.window is not None
    reach = np.arange(loaded.data.window.reach + 1)
    read = {name: set((rows[:, None] + reach).ravel()) for name, rows in loaded.rows.items()}
    assert not read["train"] & read["val"]
    assert not (read["train"] | read["val"]) & read["test"]


def test_whole_series_may_be_drawn(tmp_path: Path) -> None:
    table = make_table(400)
    table["station"] = [f"{name}{k % 5}" for k, name in enumerate(table["station"])]
    text = spec(3, 'ahead=1, by=hour, group=station, gaps="ignore"')
    text = text.replace("in_order", "random(seed=1, group=station)")
    program = open_spec(tmp_path, text, table)
    loaded = load_data(program.data["series"])
    assert loaded.numbers is not None
    stations = [set(table.station[loaded.numbers[rows]]) for rows in loaded.rows.values()]
    assert [len(found) for found in stations] == [6, 2, 2]
    assert not stations[0] & stations[1]
    write_training(program.trains["fit"], tmp_path)
    lint(tmp_path)
    (tmp_path / "run").mkdir()
    splits = import_script(tmp_path, "train").load_splits(tmp_path, tmp_path / "run", "cpu")
    names = [item.name for item in program.trains["fit"].graph.inputs]
    for split, columns in splits.items():
        found = columns[names.index("target")].numpy()
        np.testing.assert_allclose(found, loaded.split(split)["target"], atol=1e-6)


def test_without_ahead_every_column_is_a_window(tmp_path: Path) -> None:
    text = spec(4, "by=hour, group=station").replace("mse(y, target)", "mse(y, target[:, 0])")
    text = text.replace("mae(y, target)", "mae(y, target[:, 3])").replace("    metric last", "#")
    table = make_table()
    program = open_spec(tmp_path, text.replace("station", 'station, gaps="split"'), table)
    assert load_data(program.data["series"]).split("val")["target"].shape[1:] == (4,)


def test_targets_may_have_any_names(tmp_path: Path) -> None:
    text = spec(3, "target=[`target`, b], ahead=2").replace("    metric last", "#")
    program = open_spec(
        tmp_path, text.replace("mse(y, target)", "mse(y, target + b)"), make_table()
    )
    own = load_data(program.data["series"]).split("test")
    assert own["b"].shape == own["target"].shape == own["x"].shape[:1]
    assert own["a"].shape == own["x"].shape[:2]


def test_splits_of_the_source_have_windows_of_their_own(tmp_path: Path) -> None:
    drawn = np.random.default_rng(1)
    arrays = {
        f"{name}_{part}": drawn.permutation(count) if name == "t" else drawn.normal(size=count)
        for part, count in (("train", 40), ("test", 15))
        for name in ("a", "b", "t")
    }
    np.savez(tmp_path / "series.npz", **arrays)
    text = spec(4, "ahead=1, by=t").replace('csv("series.csv")', 'npz("series.npz")')
    text = text.replace("in_order, train=60%, val=20%, test=20%", "given")
    program = open_spec(tmp_path, text, make_table())
    write_training(program.trains["fit"], tmp_path)
    lint(tmp_path)
    (tmp_path / "run").mkdir()
    splits = import_script(tmp_path, "train").load_splits(tmp_path, tmp_path / "run", "cpu")
    loaded = load_data(program.data["series"])
    names = [item.name for item in program.trains["fit"].graph.inputs]
    for part in ("train", "test"):
        order = np.argsort(arrays[f"t_{part}"])
        own, target = loaded.split(part), (arrays[f"a_{part}"] - arrays[f"b_{part}"])[order]
        np.testing.assert_allclose(own["target"], target[4:], rtol=1e-5, atol=1e-6)
        script = dict(zip(names, splits[part], strict=True))
        np.testing.assert_allclose(script["target"], own["target"], rtol=1e-6)
        np.testing.assert_allclose(script["x"], own["x"], rtol=1e-5, atol=1e-6)


# --- training and deployment --------------------------------------------------------------------


def test_a_killed_training_goes_on_and_two_processes_agree(tmp_path: Path) -> None:
    text = spec(4, 'ahead=1, by=when, group=station, gaps="split"')
    for name in ("alone", "shared"):
        (tmp_path / name).mkdir()
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    write_training(open_spec(alone, text, make_table()).trains["fit"], alone)
    assert run(alone, "whole").returncode == 0
    kill_after(alone, "cut", 1, signal.SIGKILL)
    assert run(alone, "cut", "--resume").returncode == 0
    check_equal(alone / "whole", alone / "cut")
    write_training(open_spec(shared, share(text), make_table()).trains["fit"], shared)
    assert_two_processes_agree(shared, "val.error")


def test_other_windows_are_other_settings(tmp_path: Path) -> None:
    table = make_table()
    write_training(open_spec(tmp_path, spec(4, "ahead=1"), table).trains["fit"], tmp_path)
    assert run(tmp_path, "out").returncode == 0
    write_training(open_spec(tmp_path, spec(4, "ahead=2"), table).trains["fit"], tmp_path)
    done = run(tmp_path, "out", "--resume")
    assert done.returncode
    assert "2 ahead" in done.stderr


def test_a_script_refuses_data_with_new_gaps(tmp_path: Path) -> None:
    table = make_table()
    table = table[table["station"] == "south"]
    program = open_spec(tmp_path, spec(4, "ahead=1, by=when"), table)
    write_training(program.trains["fit"], tmp_path)
    table[table["hour"] != 30].to_csv(tmp_path / "series.csv", index=False)
    done = run(tmp_path, "out")
    assert done.returncode
    assert "the steps of the column 'when' are not equal" in done.stderr


def test_a_deployed_file_takes_raw_windows_and_says_what_eval_says(tmp_path: Path) -> None:
    table = make_table()
    text = spec(4, 'ahead=1, by=when, group=station, gaps="split"')
    text = text.replace("minimize", "h = x\n    minimize")
    text += "deploy fit as onnx { preprocess series  dynamic batch }\n"
    open_spec(tmp_path, text, table)
    out = tmp_path / "out"
    built = CliRunner().invoke(app, ["build", str(tmp_path / "spec.weft"), "-o", str(out)])
    assert built.exit_code == 0, built.output
    session = onnxruntime.InferenceSession(out / "fit.onnx")
    assert {i.name: i.shape for i in session.get_inputs()} == {
        "a": ["batch", 4],
        "b": ["batch", 4],
    }
    windows = cut_by_hand(table, 4, 1, CASES["groups"][3])["test"]
    raw = np.array([piece for piece, _ in windows], np.float32)
    (y,) = session.run(["y"], {"a": raw[..., 0], "b": raw[..., 1]})
    error = np.abs(y - [row for _, row in windows]).mean()
    report = json.loads((out / "report.json").read_text())
    sections = {section["title"]: section for section in report["sections"]}
    assert error == pytest.approx(sections["train fit"]["figures"]["test"]["error"], rel=1e-4)
    command = ["eval", str(tmp_path / "spec.weft"), "--onnx", str(out / "fit.onnx")]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert f"error {error:.4f}" in " ".join(told.output.split())


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "label"),
    [
        ('ahead=1, gaps="split"', "W0208", "gaps are those of a column: `by=day` says which"),
        ("ahead=1, by=wehn", "W1620", "did you mean `when`?"),
        ("ahead=1, by=station", "W1620", "it is of categories, i64[]"),
        ("ahead=1, by=a", "W1620", "it is of numbers, f32[]"),
        ("ahead=1, group=a", "W1620", "it is of numbers, f32[]"),
        ("ahead=1, target=tagret", "W1621", "did you mean `target`?"),
        ("ahead=0", "W0601", "is 0"),
        ("ahead=1.5", "W0208", "a whole number of rows belongs here, not the float 1.5"),
        ('ahead=1, by=when, gaps="skip"', "W0225", ""),
        ("ahead=[6, 1]", "W0208", ""),
        ("ahead=[1, 1]", "W0208", ""),
        ("ahead=[0, 1]", "W0208", ""),
        ("ahead=[]", "W0208", ""),
        ("ahead=[1, 2.5]", "W0208", ""),
        ("ahead=1..100000", "W0208", ""),
        ("ahead=[1, 99999999999]", "W0208", ""),
        ("ahaed=1", "W0221", "did you mean `ahead`?"),
        ("ahead=1, ahead=2", "", ""),
        ("3", "", ""),
    ],
)
def test_windows_that_cannot_be(tmp_path: Path, options: str, code: str, label: str) -> None:
    make_table().to_csv(tmp_path / "series.csv", index=False)
    (tmp_path / "spec.weft").write_text(spec(4, options))
    sink = Sink()
    check(tmp_path / "spec.weft", overrides={}, sink=sink)
    (message,) = sink.messages
    assert not code or message.code == code
    assert not label or message.text.label == label


def test_windows_are_not_drawn_at_random(tmp_path: Path) -> None:
    make_table().to_csv(tmp_path / "series.csv", index=False)
    (tmp_path / "spec.weft").write_text(spec(4, "ahead=1").replace("in_order", "random(seed=0)"))
    sink = Sink()
    check(tmp_path / "spec.weft", overrides={}, sink=sink)
    assert [m.code for m in sink.messages] == ["W0727"]


@pytest.mark.parametrize(
    ("options", "code", "label"),
    [
        ("ahead=1, by=when, group=station", "W1622", "behind row"),
        ("ahead=1, by=when", "W1622", "have the same `when`"),
        ("ahead=40", "W1623", "that follow one another"),
    ],
)
def test_what_only_the_rows_tell(tmp_path: Path, options: str, code: str, label: str) -> None:
    table = make_table()
    program = open_spec(tmp_path, spec(4, options), table)
    sink = Sink()
    assert validate_data(program.trains["fit"], sink) is None
    assert {m.code for m in sink.messages} == {code}
    assert label in (sink.messages[0].text.label or "")
    if label == "behind row":
        row = int((sink.messages[0].text.label or "").split()[2])
        assert (table["station"][row], table["hour"][row]) == ("north", 16)
        assert "it goes on by 3 hours, usually by 1 hour" in (sink.messages[0].text.label or "")


def test_months_are_told_to_be_ignored(tmp_path: Path) -> None:
    table = make_table(100)
    table["when"] = pd.date_range("2001-01-01", periods=len(table), freq="MS")
    program = open_spec(tmp_path, spec(4, "ahead=1, by=when"), table)
    with pytest.raises(CompileError) as error:
        load_data(program.data["series"])
    (message,) = error.value.messages
    assert 'gaps="ignore"' in (message.text.help or "")


def test_a_missing_cell_is_named_by_its_row(tmp_path: Path) -> None:
    table = make_table()
    table.loc[33, "b"] = np.nan
    program = open_spec(tmp_path, spec(4, 'ahead=1, by=when, gaps="ignore"'), table)
    sink = Sink()
    validate_data(program.trains["fit"], sink)
    assert any("row 33" in (m.text.label or "") for m in sink.messages)
