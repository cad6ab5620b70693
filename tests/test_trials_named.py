"""The best trial of a sweep with other parameters, and the numbers that it has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

from compiler.driver import check
from compiler.loading import find_learned
from compiler.program.program import Program
from compiler.report.diagnostics import Sink

SPEC = """
model Net(width: int = 8) {
    input features: f32[batch, 4]
    output logits: f32[batch, 3] = features -> dense(width) as fc -> tanh -> dense(3) as head
}
data iris {
    source npz("iris.npz")
    split random(seed=0), train=96, val=27, test=27
}
train fit(lr: float = 1e-2, width: int = 8, k: int = 0) of Net(width=width) on iris {
    minimize cross_entropy(logits, label) with adam(lr=lr)
    metric accuracy = accuracy(logits, label)
    batch 24  epochs 2  seed k
}
sweep tune of fit(k=2) {
    lr in [1e-3, 1e-1]
    width in [6, 12]
    maximize val.accuracy
    trials 3
}
model Two() {
    input features: f32[batch, 4]
    net a = tune
    net b = tune(k=7)
    output p = (softmax(a(features), axis=-1) + softmax(b(features), axis=-1)) / tune.width
}
train again(w: int = tune.width) of Net(width=w) on iris {
    minimize cross_entropy(logits, label) with adam(lr=0.5 * tune.lr)
    batch 24  epochs 1
}
deploy tune(width=20) as onnx
deploy Two as onnx
"""


def open_spec(
    folder: Path, text: str = SPEC, lr: str = "0.1", width: str = "12"
) -> tuple[Program | None, list[str]]:
    iris = load_iris()
    np.savez(folder / "iris.npz", features=iris.data.astype("f4"), label=iris.target)
    path = folder / "spec.weft"
    path.write_text(text)
    sink = Sink()
    program = check(path, sink=sink, chosen={"tune": {"lr": float(lr), "width": int(width)}})
    return program, [m.code for m in sink.messages if m.severity.value == "error"]


@pytest.mark.parametrize(("lr", "width"), [("0.1", "12"), ("0.001", "6")])
def test_a_trial_with_other_parameters_keeps_the_rest(lr: str, width: str, tmp_path: Path) -> None:
    program, errors = open_spec(tmp_path, lr=lr, width=width)
    assert not errors
    assert program is not None
    trains = program.trains
    assert set(trains) == {"fit", "tune", "tune_k7", "tune_width20", "again"}
    settings = {n: (t.groups[0].optimizer.lr, t.seed, count_hidden(t)) for n, t in trains.items()}
    assert settings["fit"] == (0.01, 0, 8)
    assert settings["tune"] == (float(lr), 2, int(width))
    assert settings["tune_k7"] == (float(lr), 7, int(width))
    assert settings["tune_width20"] == (float(lr), 2, 20)
    assert settings["again"] == (pytest.approx(float(lr) / 2), 0, int(width))
    assert find_learned(program.models["Two"]) == ["tune", "tune_k7"]
    assert [deploy.name for deploy in program.deploys] == ["tune_width20", "Two"]


def count_hidden(train: object) -> int:
    graph = train.nets[0].net.graph  # type: ignore[attr-defined]
    size = graph.parameter["fc.bias"].value.type.shape[0].known
    assert size is not None
    return int(size)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("deploy tune(width=20)", "deploy tune(depth=20)", "W0221"),
        ("tune(k=7)", "tune(kk=7)", "W0221"),
        ("/ tune.width", "/ tune.depth", "W0203"),
        ("maximize val.accuracy", "maximize val.accuracy  minimize params", "W1528"),
        ("w: int = tune.width", "w: int = tune.wdth", "W0203"),
        ("seed k", "seed cast(tune.lr, i64)", "W0214"),
    ],
)
def test_what_a_trial_does_not_have_is_told(old: str, new: str, code: str, tmp_path: Path) -> None:
    assert old in SPEC
    _, errors = open_spec(tmp_path, SPEC.replace(old, new))
    assert code in errors, errors
