"""Activations and channel shuffle of the library against PyTorch and their formulas, and what
prune makes of the shuffle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.compression.pruning.cutting import cut_net
from compiler.compression.pruning.groups import find_channels
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from tests.elaborating import build
from tests.pytorch_compare import draw_lively
from tests.std_blocks import compare_block, type_text
from tests.test_pruning_random import assert_same_outputs, put_zeros

DRAWN = np.random.default_rng(11)
ROWS = DRAWN.normal(size=(5, 6)).astype(np.float32)
IMAGES = DRAWN.normal(size=(3, 12, 2, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("call", "oracle"),
    [
        ("swiglu(x)", lambda x: functional.silu(x[:, :3]) * x[:, 3:]),
        ("swiglu(x, gate_last=true)", lambda x: x[:, :3] * functional.silu(x[:, 3:])),
        ("geglu(x)", lambda x: functional.gelu(x[:, :3]) * x[:, 3:]),
        ("geglu(x, gate_last=true)", lambda x: x[:, :3] * functional.gelu(x[:, 3:])),
        ("reglu(x)", lambda x: functional.relu(x[:, :3]) * x[:, 3:]),
        ("reglu(x, gate_last=true)", lambda x: x[:, :3] * functional.relu(x[:, 3:])),
        ("squared_relu(x)", lambda x: functional.relu(x) ** 2),
        ("quick_gelu(x)", lambda x: x * torch.sigmoid(1.702 * x)),
        ("log_softmin(x, axis=1)", lambda x: functional.softmin(x, dim=1).log()),
    ],
)
def test_rows_are_those_of_the_formula(call: str, oracle: Callable[[Tensor], Tensor]) -> None:
    compare_block("activations", call, {"x": ROWS}, oracle)


def test_a_gate_may_lie_along_channels() -> None:
    compare_block(
        "activations",
        "reglu(x, axis=1)",
        {"x": IMAGES},
        lambda x: functional.relu(x[:, :6]) * x[:, 6:],
    )


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 12])
def test_channels_are_shuffled_as_in_pytorch(groups: int) -> None:
    oracle = nn.ChannelShuffle(groups)
    compare_block("vision", f"channel_shuffle(x, {groups})", {"x": IMAGES}, oracle)


class Gated(nn.Module):
    """Llama's feed-forward layer as its authors wrote it."""

    def __init__(self, act: Callable[[Tensor], Tensor], *, bias: bool) -> None:
        super().__init__()
        self.act = act
        self.gate_proj = nn.Linear(6, 9, bias=bias)
        self.up_proj = nn.Linear(6, 9, bias=bias)
        self.down_proj = nn.Linear(9, 6, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.down_proj(self.act(self.gate_proj(x)) * self.up_proj(x))
        return made


class Snake(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        a = self.alpha.view(-1, *[1] * (x.dim() - 2))
        return x + (1 - torch.cos(2 * a * x)) / (2 * a)


class Maxout(nn.Module):
    def __init__(self, out: int, pieces: int, *, bias: bool) -> None:
        super().__init__()
        self.out, self.pieces = out, pieces
        self.linear = nn.Linear(6, out * pieces, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.linear(x)
        unit = [made[:, i * self.pieces : (i + 1) * self.pieces] for i in range(self.out)]
        return torch.stack([each.max(dim=1).values for each in unit], dim=1)


@pytest.mark.parametrize(
    ("call", "oracle", "given"),
    [
        ("gated_feed_forward(x, 9)", Gated(functional.silu, bias=False), ROWS),
        (
            "gated_feed_forward(x, 9, act=gelu, bias=true)",
            Gated(functional.gelu, bias=True),
            ROWS,
        ),
        ("gated_feed_forward(x, 9, act=identity)", Gated(lambda x: x, bias=False), ROWS),
        ("snake(x)", Snake(6), ROWS),
        ("snake(x)", Snake(12), IMAGES),
        ("maxout(x, 4)", Maxout(4, 2, bias=True), ROWS),
        ("maxout(x, 2, pieces=3, bias=false)", Maxout(2, 3, bias=False), ROWS),
    ],
)
def test_layers_have_the_parameters_and_numbers_of_others(
    call: str, oracle: nn.Module, given: Any
) -> None:
    lines = ["use std.activations", "model M {", f"    input x: {type_text(given)}"]
    graph = build("\n".join([*lines, f"    output y = {call} as net", "}"])).graph
    weights = draw_lively(graph)
    own = {path.removeprefix("net."): torch.tensor(array) for path, array in weights.items()}
    oracle.load_state_dict(own)
    x = torch.tensor(given)
    expected = oracle(x).detach().numpy()
    (meant,) = evaluate(graph, weights, {"x": given}).values()
    np.testing.assert_allclose(meant, expected, atol=2e-5)
    module = load_module(emit_module([graph], title="M"), graph)
    assign_weights(module, weights)
    np.testing.assert_allclose(module(x).detach().numpy(), expected, atol=2e-5)


SHUFFLED = """
use std.vision
model M {
    input image: f32[batch, 3, 8, 8]
    x = image -> conv(WIDTH, kernel=1) as stem -> relu
    y = x -> conv(WIDTH, kernel=1, groups=GROUPS) as inner -> relu -> channel_shuffle(GROUPS)
        -> conv(WIDTH, kernel=3, padding=1, groups=WIDTH) as deep
        -> conv(WIDTH, kernel=1, groups=GROUPS) as outer
    output y = (x + y) -> global_avg_pool -> dense(2) as head
}
"""


@pytest.mark.parametrize(("width", "groups", "left"), [(18, 3, 2), (16, 2, 4), (32, 4, 2)])
def test_a_unit_with_a_channel_shuffle_is_pruned(width: int, groups: int, left: int) -> None:
    text = SHUFFLED.replace("WIDTH", str(width)).replace("GROUPS", str(groups))
    graph = build(text).graph
    channels = find_channels(graph)
    inside = next(group for group in channels.groups if "inner" in group.makers)
    assert inside.size == left, "alike in every group, on both sides of the shuffle"
    choices = [np.arange(group.size) == 0 for group in channels.groups]
    net = put_zeros(WeightedNet(graph, draw_lively(graph)), channels, choices)
    cut = cut_net(net, channels, channels.mark(choices))
    small = cut.graph.parameter["deep.weight"].value.type.shape[0].known
    assert small is not None
    assert small < width
    assert_same_outputs(net, cut)
