"""`scan`: what it carries, emits and captures, and what it computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Node
from compiler.ir.sizes import SizeSearch
from compiler.ir.weights import draw_weights
from compiler.ops.scan import Scan
from compiler.program.net import Net
from tests.elaborating import build, elaborate


def loop_of(net: Net) -> Node:
    return next(n for n in net.graph.nodes if isinstance(n.op, Scan))


def run(net: Net, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return evaluate(net.graph, draw_weights(net.graph, 0), inputs)


X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def model(body: str, before: str = "") -> Net:
    return build(f"{before}\nmodel M {{\n    input x: f32[batch, t, 4]\n{body}\n}}\n")


def test_states_and_stacked_results() -> None:
    net = model(
        "    h = zeros([batch, 4])\n    scan x_t in x, axis=1 {\n        h = h + x_t\n"
        "        emit sums = h\n        emit doubled = 2 * x_t, axis=0\n    }\n"
        "    output last = h\n    output sums = sums\n    output doubled = doubled"
    )
    found = run(net, x=X)
    np.testing.assert_array_equal(found["sums"], X.cumsum(axis=1))
    np.testing.assert_array_equal(found["last"], X.sum(axis=1))
    np.testing.assert_array_equal(found["doubled"], 2 * X.transpose(1, 0, 2))
    op = loop_of(net).op
    assert isinstance(op, Scan)
    assert [i.name for i in op.slices + op.carried] == ["x_t", "h"]
    assert [o.name for o in op.emitted] == ["sums", "doubled"]


def test_reverse_keeps_results_in_place() -> None:
    net = model(
        "    h = zeros([batch, 4])\n    scan x_t in x, axis=1, reverse=true {\n"
        "        h = h + x_t\n        emit sums = h\n    }\n    output sums = sums"
    )
    expected = X[:, ::-1].cumsum(axis=1)[:, ::-1]
    np.testing.assert_array_equal(run(net, x=X)["sums"], expected)


@pytest.mark.parametrize(
    ("numbers", "values"),
    [
        ("0..4", [0, 1, 2, 3]),
        ("2..5", [2, 3, 4]),
        ("reversed(0..3)", [2, 1, 0]),
        ("range(1, 8, 3)", [1, 4, 7]),
        ("reversed(range(1, 8, 3))", [7, 4, 1]),
        ("0..t", [0, 1, 2]),
        ("reversed(0..t)", [2, 1, 0]),
    ],
)
def test_ranges(numbers: str, values: list[int]) -> None:
    net = model(
        f"    scan i in {numbers} {{\n        emit seen = i\n    }}\n"
        "    output seen = seen\n    output same = x"
    )
    assert run(net, x=X)["seen"].tolist() == values


def test_weights_are_made_once() -> None:
    net = model(
        "    h = zeros([batch, 8])\n    scan x_t in x, axis=1 {\n"
        "        h = (x_t, h) -> cell(8)\n    }\n    output y = h",
        "block cell(x: f32[n, d], h: f32[n, e], width: int) {\n"
        "    param scale: f32[width] = ones\n"
        "    return tanh((concat([x, h], axis=1) -> dense(width) as mix) * scale)\n}",
    )
    assert [p.path for p in net.graph.parameters] == [
        "cell.scale",
        "cell.mix.weight",
        "cell.mix.bias",
    ]
    op = loop_of(net).op
    assert isinstance(op, Scan)
    assert {i.name for i in op.captured} == {p.path for p in net.graph.parameters}
    assert {n.scope.block for n in op.body.nodes} == {"cell"}
    weights = draw_weights(net.graph, 0)
    h = np.zeros((2, 8), np.float32)
    for step in range(3):
        both = np.concatenate([X[:, step], h], axis=1)
        h = np.tanh(both @ weights["cell.mix.weight"].T + weights["cell.mix.bias"])
    np.testing.assert_allclose(run(net, x=X)["y"], h, rtol=1e-6)


def test_loops_inside_loops() -> None:
    net = model(
        "    total = zeros([batch])\n    scan row in x, axis=1 {\n"
        "        scan cell in row, axis=1 {\n            total = total + cell * mean(x)\n"
        "        }\n"
        "    }\n    output y = total"
    )
    np.testing.assert_allclose(run(net, x=X)["y"], X.sum(axis=(1, 2)) * X.mean(), rtol=1e-6)


def test_until_ends_the_loop() -> None:
    net = model(
        "    h = zeros([batch, 4])\n    scan x_t in x, axis=1 {\n        h = h + x_t\n"
        "        until max(h) > 25\n    }\n    output y = h"
    )
    np.testing.assert_array_equal(run(net, x=X)["y"], X[:, :2].sum(axis=1))


UNTIL = """\
block loop(x: f32[n], c: float) {
    y = x
    scan i in 0..9 {
        y = y + 1.0
        emit seen = y
        emit doubled = 2.0 * y
        until all(y > c)
    }
    return seen=seen, doubled=doubled
}
model M {
    input x: f32[n]
    input seen_steps: f32[seen_steps]
    a = x -> loop(2.0)
    b = x -> loop(5.0)
    output both = a.seen + a.doubled
    output later = b.seen
    output given = seen_steps
}
"""


def test_what_a_loop_emits_has_as_many_entries_as_it_made_steps() -> None:
    net = build(UNTIL)
    kinds = {o.name: str(o.value.type) for o in net.graph.outputs}
    assert kinds["both"] == "f32[seen_steps_2, n]", "one size, which no other size is"
    assert kinds["later"] == "f32[seen_steps_3, n]", "another loop makes other steps"
    found = run(net, x=np.zeros(2, np.float32), seen_steps=np.zeros(4, np.float32))
    assert [found[n].shape for n in ("both", "later")] == [(3, 2), (6, 2)]
    assert SizeSearch(net.graph, {}).choose(), "sizes of inputs are found beside it"


@pytest.mark.parametrize("use", ["a.seen + b.seen", "a.seen + zeros([4, n])", "a.seen[:, 0] + x"])
def test_nothing_is_equal_to_the_steps_of_a_loop(use: str) -> None:
    found = elaborate(UNTIL.replace("a.seen + a.doubled", use))[1]
    assert [m.code for m in found] == ["W1591"]


def test_two_sequences_promise_one_length() -> None:
    net = build(
        "model M {\n    input x: f32[batch, t]\n    input y: f32[batch, s]\n"
        "    scan a in x, b in y, axis=1 {\n        emit z = a * b\n    }\n    output z = z\n}\n"
    )
    assert {(str(c.left), str(c.right)) for c in net.graph.conditions} == {("t", "s")}


def test_a_name_bound_only_inside_is_forgotten() -> None:
    net = model(
        "    k = 2\n    h = zeros([batch, 4])\n    scan x_t in x, axis=1 {\n"
        "        k = x_t * 3\n        h = h + k\n    }\n    output y = h * k"
    )
    np.testing.assert_array_equal(run(net, x=X)["y"], 6 * X.sum(axis=1))


LSTM = """
block lstm(x: f32[n, t, d], hidden: int, reverse: bool = false) {
    h = zeros([n, hidden])
    c = zeros([n, hidden])
    scan x_t in x, axis=1, reverse=reverse {
        i, f, g, o = concat([x_t, h], axis=-1) -> dense(4 * hidden) as gates -> chunk(4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        emit states = h
    }
    return states, last=h, cell=c
}
"""


@pytest.mark.parametrize("reverse", ["false", "true"])
def test_lstm_equals_pytorch(reverse: str) -> None:
    net = model(
        f"    r = x -> lstm(5, reverse={reverse}) as rnn\n    output states = r.states\n"
        "    output last = r.last\n    output cell = r.cell",
        LSTM,
    )
    weights = draw_weights(net.graph, 1)
    found = evaluate(net.graph, weights, {"x": X / 10})
    twin = torch.nn.LSTM(4, 5, batch_first=True)
    matrix = torch.from_numpy(weights["rnn.gates.weight"].copy())
    with torch.no_grad():
        twin.weight_ih_l0.copy_(matrix[:, :4])
        twin.weight_hh_l0.copy_(matrix[:, 4:])
        twin.bias_ih_l0.copy_(torch.from_numpy(weights["rnn.gates.bias"].copy()))
        twin.bias_hh_l0.zero_()
        x = torch.from_numpy(X / 10)
        states, (h, c) = twin(x.flip(1) if reverse == "true" else x)
        states = states.flip(1) if reverse == "true" else states
    np.testing.assert_allclose(found["states"], states.numpy(), atol=1e-6)
    np.testing.assert_allclose(found["last"], h[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(found["cell"], c[0].numpy(), atol=1e-6)
