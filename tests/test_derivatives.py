"""`grad`: what it computes in NumPy, PyTorch and ONNX Runtime, in models and in objectives, and
what it refuses."""

from __future__ import annotations

import copy
import json
import runpy
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, open_session
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.verify import verify
from compiler.driver import check
from compiler.ir.cost import summarize
from compiler.ir.evaluate import expand
from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Node, Output, Value
from compiler.ir.operands import Array
from compiler.ir.weights import draw_weights
from compiler.ops.derivative import Grad
from compiler.report.diagnostics import Sink
from tests.elaborating import build, codes, elaborate, elaborate_file
from tests.pytorch_compare import assert_means_the_same, draw_inputs, draw_lively
from tests.test_train_updates import find_codes
from tests.train_scripts import assert_two_processes_agree, lint, run, write, write_shared

ROOT = Path(__file__).resolve().parents[1]
HEAD = (
    "model M() {\n    input x: f32[batch, 4]\n    input z: f32[batch, 4]\n    input n: i64[batch]\n"
)


def load(graph: Graph, weights: Mapping[str, Array]) -> nn.Module:
    """The generated module with these weights."""
    module = load_module(emit_module([graph], title=graph.name), graph)
    assign_weights(module, weights)
    return module


def refuse(body: str) -> list[str]:
    return codes(f"{HEAD}{body}\n    output kept = x + z + cast(n, f32)[:, none]\n}}\n")


@pytest.mark.parametrize(
    "body",
    [
        "output g = grad(sum(x ** 2), z)",
        "output g = grad(sum(detach(x)), x)",
        "output g = grad(sum(sign(x)), x)",
        "output g = grad(sum(cast(x > 0, f32) * z), x)",
        "y = sum(x ** 2)  x = x -> relu  output g = grad(y, x)",
        "output g = grad(sum(x // 2), x)",
        "a, b = topk(x, 2)  output g = grad(sum(cast(b, f32)), x)",
    ],
)
def test_what_does_not_change_has_no_slope(body: str) -> None:
    assert refuse(body.replace("  ", "\n    ")) == ["W1510"]


@pytest.mark.parametrize("body", ["grad(sum(x), n)", "grad(sum(n), x)", "grad(sum(n), n)"])
def test_whole_numbers_have_no_derivative(body: str) -> None:
    assert refuse(f"output g = {body}") == ["W0382"]


def test_several_faults_are_told_at_once() -> None:
    assert refuse("output g = grad(sum(x), z)\n    output h = grad(sum(n), x)") == [
        "W1510",
        "W0382",
    ]


def test_the_message_names_what_passes_nothing() -> None:
    (message,) = elaborate(f"{HEAD}    output g = grad(sum(round(x)), x)\n    a = z  b = n\n}}\n")[
        1
    ]
    assert "`round`" in message.text.label


def test_columns_have_no_derivative(tmp_path: Path) -> None:
    (tmp_path / "d.weft").write_text(
        'data d {\n    source sklearn("digits")\n    image = image / 16\n'
        "    slope = grad(sum(image ** 2), image)\n    split in_order, train=80%, val=20%\n}\n"
    )
    sink = Sink()
    check(tmp_path / "d.weft", sink=sink)
    assert [m.code for m in sink.messages] == ["W0720"]


PLACES = {
    "an input": (
        "model M(k: int = 3) {\n    input image: f32[batch, 1, 6, 6]\n"
        "    logits = image -> conv(4, kernel=3) -> relu -> flatten -> dense(5)\n"
        "    output slope = grad(logits[:, k], image)\n}\n"
    ),
    "a value between": (
        "model M() {\n    input image: f32[batch, 1, 6, 6]\n"
        "    features = image -> conv(4, kernel=3) -> silu\n"
        "    logits = features -> flatten -> dense(5)\n"
        "    output slope = grad(logits, features)\n    output logits = logits\n}\n"
    ),
    "a weight": (
        "model M() {\n    input x: f32[batch, 6]\n    net head = dense(3)\n"
        "    y = head(x -> dense(6) -> tanh)\n"
        "    output slope = grad(y ** 2, head.weight)\n}\n"
    ),
    "twice": (
        "model M() {\n    input x: f32[batch, 6]\n    y = x -> dense(5) -> tanh -> dense(1)\n"
        "    slope = grad(y, x)\n    output bend = grad(slope ** 2, x)\n}\n"
    ),
    "a block": (
        "block slopes(y: f32[n], x: f32[n, d]) {\n    return grad(y, x)\n}\n"
        "block score(x: f32[n, d]) {\n    h = x -> dense(4) -> gelu\n    return sum(h, axis=1)\n}\n"
        "model M() {\n    input x: f32[batch, 6]\n    h = x -> dense(7) -> sigmoid\n"
        "    output s = slopes(score(h), h)\n}\n"
    ),
    "energy": (
        "model M() {\n    input x: f32[batch, 6]\n"
        "    energy = x -> dense(8) -> softplus -> dense(1)\n"
        "    output moved = x - 0.1 * grad(energy, x)\n}\n"
    ),
    "through detach": (
        "model M() {\n    input x: f32[batch, 6]\n    y = x * detach(x -> dense(6)) + x ** 3\n"
        "    output slope = grad(y, x)\n}\n"
    ),
    "two slopes of one value": (
        "model M() {\n    input x: f32[batch, 6]\n    h = x -> dense(6)\n"
        "    output a = grad(exp(h), h)\n    output b = grad(sin(h), h)\n"
        "    output c = grad(h * x, x)\n}\n"
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("seed", [0, 3])
def test_the_module_computes_the_derivative(place: str, seed: int) -> None:
    """Under `torch.no_grad()`, as modules run where they are used."""
    text = assert_means_the_same(build(PLACES[place]).graph, {"batch": 3 + seed}, seed)
    assert text.count("@torch.enable_grad()") == 1


@pytest.mark.parametrize("place", PLACES)
def test_onnx_runtime_computes_the_derivative(place: str, tmp_path: Path) -> None:
    net = build(PLACES[place])
    weights = draw_lively(net.graph)
    module = load(net.graph, weights)
    path, sink = tmp_path / "m.onnx", Sink()
    compile_onnx(net.graph, weights, path)
    report = verify(
        net.graph, weights, torch_module=module, onnx_path=path, device=Device.CPU, sink=sink
    )
    assert report.passed, [m.text for m in sink.messages]


def test_a_gradient_goes_through_the_slope() -> None:
    """The weights of a module learn from what it computes of its derivative."""
    graph = build(PLACES["twice"]).graph
    weights = draw_lively(graph)
    module = load(graph, weights)
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    module(x).square().sum().backward()
    plain = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1))
    with torch.no_grad():
        for own, path in zip(plain.parameters(), weights, strict=True):
            own.copy_(torch.from_numpy(weights[path]))
    given = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(plain(given).sum(), given, create_graph=True)
    (bend,) = torch.autograd.grad(slope.square().sum(), given, create_graph=True)
    bend.square().sum().backward()
    for own, other in zip(plain.parameters(), module.parameters(), strict=True):
        assert (own.grad is None) == (other.grad is None)
        if own.grad is not None and other.grad is not None:
            torch.testing.assert_close(other.grad, own.grad)


def test_what_is_not_used_costs_nothing() -> None:
    """Of a dense layer whose weight nothing differentiates by, no derivative by it is written."""
    graph = expand(build(PLACES["energy"]).graph)
    assert not any(node.op.of_graph for node in graph.nodes)
    assert sum(node.op.name == "matmul" for node in graph.nodes) == 2


SCAN = """
model M() {
    input start: f32[batch, 6]
    input push: f32[batch, 4, 6]
    net energy = chain
    h = start
    scan p_t in push, axis=1 {
        e = energy(h)
        h = h - 0.1 * grad(e, h) + 0.01 * grad(e * sum(p_t ** 3, axis=1, keep=true), p_t)
    }
    output h = h
}
let chain = dense(5) -> tanh -> dense(1)
"""


def test_loops_differentiate_by_what_their_turn_has() -> None:
    assert_means_the_same(build(SCAN).graph, {"batch": 3})


def test_loops_do_not_differentiate_by_what_is_outside() -> None:
    assert codes(SCAN.replace("grad(e, h)", "grad(e + sum(start), start)")) == ["W1510"]


def test_nothing_is_differentiated_by_a_buffer() -> None:
    text = (
        "model M() {\n    input x: f32[n, 2]\n    buffer shift: f32[2] = zeros()\n"
        "    output s = grad(x * shift, shift)\n}\n"
    )
    assert codes(text) == ["W1510"]


CAM = """
model M(classes: int = 10, shown: int = 4) {
    input image: f32[batch, 1, 28, 28]
    features = image -> conv(6, kernel=5, padding=2) as conv1 -> relu -> max_pool(2)
        -> conv(16, kernel=5) as conv2 -> relu
    logits = features -> avg_pool(2) -> flatten -> dense(120) as fc1 -> relu
        -> dense(classes) as fc2
    weight = mean(grad(logits[:, shown], features), axis=[2, 3], keep=true)
    output heat = relu(sum(weight * features, axis=1))
    output logits = logits
    output saliency = max(abs(grad(logits[:, shown], image)), axis=1)
}
"""


def test_a_file_explains_its_classes(tmp_path: Path) -> None:
    """Grad-CAM (Selvaraju et al. 2017) and saliency of LeNet, beside PyTorch's own."""
    graph = build(CAM).graph
    weights = draw_lively(graph)
    path = tmp_path / "cam.onnx"
    compile_onnx(graph, weights, path)
    image = np.random.default_rng(2).normal(size=(3, 1, 28, 28)).astype(np.float32)
    found = open_session(path, device=Device.CPU).run({"image": image})
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}

    def layer(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return tensors[f"{name}.weight"], tensors[f"{name}.bias"]

    def dense(x: torch.Tensor, name: str) -> torch.Tensor:
        return nn.functional.linear(x, *layer(name))

    given = torch.from_numpy(image).requires_grad_()
    first = nn.functional.conv2d(given, *layer("conv1"), padding=2).relu()
    features = nn.functional.conv2d(nn.functional.max_pool2d(first, 2), *layer("conv2")).relu()
    pooled = nn.functional.avg_pool2d(features, 2).flatten(1)
    logits = dense(dense(pooled, "fc1").relu(), "fc2")
    by_features, by_image = torch.autograd.grad(logits[:, 4].sum(), [features, given])
    heat = (by_features.mean((2, 3), keepdim=True) * features).sum(1).relu()
    for name, wanted in (
        ("heat", heat),
        ("logits", logits),
        ("saliency", by_image.abs().amax(1)),
    ):
        np.testing.assert_allclose(found[name], wanted.detach().numpy(), rtol=1e-4, atol=1e-5)


PENALTY = """
model Critic(width: int = 8) {
    input features: f32[batch, 4]
    output score: f32[batch, 1] = features -> dense(width) as fc -> tanh -> dense(1) as out
}
data iris {
    source npz("iris.npz")
    split random(seed=0), train=96, val=27, test=27
}
train fit on iris {
    net critic = Critic()
    other = detach(features[:, 0:1] * 0.5 + features)
    between = 0.3 * features + 0.7 * other
    slope = grad(sum(critic(between)), between)
    penalty = mean((norm(slope, axis=1) - 1) ** 2)
    minimize mean(critic(other)) - mean(critic(features)) + 10 * penalty with sgd(lr=0.05)
    metric steepness = mean(norm(slope, axis=1))
    batch 24  epochs 2  seed 0
}
"""


def test_an_objective_has_a_gradient_penalty(tmp_path: Path) -> None:
    """A training is that of PyTorch code written by hand, and is measured without gradients."""
    folder = write(PENALTY, tmp_path)
    text = (folder / "train.py").read_text()
    assert "torch.autograd.grad(" in text
    assert "between.requires_grad_()" in text
    done = run(folder, "run")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(r["val.loss"]) and r["val.steepness"] > 0 for r in records)
    lint(folder)


def test_the_objective_is_that_of_code_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss and all gradients, through the slope too, also where gradients are off."""
    folder = write(PENALTY, tmp_path)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "model", raising=False)
    script = runpy.run_path(str(folder / "train.py"), run_name="script")
    monkeypatch.delitem(sys.modules, "model")
    critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    made = copy.deepcopy(critic)
    rows = torch.randn(24, 4, generator=torch.Generator().manual_seed(5))
    between = (0.3 * rows + 0.7 * (rows[:, :1] * 0.5 + rows)).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
    other = rows[:, :1] * 0.5 + rows
    wanted = critic(other).mean() - critic(rows).mean() + 10 * penalty
    loss, steepness = script["compute_loss"](made, rows)
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(steepness, slope.norm(dim=1).mean())
    parameters = [list(net.parameters()) for net in (made, critic)]
    found = [torch.autograd.grad(t, p) for t, p in zip((loss, wanted), parameters, strict=True)]
    torch.testing.assert_close(*found)
    with torch.no_grad():
        torch.testing.assert_close(script["compute_loss"](made, rows)[0], wanted)


BY_WEIGHT = """
model Net {
    input x: f32[batch, 4]
    net lift = dense(8)
    output y: f32[batch, 3] = x -> lift -> tanh -> dense(3) as head
}
data iris {
    source sklearn("iris")
    x = features
    split random(seed=0), train=96, val=27, test=27
}
train fit on iris {
    net first = Net()
    net second = Net()
    net slow = ema(first)
    loss = cross_entropy(first(x) + second(x) + slow(x), label)
    slope = grad(loss, first.lift.weight)
    minimize loss + mean(slope ** 2) with adam(lr=1e-3)
    batch 24  epochs 4
}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("batch 24", 'freeze "first.lift.*"  batch 24'),
        ("batch 24", 'freeze "first.*", until=2epochs  batch 24'),
        ("grad(loss, first", "grad(loss, slow"),
        ("ema(first)\n", "Net()\n    freeze first\n"),
        ("first = Net()", "first = Net() -> lora(rank=2)"),
    ],
)
def test_nothing_is_differentiated_by_what_is_frozen(old: str, new: str, tmp_path: Path) -> None:
    assert find_codes(BY_WEIGHT, tmp_path) == set()
    assert find_codes(BY_WEIGHT.replace(old, new), tmp_path) == {"W1494"}


def test_two_processes_differentiate_as_one(tmp_path: Path) -> None:
    folder = write_shared(PENALTY, tmp_path)
    assert_two_processes_agree(folder, "val.steepness")


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "vae"])
def test_saliency_of_networks(name: str, tmp_path: Path) -> None:
    """Where the first output of a network looks: ONNX Runtime beside PyTorch's autograd."""
    nets, messages = elaborate_file(ROOT / "specs" / "models" / f"{name}.weft")
    assert not messages
    graph = next(iter(nets.values())).graph
    x, y = graph.inputs[0].value, graph.outputs[0].value
    node = Node(Grad(), (y, x), (Value("%saliency", x.type),), graph.frame, Site())
    outputs = (graph.outputs[0], Output("saliency", node.output))
    graph = replace(graph, nodes=(*graph.nodes, node), outputs=outputs)
    weights, inputs = draw_weights(graph), draw_inputs(graph, dict.fromkeys(graph.symbols, 2))
    path = tmp_path / "net.onnx"
    compile_onnx(graph, weights, path)
    found = open_session(path, device=Device.CPU).run(inputs)["saliency"]
    with torch.no_grad():
        given = (torch.from_numpy(array) for array in inputs.values())
        wanted = load(graph, weights).eval()(*given)[1].detach().numpy()
    assert np.abs(wanted).max() > 0
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_derivatives_have_their_cost() -> None:
    """A slope by the input of a dense layer costs as much as the layer."""
    text = "model M() {\n    input x: f32[1, 64]\n    y = x -> dense(32)\n    output s = SLOPE\n}\n"
    plain, made = (
        summarize(build(text.replace("SLOPE", slope)).graph).multiply_adds
        for slope in ("y ** 2", "grad(y ** 2, x)")
    )
    assert plain == 64 * 32
    assert made == 2 * plain


def test_a_slope_of_weights_alone_is_folded(tmp_path: Path) -> None:
    net = build(
        "model M() {\n    input x: f32[n, 3]\n    param w: f32[3] = normal(1.0)\n"
        "    output y = x * grad(w ** 3, w)\n}\n"
    )
    assert_means_the_same(net.graph, {"n": 2})
    weights = draw_lively(net.graph)
    report = compile_onnx(net.graph, weights, tmp_path / "m.onnx")
    assert report.nodes == 1


THROUGH_TIME = """
model M() {
    input tokens: f32[batch, t, 5]
    h = zeros([batch, 6])
    c = ones([batch, 6])
    scan x_t in tokens, axis=1 {
        a = concat([x_t, h], axis=-1) -> dense(6) as cell -> tanh
        c = sigmoid(x_t -> dense(6) as gate) * c + a
        h = a * tanh(c)
        emit states = h * a
    }
    logits = h -> dense(3) as head
    output slope = grad(sum(logits[:, 1]) + sum(states ** 2), tokens)
    output h = h
}
"""
COUNTED = """
model M() {
    input x: f32[batch, 5]
    h = x
    scan k in 1..4 {
        h = h * sin(x) + 0.1 * cast(k, f32) * tanh(h)
        emit trace = h
    }
    output slope = grad(sum(h) + sum(trace * 0.5), x)
    output bend = grad(sum(slope ** 2), x)
}
"""


@pytest.mark.parametrize(
    ("spec", "sizes"), [(THROUGH_TIME, {"batch": 2, "t": 4}), (COUNTED, {"batch": 3})]
)
def test_slopes_go_through_loops(spec: str, sizes: Mapping[str, int], tmp_path: Path) -> None:
    """Backpropagation through time, in NumPy, PyTorch and ONNX Runtime."""
    net = build(spec)
    assert_means_the_same(net.graph, sizes)
    weights, sink = draw_lively(net.graph), Sink()
    path = tmp_path / "m.onnx"
    compile_onnx(net.graph, weights, path)
    module = load(net.graph, weights)
    report = verify(
        net.graph, weights, torch_module=module, onnx_path=path, device=Device.CPU, sink=sink
    )
    assert report.passed, [m.text for m in sink.messages]
