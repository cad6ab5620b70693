"""Nets that a train gives other columns than those of their inputs' names, or what it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.compression.attach import find_net
from compiler.compression.given import find_given
from compiler.driver import check
from compiler.ir.evaluate import evaluate
from compiler.ir.weights import draw_weights
from compiler.program.program import Program
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.messages.contracts import input_needs_weights
from compiler.rows.loading import load_data
from tests.train_scripts import save_data
from weft.deployed.measuring import BoundNet, choose_inputs, find_place, score_rows

NETS = """
block norm(x: f32[n, k]) { return x / (1 + sum(x ** 2, axis=1, keep=true)) }
model M { input x: f32[batch, 4]  output logits = x -> dense(3) as head }
model E { input features: f32[batch, 4]  output h = features -> dense(4) as fc -> tanh }
data iris {
    source npz("iris.npz")
    features = features -> standardize
    x = 1 - features
    split random(seed=0), train=96, val=27, test=27
}
"""
TRAIN = """
train fit on iris {
    BODY
    minimize cross_entropy(logits, label) with sgd(lr=0.1)
    metric accuracy = accuracy(logits, label)
    batch 24  epochs 2  seed 0
}
"""
CASES = {
    "another column": "net m = M()\n    logits = m(features)",
    "an expression": "net m = M()\n    logits = m(norm(2 * features) -> dropout(10%))",
    "a sum of columns": "net m = M()\n    logits = m(features + x / 3)",
}


def open_program(text: str, folder: Path) -> Program:
    save_data(folder)
    (folder / "spec.weft").write_text(text)
    sink = Sink()
    program = check(folder / "spec.weft", sink=sink)
    assert program is not None
    assert not sink.has_errors, [m.text.title for m in sink.messages]
    return program


@pytest.mark.parametrize("case", CASES)
def test_a_file_computes_what_the_train_gives_its_net(case: str, tmp_path: Path) -> None:
    text = NETS + TRAIN.replace("BODY", CASES[case])
    text += "deploy fit as onnx { dynamic batch  preprocess iris }\n"
    program = open_program(text, tmp_path)
    (deploy,), train = program.deploys, program.trains["fit"]
    assert deploy.preprocess is not None
    loaded = load_data(train.data, tmp_path)
    weights = draw_weights(train.graph)
    fitted = {f"preprocess.{path}": array for path, array in loaded.statistics.items()}
    raw = {i.name: loaded.raw[i.name] for i in deploy.graph.inputs}
    made = evaluate(deploy.graph, {**weights, **fitted}, raw)["logits"]
    expected = evaluate(train.graph, weights, dict(loaded.columns))
    np.testing.assert_allclose(made, expected["logits"], atol=1e-5)

    place = find_place(deploy, program)
    inputs = choose_inputs(place, np.arange(40))
    assert all((inputs[name] == array[:40]).all() for name, array in raw.items())


@pytest.mark.parametrize("case", CASES)
def test_the_rows_of_a_net_are_what_its_train_gives_it(case: str, tmp_path: Path) -> None:
    program = open_program(NETS + TRAIN.replace("BODY", CASES[case]), tmp_path)
    train = program.trains["fit"]
    net = find_net(train, "m").net.graph
    weights = draw_weights(train.graph)
    own = {path: weights[f"m.{path}"] for path in net.parameter}
    place = BoundNet(train, "m", tmp_path)
    scores = score_rows(place, "val", lambda inputs: evaluate(net, own, inputs))
    columns = load_data(train.data, tmp_path).split("val")
    expected = evaluate(train.graph, weights, columns)
    right = (expected["logits"].argmax(1) == columns["label"]).mean()
    assert scores["accuracy"].total() == pytest.approx(right)


TWO = TRAIN.replace("BODY", "net e = E()\n    net m = M()\n    logits = m(e(features) + features)")


def test_inputs_that_other_nets_compute_need_their_weights(tmp_path: Path) -> None:
    program = open_program(NETS + TWO + "deploy fit.m as onnx { dynamic batch }\n", tmp_path)
    (deploy,), train = program.deploys, program.trains["fit"]
    with pytest.raises(CompileError) as caught:
        choose_inputs(find_place(deploy, program), np.arange(5))
    assert caught.value.messages[0].kind is input_needs_weights
    weights = draw_weights(train.graph)
    inputs = choose_inputs(find_place(deploy, program, weights), np.arange(30))
    columns = load_data(train.data, tmp_path).columns
    features = columns["features"][:30]
    fc = {path: weights[f"e.fc.{path}"] for path in ("weight", "bias")}
    expected = np.tanh(features @ fc["weight"].T + fc["bias"]) + features
    np.testing.assert_allclose(inputs["x"], expected, atol=1e-5)


def test_a_net_is_found_by_the_name_that_is_deployed(tmp_path: Path) -> None:
    text = NETS + TWO + "deploy fit.m as onnx { dynamic batch }\ndeploy fit.e as onnx {}\n"
    program = open_program(text, tmp_path)
    assert [find_place(d, program).name for d in program.deploys] == ["m", "e"]
    train = program.trains["fit"]
    assert find_given(train, find_net(train, "e")).columns == {"features": "features"}
    given = find_given(train, find_net(train, "m"))
    assert not given.columns
    assert given.computed is not None
    assert [o.name for o in given.computed.outputs] == ["x"]
