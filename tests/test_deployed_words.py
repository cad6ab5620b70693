"""Deployed files take the words of columns, and name the classes of what they put out: judged by
plain ONNX Runtime, and by the meaning of the graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from backends.onnx_runtime.session import Device, open_session
from backends.verification.verify import verify
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from compiler.program.deploy import Deploy
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.source import Source
from compiler.rows.loading import load_data
from tests.checking import check_text
from weft.deployed.exporting import make_export_spec, open_preprocessing
from weft.deployed.inspecting import find_difference, inspect

TABLE = """kind,area,rooms,sort
flat,50,2,cheap
house,120,5,dear
flat,70,3,cheap
barn,300,1,mid
house,90,4,mid
ärgerlich,10,1,cheap
"""
SPEC = """
data homes {
    source csv("homes.csv"OPTIONS)
    x = concat([one_hot(kind, dtype=f32), stack([area / 100, rooms])])
    split in_order, train=70%, val=30%
}
model Price(classes: int = 3) {
    input x: f32[batch, 6]
    output logits = x -> dense(classes) as head
}
train fit of Price on homes {
    minimize cross_entropy(logits, sort) with sgd(lr=0.1)
    batch 4
    epochs 1
}
deploy fit as onnx { preprocess homes MORE }
"""


def write_file(
    folder: Path, spec: str = SPEC, table: str = TABLE, options: str = "", more: str = ""
) -> tuple[Deploy, dict[str, Any], Path]:
    """The deployment of a spec with drawn weights, these, and its file."""
    (folder / "homes.csv").write_text(table, "utf-8")
    text = spec.replace("OPTIONS", options).replace("MORE", more)
    deploy = check_text(text, folder=str(folder)).deploys[0]
    opened = open_preprocessing(deploy, folder)
    weights = {**draw_weights(deploy.graph, seed=3), **opened.fitted}
    path = folder / "fit.onnx"
    exporting = replace(make_export_spec(deploy, Source("spec.weft", text)), rows=opened.rows)
    exporting.write(WeightedNet(deploy.graph, weights), path)
    onnx.checker.check_model(path, full_check=True)
    return deploy, weights, path


def run_plainly(path: Path, **inputs: Any) -> dict[str, Any]:
    """What ONNX Runtime makes of inputs, which know nothing of Weft."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = {name: np.asarray(array) for name, array in inputs.items()}
    given = {n: a.astype(object) if a.dtype.kind == "U" else a for n, a in given.items()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, given), strict=True))


@pytest.mark.parametrize("opset", [18, 20, 21, 26])
@pytest.mark.parametrize("rows", [1, 5])
def test_words_go_in_and_names_come_out(tmp_path: Path, opset: int, rows: int) -> None:
    deploy, weights, path = write_file(tmp_path, more=f"opset {opset}")
    model = onnx.load(path)
    assert {o.domain: o.version for o in model.opset_import} == {"": opset, "ai.onnx.ml": 3}
    kinds = ["ärgerlich", "house", "flat", "barn", "house"][:rows]
    codes = [["barn", "flat", "house", "ärgerlich"].index(kind) for kind in kinds]
    numbers = {"area": np.arange(rows) * 70, "rooms": np.arange(rows) + 1}
    found = run_plainly(path, kind=kinds, **numbers)
    expected = evaluate(deploy.graph, weights, {"kind": np.array(codes), **numbers})["logits"]
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-6)
    assert list(found) == ["logits", "label", "probabilities"]
    names = np.array(["cheap", "dear", "mid"])
    assert found["label"].tolist() == names[expected.argmax(1)].tolist()
    shares = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    np.testing.assert_allclose(found["probabilities"], shares, rtol=1e-5)
    reference = ReferenceEvaluator(model).run(None, {"kind": np.array(kinds), **numbers})
    np.testing.assert_allclose(reference[0], expected, rtol=1e-5, atol=1e-6)
    assert np.asarray(reference[1]).tolist() == found["label"].tolist()


def test_a_word_that_is_no_category_stops_the_file_and_names_the_column(tmp_path: Path) -> None:
    _, _, path = write_file(tmp_path)
    with pytest.raises(Exception, match="kind: a word that is no category of this column"):
        run_plainly(path, kind=["flat", "Flat"], area=[1, 2], rooms=[1, 2])
    inputs = {"kind": np.array(["boat"]), "area": np.array([1]), "rooms": np.array([1])}
    reference = ReferenceEvaluator(onnx.load(path))
    with pytest.raises(RuntimeError, match="indices"):
        reference.run(None, inputs)


def test_marks_of_what_is_missing_are_words_where_it_is_a_category(tmp_path: Path) -> None:
    table = TABLE.replace("barn,300", "?,300")
    options = ', missing=["?"], missing_category=["kind"]'
    _, _, path = write_file(tmp_path, table=table, options=options)
    numbers = {"area": [7] * 4, "rooms": [2] * 4}
    found = run_plainly(path, kind=["", "NA", "?", "null"], **numbers)["logits"]
    assert (found == found[0]).all()
    other = run_plainly(path, kind=["flat"] * 4, **numbers)["logits"]
    assert (other != found[0]).any(axis=1).all()


def test_windows_of_words(tmp_path: Path) -> None:
    spec = """
data homes {
    source csv("homes.csv"OPTIONS)
    split in_order, train=50%, val=50%
    window 2, target=area, ahead=1
}
model Net() {
    input kind: i64[batch, t]
    output y = kind -> embedding(4, 3) -> mean(axis=1) -> dense(1)
}
net plain = Net()
deploy plain as onnx { preprocess homes }
"""
    deploy, weights, path = write_file(tmp_path, spec=spec)
    words = np.array([["flat", "barn"], ["house", "flat"], ["barn", "barn"]])
    codes = np.searchsorted(["barn", "flat", "house"], words)
    expected = evaluate(deploy.graph, weights, {"kind": codes})["y"]
    np.testing.assert_allclose(run_plainly(path, kind=words)["y"], expected, rtol=1e-5, atol=1e-6)
    words[1, 1] = "boat"
    with pytest.raises(Exception, match="kind: a word that is no category of this column"):
        run_plainly(path, kind=words)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (("x", "x"), ("label", "probabilities")),
        (("logits", "label"), ("label_2", "probabilities")),
        (("logits", "probabilities"), ("label", "probabilities_2")),
    ],
)
def test_names_that_the_net_has_stay_its_own(
    tmp_path: Path, change: tuple[str, str], names: tuple[str, str]
) -> None:
    _, _, path = write_file(tmp_path, spec=SPEC.replace(*change))
    found = run_plainly(path, kind=["flat"], area=[1], rooms=[1])
    scores = change[1] if change[0] == "logits" else "logits"
    assert list(found) == [scores, *names]
    assert found[names[0]].tolist() == [["cheap", "dear", "mid"][int(found[scores].argmax())]]


def test_what_is_a_softmax_already_is_named_alone(tmp_path: Path) -> None:
    spec = SPEC.replace("as head\n", "as head\n    output share = softmax(logits, axis=-1)\n")
    deploy, _, path = write_file(tmp_path, spec=spec, more="outputs share")
    found = run_plainly(path, kind=["flat"], area=[1], rooms=[1])
    assert list(found) == ["share", "label"]
    assert deploy.labels == ("cheap", "dear", "mid")


def test_labels_of_the_spec_name_classes_that_are_numbers(tmp_path: Path) -> None:
    table = TABLE.replace("cheap", "0").replace("dear", "1").replace("mid", "2")
    _, _, path = write_file(tmp_path, table=table, more='labels ["low", "high", "mean"]')
    found = run_plainly(path, kind=["flat"], area=[1], rooms=[1])
    best = int(found["logits"].argmax())
    assert found["label"].tolist() == [["low", "high", "mean"][best]]
    plain, _, path = write_file(tmp_path, table=table)
    assert plain.classes is None
    assert list(run_plainly(path, kind=["flat"], area=[1], rooms=[1])) == ["logits"]


def test_a_train_with_arguments_has_names_too(tmp_path: Path) -> None:
    spec = SPEC.replace("train fit of", "train fit(lr: float = 0.1) of").replace("lr=0.1", "lr=lr")
    spec = spec.replace("deploy fit as", "deploy fit(lr=0.5) as")
    deploy, _, path = write_file(tmp_path, spec=spec)
    assert deploy.labels == ("cheap", "dear", "mid")
    assert "label" in run_plainly(path, kind=["flat"], area=[1], rooms=[1])


def test_classes_along_another_axis(tmp_path: Path) -> None:
    spec = """
model Net() {
    input x: f32[batch, 4, n]
    output logits = x -> conv(3, kernel=1)
}
data homes {
    source npz("marks.npz")
    split in_order, train=50%, val=50%
}
train fit of Net on homes {
    minimize cross_entropy(logits, mark) with sgd(lr=0.1)
    batch 4
    epochs 1
}
deploy fit as onnx { labels ["a", "b", "c"] }
"""
    draws = np.random.default_rng(0)
    x = draws.normal(size=(6, 4, 5)).astype(np.float32)
    np.savez(tmp_path / "marks.npz", x=x, mark=draws.integers(0, 3, (6, 5)))
    deploy, weights, path = write_file(tmp_path, spec=spec)
    found = run_plainly(path, x=x)
    expected = evaluate(deploy.graph, weights, {"x": x})["logits"].argmax(1)
    assert found["label"].tolist() == np.array(["a", "b", "c"])[expected].tolist()
    np.testing.assert_allclose(found["probabilities"].sum(1), 1, rtol=1e-5)


def test_characters_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("to be or not to be, that is the question ŵ" * 3, "utf-8")
    spec = """
model Net(vocab: int) {
    input tokens: i64[batch, t]
    output logits = tokens -> embedding(vocab, 4) -> dense(vocab)
}
data book {
    source text("book.txt", context=8)
    split in_order, train=60%, val=40%
}
train fit of Net(vocab=book.vocab) on book {
    minimize cross_entropy(logits, target, axis=-1) with sgd(lr=0.1)
    batch 2
    epochs 1
}
deploy fit as onnx { preprocess book }
"""
    deploy, weights, path = write_file(tmp_path, spec=spec)
    characters = list("not to b"), list("be, thaŵ")
    known = sorted(set("to be or not to be, that is the question ŵ"))
    codes = np.array([[known.index(c) for c in row] for row in characters])
    found = run_plainly(path, tokens=np.array(characters))
    expected = evaluate(deploy.graph, weights, {"tokens": codes})["logits"]
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-6)
    assert found["label"].tolist() == np.array(known)[expected.argmax(-1)].tolist()


def verify_file(deploy: Deploy, weights: dict[str, Any], path: Path) -> list[str]:
    """The codes of what verification finds wrong."""
    sink = Sink()
    report = verify(
        deploy.graph, weights, onnx_path=path, device=Device.CPU, sink=sink, samples=None
    )
    assert report.results
    assert report.passed == (not sink.messages)
    return [message.code for message in sink.messages]


def test_verification_judges_a_file_of_words(tmp_path: Path) -> None:
    deploy, weights, path = write_file(tmp_path)
    assert verify_file(deploy, weights, path) == []
    assert find_difference(inspect(path, open_session(path)), deploy) == ""


@pytest.mark.parametrize(("node", "attribute"), [(0, "values_int64s"), (-1, "values_strings")])
def test_verification_finds_words_in_another_order(
    tmp_path: Path, node: int, attribute: str
) -> None:
    deploy, weights, path = write_file(tmp_path)
    model = onnx.load(path)
    encoder = [n for n in model.graph.node if n.op_type == "LabelEncoder"][node]
    values = next(a for a in encoder.attribute if a.name == attribute)
    held = values.ints if values.ints else values.strings
    held[0], held[1] = held[1], held[0]
    onnx.save(model, path)
    assert verify_file(deploy, weights, path)


def test_a_file_with_other_words_is_not_that_of_the_deployment(tmp_path: Path) -> None:
    _, _, path = write_file(tmp_path)
    file = inspect(path, open_session(path))
    other = check_text(
        SPEC.replace("OPTIONS", "").replace("MORE", ""), folder=str(tmp_path)
    ).deploys[0]
    assert find_difference(file, other) == ""
    (tmp_path / "homes.csv").write_text(TABLE.replace("barn", "boat"), "utf-8")
    other = check_text(
        SPEC.replace("OPTIONS", "").replace("MORE", ""), folder=str(tmp_path)
    ).deploys[0]
    assert "`kind`" in find_difference(file, other)


@pytest.mark.parametrize("text", ["[1]", "{", '[{"name": "kind"}]'])
def test_a_file_that_tells_its_columns_wrongly_is_refused(tmp_path: Path, text: str) -> None:
    _, _, path = write_file(tmp_path)
    model = onnx.load(path)
    for entry in model.metadata_props:
        if entry.key == "columns":
            entry.value = text
    onnx.save(model, path)
    with pytest.raises(CompileError) as refused:
        open_session(path)
    assert [m.code for m in refused.value.messages] == ["W0902"]


def test_rows_of_data_run_as_words(tmp_path: Path) -> None:
    deploy, weights, path = write_file(tmp_path)
    assert deploy.preprocess is not None
    rows = load_data(deploy.preprocess, tmp_path).take_raw(np.arange(6))
    found = open_session(path).run_rows(rows)
    expected = evaluate(deploy.graph, weights, rows)["logits"]
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-6)
    assert found["label"].dtype.kind == "U"
