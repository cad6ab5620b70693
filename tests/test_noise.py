"""What noise and straight-through steps do in training, beside PyTorch's and torchvision's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import load_module
from tests.elaborating import build

IMAGE = "f32[n, 5, 4, 3]"


class StochasticDepth(nn.Module):
    """torchvision's `StochasticDepth(p)`, written as it is there."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        survival = 1.0 - self.p
        noise = torch.empty((x.shape[0], *[1] * (x.dim() - 1))).bernoulli_(survival)
        return x * noise.div_(survival)


def load(call: str, kind: str) -> nn.Module:
    graph = build(f"model M {{\n    input x: {kind}\n    output y = x -> {call}\n}}").graph
    return load_module(emit_module([graph], title="M"), graph)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("call", "kind", "shape", "oracle"),
    [
        ("dropout(30%)", "f32[n, 6]", (9, 6), nn.Dropout(0.3)),
        ("channel_dropout", "f32[n, 5, 4]", (9, 5, 4), nn.Dropout1d()),
        ("channel_dropout(20%)", IMAGE, (9, 5, 4, 3), nn.Dropout2d(0.2)),
        ("channel_dropout(0.7)", "f32[n, 5, 4, 3, 2]", (9, 5, 4, 3, 2), nn.Dropout3d(0.7)),
        ("alpha_dropout", "f32[n, 6]", (9, 6), nn.AlphaDropout()),
        ("alpha_dropout(10%)", IMAGE, (9, 5, 4, 3), nn.AlphaDropout(0.1)),
        ("drop_path", "f32[n, 6]", (40, 6), StochasticDepth(0.1)),
        ("drop_path(60%)", IMAGE, (40, 5, 4, 3), StochasticDepth(0.6)),
        ("drop_path(50%)", "f32[n]", (40,), StochasticDepth(0.5)),
        ("drop_path(0)", "f32[n, 6]", (9, 6), nn.Identity()),
        ("drop_path(1.0)", "f32[n, 6]", (9, 6), nn.Threshold(99.0, 0.0)),
    ],
)
def test_noise_in_training_is_that_of_the_module(
    call: str, kind: str, shape: tuple[int, ...], oracle: nn.Module
) -> None:
    module, x = load(call, kind), draw(*shape)
    oracle.train()
    made = []
    for each in (module.train(), oracle):
        torch.manual_seed(7)
        made.append(each(x))
    torch.testing.assert_close(made[0], made[1])
    assert torch.equal(module.eval()(x), x)


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(p: float) -> None:
    x = draw(200_000)
    y = load(f"alpha_dropout({p})", "f32[n]").train()(x)
    assert abs(float(y.mean())) < 0.02
    assert abs(float(y.var()) - 1) < 0.03


@pytest.mark.parametrize(
    ("call", "forward"),
    [
        ("sign", torch.sign),
        ("unit_step", lambda x: (x >= 0).float()),
    ],
)
def test_a_step_passes_gradients_only_where_it_is_told_to(call: str, forward: Any) -> None:
    x = torch.cat([draw(4, 6) * scale for scale in (1e-30, 1e-3, 1.0, 1e20)])
    x[0, 0] = 0.0
    weights = draw(16, 6)
    for straight in (False, True):
        module = load(f"{call}(straight_through={str(straight).lower()})", "f32[n, 6]")
        given = x.clone().requires_grad_()
        y = module(given)
        assert torch.equal(y, forward(x))
        if not straight and not y.requires_grad:
            continue
        (y * weights).sum().backward()
        assert given.grad is not None
        assert torch.equal(given.grad, weights if straight else torch.zeros_like(x))


def test_a_net_behind_a_straight_through_sign_learns() -> None:
    lines = [
        "model M {",
        "    input x: f32[n, 6]",
        "    output y = x -> dense(4) -> CALL -> dense(1)",
    ]
    moved = {}
    for call in ("sign", "sign(straight_through=true)"):
        graph = build("\n".join([*lines, "}"]).replace("CALL", call)).graph
        module = load_module(emit_module([graph], title="M"), graph)
        module(draw(8, 6)).sum().backward()
        found = dict(module.named_parameters())["dense.weight"].grad
        moved[call] = found is not None and bool(found.abs().sum() > 0)
    assert moved == {"sign": False, "sign(straight_through=true)": True}
