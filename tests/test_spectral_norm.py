"""Spectral normalisation beside PyTorch's, over steps of training and in evaluation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import spectral_norm

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import load_module
from compiler.ir.evaluate import evaluate
from tests.elaborating import build, codes

IMAGES, LINES = "f32[batch, 4, 6, 6]", "f32[batch, 7]"


@pytest.mark.parametrize(
    ("call", "make", "kind"),
    [
        ("spectral_norm_dense(5)", lambda: nn.Linear(7, 5), LINES),
        ("spectral_norm_dense(5, bias=false)", lambda: nn.Linear(7, 5, bias=False), LINES),
        (
            "spectral_norm_conv2d(6, 3, stride=2, padding=1, groups=2)",
            lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
            IMAGES,
        ),
        ("spectral_norm_conv2d(6, 2, iterations=3)", lambda: nn.Conv2d(4, 6, 2), IMAGES),
    ],
)
def test_it_is_pytorchs(call: str, make: Callable[[], nn.Module], kind: str) -> None:
    """Outputs, gradients and the buffers: in evaluation, over four steps of training, and after."""
    body = f"    input x: {kind}\n    output y = x -> {call} as l"
    text = f"use std.normalization\nmodel M {{\n{body}\n}}"
    graph = build(text).graph
    module = load_module(emit_module([graph], title="M"), graph)
    oracle = spectral_norm(make(), n_power_iterations=3 if "iterations" in call else 1)
    for name in ("l.weight_u", "l.weight_v"):
        torch.testing.assert_close(module.state_dict()[name].norm().item(), 1.0)
    module.load_state_dict({f"l.{name}": tensor for name, tensor in oracle.state_dict().items()})
    generator = torch.Generator().manual_seed(1)
    optimizers = [torch.optim.SGD(m.parameters(), 0.001) for m in (module, oracle)]
    size = (3, *(int(n) for n in kind.removesuffix("]").split(", ")[1:]))
    for training in (False, True, True, True, True, False):
        x = torch.randn(size, generator=generator)
        results = []
        for layer, optimizer in zip((module, oracle), optimizers, strict=True):
            given = x.clone().requires_grad_()
            # Two calls, each of which moves the buffers on.
            y = layer.train(training)(given) + layer(2 * given)
            optimizer.zero_grad()
            y.square().mean().backward()
            buffers = [b.clone() for b in layer.buffers()]
            results.append((y.detach(), given.grad, buffers))
            optimizer.step()
        torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-5)
    for name, tensor in oracle.state_dict().items():
        mine = module.state_dict()[f"l.{name}"]
        torch.testing.assert_close(mine, tensor, rtol=1e-5, atol=1e-5)
    weights = {path: tensor.numpy() for path, tensor in module.state_dict().items()}
    (meant,) = evaluate(graph, weights, {"x": x.numpy()}).values()
    np.testing.assert_allclose(meant, module(x).detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("spectral_norm(w, u, v, axis=2)", "W0376"),
        ("spectral_norm(w, v, u)", "W0387"),
        ("spectral_norm(w, u, u)", "W0387"),
        ("spectral_norm(u, u, v)", "W0380"),
        ("spectral_norm(w, u, v, iterations=0)", "W0353"),
        ("spectral_norm(w, w, v)", "W0387"),
    ],
)
def test_what_does_not_fit_is_refused(call: str, code: str) -> None:
    text = f"""
model M {{
    input x: f32[batch, 4]
    param w: f32[3, 4] = normal()
    buffer u: f32[3] = normal()
    buffer v: f32[4] = normal()
    s = {call}
    output y = x + sum(s) + sum(w) + sum(u) + sum(v)
}}
"""
    assert codes(text) == [code]
