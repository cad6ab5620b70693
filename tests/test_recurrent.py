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


@pytest.mark.parametrize("name", MODULES)
def test_one_file_is_for_all_lengths(name: str, tmp_path: Path) -> None:
    model = loads(spec(f"y = x -> {name}(4, layers=2, bidirectional=true)")).model("M")
    weights = model.weights(seed=3)
    path = model.onnx(tmp_path / "m.onnx", weights)
    module = model.torch(weights).eval()
    session = onnxruntime.InferenceSession(path)
    for batch, t in ((1, 1), (2, 4), (3, 9)):
        x = DRAWN.normal(size=(batch, t, 5)).astype(np.float32)
        (found,) = session.run(None, {"x": x})
        with torch.no_grad():
            np.testing.assert_allclose(found, module(torch.tensor(x)), atol=1e-5)


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
    ],
)
def test_what_does_not_fit_is_refused(call: str, inputs: str) -> None:
    assert codes(spec(call, inputs)) != []
