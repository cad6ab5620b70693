"""A trained net and data that it was not trained on: words keep their codes, and what `standardize`
and `fill` have fitted stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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


@pytest.mark.parametrize("path", ["rows.csv", "rich.csv"])
def test_what_the_training_fitted_stays(folder: Path, path: str) -> None:
    found = [evaluate(folder, name, path) for name in ("fit", "small")]
    spec = weft.load(folder / "s.weft", {"rows.path": path})
    data = spec.data("rows")
    table = pd.read_csv(folder / path).iloc[data.rows["test"]]
    session = onnxruntime.InferenceSession(folder / "out" / "fit.onnx")
    raw = {
        "age": table.age.to_numpy(),
        "income": table.income.to_numpy(),
        "place": (table.place == "inland").to_numpy(),
    }
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
    given = {i.name: raw[i.name].astype(kinds[i.type]) for i in session.get_inputs()}
    right = r2_score(table.price, session.run(None, given)[0])
    assert found[0] == pytest.approx(right, abs=1e-4)
    assert found[1] == pytest.approx(right, abs=0.02)  # in whole numbers of 8 bits


@pytest.mark.parametrize(("path", "said"), [("isle.csv", "isle"), ("inland.csv", "coast")])
def test_other_words_are_refused(folder: Path, path: str, said: str) -> None:
    with pytest.raises(weft.WeftError, match=said) as caught:
        evaluate(folder, "fit", path)
    assert [message.code for message in caught.value.messages] == ["W1406"]
    weights = folder / "out" / "fit" / "best.safetensors"
    asked = ["compile", str(folder / "s.weft"), "-o", str(folder / "made"), "--item", "fit"]
    done = CliRunner().invoke(
        app, [*asked, "--weights", str(weights), "--set", f"rows.path={path}"]
    )
    assert done.exit_code == 1
    assert "W1406" in repr(done.exception)


def test_a_compiled_file_holds_what_the_training_fitted(folder: Path) -> None:
    weights = folder / "out" / "fit" / "best.safetensors"
    asked = ["compile", str(folder / "s.weft"), "-o", str(folder / "again"), "--item", "fit"]
    asked += ["--onnx", "--weights", str(weights), "--set", "rows.path=rich.csv"]
    assert CliRunner().invoke(app, asked).exit_code == 0
    again = (folder / "again" / "fit.onnx").read_bytes()
    assert again == (folder / "out" / "fit.onnx").read_bytes()


def test_a_file_without_its_training_says_what_was_fitted_anew(folder: Path) -> None:
    (folder / "alone").mkdir()
    (folder / "alone" / "fit.onnx").write_bytes((folder / "out" / "fit.onnx").read_bytes())
    asked = ["eval", str(folder / "s.weft"), "fit", "--onnx", str(folder / "alone" / "fit.onnx")]
    done = CliRunner().invoke(app, asked)
    assert "fitted on: the data at hand: no training lies beside the file" in done.output


def test_fitted_figures_of_other_columns_are_refused(folder: Path) -> None:
    other = SPEC.replace('fill(age, "median"), income', 'fill(age, "median"), income, price')
    (folder / "wider.weft").write_text(other.replace("x: f32[batch, 5]", "x: f32[batch, 6]"))
    weights = folder / "out" / "fit" / "best.safetensors"
    asked = ["compile", str(folder / "wider.weft"), "-o", str(folder / "wide"), "--item", "fit"]
    done = CliRunner().invoke(app, [*asked, "--weights", str(weights)])
    assert "W0906" in repr(done.exception)
