"""Tensors of a file whose parts alternate: query, key and value head by head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.loading import find_loaded
from compiler.report.messages.arguments import wrong_argument
from compiler.report.messages.repositories import parts_misfit
from compiler.report.messages.weights import pattern_unused
from tests.elaborating import elaborate
from tests.test_commands import weft
from tests.test_layouts import FUSED, FUSED_ARRAYS, QKV, draw, load, refuse
from tests.transformers_models import make_model, save_model

SPLIT = 'rename=["h.*.qkv.*" -> ["h.*.q.*", "h.*.k.*", "h.*.v.*"]]'
JOIN = 'rename=[["h.0.q.*", "h.0.k.*", "h.0.v.*"] -> "h.0.qkv.*"]'


def test_parts_are_taken_from_each_group(tmp_path: Path) -> None:
    found = load(tmp_path, QKV, FUSED_ARRAYS, f'{SPLIT}, groups=["h.*.qkv.*" -> 2]')
    whole = FUSED_ARRAYS["h.1.qkv.weight"].reshape(2, 4, 4)
    np.testing.assert_array_equal(found["h.1.q.weight"], whole[:, :2].reshape(4, 4))
    np.testing.assert_array_equal(found["h.1.k.weight"], whole[:, 2])
    np.testing.assert_array_equal(found["h.1.v.weight"], whole[:, 3])
    bias = FUSED_ARRAYS["h.0.qkv.bias"].reshape(2, 4)
    np.testing.assert_array_equal(found["h.0.q.bias"], bias[:, :2].ravel())


def test_only_what_a_pattern_names_alternates(tmp_path: Path) -> None:
    found = load(tmp_path, QKV, FUSED_ARRAYS, f'{SPLIT}, groups=["h.1.*" -> 2]')
    np.testing.assert_array_equal(found["h.0.k.weight"], FUSED_ARRAYS["h.0.qkv.weight"][4:6])
    np.testing.assert_array_equal(found["h.1.k.weight"], FUSED_ARRAYS["h.1.qkv.weight"][[2, 6]])


def test_parts_are_joined_group_by_group(tmp_path: Path) -> None:
    arrays = {
        f"h.0.{part}.{name}": draw(*shape)
        for part, size in (("q", 4), ("k", 2), ("v", 2))
        for name, shape in (("weight", (size, 4)), ("bias", (size,)))
    }
    found = load(tmp_path, FUSED, arrays, f'{JOIN}, groups=["h.*.qkv.*" -> 2]')
    rows = [arrays[f"h.0.{part}.weight"].reshape(2, -1, 4) for part in "qkv"]
    np.testing.assert_array_equal(found["h.0.qkv.weight"], np.concatenate(rows, 1).reshape(8, 4))


@pytest.mark.parametrize(
    ("groups", "kind"),
    [
        ('["h.*.qkv.*" -> 4]', parts_misfit),  # two rows of k for four groups
        ('["h.*.fused.*" -> 2]', pattern_unused),
        ('["h.*.qkv.*" -> 0]', wrong_argument),
        ('["h.*.qkv.*" -> "2"]', wrong_argument),
        ('["h.*.qkv.*"]', wrong_argument),
        ("2", wrong_argument),
    ],
)
def test_groups_that_do_not_fit_are_refused(tmp_path: Path, groups: str, kind: Any) -> None:
    options = f"{SPLIT}, groups={groups}"
    if kind is wrong_argument:
        text = f'{QKV}net n = Net() -> load("w.safetensors", {options})\n'
        assert [message.kind for message in elaborate(text)[1]] == [wrong_argument]
        return
    message = refuse(tmp_path, QKV, FUSED_ARRAYS, options)
    assert message.kind is kind
    assert kind is not parts_misfit or "in 4 groups" in message.text.title


# --- a model of others ---------------------------------------------------------------------------

NEOX = """
use std.attention
block attention(x: f32[n, t, d], heads: int, turned: int) {
    split = reshape([n, ..., heads, d / heads]) -> transpose(1, 2)
    q = x -> dense(d) as q -> split -> rotary(part=turned)
    k = x -> dense(d) as k -> split -> rotary(part=turned)
    v = x -> dense(d) as v -> split
    y = (q, k, v) -> scaled_dot_product_attention(causal=true)
    return y -> transpose(1, 2) -> flatten(2) -> dense(d) as dense
}
block layer(x: f32[n, t, d], heads: int, turned: int) {
    y = x -> layer_norm as input_layernorm -> attention(heads, turned) as attention
    z = x -> layer_norm as post_attention_layernorm -> dense(4 * d) as "mlp.dense_h_to_4h"
        -> gelu -> dense(d) as "mlp.dense_4h_to_h"
    return x + y + z
}
model NeoX(vocab: int = 60, d: int = 32, layers: int = 3, heads: int = 4) {
    input tokens: i64[batch, t]
    x = tokens -> embedding(vocab, d) as "gpt_neox.embed_in"
    for i in 0..layers {
        x = x -> layer(heads, turned=d / heads // 4) as "gpt_neox.layers"[i]
    }
    output logits: f32[batch, t, vocab] = x -> layer_norm as "gpt_neox.final_layer_norm"
        -> dense(vocab, bias=false) as embed_out
}
"""
PATTERN = "gpt_neox.layers.*.attention.query_key_value.*"
PARTS = ", ".join(f'"{PATTERN.replace("query_key_value", part)}"' for part in "qkv")
RULES = f'rename=["{PATTERN}" -> [{PARTS}]]'


def test_a_model_that_keeps_its_heads_together(tmp_path: Path) -> None:
    original = make_model("gpt_neox")
    save_model(original, tmp_path / "neox")
    line = f'net n = NeoX() -> load("neox", {RULES}, groups=["{PATTERN}" -> 4])\n'
    nets, messages = elaborate(f"{NEOX}\n{line}")
    assert not messages
    graph, tokens = nets["n"].graph, torch.randint(0, 60, (2, 9))
    module = load_module(emit_module([graph], title="n"), graph).eval()
    assign_weights(module, find_loaded(nets["n"], tmp_path))
    with torch.no_grad():
        torch.testing.assert_close(module(tokens), original(tokens).logits, atol=1e-4, rtol=1e-4)


def test_without_groups_it_is_another_model(tmp_path: Path) -> None:
    original = make_model("gpt_neox")
    save_model(original, tmp_path / "neox")
    nets, _ = elaborate(f'{NEOX}\nnet n = NeoX() -> load("neox", {RULES})\n')
    found = find_loaded(nets["n"], tmp_path)
    fused = original.state_dict()[PATTERN.replace("*", "0", 1).replace("*", "weight")].numpy()
    key = found["gpt_neox.layers.0.attention.k.weight"]
    assert not np.array_equal(key, fused.reshape(4, 3, 8, 32)[:, 1].reshape(32, 32))


def test_what_no_shape_tells_is_named(tmp_path: Path) -> None:
    save_model(make_model("gpt_neox"), tmp_path / "neox")
    (tmp_path / "neox.weft").write_text(NEOX)
    done = weft("weights", "neox", "--for", "neox.weft", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert RULES.replace(" ", "") in done.stdout.replace(" ", "")
    assert f'then add groups=["{PATTERN}" -> HEADS]' in done.stdout
