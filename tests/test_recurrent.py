"""Recurrent layers beside PyTorch's modules, in one ONNX file for sequences of any length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.ir.evaluate import evaluate
from tests.elaborating import build, codes
from tests.pytorch_compare import draw_lively
from weft.api import loads

MODULES = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
DIAGONAL = ("rnn", 'recurrence="diagonal"')
DRAWN = np.random.default_rng(1)


def spec(call: str, inputs: str = "", outputs: str = "output y = y") -> str:
    return f"""
model M {{
    input x: f32[batch, t, 5]
    {inputs}
    {call}
    {outputs}
}}
"""


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_parameters_and_results_are_pytorchs(name: str, both: bool, layers: int) -> None:
    states = ["h", "c"] if name == "lstm" else ["h"]
    results = ", ".join(["y", *states])
    options = f"layers={layers}, bidirectional={str(both).lower()}, states=true"
    outputs = "\n    ".join(f"output {r} = {r}" for r in ["y", *states])
    graph = build(spec(f"{results} = x -> {name}(4, {options}) as net", outputs=outputs)).graph
    weights = draw_lively(graph)
    made = MODULES[name](5, 4, num_layers=layers, bidirectional=both, batch_first=True)
    own = {path.removeprefix("net."): torch.tensor(array) for path, array in weights.items()}
    made.load_state_dict(own)
    x = DRAWN.normal(size=(3, 6, 5)).astype(np.float32)
    with torch.no_grad():
        y, last = made(torch.tensor(x))
    expected = [y, *(last if name == "lstm" else [last])]
    module = load_module(emit_module([graph], title="M"), graph)
    assign_weights(module, weights)
    with torch.no_grad():
        found = module(torch.tensor(x))
    for mine, meant, theirs in zip(
        found, evaluate(graph, weights, {"x": x}).values(), expected, strict=True
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
        np.testing.assert_allclose(meant, theirs, atol=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_lengths_are_those_of_packed_sequences(name: str) -> None:
    call = f"y = x -> {name}(4, bidirectional=true, lengths=lengths) as net"
    graph = build(spec(call, "input lengths: i64[batch]")).graph
    weights = draw_lively(graph)
    made = MODULES[name](5, 4, bidirectional=True, batch_first=True)
    made.load_state_dict({p.removeprefix("net."): torch.tensor(a) for p, a in weights.items()})
    x = DRAWN.normal(size=(3, 6, 5)).astype(np.float32)
    lengths = np.array([2, 6, 1])
    packed = nn.utils.rnn.pack_padded_sequence(
        torch.tensor(x), torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    with torch.no_grad():
        expected = nn.utils.rnn.pad_packed_sequence(made(packed)[0], batch_first=True)[0]
    (meant,) = evaluate(graph, weights, {"x": x, "lengths": lengths}).values()
    np.testing.assert_allclose(meant, expected, atol=1e-5)


@pytest.mark.parametrize(
    "call", ["lstm(4", "gru(4", "rnn(4", "lstm(4, peephole=true", 'rnn(4, recurrence="diagonal"']
)
def test_lengths_that_no_row_has_end_with_an_error(call: str) -> None:
    text = spec(f"y = x -> {call}, lengths=lengths) as net", "input lengths: i64[batch]")
    module, _ = made_of(text)
    x = torch.zeros(2, 6, 5)
    module(x, torch.tensor([1, 6]))
    for outside in ([2, 7], [0, 6], [-1, 6]):
        with pytest.raises(RuntimeError, match="length"):
            module(x, torch.tensor(outside))


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_weights_may_be_shared(name: str, lengths: bool) -> None:
    """Weights that another layer has too are given to PyTorch's function."""
    given = ", lengths=lengths" if lengths else ""
    shared = ", ".join(
        f"{w}_l0=first.{w}_l0" for w in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    text = spec(
        f"net first = {name}(5)\n    z = first(x)\n    y = z -> {name}(5, {shared}{given})",
        "input lengths: i64[batch]" if lengths else "",
    )
    graph = build(text).graph
    assert len(graph.parameters) == 4
    weights = draw_lively(graph)
    inputs: dict[str, Any] = {"x": DRAWN.normal(size=(3, 6, 5)).astype(np.float32)}
    if lengths:
        inputs["lengths"] = np.array([2, 6, 1])
    (meant,) = evaluate(graph, weights, inputs).values()
    module = load_module(emit_module([graph], title="M"), graph)
    assign_weights(module, weights)
    with torch.no_grad():
        found = module(*map(torch.tensor, inputs.values()))
    np.testing.assert_allclose(found, meant, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "option"),
    [*((name, "dropout=20%") for name in MODULES), ("lstm", "peephole=true"), DIAGONAL],
)
def test_one_file_is_for_all_lengths(name: str, option: str, tmp_path: Path) -> None:
    model = loads(spec(f"y = x -> {name}(4, layers=2, bidirectional=true, {option})")).model("M")
    weights = model.weights(seed=3)
    path = model.onnx(tmp_path / "m.onnx", weights)
    module = model.torch(weights).eval()
    session = onnxruntime.InferenceSession(path)
    for batch, t in ((1, 1), (2, 4), (3, 9)):
        x = DRAWN.normal(size=(batch, t, 5)).astype(np.float32)
        (found,) = session.run(None, {"x": x})
        with torch.no_grad():
            np.testing.assert_allclose(found, module(torch.tensor(x)), atol=1e-5)


def made_of(text: str) -> tuple[nn.Module, dict[str, Any]]:
    """The generated module with lively weights, and those."""
    graph = build(text).graph
    weights = draw_lively(graph)
    module = load_module(emit_module([graph], title="M"), graph)
    assign_weights(module, weights)
    return module, {p.removeprefix("net."): torch.tensor(a) for p, a in weights.items()}


@pytest.mark.parametrize("name", MODULES)
def test_dropout_between_layers_is_pytorchs(name: str) -> None:
    module, weights = made_of(spec(f"y = x -> {name}(4, layers=3, dropout=40%) as net"))
    made = MODULES[name](5, 4, num_layers=3, batch_first=True, dropout=0.4)
    made.load_state_dict(weights)
    x = torch.tensor(DRAWN.normal(size=(3, 6, 5)).astype(np.float32))
    for training in (True, False):
        results = []
        for layer in (module.train(training), made.train(training)):
            torch.manual_seed(3)
            found = layer(x)
            results.append(found if layer is module else found[0])
        np.testing.assert_array_equal(*(r.detach() for r in results))
        torch.manual_seed(4)
        assert torch.equal(module(x), results[0]) != training


@pytest.mark.parametrize("option", ["", "peephole=true, "])
def test_dropout_of_shared_weights_acts_in_training_only(option: str) -> None:
    call = f"lstm(4, layers=2, {option}dropout=50%"
    text = spec(
        f"net first = {call})\n    z = first(x)\n"
        f"    y = x -> {call}, weight_ih_l0=first.weight_ih_l0)",
        outputs="output y = y\n    output z = z",
    )
    module, _ = made_of(text)
    x = torch.tensor(DRAWN.normal(size=(3, 6, 5)).astype(np.float32))
    assert torch.equal(module.eval()(x)[0], module(x)[0])
    assert not torch.equal(module.train()(x)[0], module(x)[0])


@pytest.mark.parametrize("act", ["tanh", "relu"])
@pytest.mark.parametrize("lengths", [False, True])
def test_diagonal_recurrence_is_that_of_a_diagonal_matrix(act: str, lengths: bool) -> None:
    given = ", lengths=lengths" if lengths else ""
    call = f'rnn(4, layers=2, bidirectional=true, act="{act}", recurrence="diagonal", states=true'
    text = spec(
        f"y, h = x -> {call}{given}) as net",
        "input lengths: i64[batch]" if lengths else "",
        "output y = y\n    output h = h",
    )
    module, weights = made_of(text)
    made = nn.RNN(5, 4, 2, nonlinearity=act, bidirectional=True, batch_first=True)
    made.load_state_dict({n: w.diag() if "weight_hh" in n else w for n, w in weights.items()})
    inputs = [torch.tensor(DRAWN.normal(size=(3, 6, 5)).astype(np.float32)).requires_grad_()]
    sequence: Any = inputs[0]
    if lengths:
        counts = torch.tensor([2, 6, 1])
        sequence = nn.utils.rnn.pack_padded_sequence(
            sequence, counts, batch_first=True, enforce_sorted=False
        )
        inputs.append(counts)
    y, h = module(*inputs)
    expected, last = made(sequence)
    if lengths:
        expected = nn.utils.rnn.pad_packed_sequence(expected, batch_first=True)[0]
    torch.testing.assert_close(y, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(h, last, atol=1e-6, rtol=1e-5)
    mine, theirs = (torch.autograd.grad(r.square().sum(), inputs[0])[0] for r in (y, expected))
    torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


def test_peepholes_show_each_unit_its_cell() -> None:
    """The equations of Gers and Schmidhuber, unit by unit."""
    module, weights = made_of(spec("y = x -> lstm(3, peephole=true) as net"))
    x = DRAWN.normal(size=(2, 4, 5)).astype(np.float32)
    w, u, p = (weights[f"weight_{n}_l0"].double().numpy() for n in ("ih", "hh", "ch"))
    b = (weights["bias_ih_l0"] + weights["bias_hh_l0"]).double().numpy()
    found = module(torch.tensor(x)).detach().numpy()
    for row in range(2):
        h, c = np.zeros(3), np.zeros(3)
        for place in range(4):
            sums = [w[k] @ x[row, place] + u[k] @ h + b[k] for k in range(12)]
            for unit in range(3):
                i, f, g, o = sums[unit::3]
                gate = sigmoid(i + p[unit] * c[unit]) * np.tanh(g)
                c[unit] = sigmoid(f + p[3 + unit] * c[unit]) * c[unit] + gate
                h[unit] = sigmoid(o + p[6 + unit] * c[unit]) * np.tanh(c[unit])
            np.testing.assert_allclose(found[row, place], h, atol=1e-6)


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


@pytest.mark.parametrize(("name", "option"), [("lstm", "peephole=true"), DIAGONAL])
def test_weights_of_own_layers_are_named_and_start_like_pytorchs(name: str, option: str) -> None:
    graph = build(spec(f"y = x -> {name}(4, layers=2, bidirectional=true, {option})")).graph
    module = load_module(emit_module([graph], title="M"), graph)
    found = {path.partition(".")[2] for path in module.state_dict()}
    made = MODULES[name](5, 4, 2, bidirectional=True)
    assert {path for path in found if "weight_ch" not in path} == made.state_dict().keys()
    for weight in module.parameters():
        assert 0 < weight.abs().max() <= 0.5


@pytest.mark.parametrize(
    ("call", "inputs"),
    [
        ("y = x[:, 0] -> lstm(4)", ""),
        ("y = x -> lstm(0)", ""),
        ("y = x -> gru(4, layers=0)", ""),
        ("y = x -> lstm(4, lengths=l)", "input l: f32[batch]"),
        ("y = x -> lstm(4, lengths=l)", "input l: i64[batch, 1]"),
        ("y = x -> lstm(4, lengths=l)", "input l: i64[7]\n    input u: f32[8, t, 5]\n    x = u"),
        ("y = x -> lstm(4, h0=s)", "input s: f32[1, batch, 4]"),
        ("y = x -> lstm(4, c0=s)", "input s: f32[1, batch, 4]"),
        ("y = x -> gru(4, h0=s)", "input s: f32[2, batch, 4]"),
        ("y = x -> gru(4, h0=s)", "input s: f32[1, batch, 5]"),
        ("y = x -> gru(4, h0=s)", "input s: f32[batch, 4]"),
        ('y = x -> rnn(4, act="sigmoid")', ""),
        ('y = x -> rnn(4, recurrence="sparse")', ""),
        ("y = x -> lstm(4, dropout=20%)", ""),
        ("y = x -> gru(4, layers=2, dropout=120%)", ""),
    ],
)
def test_what_does_not_fit_is_refused(call: str, inputs: str) -> None:
    assert codes(spec(call, inputs)) != []


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_gates_that_are_nearly_closed_keep_their_digits(name: str) -> None:
    graph = build(spec(f"y = x -> {name}(4) as net")).graph
    weights = draw_lively(graph)
    bias = weights["net.bias_ih_l0"]
    bias[...] = 0
    bias[-4:] = -40 if name == "lstm" else bias[-4:]  # what leaves a cell
    bias[:4] = bias[:4] if name == "lstm" else -40  # what of the past a candidate is told
    made = MODULES[name](5, 4, batch_first=True).double()
    own = {path.removeprefix("net."): torch.tensor(array) for path, array in weights.items()}
    made.load_state_dict(own)
    x = DRAWN.normal(size=(3, 6, 5)).astype(np.float32)
    with torch.no_grad():
        wanted = made(torch.tensor(x).double())[0].numpy()
    (found,) = evaluate(graph, weights, {"x": x}).values()
    np.testing.assert_allclose(found, wanted, rtol=2e-4)
