"""Attention, positions and masks of the library against PyTorch's modules and other formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.ir.evaluate import evaluate
from compiler.ir.weights import draw_weights
from tests.elaborating import build
from tests.pytorch_compare import draw_lively
from tests.std_blocks import compare_block, type_text

DRAWN = np.random.default_rng(5)
ROWS, T, S, D = 3, 6, 4, 8


def draw(*shape: int) -> Any:
    return DRAWN.normal(size=(ROWS, *shape)).astype(np.float32)


X, MEMORY, VALUES = draw(T, D), draw(S, D), draw(S, 3)
HEADS = draw(2, T, D)
SEEN = DRAWN.random((ROWS, S)) < 0.7
SEEN[:, 0] = True
KEPT = DRAWN.random((ROWS, T)) < 0.7
KEPT[:, 0] = True
LENGTHS = DRAWN.integers(0, T + 1, ROWS)
GIVEN = {
    "x": X,
    "memory": MEMORY,
    "values": VALUES,
    "heads": HEADS,
    "seen": SEEN,
    "kept": KEPT,
    "lengths": LENGTHS,
}


def compare_module(
    call: str,
    names: str,
    oracle: nn.Module,
    run: Callable[..., Any] | None = None,
    part: str = "",
    *,
    training: bool = False,
) -> None:
    """A call `… as net` has the parameters of a module of PyTorch, and its results; of several
    `part` says which is compared. In `training` it drops the same."""
    inputs = {name: GIVEN[name] for name in names.split()}
    lines = [f"    input {name}: {type_text(array)}" for name, array in inputs.items()]
    text = ["use std.attention", "model M {", *lines, f"    output y = ({call} as net){part}", "}"]
    graph = build("\n".join(text)).graph
    weights = draw_lively(graph)
    own = {path.removeprefix("net."): torch.tensor(array) for path, array in weights.items()}
    oracle.load_state_dict(own)
    oracle.eval()
    tensors = [torch.tensor(array) for array in inputs.values()]
    with torch.no_grad():
        expected = (run or oracle)(*tensors).numpy()
    (meant,) = evaluate(graph, weights, inputs).values()
    np.testing.assert_allclose(meant, expected, atol=2e-5)
    module = load_module(emit_module([graph], title="M"), graph)
    assign_weights(module, weights)
    module.eval()
    with torch.no_grad():
        found = module(*tensors).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)
    if not training:
        return
    with torch.no_grad():
        oracle.train()
        torch.manual_seed(7)
        dropped = (run or oracle)(*tensors).numpy()
        torch.manual_seed(7)
        found = module.train()(*tensors).numpy()
    np.testing.assert_allclose(found, dropped, atol=2e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_self_attention_is_pytorchs(bias: bool) -> None:
    made = nn.MultiheadAttention(D, 2, bias=bias, batch_first=True)
    call = f"multi_head_attention(x, heads=2, bias={str(bias).lower()})"
    compare_module(call, "x", made, lambda x: made(x, x, x)[0])


@pytest.mark.parametrize("causal", [True, False])
def test_dropped_weights_are_pytorchs(causal: bool) -> None:
    made = nn.MultiheadAttention(D, 2, dropout=0.5, batch_first=True)
    behind = torch.ones(T, T).triu(1).bool() if causal else None
    call = f"multi_head_attention(x, heads=2, drop=0.5, causal={str(causal).lower()})"
    compare_module(call, "x", made, lambda x: made(x, x, x, attn_mask=behind)[0], training=True)


def test_fresh_biases_are_pytorchs() -> None:
    text = "use std.attention\nmodel M {\n    input x: f32[batch, t, 8]\n"
    graph = build(f"{text}    output y = multi_head_attention(x, heads=2) as net\n}}").graph
    weights = draw_weights(graph, 0)
    assert not weights["net.out_proj.bias"].any()
    assert not weights["net.in_proj_bias"].any()
    assert weights["net.in_proj_weight"].std() > 0.1


def test_cross_attention_is_pytorchs() -> None:
    made = nn.MultiheadAttention(D, 4, batch_first=True)
    call = "multi_head_attention(x, memory, memory, heads=4, mask=seen[:, none, none])"
    compare_module(
        call, "x memory seen", made, lambda x, m, seen: made(x, m, m, key_padding_mask=~seen)[0]
    )


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_weights_of_heads_are_pytorchs(heads: int) -> None:
    made = nn.MultiheadAttention(D, heads, batch_first=True)
    options = f"heads={heads}, weights=true"
    compare_module(
        f"multi_head_attention(x, memory, memory, {options}, mask=seen[:, none, none])",
        "x memory seen",
        made,
        lambda x, m, seen: made(x, m, m, key_padding_mask=~seen)[1],
        ".weights",
    )
    behind = torch.ones(T, T).triu(1).bool()
    compare_module(
        f"multi_head_attention(x, {options}, causal=true)",
        "x",
        made,
        lambda x: made(x, x, x, attn_mask=behind)[1],
        ".weights",
    )


def test_a_mask_and_causal_go_together() -> None:
    made = nn.MultiheadAttention(D, 2, batch_first=True)
    behind = torch.ones(T, T).triu(1).bool()
    for mask in ("kept[:, none, none]", "where(kept, 0.0, -inf)[:, none, none]"):
        compare_module(
            f"multi_head_attention(x, heads=2, causal=true, mask={mask})",
            "x kept",
            made,
            lambda x, kept: made(x, x, x, key_padding_mask=~kept, attn_mask=behind)[0],
        )


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("act", ["relu", "gelu"])
def test_an_encoder_layer_is_pytorchs(first: bool, act: str) -> None:
    made = nn.TransformerEncoderLayer(D, 2, 12, activation=act, batch_first=True, norm_first=first)
    options = f"heads=2, hidden=12, act={act}, norm_first={str(first).lower()}"
    compare_module(
        f"transformer_encoder_layer(x, {options}, mask=kept[:, none, none])",
        "x kept",
        made,
        lambda x, kept: run_slowly(made, x, src_key_padding_mask=~kept),
    )


@pytest.mark.parametrize("first", [True, False])
def test_a_decoder_layer_is_pytorchs(first: bool) -> None:
    made = nn.TransformerDecoderLayer(D, 2, 12, batch_first=True, norm_first=first)
    behind = torch.ones(T, T).triu(1).bool()
    options = f"heads=2, hidden=12, norm_first={str(first).lower()}"
    compare_module(
        f"transformer_decoder_layer(x, memory, {options}, memory_mask=seen[:, none, none])",
        "x memory seen",
        made,
        lambda x, m, seen: made(x, m, tgt_mask=behind, memory_key_padding_mask=~seen),
    )


def run_slowly(layer: nn.Module, *arguments: Any, **options: Any) -> Any:
    """Without the fused path, which gives zeros where a mask hides a query."""
    with torch.enable_grad():
        return layer(*arguments, **options).detach()


class Grouped(nn.Module):
    """Llama's attention as its authors wrote it: keys and values repeated, features in halves."""

    def __init__(self, heads: int, kv_heads: int, base: float) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.base, size = heads, kv_heads, base, D // heads
        self.q_proj = nn.Linear(D, heads * size, bias=False)
        self.k_proj = nn.Linear(D, kv_heads * size, bias=False)
        self.v_proj = nn.Linear(D, kv_heads * size, bias=False)
        self.o_proj = nn.Linear(D, D, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def split(y: torch.Tensor, heads: int) -> torch.Tensor:
            y = y.view(len(y), y.shape[1], heads, -1).transpose(1, 2)
            return y.repeat_interleave(self.heads // heads, 1)

        q, k = split(self.q_proj(x), self.heads), split(self.k_proj(x), self.kv_heads)
        v = split(self.v_proj(x), self.kv_heads)
        q, k = turn(q, self.base), turn(k, self.base)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def turn(x: Any, base: float, start: int = 0) -> Any:
    """Rotary positions by complex numbers."""
    half = x.shape[-1] // 2
    rate = base ** (-torch.arange(half, dtype=x.dtype) / half)
    angle = (torch.arange(x.shape[-2]) + start)[:, None] * rate
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(
        torch.ones_like(angle), angle
    )
    return torch.cat([turned.real, turned.imag], -1)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_grouped_queries_are_llamas(kv_heads: int) -> None:
    compare_module(
        f"grouped_query_attention(x, heads=4, kv_heads={kv_heads}, base=500.0)",
        "x",
        Grouped(4, kv_heads, 500.0),
    )


def interleave(x: Any) -> Any:
    """Pairs 2 i and 2 i + 1 as i and i + e/2."""
    return torch.cat([x[..., 0::2], x[..., 1::2]], -1)


def part_turned(x: Any) -> Any:
    return torch.cat([turn(x[..., :4], 10000.0, 3), x[..., 4:]], -1)


def sinusoid(x: Any) -> Any:
    places = np.arange(T)[:, None] / 10000 ** (np.arange(0, D, 2) / D)
    made = np.zeros((T, D))
    made[:, 0::2], made[:, 1::2] = np.sin(places), np.cos(places)
    return x + torch.tensor(made)


def weigh(scores: Any, seen: Any, values: Any) -> Any:
    return scores.masked_fill(~seen[:, None], -math.inf).softmax(-1) @ values


def cosine(x: Any, memory: Any, values: Any, seen: Any) -> Any:
    normed = [functional.normalize(part, dim=-1) for part in (x, memory)]
    return weigh(normed[0] @ normed[1].mT / 0.5, seen, values)


CASES: list[tuple[str, str, Callable[..., Any]]] = [
    ("rotary(heads)", "heads", lambda x: turn(x, 10000.0)),
    ("rotary(heads, base=100.0, start=5)", "heads", lambda x: turn(x, 100.0, 5)),
    ("rotary(heads, part=4, start=3)", "heads", part_turned),
    ("add_sinusoidal(x)", "x", sinusoid),
    (
        "attend(x, memory, values, mask=unsqueeze(seen, 1))[0]",
        "x memory values seen",
        lambda x, m, v, seen: weigh(x @ m.mT / math.sqrt(D), seen, v),
    ),
    (
        'attend(x, memory, values, score="dot", mask=unsqueeze(seen, 1))[0]',
        "x memory values seen",
        lambda x, m, v, seen: weigh(x @ m.mT, seen, v),
    ),
    (
        'attend(x, memory, values, score="cosine", temperature=0.5, mask=unsqueeze(seen, 1))[0]',
        "x memory values seen",
        cosine,
    ),
    (
        'attend(x, memory, values, score="mahalanobis", temperature=3.0)[0]',
        "x memory values",
        lambda x, m, v: (-((x[:, :, None] - m[:, None]) ** 2).sum(-1) / 3).softmax(-1) @ v,
    ),
    (
        'attend(x, memory, values, score="dot")[1]',
        "x memory values",
        lambda x, m, v: (x @ m.mT).softmax(-1),
    ),
]


@pytest.mark.parametrize(("call", "names", "oracle"), CASES, ids=[case[0] for case in CASES])
def test_a_formula(call: str, names: str, oracle: Callable[..., Any]) -> None:
    compare_block("attention", call, {name: GIVEN[name] for name in names.split()}, oracle)


def run_block(call: str, inputs: Mapping[str, Any]) -> Any:
    lines = [f"    input {name}: {type_text(array)}" for name, array in inputs.items()]
    text = ["use std.attention", "model M {", *lines, f"    output y = {call}", "}"]
    (found,) = evaluate(build("\n".join(text)).graph, {}, dict(inputs)).values()
    return found


def test_masks_and_biases() -> None:
    found = run_block(f"padding_mask(lengths, {T})", {"lengths": LENGTHS})
    assert (found == (np.arange(T) < LENGTHS[:, None])).all()
    apart = np.arange(T)[:, None] - np.arange(T)
    near = run_block("window_mask(x.shape[1], 3)", {"x": X})
    assert (near == ((apart >= 0) & (apart < 3))).all()
    near = run_block("window_mask(x.shape[1], 2, causal=false)", {"x": X})
    assert (near == (abs(apart) < 2)).all()
    bias = run_block("alibi(x.shape[1], 4)", {"x": X})
    slopes = np.array([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8])[:, None, None]
    np.testing.assert_allclose(bias, np.where(apart < 0, -np.inf, -slopes * apart), rtol=1e-6)


def test_interleaved_pairs_are_halves_in_another_order() -> None:
    found = run_block("rotary(heads, interleaved=true)", {"heads": HEADS})
    expected = turn(interleave(torch.tensor(HEADS).double()), 10000.0)
    np.testing.assert_allclose(interleave(torch.tensor(found)), expected, atol=1e-5)


def test_a_query_that_sees_nothing_gets_nothing() -> None:
    seen = np.zeros((ROWS, S), bool)
    seen[1] = True
    given = {"x": X, "memory": MEMORY, "values": VALUES, "seen": seen}
    found = run_block("attend(x, memory, values, mask=unsqueeze(seen, 1))[0]", given)
    assert (found[[0, 2]] == 0).all()
    assert np.isfinite(found).all()
    assert (found[1] != 0).all()


def test_kernel_regression_is_nadarayas() -> None:
    rows, known = DRAWN.normal(size=(5, 2)), DRAWN.normal(size=(5, 1))
    inputs = {"x": draw(2)}
    listed = [f"tensor({array.round(3).tolist()})" for array in (rows, known)]
    found = run_block(f"kernel_regression(x, {listed[0]}, {listed[1]}, width=0.7)[0]", inputs)
    rows, known = rows.round(3), known.round(3)
    kernel = np.exp(-((inputs["x"][:, None] - rows) ** 2).sum(-1) / (2 * 0.7**2))
    np.testing.assert_allclose(found, kernel @ known / kernel.sum(1, keepdims=True), rtol=1e-4)


def test_tokens_of_images() -> None:
    text = """
use std.attention
model M {
    input image: f32[batch, 3, 8, 12]
    output y = image_tokens(image, patch=4, width=5) as net
}
"""
    graph = build(text).graph
    weights = draw_lively(graph)
    assert {path: array.shape for path, array in weights.items()} == {
        "net.proj.weight": (5, 3, 4, 4),
        "net.proj.bias": (5,),
        "net.cls_token": (1, 1, 5),
        "net.pos_embed": (1, 7, 5),
    }
    image = draw(3, 8, 12)
    (found,) = evaluate(graph, weights, {"image": image}).values()
    patches = functional.conv2d(
        torch.tensor(image),
        torch.tensor(weights["net.proj.weight"]),
        torch.tensor(weights["net.proj.bias"]),
        stride=4,
    )
    tokens = torch.cat(
        [torch.tensor(weights["net.cls_token"]).expand(ROWS, -1, -1), patches.flatten(2).mT], 1
    )
    expected = tokens + torch.tensor(weights["net.pos_embed"])
    np.testing.assert_allclose(found, expected, atol=1e-5)
