"""`training`: both versions of a net from one spec, in PyTorch, NumPy and training scripts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backends.pytorch.run.load import run_source
from compiler.ir.evaluate import evaluate
from compiler.ir.modes import has_modes, take_evaluation
from compiler.ir.printer import print_graph
from compiler.ir.reader import read_graph
from compiler.ops.registry import load_ops
from tests.elaborating import build, codes, elaborate
from tests.pytorch_compare import assert_means_the_same, draw_lively
from tests.train_scripts import (
    DIGITS,
    assert_two_processes_agree,
    load_state,
    run,
    share,
    write,
)

DROP = """
block drop(x: f32[..., d], keep: float = 0.9) {
    CODE
}
model M(keep: float = 0.75) {
    input x: f32[batch, 40]
    output y = x -> drop(keep)
}
"""
WAYS = {
    "expression": "return if training then x * bernoulli_like(x, keep) / keep else x",
    "reversed": "return if not training then x else x * bernoulli_like(x, keep) / keep",
    "statement": "if training { x = x * bernoulli_like(x, keep) / keep }  return x",
    "early": "if not training { return x }  m = bernoulli_like(x, keep)  return x * m / keep",
    "bound": "for _ in 0..1 { y = if training then bernoulli_like(x, keep) / keep else 1 + 0 * x }"
    "  return x * y",
    "nested": "if training and 1 < 2 { if training { x = x * bernoulli_like(x, keep) / keep } }"
    " else { if training { x = 2 * x } }  return x",
}


@pytest.mark.parametrize("way", WAYS)
def test_dropout_by_hand_drops_in_training_alone(way: str) -> None:
    net = build(DROP.replace("CODE", WAYS[way]))
    text = assert_means_the_same(net.graph, {"batch": 3})
    assert text.count("if self.training:") + text.count("if not self.training:") == 1
    module = run_source(text).M(keep=0.6)
    x = torch.rand(500, 40) + 1
    torch.testing.assert_close(module.eval()(x), x)
    torch.manual_seed(0)
    ratio = module.train()(x) / x
    kept = ratio > 0
    torch.testing.assert_close(ratio[kept], torch.full_like(ratio[kept], 1 / 0.6))
    assert kept.float().mean().item() == pytest.approx(0.6, abs=0.02)


def test_layers_of_both_versions_are_one() -> None:
    net = build(
        "block head(x: f32[n, d], k: int) { return x -> dense(k) as fc -> tanh }\n"
        "model M { input x: f32[batch, 4]\n"
        "if training { g = x + 1  y = g -> head(3) as a } else { y = x -> head(3) as a }\n"
        "output z = y -> dense(2) }"
    )
    graph = net.graph
    assert [p.path for p in graph.parameters] == [
        "a.fc.weight",
        "a.fc.bias",
        "dense.weight",
        "dense.bias",
    ]
    text = assert_means_the_same(graph, {"batch": 3})
    weights = draw_lively(graph)
    module = run_source(text).M()
    module.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    x = torch.randn(5, 4)
    torch.testing.assert_close(module.train()(x), module.eval()(x + 1))


def test_the_version_of_evaluation_draws_nothing() -> None:
    graph = build(DROP.replace("CODE", WAYS["early"])).graph
    assert has_modes(graph)
    evaluated = take_evaluation(graph)
    assert not any(node.op.draws or node.op.of_mode for node in evaluated.nodes)
    x = np.random.default_rng(3).normal(size=(4, 40)).astype(np.float32)
    np.testing.assert_array_equal(evaluate(graph, {}, {"x": x})["y"], x)
    again = read_graph(print_graph(graph), load_ops())
    assert [node.op for node in again.nodes] == [node.op for node in graph.nodes]


def test_what_is_the_same_in_both_modes_is_made_once() -> None:
    net = build(
        "model M(wide: bool = false) { input x: f32[batch, 4]\n"
        "output y = if training and wide then (x -> dense(4)) else 2 * x }"
    )
    assert not has_modes(net.graph)


NET = "model M {{ input x: f32[batch, 4]\n{}\noutput y = x }}"
FAULTS = {
    "if training { z = x -> dense(4) as a  x = z }": "W1559",
    "if training { x = x -> dense(4) as a } else { x = x -> dense(4, bias=false) as a }": "W1559",
    "x = if training then (x -> dense(4)) else (x -> dense(4) as other)": "W1559 W1559",
    "p = if training then 2 else 3  x = p * x": "W1560",
    "p = 2  if training { p = 3 }  x = p * x": "W1560",
    "act = if training then relu else tanh  x = x -> act": "W1560",
    "x = if training then x else x[:, 0:2]": "W1560",
    "if training { m = 2 * x }  x = x + m": "W1561",
    "if training { output z = x }": "W1562",
    "if training { input z: f32[batch] }": "W1562",
    "net f = dense(4, bias=training)  x = f(x)": "W1558",
    "if training { param w: f32[4] = ones  x = w * x } "
    "else { param w: f32[4] = zeros  x = w * x }": "W1560",
    "if training { param w: f32[4] = ones  x = w * x } "
    "else { buffer w: f32[4] = ones  x = w * x }": "W1560",
}


@pytest.mark.parametrize("lines", FAULTS)
def test_versions_that_cannot_be_joined_are_refused(lines: str) -> None:
    assert " ".join(codes(NET.format(lines))) == FAULTS[lines]


def test_faults_of_both_versions_are_said_at_once() -> None:
    _, messages = elaborate(
        NET.format("if training { x = x -> dens(4) } else { x = x -> conv1(4) }\nw = x -> foo")
    )
    assert [m.code for m in messages if m.code == "W0201"] == ["W0201"] * 3


def test_a_net_that_one_version_uses_too_is_everyones() -> None:
    net = build(NET.format("net e = dense(4)\nif training { x = e(x) }\nx = e(x)"))
    assert [p.path for p in net.graph.parameters] == ["e.weight", "e.bias"]
    assert_means_the_same(net.graph, {"batch": 2})


def test_a_column_or_argument_of_that_name_hides_it() -> None:
    net = build(
        "model M(training: bool = true) { input x: f32[b, 4]\n"
        "output y = if training then 2 * x else x }"
    )
    assert not has_modes(net.graph)


NOISY = DIGITS.replace("batch_norm -> ", "").replace(
    "x -> dropout(25%) -> dense(10) as head",
    "(if training then x + 0.3 * x * normal_like(x) else x) -> dense(10) as head",
)


@pytest.mark.parametrize(
    "line",
    [
        "x -> scaled(training=0.1)",
        "scaled(x, training=0.25)",
        "x -> dense(2) as training -> scaled",
        "x -> scaled as training[0]",
    ],
)
def test_an_argument_or_a_stage_of_that_name_asks_for_no_mode(line: str) -> None:
    block = "block scaled(x: f32[n, d], training: float = 0.5) { return x * training }\n"
    graph = build(f"{block}model M{{ input x: f32[n, 2]  output y = {line} }}").graph
    assert not has_modes(graph)


def test_a_training_draws_and_its_evaluation_does_not(tmp_path: Path) -> None:
    folder = write(NOISY, tmp_path)
    text = (folder / "train.py").read_text()
    assert "torch.manual_seed(SEED + 1000 * epoch)" in text
    assert "if self.training:" in (folder / "model.py").read_text()
    assert run(folder, "one").returncode == 0
    assert run(folder, "two").returncode == 0
    one, two = (load_state(folder / out)["model"] for out in ("one", "two"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    plain = tmp_path / "plain"
    plain.mkdir()
    still = NOISY.replace("0.3 * x", "0.0 * x")
    assert run(write(still, plain), "one").returncode == 0
    other = load_state(plain / "one")["model"]
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_two_processes_share_a_training_with_modes(tmp_path: Path) -> None:
    same = NOISY.replace("normal_like(x)", "cos(x)")
    assert_two_processes_agree(write(share(same), tmp_path), "val.loss", "val.accuracy")
