"""Tensors of a file that lie otherwise than in the net: split, joined, turned, copied, left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.ir.weights import write_weights
from compiler.loading import find_loaded, open_sources
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.arguments import wrong_argument
from compiler.report.messages.repositories import (
    layout_unclear,
    not_a_matrix,
    parts_misfit,
    stars_differ,
)
from compiler.report.messages.weights import (
    pattern_unused,
    weight_shape,
    weights_collide,
    weights_surplus,
)
from tests.elaborating import elaborate

Arrays = dict[str, np.ndarray]

QKV = """
block attend(x: f32[n, 4]) {
    q = x -> dense(4) as q
    k = x -> dense(2) as k
    v = x -> dense(2) as v
    return q + concat([k, v], axis=1)
}
model Net {
    input x: f32[n, 4]
    output y = x -> 2 * attend as h
}
"""
FUSED = """
model Net {
    input x: f32[n, 4]
    output y = x -> dense(8) as "h.0.qkv"
}
"""


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape) + sum(shape)).normal(size=shape).astype(np.float32)


def load(folder: Path, spec: str, arrays: Arrays, options: str) -> Arrays:
    write_weights(folder / "w.safetensors", arrays, {})
    text = f'{spec}net n = Net() -> load("w.safetensors", {options})\n'
    return find_loaded(elaborate(text)[0]["n"], folder)


def refuse(folder: Path, spec: str, arrays: Arrays, options: str) -> Message:
    with pytest.raises(CompileError) as caught:
        load(folder, spec, arrays, options)
    (message,) = caught.value.messages
    assert message.span is not None
    return message


FUSED_ARRAYS = {f"h.{i}.qkv.weight": draw(8, 4) + i for i in range(2)} | {
    f"h.{i}.qkv.bias": draw(8) + i for i in range(2)
}


def test_a_fused_matrix_is_split_in_order(tmp_path: Path) -> None:
    rule = 'rename=["h.*.qkv.*" -> ["h.*.q.*", "h.*.k.*", "h.*.v.*"]]'
    found = load(tmp_path, QKV, FUSED_ARRAYS, rule)
    assert len(found) == 12
    for i in range(2):
        for name in ("weight", "bias"):
            whole = FUSED_ARRAYS[f"h.{i}.qkv.{name}"]
            parts = [found[f"h.{i}.{part}.{name}"] for part in "qkv"]
            assert [len(part) for part in parts] == [4, 2, 2]
            np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_pattern_without_a_star_is_of_all_below_it(tmp_path: Path) -> None:
    rules = ", ".join(f'"h.{i}.qkv" -> ["h.{i}.q", "h.{i}.k", "h.{i}.v"]' for i in range(2))
    found = load(tmp_path, QKV, FUSED_ARRAYS, f"rename=[{rules}]")
    np.testing.assert_array_equal(found["h.1.k.bias"], FUSED_ARRAYS["h.1.qkv.bias"][4:6])


def test_parts_are_joined_in_order(tmp_path: Path) -> None:
    parts = {f"h.0.{n}.weight": draw(s, 4) for n, s in (("q", 4), ("k", 2), ("v", 2))}
    parts |= {f"h.0.{n}.bias": draw(s) for n, s in (("q", 4), ("k", 2), ("v", 2))}
    found = load(
        tmp_path, FUSED, parts, 'rename=[["h.*.q.*", "h.*.k.*", "h.*.v.*"] -> "h.*.qkv.*"]'
    )
    for name in ("weight", "bias"):
        expected = np.concatenate([parts[f"h.0.{part}.{name}"] for part in "qkv"])
        np.testing.assert_array_equal(found[f"h.0.qkv.{name}"], expected)


def test_transposed_matrices_are_turned_before_and_behind_a_cut(tmp_path: Path) -> None:
    arrays = {path: np.ascontiguousarray(a.T) for path, a in FUSED_ARRAYS.items()}
    options = 'rename=["h.*.qkv.*" -> ["h.*.q.*", "h.*.k.*", "h.*.v.*"]], transpose=["h.*.weight"]'
    found = load(tmp_path, QKV, arrays, options)
    np.testing.assert_array_equal(found["h.1.q.weight"], FUSED_ARRAYS["h.1.qkv.weight"][:4])
    np.testing.assert_array_equal(found["h.1.v.weight"], FUSED_ARRAYS["h.1.qkv.weight"][6:])
    assert found["h.1.v.weight"].flags.c_contiguous
    parts = {f"h.0.{n}.weight": draw(4, s) for n, s in (("q", 4), ("k", 2), ("v", 2))}
    parts |= {"h.0.qkv.bias": draw(8)}
    joined = 'rename=[["h.*.q.weight", "h.*.k.weight", "h.*.v.weight"] -> "h.*.qkv.weight"]'
    found = load(tmp_path, FUSED, parts, f'{joined}, transpose=["h.*.qkv.weight"]')
    expected = np.concatenate([parts[f"h.0.{part}.weight"].T for part in "qkv"])
    np.testing.assert_array_equal(found["h.0.qkv.weight"], expected)


SQUARE = """
model Net {
    input x: f32[n, 4]
    output y = x -> dense(4, bias=false) as a -> dense(4, bias=false) as b
        -> dense(6, bias=false) as c
}
"""
SQUARES = {"a.weight": draw(4, 4), "b.weight": draw(4, 4) + 1, "c.weight": draw(4, 6)}


def test_square_matrices_are_asked_for(tmp_path: Path) -> None:
    message = refuse(tmp_path, SQUARE, SQUARES, 'transpose=["c.*"]')
    assert message.kind is layout_unclear
    assert "`a.weight` and `b.weight`" in message.text.title
    assert message.text.help is not None
    assert '"!a.weight", "!b.weight"' in message.text.help
    assert refuse(tmp_path, SQUARE, SQUARES, 'transpose=["c.*", "a"]').kind is layout_unclear
    found = load(tmp_path, SQUARE, SQUARES, 'transpose=["*.weight", "!b.*"]')
    np.testing.assert_array_equal(found["a.weight"], SQUARES["a.weight"].T)
    np.testing.assert_array_equal(found["b.weight"], SQUARES["b.weight"])


def test_square_parts_of_a_matrix_cut_along_its_second_axis_are_asked_for(tmp_path: Path) -> None:
    spec = SQUARE.replace(
        " -> dense(4, bias=false) as b\n        -> dense(6, bias=false) as c",
        (" -> dense(4, bias=false) as b"),
    )
    whole = {"ab": draw(4, 8)}
    rule = 'rename=["ab" -> ["a.weight", "b.weight"]]'
    assert refuse(tmp_path, spec, whole, rule).kind is layout_unclear
    found = load(tmp_path, spec, whole, f'{rule}, transpose=["*.weight"]')
    np.testing.assert_array_equal(found["b.weight"], whole["ab"][:, 4:].T)
    found = load(tmp_path, spec, whole, f'{rule}, transpose=["!*.weight"]')
    np.testing.assert_array_equal(found["b.weight"], whole["ab"][:, 4:])
    found = load(tmp_path, spec, {"ab": draw(8, 4)}, rule)
    np.testing.assert_array_equal(found["b.weight"], draw(8, 4)[4:])


def test_a_matrix_that_lies_transposed_is_said(tmp_path: Path) -> None:
    message = refuse(tmp_path, SQUARE, SQUARES, 'except=["a"]')
    assert message.kind is weight_shape
    assert message.text.help is not None
    assert 'transpose=["c.weight"]' in message.text.help


@pytest.mark.parametrize(
    ("arrays", "rule", "said"),
    [
        ({"qkv": draw(9, 4)}, '"qkv" -> ["a.weight", "b.weight"]', "`qkv` [9, 4]"),
        ({"qkv": draw(8, 4)}, '"qkv" -> ["a.weight", "d.weight"]', "`d.weight` not in the net"),
        ({"q": draw(2, 4)}, '["q", "k"] -> "a.weight"', "`k` not in the file"),
        ({"q": draw(2, 4), "k": draw(3, 4)}, '["q", "k"] -> "a.weight"', "`k` [3, 4]"),
        ({"q": draw(2, 4)}, '["q", "q"] -> "a.weight"', "`a.weight` [4, 4]"),
        ({"q": draw(4, 4), "k": draw(4)}, '["q", "k"] -> "a.weight"', "`k` [4]"),
    ],
)
def test_parts_that_do_not_make_the_whole(
    tmp_path: Path, arrays: Arrays, rule: str, said: str
) -> None:
    message = refuse(tmp_path, SQUARE, SQUARES | arrays, f"rename=[{rule}]")
    assert message.kind is parts_misfit
    assert said in message.text.label


def test_rules_that_mean_nothing(tmp_path: Path) -> None:
    spec = SQUARE.replace("conv", "dense")
    for options, kind in (
        ('rename=["x" -> ["y", "z"]]', pattern_unused),
        ('rename=[["x", "w"] -> "y"]', pattern_unused),
        ('transpose=["x"]', pattern_unused),
        ('transpose=["!x"]', pattern_unused),
        ('copy=["x" -> "y"]', pattern_unused),
        ('copy=["a.weight" -> "b.weight"]', weights_collide),
    ):
        assert refuse(tmp_path, spec, SQUARES, options).kind is kind, options


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ('rename=["a.*" -> "*.b.*"]', stars_differ),
        ('copy=["a" -> "*"]', stars_differ),
        ('rename=[["a", "b"] -> ["c", "d"]]', None),
        ('rename=["a" -> []]', None),
        ('copy=[["a", "b"] -> "c"]', wrong_argument),
        ("rename=[1 -> 2]", None),
        ('transpose=["a" -> "b"]', wrong_argument),
    ],
)
def test_rules_that_are_none(options: str, kind: object) -> None:
    _, messages = elaborate(f'{SQUARE}net n = Net() -> load("w.safetensors", {options})\n')
    assert messages
    assert kind is None or messages[0].kind is kind


def test_only_matrices_are_turned(tmp_path: Path) -> None:
    spec = (
        "model Net {\n    input x: f32[n, 2, 8, 8]\n    output y = x -> conv(3, kernel=3) as c\n}\n"
    )
    arrays = {"c.weight": draw(3, 3, 2, 3), "c.bias": draw(3)}
    assert refuse(tmp_path, spec, arrays, 'transpose=["c"]').kind is not_a_matrix


TIED = """
model Net {
    input x: i64[n]
    net wte = embedding(6, 4)
    output y = x -> wte -> dense(6, weight=wte.weight, bias=false) as lm_head
}
"""
OWN_HEAD = TIED.replace("weight=wte.weight, ", "")


def test_a_tied_copy_is_left_out_and_a_head_of_its_own_is_copied(tmp_path: Path) -> None:
    table = {"wte.weight": draw(6, 4)}
    tied = table | {"lm_head.weight": draw(6, 4)}
    assert load(tmp_path, TIED, tied, "").keys() == table.keys()
    other = table | {"lm_head.weight": draw(6, 4) + 1}
    assert refuse(tmp_path, TIED, other, "").kind is weights_surplus
    same = {"wte.weight": np.zeros((6, 4), np.float32), "z": np.zeros((6, 4), np.float32)}
    assert refuse(tmp_path, TIED, same, "").kind is weights_surplus
    found = load(tmp_path, OWN_HEAD, table, 'copy=["wte.weight" -> "lm_head.weight"]')
    np.testing.assert_array_equal(found["lm_head.weight"], table["wte.weight"])
    table = {f"m.{path}": array for path, array in table.items()}
    found = load(tmp_path, OWN_HEAD, table, 'rename=["m.*" -> "*"], copy=["wte.*" -> "lm_head.*"]')
    assert len(found) == 2


BUFFERS = {
    "h.0.attn.bias": np.tri(5, dtype=np.float32)[None, None],
    "h.1.attn.bias": np.tri(5, dtype=bool)[None, None],
    "h.0.attn.masked_bias": np.float32(-1e4),
    "embeddings.position_ids": np.arange(5)[None],
    "rotary_emb.inv_freq": draw(2),
    "attn.relative_position_index": np.arange(4),
}


def test_buffers_that_follow_from_sizes_are_left_out_and_said(tmp_path: Path) -> None:
    table = {"wte.weight": draw(6, 4)}
    write_weights(tmp_path / "w.safetensors", table | BUFFERS, {})
    net = elaborate(f'{TIED}net n = Net() -> load("w.safetensors")\n')[0]["n"]
    (source,) = open_sources(net, tmp_path)
    assert source.left_out.keys() == BUFFERS.keys()
    assert source.left_out["h.1.attn.bias"] == "a causal mask"
    assert find_loaded(net, tmp_path).keys() == table.keys()


@pytest.mark.parametrize(
    ("path", "array"),
    [
        ("h.0.attn.bias", np.ones((1, 1, 5, 5), np.float32)),
        ("h.0.attn.bias", np.tri(5, dtype=np.float32)),
        ("position_ids", draw(1, 5)),
        ("position", np.arange(5)),
        ("inv_freq", draw(2, 2)),
        ("masked_bias", draw(2)),
    ],
)
def test_what_only_looks_like_a_buffer_is_refused(
    tmp_path: Path, path: str, array: np.ndarray
) -> None:
    arrays = {"wte.weight": draw(6, 4), path: array}
    assert refuse(tmp_path, TIED, arrays, "").kind is weights_surplus
