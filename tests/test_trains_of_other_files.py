"""Trains, and their nets and data, of files that a spec uses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_iris
from typer.testing import CliRunner

from compiler.driver import check
from compiler.loading import find_learned
from compiler.program.program import Program
from compiler.report.diagnostics import Sink
from compiler.rows.loading import load_data
from weft.cli.main import app

USED = """
model Net(width: int = 8) {
    input features: f32[batch, 4]
    output logits: f32[batch, 3] = features -> dense(width) as fc -> tanh -> dense(3) as head
}
data iris {
    source npz("iris.npz")
    features = features -> standardize
    split random(seed=0), train=96, val=27, test=27
}
train fit(k: int = 0) of Net on iris {
    minimize cross_entropy(logits, label) with adam(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    batch 24  epochs 2  seed k
}
train pair(beta: float = 1.0) on iris {
    net one = Net(width=4)
    net two = fit
    minimize cross_entropy(one(features), label) + beta * mse(two(features), one(features))
        with adam(lr=1e-2)
    batch 24  epochs 1
}
"""
STUDENT = """
train student on X.iris {
    net teacher = X.fit
    net other = X.fit(k=3)
    net small = X.Net(width=4)
    freeze teacher, other
    minimize mse(small(features), teacher(features)) + mse(small(features), other(features))
        over small with adam(lr=1e-2)
    metric accuracy = accuracy(small(features), label)
    batch 24  epochs 1
}
train fit(k: int = 5) of X.Net on X.iris {
    minimize cross_entropy(logits, label) with adam(lr=1e-2)
    batch 24  epochs 1
}
"""


def save(folder: Path, text: str, used: str = USED, below: str = "") -> Path:
    iris = load_iris()
    (folder / below).mkdir(exist_ok=True)
    np.savez(folder / below / "iris.npz", features=iris.data.astype("f4"), label=iris.target)
    (folder / below / "used.weft").write_text(used)
    path = folder / "spec.weft"
    path.write_text(text)
    return path


def check_file(path: Path) -> tuple[Program | None, list[str]]:
    sink = Sink()
    program = check(path, sink=sink)
    return program, [m.code for m in sink.messages if m.severity.value == "error"]


@pytest.mark.parametrize("alias", ["x", ""])
def test_names_of_trains_do_not_clash(alias: str, tmp_path: Path) -> None:
    """The spec has a train of the same name, with another default of the same parameter."""
    use = f'use "used.weft"{" as x" if alias else ""}\n'
    text = STUDENT.replace("X.", "x." if alias else "")
    if not alias:
        text = text.replace("train fit(", "train own(")
    program, errors = check_file(save(tmp_path, use + text))
    assert not errors
    assert program is not None
    used = ["used_fit", "used_fit_k3"] if alias else ["fit", "fit_k3"]
    assert list(program.trains) == [*used, "student", "fit" if alias else "own"]
    learned = [find_learned(net.net) for net in program.trains["student"].nets]
    assert [name for names in learned for name in names] == used
    assert program.trains[used[0]].seed == 0
    assert program.trains[used[1]].seed == 3


def test_what_is_set_is_of_the_items_of_the_spec(tmp_path: Path) -> None:
    path = save(tmp_path, 'use "used.weft" as x\n' + STUDENT.replace("X.", "x."))
    sink = Sink()
    program = check(path, overrides={"fit.k": "9"}, sink=sink)
    assert program is not None
    assert not sink.has_errors
    assert program.trains["used_fit"].seed == 0


def test_a_build_trains_those_of_another_folder_once(tmp_path: Path) -> None:
    """Their data and weights lie beside their file; the pair starts from a train of its file."""
    used = USED.replace(
        "net one = Net(width=4)", 'net one = Net(width=4) -> load("one.safetensors")'
    )
    text = 'use "below/used.weft" as x\n' + STUDENT.replace("X.", "x.")
    text += "deploy x.pair(beta=2).one as onnx { preprocess x.iris }\n"
    text += "variant tiny of x.fit { apply quantize(int8) }\ndeploy student.small as onnx\n"
    path = save(tmp_path, text, used, "below")
    shapes = {"fc.weight": (4, 4), "fc.bias": (4,), "head.weight": (3, 4), "head.bias": (3,)}
    start = {name: np.full(shape, 0.125, np.float32) for name, shape in shapes.items()}
    save_file(start, tmp_path / "below" / "one.safetensors")
    done = CliRunner().invoke(app, ["build", str(path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert done.output.count(": training") == 4
    folders = {p.name for p in (tmp_path / "out").glob("[!.]*") if p.is_dir()}
    assert folders == {"used_fit", "used_fit_k3", "pair_beta2", "student", "tiny"}
    taught = load_file(tmp_path / "out" / "student" / "best.safetensors")
    first = load_file(tmp_path / "out" / "used_fit" / "best.safetensors")
    np.testing.assert_array_equal(taught["teacher.fc.weight"], first["fc.weight"])
    begun = load_file(tmp_path / "out" / "pair_beta2" / "start.safetensors")
    assert (begun["one.fc.weight"] == 0.125).all()
    np.testing.assert_array_equal(begun["two.fc.weight"], first["fc.weight"])
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert "NumPy, PyTorch and ONNX Runtime agree" in json.dumps(report)
    again = CliRunner().invoke(app, ["build", str(path), "-o", str(tmp_path / "out")])
    assert again.exit_code == 0, again.output
    assert ": training" not in again.output


def test_rows_of_a_data_item_of_another_folder(tmp_path: Path) -> None:
    text = 'use "below/used.weft" as x\n' + STUDENT.replace("X.", "x.")
    program, errors = check_file(save(tmp_path, text, below="below"))
    assert program is not None
    assert not errors
    data = program.trains["student"].data
    alone, inside = load_data(data), load_data(data, tmp_path)
    np.testing.assert_array_equal(alone.columns["features"], inside.columns["features"])
    assert data.source.files(tmp_path) == [tmp_path / "below" / "iris.npz"]


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        ("net teacher = x.fit", "net teacher = x.fat", ["W0203"]),
        ("x.fit(k=3)", "x.fit(j=3)", ["W0221"]),
        ("x.fit(k=3)", "x.iris", ["W0212"]),
        ("deploy x.fit as onnx", "deploy x.fat as onnx", ["W0607"]),
        ("deploy x.fit as onnx", "deploy x.pair.three as onnx", ["W0607"]),
        ("deploy x.fit as onnx", "deploy x.fit as onnx { preprocess x.irs }", ["W0607"]),
        ("deploy x.fit as onnx", "deploy x.small as onnx", ["W0206"]),
    ],
)
def test_what_another_file_does_not_have_is_told(
    old: str, new: str, codes: list[str], tmp_path: Path
) -> None:
    text = 'use "used.weft" as x\n' + STUDENT.replace("X.", "x.") + "deploy x.fit as onnx\n"
    assert old in text
    used = USED + "variant small of fit { apply quantize(int8) }\n"
    _, errors = check_file(save(tmp_path, text.replace(old, new, 1), used))
    assert errors == codes
