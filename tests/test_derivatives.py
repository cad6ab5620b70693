"""`grad`: what it computes in NumPy, PyTorch and ONNX Runtime, in models and in objectives, and
what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.verify import verify
from compiler.driver import check
from compiler.ir.evaluate import expand
from compiler.ir.graph import Graph
from compiler.ir.operands import Array
from compiler.report.diagnostics import Sink
from tests.elaborating import build, codes, elaborate
from tests.pytorch_compare import assert_means_the_same, draw_lively

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
