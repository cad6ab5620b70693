"""Batch normalisation of the rows that a mask has, beside PyTorch's own of these rows alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, open_session
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import load_module
from compiler.ir.weights import draw_weights
from tests.elaborating import build, elaborate

JETS = """
model Net(width: int = 8) {{
    input jets: f32[batch, t, 5]
    input seen: bool[batch, t]
    x = masked_batch_norm(jets, seen{options}) as norm
    x = masked_batch_norm(x -> dense(width) as fc, seen) -> relu
    output y = max(x, axis=1) -> dense(3) as head
}}
"""
OPTIONS = ("", ", eps=1e-2, momentum=0.3", ", affine=false", ", momentum=1.0, affine=false")


def load_net(options: str) -> Any:
    graph = build(JETS.format(options=options), "Net").graph
    return load_module(emit_module([graph], title="Net"), graph)


def draw(batch: int, t: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Jets whose entries that do not count are no numbers."""
    torch.manual_seed(seed)
    seen = torch.arange(t) < torch.randint(1, t + 1, (batch, 1))
    jets = (3 * torch.randn(batch, t, 5) + 2).where(seen[..., None], torch.nan)
    return jets, seen


@pytest.mark.parametrize("options", OPTIONS)
def test_training_is_that_of_the_rows_alone(options: str) -> None:
    given = dict(pair.split("=") for pair in options.replace(" ", "").split(",") if pair)
    eps, momentum = float(given.get("eps", 1e-5)), float(given.get("momentum", 0.1))
    wanted = nn.BatchNorm1d(5, eps, momentum, affine="affine" not in given)
    norm = load_net(options).norm.train()
    wanted.load_state_dict(norm.state_dict())
    for seed in range(3):
        jets, seen = draw(4, 6, seed)
        rows = jets[seen].clone().requires_grad_()
        jets.requires_grad_()
        found, expected = norm(jets, seen), wanted(rows)
        torch.testing.assert_close(found[seen], expected)
        assert not found[~seen].any()
        (found**3).sum().backward()
        (expected**3).sum().backward()
        assert jets.grad is not None
        assert rows.grad is not None
        torch.testing.assert_close(jets.grad[seen], rows.grad)
        assert not jets.grad[~seen].any()
    for name, value in wanted.state_dict().items():
        torch.testing.assert_close(norm.state_dict()[name], value)
    for name, parameter in wanted.named_parameters():
        torch.testing.assert_close(norm.get_parameter(name).grad, parameter.grad)


def test_padding_changes_nothing_in_any_backend(tmp_path: Path) -> None:
    graph = build(JETS.format(options=""), "Net").graph
    weights = draw_weights(graph, 0)
    weights = {p: np.abs(a) + 0.1 if "running" in p else a for p, a in weights.items()}
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    session = open_session(tmp_path / "net.onnx", device=Device.CPU)
    for batch, t in ((1, 4), (3, 7)):
        jets, seen = draw(batch, t)
        longer = torch.cat([jets, torch.full((batch, 2, 5), torch.inf)], 1)
        more = torch.cat([seen, torch.zeros(batch, 2, dtype=torch.bool)], 1)
        (y,) = session.run({"jets": jets.numpy(), "seen": seen.numpy()}).values()
        (z,) = session.run({"jets": longer.numpy(), "seen": more.numpy()}).values()
        assert np.isfinite(y).all()
        np.testing.assert_array_equal(y, z)


def test_weights_that_are_given_have_a_function() -> None:
    spec = """
    model M {
        input x: f32[n, t, 4]
        input mask: bool[n, t]
        param w: f32[4] = normal(1.0)
        param b: f32[4] = zeros
        buffer mean: f32[4] = zeros
        buffer var: f32[4] = ones
        output y = masked_batch_norm(x, mask, weight=w, bias=b, running_mean=mean, running_var=var)
    }
    """
    graph = build(spec, "M").graph
    module = load_module(emit_module([graph], title="M"), graph).train()
    plain = nn.BatchNorm1d(4)
    plain.weight.data = module.w.data.clone()
    x, mask = torch.randn(3, 5, 4), torch.rand(3, 5) > 0.3
    torch.testing.assert_close(module(x, mask)[mask], plain(x[mask]))
    torch.testing.assert_close(module.mean, plain.running_mean)
    torch.testing.assert_close(module.var, plain.running_var)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        ("bool[batch, t + 1]", "bool[batch, t]"),
        ("bool[batch, t, 5]", "bool[batch, t]"),
        ("f32[batch, t]", "bool[batch, t]"),
    ],
)
def test_masks_that_do_not_fit(mask: str, reason: str) -> None:
    spec = JETS.format(options="").replace("seen: bool[batch, t]", f"seen: {mask}")
    _, messages = elaborate(spec)
    assert {message.code for message in messages} == {"W0387"}
    assert all(reason in message.text.label for message in messages)
