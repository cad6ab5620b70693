"""Changed nets put back into their trains: same meaning where nothing changed, new where it did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import specs
from backends.pytorch.train.folder import write_training
from compiler.compression.attach import attach, find_calls, find_net
from compiler.driver import check
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.printer import print_graph
from compiler.ir.verify import verify_graph
from compiler.ir.weights import draw_weights
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError, Sink

Array = NDArray[Any]
SPECS_FOLDER = Path(specs.__path__[0])

DATA = """
data iris {
    source npz("iris.npz")
    split random(seed=0), train=80%, val=20%
}
"""
CLASSIFIER = """
model Net(width: int = 8) {
    input features: f32[b, 4]
    output logits: f32[b, 3] = features -> dense(width) as hidden -> tanh -> dense(3) as head
}
"""
ONCE = f"""{CLASSIFIER}{DATA}
train fit of Net on iris {{
    minimize cross_entropy(logits, label) with adam(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    batch 20  epochs 2
}}
"""
TWICE = f"""{CLASSIFIER}{DATA}
train fit on iris {{
    net m = Net()
    net other = Net(width=5)
    left = m(features)
    right = m(features * 2 + other(features)[:, 0:1])
    minimize cross_entropy(left + right, label) + mean(other(features) ** 2) with adam(lr=1e-2)
    metric accuracy = accuracy(left + right, label)
    batch 20  epochs 2
}}
"""
SEVERAL = f"""
model Parts(width: int = 8) {{
    input features: f32[b, 4]
    h = features -> dense(width) as hidden -> tanh
    output unused: f32[b, 2] = h -> dense(2) as spare
    output logits: f32[b, 3] = h -> dense(3) as head
    output energy: f32[b] = mean(h ** 2, axis=1)
}}
{DATA}
train fit on iris {{
    net m = Parts()
    unused, logits, energy = m(features)
    minimize cross_entropy(logits, label) + mean(energy) with adam(lr=1e-2)
    batch 20  epochs 2
}}
"""
REPEATED = f"""
model Repeats() {{
    input features: f32[b, 4]
    first = features[:, 0:2]
    second = features[:, 0:2]
    third = features[:, 0:2]
    output spare: f32[b, 2] = first -> relu
    output logits: f32[b, 3] = second -> relu -> dense(3) as head
    output energy: f32[b, 1] = third -> relu -> dense(1) as tail
    output rest: f32[b, 2] = first -> relu
}}
{DATA}
train fit on iris {{
    net m = Repeats()
    spare, logits, energy, rest = m(features)
    minimize {{loss}} with adam(lr=1e-2)
    batch 20  epochs 2
}}
"""
LOOP = f"""
model Walk(width: int = 6) {{
    input features: f32[b, 4]
    h = zeros([b, width])
    scan i in 0..3 {{
        h = ((features -> dense(width) as inward) + (h -> dense(width) as again)) -> tanh
        emit states = h
    }}
    output logits: f32[b, 3] = states[-1] -> dense(3) as head
}}
{DATA}
train fit of Walk on iris {{
    minimize cross_entropy(logits, label) with adam(lr=1e-2)
    batch 20  epochs 2
}}
"""
OF_FILE = f"""
let scale = cos(linspace(0, 1, 4) / 2) / 2
model Scaled(width: int = 8) {{
    input features: f32[b, 4]
    h = (features / 2 * scale) -> dense(width) as hidden -> tanh
    scan i in 0..2 {{
        h = (h -> dense(width) as again) * scale[i] / 2
    }}
    output logits: f32[b, 3] = h -> dense(3) as head
}}
{DATA}
train fit on iris {{
    net m = Scaled()
    minimize cross_entropy(m(features) + m(scale * features / 2), label) with adam(lr=1e-2)
    batch 20  epochs 2
}}
"""
READ_FIRST = OF_FILE.replace(
    "features / 2 * scale", "features * scale"
)  # what the file computes stands before the first node of a call
SPECS = {
    "once": ONCE,
    "twice": TWICE,
    "several": SEVERAL,
    "of_file": OF_FILE,
    "read_first": READ_FIRST,
}


def open_program(text: str, folder: Path) -> Program:
    rows = np.random.default_rng(0)
    np.savez(
        folder / "iris.npz",
        features=rows.normal(size=(40, 4)).astype(np.float32),
        label=rows.integers(0, 3, 40),
    )
    path = folder / "spec.weft"
    path.write_text(text)
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None
    assert not sink.has_errors, [m.text.title for m in sink.messages]
    return program


def open_train(text: str, folder: Path) -> Train:
    return open_program(text, folder).trains["fit"]


def run_step(step: Graph, weights: Mapping[str, Array]) -> dict[str, Array]:
    rows = np.random.default_rng(1)
    given = {
        "features": rows.normal(size=(7, 4)).astype(np.float32),
        "label": rows.integers(0, 3, 7),
    }
    taken = {i.name: given[i.name] for i in step.inputs}
    return dict(evaluate(step, {p: weights[p] for p in step.parameter}, taken))


def widen(text: str, folder: Path, width: int) -> Train:
    """The same train of a net with another width: what `attach` should make."""
    changed = text.replace("width: int = 8", f"width: int = {width}").replace(
        "width: int = 6", f"width: int = {width}"
    )
    return open_train(changed, folder)


@pytest.mark.parametrize("text", [*SPECS.values(), LOOP], ids=[*SPECS, "loop"])
def test_the_own_graph_changes_nothing(text: str, tmp_path: Path) -> None:
    train = open_train(text, tmp_path)
    net = train.nets[0]
    again = attach(train, net.name, net.net.graph)
    assert print_graph(again.graph).splitlines()[1:] == print_graph(train.graph).splitlines()[1:]


@pytest.mark.parametrize("text", [*SPECS.values(), LOOP], ids=[*SPECS, "loop"])
def test_another_graph_computes_what_its_own_train_computes(text: str, tmp_path: Path) -> None:
    train, wanted = open_train(text, tmp_path), widen(text, tmp_path, 3)
    name = train.nets[0].name
    made = attach(train, name, find_net(wanted, name).net.graph)
    verify_graph(made.graph)
    weights = draw_weights(wanted.graph)
    expected, found = run_step(wanted.graph, weights), run_step(made.graph, weights)
    assert expected.keys() == found.keys()
    for output, array in expected.items():
        np.testing.assert_array_equal(found[output], array, err_msg=output)


@pytest.mark.parametrize("text", [*SPECS.values(), LOOP], ids=[*SPECS, "loop"])
def test_generated_code_is_that_of_the_new_net(text: str, tmp_path: Path) -> None:
    train, wanted = open_train(text, tmp_path), widen(text, tmp_path, 3)
    name = train.nets[0].name
    write_training(attach(train, name, find_net(wanted, name).net.graph), tmp_path / "made")
    write_training(wanted, tmp_path / "wanted")
    made, expected = (tmp_path / n / "train.py" for n in ("made", "wanted"))
    assert made.read_text() == expected.read_text()


@pytest.mark.parametrize(
    "loss", ["mean(energy) + mean(rest)", "mean(logits)", "mean(spare * logits[:, 0:1])"]
)
def test_values_that_the_net_computes_twice_have_counterparts(loss: str, tmp_path: Path) -> None:
    train = open_train(REPEATED.replace("{loss}", loss), tmp_path)
    made = attach(train, "m", train.nets[0].net.graph)
    weights = draw_weights(train.graph)
    expected, found = run_step(train.graph, weights), run_step(made.graph, weights)
    np.testing.assert_array_equal(found["loss"], expected["loss"])
    (call,) = find_calls(train.graph, find_net(train, "m"))
    used = {v.name for node in train.graph.nodes for v in node.outputs}
    for output in train.nets[0].net.graph.outputs:
        value = call.values.get(output.value.name)
        assert value is None or value.name in used


def test_a_prefix_moves_the_weights(tmp_path: Path) -> None:
    train = open_train(ONCE, tmp_path)
    moved = attach(train, "fit", train.nets[0].net.graph, prefix="fit.")
    weights = draw_weights(train.graph)
    renamed = {f"fit.{path}": array for path, array in weights.items()}
    expected, found = run_step(train.graph, weights), run_step(moved.graph, renamed)
    for output, array in expected.items():
        np.testing.assert_array_equal(found[output], array, err_msg=output)
    assert moved.nets[0].prefix == "fit."


def test_calls_know_the_values_of_the_net(tmp_path: Path) -> None:
    train = open_train(TWICE, tmp_path)
    calls = find_calls(train.graph, find_net(train, "m"))
    assert len(calls) == 2
    for call in calls:
        assert call.values["logits"].type.known_shape is None
        assert call.values["hidden.weight"].name == "m.hidden.weight"
    assert calls[0].values["logits"] != calls[1].values["logits"]


def test_a_net_that_is_not_applied_is_refused(tmp_path: Path) -> None:
    train = open_train(ONCE, tmp_path)
    step = replace(train.graph, nodes=(), outputs=())
    with pytest.raises(CompileError) as caught:
        attach(replace(train, graph=step), "fit", train.nets[0].net.graph)
    assert [m.code for m in caught.value.messages] == ["W1100"]
    assert "cannot be exchanged" in caught.value.messages[0].text.title


SHARED = SPECS_FOLDER.parents[1] / "shared" / "data"


@pytest.mark.parametrize("path", sorted((SPECS_FOLDER / "examples").glob("*.weft")), ids=str)
def test_nets_of_examples_are_put_back_as_they_were(path: Path) -> None:
    sink = Sink()
    program = check(path, sink=sink)
    if "../shared/" in path.read_text(encoding="utf-8") and not SHARED.is_dir():
        pytest.skip("../shared/data is absent")
    assert program is not None
    assert not sink.has_errors, sink.messages
    for train in program.trains.values():
        for net in train.nets:
            again = attach(train, net.name, net.net.graph)
            before, after = map(list_lines, (train.graph, again.graph))
            assert after == before


def list_lines(graph: Graph) -> list[str]:
    """A graph as text. What is noted of values and branches stands in the order of its subjects:
    that of a net which is put back stands together."""
    text = re.sub(r"call=\d+", "call", print_graph(graph))
    # where a state of a loop begins: in a net its input, in a step what that is given
    text = re.sub(r"^( {8}input %.*) at \d+:\d+$", r"\1", text, flags=re.MULTILINE)
    # a size that was a symbol of the net, and is known where it is applied
    lines = re.sub(r"<(\d+)>", r"\1", text).splitlines()[1:]
    notes = [line for line in lines if line.startswith(("    known ", "    decided "))]
    others = [line for line in lines if line not in notes]
    return [*others, *sorted(notes, key=lambda line: line.partition(" = ")[0])]


def test_a_value_of_the_file_is_computed_by_the_net_where_the_net_computes_another(
    tmp_path: Path,
) -> None:
    train = open_train(OF_FILE, tmp_path)
    other = OF_FILE.replace("linspace(0, 1, 4)", "linspace(0, 2, 4)")
    changed = find_net(open_train(other, tmp_path), "m").net.graph
    made = attach(train, "m", changed)
    verify_graph(made.graph)
    kinds = [type(node.op).__name__ for node in made.graph.nodes]
    assert kinds.count("Linspace") == 3  # one of the train's own, one for each call
    weights = draw_weights(made.graph)
    features = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)
    own = {path.removeprefix("m."): array for path, array in weights.items()}

    def apply(rows: Array) -> Array:
        return evaluate(changed, own, {"features": rows})["logits"]

    scale = np.cos(np.linspace(0, 1, 4, dtype=np.float32) / 2) / 2
    scores = apply(features) + apply(scale * features / 2)
    label = np.random.default_rng(1)
    label.normal(size=(7, 4))
    rows = label.integers(0, 3, 7)
    shifted = scores - scores.max(axis=1, keepdims=True)
    chosen = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(7), rows]
    (loss,) = run_step(made.graph, weights).values()
    np.testing.assert_allclose(loss, chosen.mean(), rtol=1e-5)
