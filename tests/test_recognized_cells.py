"""Loops that are an LSTM or a GRU, however they are written, and loops that nearly are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from backends.onnx_graph.compile import compile_onnx
from backends.pytorch.classes import fold
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module, run_source
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.verify import verify_graph
from compiler.ir.weights import draw_weights
from compiler.passes.base import Context
from compiler.passes.recognize_cells import RecognizeCells
from compiler.program.deploy import NEWEST_OPSET
from tests.elaborating import build, elaborate

LSTM = "lstm_loop"
GRU = "gru_loop"


def loop(
    body: str, *, states: str = "h c", over: str = "x_t in x, axis=1", more: str = ""
) -> Graph:
    """A model whose loop has this body; `|` stands between its lines."""
    starts = [f"    {name} = full([n, 5], 0.3)" for name in states.split()]
    lines = [f"        {line.strip()}" for line in body.split("|")]
    text = "\n".join(
        [
            "block cell(x: f32[n, t, d]) {",
            *(f"    {line.strip()}" for line in more.split("|") if line.strip()),
            *starts,
            f"    scan {over} {{",
            *lines,
            "        emit y = h",
            "    }",
            f"    return y, last={states.split()[-1]}",
            "}",
            "model M {",
            "    input x: f32[batch, t, 3]",
            "    made = x -> cell as cell",
            "    output y = made.y",
            "    output last = made.last",
            "}",
        ]
    )
    return build(text + "\n").graph


def recognize(graph: Graph, *, for_torch: bool) -> tuple[str, str]:
    """The op that the loop of a graph becomes, and why it becomes none."""
    context = Context()
    made = RecognizeCells(for_torch=for_torch).run(graph, context)
    verify_graph(made)
    found = [n.op.name for n in made.nodes if n.op.name in (LSTM, GRU, "scan")]
    (name,) = found
    return name, next((e.reason for e in context.explanations), "")


def hold(graph: Graph, folder: Path, *, opset: int = 21) -> None:
    """Asserts that passes, PyTorch and ONNX Runtime keep what a graph means, at several lengths."""
    weights = {p: a + np.float32(0.1) for p, a in draw_weights(graph, 3).items()}
    made = RecognizeCells().run(graph, Context())
    module = load_module(emit_module([graph], title="M"), graph)
    assign_weights(module, weights)
    compile_onnx(graph, weights, folder / "net.onnx", opset=opset)
    session = ort.InferenceSession(str(folder / "net.onnx"), providers=["CPUExecutionProvider"])
    for rows, steps in ((2, 1), (1, 4), (3, 9)):
        draw = np.random.default_rng(steps)
        inputs = {"x": draw.standard_normal((rows, steps, 3)).astype(np.float32)}
        expected = evaluate(graph, weights, inputs)
        with torch.no_grad():
            printed = [t.numpy() for t in module(torch.tensor(inputs["x"]))]
        others = (evaluate(made, weights, inputs).values(), printed, session.run(None, inputs))
        for found in others:
            for one, array in zip(found, expected.values(), strict=True):
                np.testing.assert_allclose(one, array, rtol=2e-5, atol=2e-6)


JOINED = "i, f, g, o = concat([x_t, h], axis=-1) -> dense(20) as gates -> chunk(4, axis=-1)"
STEP = "c = sigmoid(f) * c + sigmoid(i) * tanh(g) | h = sigmoid(o) * tanh(c)"
FOUR = " | ".join(
    f"{g} = (x_t -> dense(5) as x{g}) + (h -> dense(5, bias=false) as h{g})" for g in "ifgo"
)
PEEPHOLES = (
    "i = i + peep[0] * c | f = f + peep[1] * c | new = sigmoid(f) * c + sigmoid(i) * tanh(g)"
    "| h = sigmoid(o + new * peep[2]) * tanh(new) | c = new"
)

LSTMS = {
    "joined": f"{JOINED} | {STEP}",
    "state first": f"{JOINED.replace('x_t, h', 'h, x_t')} | {STEP}",
    "another order": f"{JOINED.replace('i, f, g, o', 'f, o, i, g')} | {STEP}",
    "no bias": f"{JOINED.replace('(20)', '(20, bias=false)')} | {STEP}",
    "four and four": f"{FOUR} | {STEP}",
    "bias twice": f"{FOUR.replace(', bias=false', '')} | {STEP}",
    "one for each source": (
        "i, f, g, o = ((x_t -> dense(20) as a) + (h -> dense(20) as b)) -> chunk(4, axis=-1)"
        f"| {STEP}"
    ),
    "four of both": " | ".join(
        f"{g} = concat([x_t, h], axis=-1) -> dense(5) as {g}{g}" for g in "ifgo"
    )
    + f"| {STEP}",
    "two and two": (
        "both = concat([x_t, h], axis=-1) | i, o = both -> dense(10) as a -> chunk(2, axis=-1)"
        f"| f, g = both -> dense(10) as b -> split([5, 5], axis=-1) | {STEP}"
    ),
    "sigmoid of all": (
        f"{JOINED.replace('i, f, g, o =', 's =').replace(' -> chunk(4, axis=-1)', '')}"
        "| a, g = s -> split([15, 5], axis=-1) | i, f, o = sigmoid(a) -> chunk(3, axis=-1)"
        "| c = tanh(g) * i + c * f | h = tanh(c) * o"
    ),
    "forget bias": f"{JOINED} | {STEP.replace('sigmoid(f)', 'sigmoid(f + 1.0)')}",
    "matrices": (f"s = x_t @ w + h @ u + b | i, f, g, o = s -> chunk(4, axis=-1)| {STEP}"),
    "peepholes": f"{JOINED} | {PEEPHOLES}",
    "one peephole": f"{JOINED} | {PEEPHOLES.replace('peep[0]', '0.0').replace('peep[1]', '0.0')}",
}

MORE = " | ".join(
    f"param {name}: f32[{shape}] = normal(0.3)"
    for name, shape in (("w", "3, 20"), ("u", "5, 20"), ("b", "20"))
)
PEEP = "param peep: f32[3, 5] = normal(0.5)"


@pytest.mark.parametrize("name", LSTMS)
def test_an_lstm_is_recognized(name: str, tmp_path: Path) -> None:
    more = MORE if name == "matrices" else PEEP if "peephole" in name else ""
    graph = loop(LSTMS[name], more=more)
    assert recognize(graph, for_torch=False) == (LSTM, "")
    if "peephole" in name:
        reason = "PyTorch's LSTM has no peepholes"
        assert recognize(graph, for_torch=True) == ("scan", reason)
    else:
        assert recognize(graph, for_torch=True) == (LSTM, "")
    hold(graph, tmp_path)


GATES = " | ".join(
    f"{g} = sigmoid((x_t -> dense(5) as x{g}) + (h -> dense(5) as h{g}))" for g in "rz"
)
UPDATE = GATES.split(" | ")[1]
AFTER = "n = tanh((x_t -> dense(5) as xn) + r * (h -> dense(5) as hn))"
BEFORE = "n = tanh(concat([x_t, r * h], axis=-1) -> dense(5) as nn)"
MIX = "h = (1 - z) * n + z * h"

GRUS = {
    "three and three": f"{GATES} | {AFTER} | {MIX}",
    "turned": f"{GATES} | {AFTER} | h = z * n + (1 - z) * h",
    "a step towards": f"{GATES} | {AFTER} | h = h + z * (n - h)",
    "a step back": f"{GATES} | {AFTER} | h = n + z * (h - n)",
    "a step back, turned": f"{GATES} | {AFTER} | h = n - (1 - z) * (n - h)",
    "joined": (
        "xr, xz, xn = x_t -> dense(15) as a -> chunk(3, axis=-1)"
        "| hr, hz, hn = h -> dense(15) as b -> chunk(3, axis=-1)"
        f"| z = sigmoid(xz + hz) | n = tanh(xn + sigmoid(xr + hr) * hn) | {MIX}"
    ),
    "joined and turned": (
        "xr, xz, xn = x_t -> dense(15) as a -> chunk(3, axis=-1)"
        "| hr, hz, hn = h -> dense(15) as b -> chunk(3, axis=-1)"
        "| z = sigmoid(xz + hz) | n = tanh(xn + sigmoid(xr + hr) * hn) | h = z * n + (1 - z) * h"
    ),
    "another order": (
        "xn, xz, xr = x_t -> dense(15) as a -> chunk(3, axis=-1)"
        "| hz, hr, hn = h -> dense(15, bias=false) as b -> chunk(3, axis=-1)"
        f"| z = sigmoid(xz + hz) | n = tanh(xn + sigmoid(xr + hr) * hn) | {MIX}"
    ),
    "two gates": (
        "r, z = sigmoid(concat([x_t, h], axis=-1) -> dense(10) as a) -> chunk(2, axis=-1)"
        f"| {AFTER} | {MIX}"
    ),
    "before": f"{GATES} | {BEFORE} | {MIX}",
    "before, apart": (
        f"{GATES} | n = tanh((x_t -> dense(5) as xn) + ((h * r) -> dense(5) as hn)) | {MIX}"
    ),
    "before, turned": f"{GATES} | {BEFORE} | h = (1 - z) * h + z * n",
}


@pytest.mark.parametrize("name", GRUS)
def test_a_gru_is_recognized(name: str, tmp_path: Path) -> None:
    graph = loop(GRUS[name], states="h")
    assert recognize(graph, for_torch=False) == (GRU, "")
    if "before" in name:
        reason = "PyTorch's GRU resets behind the product"
        assert recognize(graph, for_torch=True) == ("scan", reason)
    else:
        assert recognize(graph, for_torch=True) == (GRU, "")
    hold(graph, tmp_path)


NEAR_LSTMS = {
    "a tanh is a sigmoid": STEP.replace("tanh(g)", "sigmoid(g)"),
    "a sigmoid is a tanh": STEP.replace("sigmoid(f)", "tanh(f)"),
    "relu of the cell state": STEP.replace("tanh(c)", "relu(c)"),
    "no tanh": STEP.replace("tanh(c)", "c"),
    "the cell state before": (
        "new = sigmoid(f) * c + sigmoid(i) * tanh(g) | h = sigmoid(o) * tanh(c) | c = new"
    ),
    "the state in the cell state": STEP.replace("* c +", "* h +"),
    "coupled": STEP.replace("sigmoid(i)", "(1 - sigmoid(f))"),
    "clipped": STEP.replace("c = sigmoid(f) * c", "c = clamp(sigmoid(f) * c, -1, 1)"),
    "scaled": STEP.replace("c = sigmoid(f)", "c = 0.5 * sigmoid(f)"),
    "residual": STEP + " + h",
    "projected": STEP + " | h = h -> dense(5) as out",
    "a gate with a factor": STEP.replace("sigmoid(i)", "sigmoid(2 * i)"),
    "a gate that sees the cell state": STEP.replace("sigmoid(i)", "sigmoid(i + c)"),
    "a gate with all of the cell state": (
        STEP.replace("sigmoid(i)", "sigmoid(i + (c -> dense(5) as cc))")
    ),
    "a product of states": STEP.replace("sigmoid(i)", "sigmoid(i + h * c)"),
    "a state that is normed": STEP + " | h = h -> layer_norm as norm",
    "a mask": STEP.replace("c =", "new =").replace("tanh(c)", "tanh(new)")
    + " | c = where(x_t[:, 0:1] > 0, new, c)",
    "dropout": STEP + " | h = h -> dropout(10%)",
    "another output": STEP + " | emit z = c",
    "the output before": "emit old = h | " + STEP,
    "a product with a slice": STEP.replace("sigmoid(i)", "sigmoid(i * x_t[:, 0:1])"),
    "the output gate sees the old cell state": (
        "new = sigmoid(f) * c + sigmoid(i) * tanh(g) | h = sigmoid(o + peep[0] * c) * tanh(new)"
        "| c = new"
    ),
    "the candidate has a peephole": STEP.replace("tanh(g)", "tanh(g + peep[0] * c)"),
}


@pytest.mark.parametrize("name", NEAR_LSTMS)
def test_what_is_nearly_an_lstm_is_left(name: str, tmp_path: Path) -> None:
    graph = loop(f"{JOINED} | {NEAR_LSTMS[name]}", more=PEEP if "peep" in NEAR_LSTMS[name] else "")
    found, reason = recognize(graph, for_torch=False)
    assert found == "scan"
    assert reason
    hold(graph, tmp_path)


NEAR_GRUS = {
    "a factor of another gate": f"{GATES} | {AFTER} | h = (1 - r) * n + z * h",
    "no mixture": f"{GATES} | {AFTER} | h = n + z * h",
    "a sum of both": f"{GATES} | {AFTER} | h = (1 - z) * n + z * h + 0.1 * h",
    "tanh in the gate": f"{GATES.replace('z = sigmoid', 'z = tanh')} | {AFTER} | {MIX}",
    "a candidate without tanh": f"{GATES} | {AFTER.replace('tanh', 'relu')} | {MIX}",
    "no reset": f"{UPDATE} | n = tanh((x_t -> dense(5) as xn) + (h -> dense(5) as hn)) | {MIX}",
    "reset of the input": (
        f"{GATES} | n = tanh(r * (x_t -> dense(5) as xn) + (h -> dense(5) as hn)) | {MIX}"
    ),
    "reset twice": (
        f"{GATES} | n = tanh((x_t -> dense(5) as xn) + r * ((r * h) -> dense(5) as hn)) | {MIX}"
    ),
    "reset by the update": (
        f"{UPDATE} | n = tanh((x_t -> dense(5) as xn) + z * (h -> dense(5) as hn)) | {MIX}"
    ),
    "the candidate as a mean": f"{GATES.split(' | ')[0]} | {AFTER} | h = 0.5 * n + 0.5 * h",
    "squared": f"{GATES} | {AFTER} | h = (1 - z) * n + z * h * h",
    "clipped": f"{GATES} | {AFTER} | h = clamp((1 - z) * n + z * h, -0.5, 0.5)",
}


@pytest.mark.parametrize("name", NEAR_GRUS)
def test_what_is_nearly_a_gru_is_left(name: str, tmp_path: Path) -> None:
    graph = loop(NEAR_GRUS[name], states="h")
    found, reason = recognize(graph, for_torch=False)
    if name == "reset by the update":  # a GRU whose gates r and z are one
        assert found == GRU
    else:
        assert found == "scan"
        assert reason
    hold(graph, tmp_path)


@pytest.mark.parametrize("opset", [18, NEWEST_OPSET])
@pytest.mark.parametrize("name", ["joined", "peepholes", "before", "turned", "left"])
def test_cells_are_written_at_every_opset(name: str, opset: int, tmp_path: Path) -> None:
    """With an open batch and an open number of steps, one file for all of them."""
    body = {**LSTMS, **GRUS, "left": f"{JOINED} | {NEAR_LSTMS['clipped']}"}[name]
    states = "h" if name in GRUS else "h c"
    graph = loop(body, states=states, more=PEEP if name == "peepholes" else "")
    hold(graph, tmp_path, opset=opset)
    model = onnx.load(tmp_path / "net.onnx")
    kinds = {node.op_type for node in model.graph.node} & {"LSTM", "GRU", "Scan"}
    assert kinds == {"Scan" if name == "left" else "GRU" if name in GRUS else "LSTM"}


def test_weights_keep_their_paths() -> None:
    """Modules are made under the names that the spec gives its layers, in a block of the cell
    too, so that checkpoints of the loop fit."""
    text = (
        "block cell(x, h, hidden: int) {\n"
        "    r = sigmoid((x -> dense(hidden) as wr) + (h -> dense(hidden) as ur))\n"
        "    z = sigmoid((x -> dense(hidden) as wz) + (h -> dense(hidden) as uz))\n"
        "    n = tanh((x -> dense(hidden) as wn) + r * (h -> dense(hidden) as un))\n"
        "    return (1 - z) * n + z * h\n}\n"
        "model M {\n    input x: f32[batch, t, 3]\n    h = zeros([batch, 5])\n"
        "    scan x_t in x, axis=1 {\n        h = cell(x_t, h, 5) as unit\n        emit y = h\n"
        "    }\n    output y = y\n    output last = h\n}\n"
    )
    graph = build(text).graph
    assert recognize(graph, for_torch=True) == (GRU, "")
    source = emit_module([graph], title="M")
    assert "run_gru(" in source
    module = load_module(source, graph)
    assert set(module.state_dict()) == set(draw_weights(graph))


@pytest.mark.parametrize("hidden", [2, 7])
def test_a_class_is_right_for_other_sizes(hidden: int) -> None:
    """The class of a block with a recognised cell takes other sizes than it was made for."""
    text = (
        "block cell(x: f32[n, t, d], hidden: int) {\n"
        "    h = zeros([n, hidden])\n    c = zeros([n, hidden])\n"
        "    scan x_t in x, axis=1 {\n"
        "        i, f, o, g = concat([x_t, h], axis=-1) -> dense(4 * hidden) as gates"
        " -> chunk(4, axis=-1)\n"
        "        c = sigmoid(f) * c + sigmoid(i) * tanh(g)\n        h = sigmoid(o) * tanh(c)\n"
        "        emit y = h\n    }\n    return y\n}\n"
        "model M(hidden: int = 5) {\n    input x: f32[batch, t, 3]\n"
        "    output y = x -> cell(hidden) as cell\n}\n"
    )
    graph = build(text).graph
    module = run_source(emit_module([graph], title="M")).M(hidden=hidden)
    nets, _ = elaborate(text.replace("int = 5", f"int = {hidden}"))
    other = nets["M"].graph
    weights = draw_weights(other, 1)
    assign_weights(module, weights)
    x = np.random.default_rng(0).standard_normal((2, 4, 3)).astype(np.float32)
    with torch.no_grad():
        found = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, evaluate(other, weights, {"x": x})["y"], atol=1e-6)


@pytest.mark.parametrize("name", ["another order", "peepholes", "joined and turned", "before"])
def test_gradients_are_those_of_the_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    more = PEEP if name == "peepholes" else ""
    gradients = []
    for _ in range(2):
        graph = loop({**GRUS, **LSTMS}[name], states="h c" if name in LSTMS else "h", more=more)
        module = load_module(emit_module([graph], title="M"), graph).train()
        assign_weights(module, draw_weights(graph, 1))
        x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 5, 3), np.float32))
        y, last = module(x.requires_grad_())
        (y.square().sum() + last.sum()).backward()
        gradients.append([x.grad, *(weight.grad for weight in module.parameters())])
        monkeypatch.setattr(fold, "fuse_loops", lambda graph: (graph, []))
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_names_of_the_cell_are_its_own(tmp_path: Path) -> None:
    """What a pass brings into a loop takes no name that the loop has."""
    graph = loop(
        "state_weight = relu(concat([x_t, h], axis=-1) -> dense(5) as u)"
        "| input_weight = state_weight + (h -> dense(5) as v) | h = input_weight * 0.5",
        states="h",
    )
    hold(graph, tmp_path)
