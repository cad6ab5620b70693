"""A trained net and data that it was not trained on: words keep their codes, and what `standardize`
and `fill` have fitted stays as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from sklearn.metrics import r2_score
from typer.testing import CliRunner

import weft
from weft.cli.main import app

SPEC = """
model Net { input x: f32[batch, 5]
    output y: f32[batch] = x -> dense(8) -> relu -> dense(1) -> flatten(0) }
data rows(path: str = "rows.csv") {
    source csv(path)
    near = stack([fill(age, "median"), income]) -> standardize
    x = concat([near, one_hot(place, 3, dtype=f32)])
    target = price
    split random(seed=0), train=70%, test=30% }
train fit of Net on rows {
    minimize mse(y, target) with adam(lr=0.02)
    metric fit = r2(y, target)
    batch 16  epochs 40 }
variant small of fit { apply quantize(stored8) }
deploy fit as onnx { preprocess rows }
deploy small as onnx
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build, and other data beside it: rows of one region, and rows with a new word."""
    folder = tmp_path_factory.mktemp("other")
    draw = np.random.default_rng(0)
    place = draw.choice(["coast", "inland"], 200)
    age, income = draw.normal(40, 9, 200).round(1), draw.normal(3, 1, 200).round(2)
    price = 0.1 * age + income + (place == "coast")
    table = pd.DataFrame({"age": age, "income": income, "place": place, "price": price.round(3)})
    table.loc[[3, 60], "age"] = np.nan
    table.to_csv(folder / "rows.csv", index=False)
    table[table.income > 3].to_csv(folder / "rich.csv", index=False)
    table.assign(place=table.place.where(table.index != 9, "isle")).to_csv(
        folder / "isle.csv", index=False
    )
    table[table.place == "inland"].to_csv(folder / "inland.csv", index=False)
    (folder / "s.weft").write_text(SPEC)
    weft.load(folder / "s.weft").build(folder / "out", device="cpu")
    return folder


def evaluate(folder: Path, name: str, path: str) -> float:
    spec = weft.load(folder / "s.weft", {"rows.path": path})
    return spec.eval(name, folder / "out")["fit"]


@pytest.mark.parametrize("path", ["rows.csv", "rich.csv", "inland.csv"])
def test_what_the_training_fitted_stays(folder: Path, path: str) -> None:
    found = [evaluate(folder, name, path) for name in ("fit", "small")]
    spec = weft.load(folder / "s.weft", {"rows.path": path})
    data = spec.data("rows")
    table = pd.read_csv(folder / path).iloc[data.rows["test"]]
    session = onnxruntime.InferenceSession(folder / "out" / "fit.onnx")
    raw = {name: table[name].to_numpy() for name in ("age", "income", "place")}
    kinds = {
        "tensor(float)": np.float32,
        "tensor(double)": np.float64,
        "tensor(int64)": np.int64,
        "tensor(string)": object,
    }
    given = {i.name: raw[i.name].astype(kinds[i.type]) for i in session.get_inputs()}
    right = r2_score(table.price, session.run(None, given)[0])
    assert found[0] == pytest.approx(right, abs=1e-4)
    assert found[1] == pytest.approx(right, abs=0.02)  # in whole numbers of 8 bits


def test_unknown_words_are_refused(folder: Path) -> None:
    path = "isle.csv"
    with pytest.raises(weft.WeftError, match="new: `isle`") as caught:
        evaluate(folder, "fit", path)
    assert [message.code for message in caught.value.messages] == ["W1406"]
    weights = folder / "out" / "fit" / "best.safetensors"
    asked = ["compile", str(folder / "s.weft"), "-o", str(folder / "made"), "--item", "fit"]
    done = CliRunner().invoke(
        app, [*asked, "--weights", str(weights), "--set", f"rows.path={path}"]
    )
    assert done.exit_code == 1
    assert "W1406" in done.output


AS_JSON = ["--format", "json"]
FEW = """
model Net(n: int) { input kind: i64[batch]
    output z: f32[batch, n] = kind -> embedding(n, 4) -> dense(n) as head }
data rows(path: str = "kinds.csv") {
    source csv(path)
    split in_order, train=60%, test=40% }
train fit of Net(n=COUNT) on rows {
    minimize cross_entropy(z, kind) with adam(lr=0.05)
    metric accuracy = accuracy(z, kind)
    batch 10  epochs 2 }
deploy fit as onnx { preprocess rows }
"""


@pytest.mark.parametrize("count", [4, 90])
def test_a_file_with_some_of_the_words_has_the_codes_of_the_training(
    count: int, tmp_path: Path
) -> None:
    """Words that look like numbers, where those that do not are missing, too."""
    words = sorted(str(n) if n % 2 else f"kind {n}" for n in range(count))
    drawn = np.random.default_rng(0).integers(0, count, 4 * count)
    codes = np.concatenate([np.arange(count), drawn])
    (tmp_path / "kinds.csv").write_text("\n".join(["kind", *(words[c] for c in codes)]) + "\n")
    few = codes[(codes % 2 == 1) & (codes < count / 2)]
    assert all(words[code].isdecimal() for code in few)
    (tmp_path / "few.csv").write_text("\n".join(["kind", *(words[c] for c in few)]) + "\n")
    (tmp_path / "s.weft").write_text(FEW.replace("COUNT", str(count)))
    weft.load(tmp_path / "s.weft").build(tmp_path / "out", device="cpu")
    spec = weft.load(tmp_path / "s.weft", {"rows.path": "few.csv"})
    found = spec.eval("fit", tmp_path / "out")["accuracy"]
    session = onnxruntime.InferenceSession(tmp_path / "out" / "fit.onnx")
    test = few[round(0.6 * len(few)) :]
    scores, label = session.run(["z", "label"], {"kind": np.array(words, object)[test]})
    right = (scores.argmax(-1) == test).mean()
    assert label.tolist() == [words[code] for code in scores.argmax(-1)]
    assert found == pytest.approx(right)
    spec_and_file = [str(tmp_path / "s.weft"), "--onnx", str(tmp_path / "out" / "fit.onnx")]
    done = CliRunner().invoke(
        app,
        ["eval", *spec_and_file, "--set", "rows.path=few.csv", *AS_JSON],
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["fit"]["metrics"]["accuracy"] == pytest.approx(right)


CLASSES = """
model Reader(n: int) { input tokens: i64[batch, 4]
    output z = tokens -> embedding(n, 4) -> dense(n) as head }
data text { source text("LETTERS", context=4)
    split in_order, train=60%, test=40% }
train fit of Reader(n=text.vocab) on text {
    minimize cross_entropy(z, target, axis=-1) with adam(lr=0.05)
    metric accuracy = accuracy(z, target, axis=-1)
    batch 4  epochs 1 }
deploy fit as onnx
"""


def test_a_text_with_some_of_the_characters_has_the_vocabulary_of_the_training(
    tmp_path: Path,
) -> None:
    letters = "".join(np.random.default_rng(0).choice(list("abcde\n"), 300))
    (tmp_path / "all.txt").write_text(letters)
    (tmp_path / "few.txt").write_text(letters.replace("b", "c").replace("a", "e"))
    (tmp_path / "s.weft").write_text(CLASSES.replace("LETTERS", "all.txt"))
    weft.load(tmp_path / "s.weft").build(tmp_path / "out", device="cpu")
    (tmp_path / "s.weft").write_text(CLASSES.replace("LETTERS", "few.txt"))
    done = CliRunner().invoke(
        app,
        ["eval", str(tmp_path / "s.weft"), "--onnx", str(tmp_path / "out/fit.onnx"), *AS_JSON],
    )
    assert done.exit_code == 0, done.output
    codes = np.array(["\nabcde".index(c) for c in (tmp_path / "few.txt").read_text()])
    rows = np.lib.stride_tricks.sliding_window_view(codes, 5)[::4]
    test = rows[round(0.6 * len(rows)) + 1 :]  # without the row that shares a character
    session = onnxruntime.InferenceSession(tmp_path / "out" / "fit.onnx")
    guessed = session.run(None, {"tokens": test[:, :-1]})[0].argmax(-1)
    right = (guessed == test[:, 1:]).mean()
    found = json.loads(done.output)["fit"]["metrics"]["accuracy"]
    assert found == pytest.approx(right)


def test_a_compiled_file_holds_what_the_training_fitted(folder: Path) -> None:
    weights = folder / "out" / "fit" / "best.safetensors"
    asked = ["compile", str(folder / "s.weft"), "-o", str(folder / "again"), "--item", "fit"]
    asked += ["--onnx", "--weights", str(weights), "--set", "rows.path=rich.csv"]
    assert CliRunner().invoke(app, asked).exit_code == 0
    again, built = (onnx.load(folder / name / "fit.onnx") for name in ("again", "out"))
    assert again.graph == built.graph
    told, known = ({p.key: p.value for p in m.metadata_props} for m in (again, built))
    assert '"max":' in known["columns"]
    assert not re.search('"min":|"max":', told["columns"]), "nobody knows those of the training"
    told.pop("columns"), known.pop("columns")
    assert told == known


def test_rows_outside_of_the_training_are_told(folder: Path) -> None:
    asked = ["eval", str(folder / "s.weft"), "fit", "--onnx", str(folder / "out" / "fit.onnx")]
    table = pd.read_csv(folder / "rows.csv")
    table.assign(income=table.income * 3).to_csv(folder / "far.csv", index=False)
    done = CliRunner().invoke(app, [*asked, "--set", "rows.path=far.csv"])
    assert done.exit_code == 0
    told = " ".join(done.output.split())
    assert "warning[W1745]" in told
    data = weft.load(folder / "s.weft").data("rows")
    most = table.income.iloc[data.rows["train"]].max()
    tested = 3 * table.income.iloc[data.rows["test"]]
    rows = tested.index[tested > most]
    assert f"`income`: {len(rows)} rows above {most:.6g}, the greatest in training (row" in told
    assert f"(row {', '.join(map(str, rows[:3]))}, …)" in told


def test_a_file_without_its_training_says_what_was_fitted_anew(folder: Path) -> None:
    (folder / "alone").mkdir()
    (folder / "alone" / "fit.onnx").write_bytes((folder / "out" / "fit.onnx").read_bytes())
    asked = ["eval", str(folder / "s.weft"), "fit", "--onnx", str(folder / "alone" / "fit.onnx")]
    done = CliRunner().invoke(app, asked)
    assert "fitted on: the data at hand: no training is next to the file" in done.output


def test_fitted_figures_of_other_columns_are_refused(folder: Path) -> None:
    other = SPEC.replace('fill(age, "median"), income', 'fill(age, "median"), income, price')
    (folder / "wider.weft").write_text(other.replace("x: f32[batch, 5]", "x: f32[batch, 6]"))
    weights = folder / "out" / "fit" / "best.safetensors"
    asked = ["compile", str(folder / "wider.weft"), "-o", str(folder / "wide"), "--item", "fit"]
    done = CliRunner().invoke(app, [*asked, "--weights", str(weights)])
    assert "W0906" in repr(done.exception)
