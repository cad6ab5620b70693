"""Data items: what the typed program holds for what a spec says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.driver import check_source
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from compiler.rows.loading import evaluate_columns, load_data
from tests.checking import check_text

DIGITS = """
data digits(scale: float = 16.0) {
    source sklearn("digits")
    image = image / scale
    split random(seed=3, stratify=label), train=80%, val=10%, test=10%
}
"""


# --- data ---------------------------------------------------------------------------------------


def test_data_item() -> None:
    data = check_text(DIGITS).data["digits"]
    assert [o.name for o in data.columns.outputs] == ["image", "label"]
    assert data.split.shares == (("train", 0.8), ("val", 0.1), ("test", 0.1))
    assert (data.split.method, data.split.seed, data.split.stratify) == ("random", 3, "label")
    loaded = load_data(data)
    assert loaded.columns["image"].dtype == np.float32
    assert loaded.columns["image"].max() == 1.0
    assert {name: len(rows) for name, rows in loaded.rows.items()} == {
        "train": 1438,
        "val": 179,
        "test": 180,
    }


def test_fitted_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,kind\n1,5,x\n2,,y\n3,7,x\n4,9,z\n")
    text = """
data table {
    source csv("t.csv")
    b = fill(b, "median")
    both = stack([a, b]) -> standardize
    features = concat([both, one_hot(kind, dtype=f32)])
    plain = kind -> one_hot
    split in_order, train=3, test=1
}
"""
    data = check_text(text, folder=str(tmp_path)).data["table"]
    assert [(s.path, s.method) for s in data.statistics] == [
        ("fill.median", "median"),
        ("standardize.mean", "mean"),
        ("standardize.scale", "scale"),
    ]
    loaded = load_data(data)
    np.testing.assert_array_equal(loaded.columns["b"], [5, 6, 7, 9])
    train = loaded.columns["both"][:3]
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(0), 1, atol=1e-6)
    assert loaded.columns["features"].shape == (4, 5)
    assert loaded.columns["plain"].tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]]
    again = evaluate_columns(data, data.source.load(tmp_path), loaded.statistics)
    np.testing.assert_array_equal(again["features"], loaded.columns["features"])


def test_blocks_and_loops_in_columns() -> None:
    text = """
block waves(x, n: int) { return concat([sin(2 ** k * x) for k in 0..n]) }
data flowers {
    source sklearn("iris")
    features = (features -> standardize) -> waves(3)
    for name in ["a", "b"] { unused = features * 2 }
    split random(seed=0), train=100, val=50
}
"""
    data = check_text(text).data["flowers"]
    types = {o.name: str(o.value.type) for o in data.columns.outputs}
    assert types["features"] == "f32[rows, 12]"
    loaded = load_data(data)
    assert np.isfinite(loaded.columns["features"]).all()


def test_given_splits_and_facts(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "d.npz",
        x_train=np.zeros((20, 4), np.float32),
        x_test=np.ones((5, 4), np.float32),
        y_train=np.arange(20) % 3,
        y_test=np.arange(5) % 3,
    )
    (tmp_path / "t.txt").write_text("hello world " * 20)
    text = """
data d { source npz("d.npz")  split given(seed=1), val=25% }
data t { source text("t.txt", context=8)  split in_order, train=90%, val=10% }
model M(vocab: int = t.vocab) {
    input tokens: i64[batch, 8]
    output logits = tokens -> embedding(vocab, 4) -> dense(t.vocab)
}
"""
    program = check_text(text, folder=str(tmp_path))
    split = program.data["d"].split
    assert split.given == (("train", 20), ("test", 5))
    assert split.names == ("train", "val", "test")
    rows = load_data(program.data["d"]).rows
    assert [len(rows[name]) for name in split.names] == [15, 5, 5]
    assert program.data["t"].split.overlap == 1
    assert str(program.models["M"].graph.outputs[0].value.type) == "f32[batch, 8, 8]"


@pytest.mark.parametrize("op", ["dropout(20%)", "dropout(0.5)"])
def test_noise_in_columns_is_refused(op: str) -> None:
    text = DIGITS.replace("image / scale", f"(image / scale) -> {op}")
    sink = Sink()
    check_source(Source("spec.weft", text), sink=sink)
    assert [(m.code, m.span.text) for m in sink.messages if m.span] == [("W1359", "dropout")]
