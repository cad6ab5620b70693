"""Arguments of generated classes mean for every value what they mean in the spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.pytorch.classes.settings import simplify
from backends.pytorch.modules import emit_module
from compiler.ir.hint import HintBinary, HintChoose, HintConst, HintName
from tests.elaborating import build
from tests.pytorch_compare import (
    assert_arguments_mean_the_same,
    assert_means_the_same,
    offered,
)

GOOD = Path(__file__).resolve().parent / "good" / "pytorch"
CASES = {
    "text_encoder": (
        "Reader",
        {"batch": 2, "t": 5},
        [{"words": "70"}, {"longest": "8"}, {"d": "32"}, {"layers": "1"}, {"layers": "5"}],
    ),
    "text_writer": (
        "Writer",
        {"batch": 2, "t": 5},
        [{"words": "70"}, {"d": "32"}, {"layers": "1"}, {"layers": "4"}, {"grow": "4"}],
    ),
    "windows": (
        "Windows",
        {"batch": 2},
        [{"size": "128"}, {"size": "32", "depths": "[2, 2]"}, {"d": "24"}, {"depths": "[1, 4]"}],
    ),
    "dense_blocks": (
        "Dense",
        {"batch": 2, "h": 32, "w": 24},
        [{"growth": "4"}, {"sizes": "[2, 4]"}, {"sizes": "[2, 1, 3, 2]"}, {"classes": "9"}],
    ),
}
ROWS = [(name, values) for name, (_, _, rows) in CASES.items() for values in rows]


@pytest.mark.parametrize(("name", "values"), ROWS)
def test_a_class_with_other_arguments_is_the_spec_with_them(
    name: str, values: dict[str, str]
) -> None:
    model, sizes, _ = CASES[name]
    spec = (GOOD / name / "spec.weft").read_text(encoding="utf-8")
    assert_arguments_mean_the_same(spec, model, values, sizes)


STACKED = """
model M(d: int = 6, layers: int = 2) {
    input x: f32[batch, t, d]
    for i in 0..layers {
        h = zeros([batch, d])
        scan x_t in x, axis=1 { h = tanh((x_t + h) -> dense(d) as "cells"[i])  emit states = h }
        x = states
    }
    output y = x
}
"""


def test_a_list_of_steps_does_not_take_the_name_of_what_the_loop_reads() -> None:
    assert_arguments_mean_the_same(STACKED, "M", {}, {"batch": 2, "t": 3})


INVERTED = """
block inverted(x: f32[n, c, h, w], out: int, expand: int = 4) {
    hidden = expand * c
    y = x
    if expand != 1 { y = y -> conv(hidden, 1) as widen -> relu }
    return y -> conv(hidden, 3, padding=1, groups=hidden) as deep -> conv(out, 1) as project
}
model M(width: int = 8, expand: int = 4, classes: int = 3) {
    input x: f32[batch, 3, 4, 4]
    x = x -> conv(width, 3) as stem -> inverted(width, expand=1) as first
    x = x -> inverted(2 * width, expand=expand) as second
    output y = x -> global_avg_pool -> dense(classes) as head
}
"""
WAVES = """
model M(channels: int = 4, layers: int = 3, classes: int = 5) {
    input x: f32[batch, 1, 16]
    x = x -> conv(channels, 1) as stem
    kept = []
    for i in 0..layers {
        f = x -> conv(channels, 3, padding=2 ** i, dilation=2 ** i) as "filter"[i] -> tanh
        kept = kept + [f -> conv(6, 1) as skips[i]]
        x = x + (f -> conv(channels, 1) as res[i])
    }
    output y = sum(kept) -> relu -> conv(classes, 1) as head
}
"""
CROSSED = """
block attention(x: f32[n, t, d], memory: f32[n, s, e], heads: int) {
    split = reshape([n, -1, heads, d / heads]) -> transpose(1, 2)
    q, k, v = [x -> dense(d) as q, memory -> dense(d) as k, memory -> dense(d) as v]
    y = (q -> split, k -> split, v -> split) -> scaled_dot_product_attention
    return y -> transpose(1, 2) -> flatten(2) -> dense(d) as out
}
model M(d: int = 16, heads: int = 2, layers: int = 2) {
    input source: f32[batch, 7, 6]
    input target: f32[batch, 5, 6]
    m = source -> dense(d) as source_in
    x = target -> dense(d) as target_in
    for i in 0..layers {
        x = x + (attention(x, x, heads) as own[i])
        x = (x + (attention(x, m, heads) as cross[i])) -> layer_norm as norm[i]
    }
    output y = x -> dense(6) as head
}
"""
REUSED = """
model M(d: int = 8, classes: int = 3) {
    input x: f32[batch, d]
    net decode = dense(2 * d) as "0" -> gelu -> dense(d) as "2"
    a = x -> decode
    output y = x -> 2 * decode -> dense(classes) as head
    output z = a
}
"""


BRANCHED = """
block widen(x: f32[n, c], out: int, double: bool = false) {
    y = x
    if double { y = y -> dense(2 * c) as grow -> relu }
    return y -> dense(out) as project
}
model M(width: int = 8, classes: int = 3) {
    input x: f32[batch, 5]
    x = x -> widen(width) as first -> widen(2 * width, double=true) as second
    output y = x -> dense(classes) as head
}
"""
CHAINED = """
model M(width: int = 8, classes: int = 3) {
    input x: f32[batch, 3, 4, 4]
    x = x -> conv(2 * width, 3, padding=1) as "body.0" -> relu
    output y = x -> dropout(50%) -> conv(classes, 1) as "tail.1" -> relu -> global_avg_pool
}
"""
LADDER = """
model M(width: int = 4, depth: int = 2, classes: int = 3) {
    input x: f32[batch, 3, 8, 8]
    x = x -> conv(width, 3, padding=1) as stem
    kept = []
    for i in 0..depth {
        kept = kept + [x]
        x = x -> max_pool(2) -> conv(width * 2 ** (i + 1), 3, padding=1) as down[i]
    }
    for i in 0..depth {
        x = x -> conv_transpose(width * 2 ** (depth - 1 - i), 2, stride=2) as up[i]
        x = concat([kept[depth - 1 - i], x], axis=1)
            -> conv(width * 2 ** (depth - 1 - i), 3, padding=1) as merge[i]
    }
    output y = x -> conv(classes, 1) as head
}
"""
STEADY = """
model M(width: int = 8, depth: int = 3) {
    input x: f32[batch, 5]
    x = x -> dense(width) as stem
    for i in 0..depth { x = x + (x -> layer_norm as norms[i] -> dense(width) as mix[i]) }
    output y = x -> dense(4) as head
}
"""
SHUFFLED = """
block shuffle(x: f32[n, c, h, w], groups: int) {
    return x -> reshape([n, groups, c / groups, h, w]) -> transpose(1, 2) -> reshape([n, c, h, w])
}
model M(width: int = 8) {
    input x: f32[batch, 3, 6, 6]
    x = x -> conv(width, 1) as one -> shuffle(2)
    output y = x -> conv(2 * width, 1) as two -> shuffle(4)
}
"""


@pytest.mark.parametrize(
    ("spec", "name", "value"),
    [
        (INVERTED, "width", "16"),
        (INVERTED, "expand", "2"),
        (INVERTED, "classes", "4"),
        (LADDER, "width", "8"),
        (LADDER, "depth", "1"),
        (LADDER, "classes", "4"),
        (WAVES, "channels", "8"),
        (WAVES, "layers", "2"),
    ],
)
def test_what_a_class_does_not_follow_is_not_offered(spec: str, name: str, value: str) -> None:
    if name in offered(spec):
        assert_arguments_mean_the_same(spec, "M", {name: value}, {"batch": 2})


@pytest.mark.parametrize("values", [{"d": "32"}, {"heads": "4"}, {"layers": "3"}])
def test_heads_and_width_of_cross_attention_are_followed(values: dict[str, str]) -> None:
    assert offered(CROSSED) == {"d", "heads", "layers"}
    assert_arguments_mean_the_same(CROSSED, "M", values, {"batch": 2})


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (INVERTED, {"width": "16"}),
        (INVERTED, {"expand": "2"}),
        (INVERTED, {"width": "6", "expand": "1"}),
        (BRANCHED, {"width": "12"}),
        (CHAINED, {"width": "4", "classes": "5"}),
    ],
)
def test_widths_of_branches_and_behind_dropout_are_followed(
    spec: str, values: dict[str, str]
) -> None:
    assert values.keys() <= offered(spec)
    assert_arguments_mean_the_same(spec, "M", values, {"batch": 2})


@pytest.mark.parametrize("values", [{"width": "12"}, {"depth": "1"}, {"depth": "0"}])
def test_a_size_that_turns_leave_as_it_is_has_no_variable(values: dict[str, str]) -> None:
    text = emit_module([build(STEADY).graph], title="M")
    assert "self.norms.append(nn.LayerNorm(width))" in text
    assert "width = width" not in text
    assert "width2" not in text
    assert "features = width" not in text
    assert_arguments_mean_the_same(STEADY, "M", values, {"batch": 2})


def test_a_comment_names_no_axis_that_is_equal_by_chance() -> None:
    text = emit_module([build(SHUFFLED).graph], title="M")
    assert "flatten(1, 2)  # [n, c, h, w]" in text
    assert "[n, c, w, w]" not in text
    assert_arguments_mean_the_same(SHUFFLED, "M", {"width": "16"}, {"batch": 2})


def test_a_loop_over_a_module_made_outside_makes_nothing() -> None:
    assert_arguments_mean_the_same(REUSED, "M", {"classes": "4"}, {"batch": 2})


ELSEWHERE = """
block apply(x: f32[b, k], inner: layer) { return x -> inner -> relu }
model M(d: int = 8, classes: int = 3) {
    input x: f32[batch, 8]
    NET
    y = x -> dense(d) -> g
    output z = y -> dense(classes) as head
}
"""


@pytest.mark.parametrize(
    "net",
    [
        "net g = dense(2 * d) -> gelu -> dense(d)",
        "net g = 2 * dense(d)",
        "net g = apply(dense(2 * d))",
        "net g = [dense(d) -> relu, dense(2 * d)]\n    g = g[0] -> g[1]",
        "g = apply(dense(2 * d) -> tanh)",
        "net h = dense(3 * d)\n    g = apply(h)",
    ],
)
def test_a_layer_that_is_applied_elsewhere_follows_nothing_there(net: str) -> None:
    spec = ELSEWHERE.replace("NET", net)
    for name, value in (("d", "6"), ("classes", "4")):
        if name in offered(spec):
            assert_arguments_mean_the_same(spec, "M", {name: value}, {"batch": 2})
    assert_means_the_same(build(spec).graph, {"batch": 2})


LEFT_OPEN = """
model M(width: int = 16, size: int = 4) {
    input x: f32[batch, 1, 14, 14]
    output y = x -> conv(width, kernel=5) as conv -> reshape([batch, -1, size]) -> norm(axis=-1)
}
"""
OPEN_BEFORE_WEIGHTS = """
model M(width: int = 16, size: int = 4, classes: int = 5) {
    input x: f32[batch, 1, 14, 14]
    u = x -> conv(width, kernel=5, stride=2) as conv -> reshape([batch, -1, size])
    param w: f32[u.shape[1], classes, size] = normal(0.1)
    output y = einsum([u, w], "bis,ics->bc")
}
"""
BY_TENSOR = """
block turn(x: f32[n, c], k: int) {
    y = x -> dense(2 * k) as up
    param w: f32[y.shape[1], x.shape[1]] = normal(0.1)
    return y @ w + concat([zeros([1, x.shape[1] - 1]), ones([1, 1])], axis=1)
}
model M(width: int = 16) {
    input x: f32[batch, 6]
    a = x -> dense(width) as first
    b = concat([a, ones([batch, a.shape[1]])], axis=1) -> turn(5) as one -> dense(width) as second
    c = turn(b, k=b.shape[1]) as two
    output y = c * (1.0 / a.shape[1])
}
"""


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (LEFT_OPEN, {"width": "8"}),
        (LEFT_OPEN, {"size": "2"}),
        (OPEN_BEFORE_WEIGHTS, {"width": "8"}),
        (OPEN_BEFORE_WEIGHTS, {"size": "2"}),
        (OPEN_BEFORE_WEIGHTS, {"classes": "3"}),
        (BY_TENSOR, {"width": "7"}),
    ],
)
def test_sizes_written_by_a_tensor_or_left_open_follow_the_arguments(
    spec: str, values: dict[str, str]
) -> None:
    given = {name: value for name, value in values.items() if name in offered(spec)}
    assert_arguments_mean_the_same(spec, "M", given, {"batch": 2})


def test_arguments_that_sizes_written_by_a_tensor_follow_are_offered() -> None:
    assert offered(LEFT_OPEN) == {"width", "size"}
    assert offered(BY_TENSOR) == {"width"}
    assert offered(OPEN_BEFORE_WEIGHTS) == {"classes"}


HALVES = """
block halves(x: f32[n, c]) {
    a, b = x -> chunk(2, axis=1)
    return (a -> dense(4) as left) * (b -> dense(4) as right)
}
block quarters(x: f32[n, c]) {
    a, b, k, d = x -> chunk(4, axis=1)
    return (a -> dense(4) as a) * (b -> dense(4) as b) + (k -> dense(4) as k) * (d -> dense(4) as d)
}
model M(width: int = 16) {
    input x: f32[batch, 6]
    y = x -> dense(width) as first
    z = (y -> halves as one) + (x -> halves as two)
    output y = z + (y -> quarters as three) + (x -> dense(20) as second -> quarters as four)
}
"""


@pytest.mark.parametrize("width", ["7", "11", "12"])
def test_pieces_of_a_tensor_follow_its_width_also_where_it_is_no_multiple(width: str) -> None:
    text = emit_module([build(HALVES).graph], title="M")
    assert "def __init__(self, c: int) -> None:" in text
    assert "self.right = nn.Linear(c // 2, 4)" in text
    assert_arguments_mean_the_same(HALVES, "M", {"width": width}, {"batch": 2})


@pytest.mark.parametrize("symbol", ["!=", "=="])
def test_a_choice_between_equal_sizes_is_one_of_them(symbol: str) -> None:
    width, eight = HintName("width"), HintConst(8)
    sides = (eight, width) if symbol == "!=" else (width, eight)
    assert simplify(HintChoose(HintBinary(symbol, width, eight), *sides), whole=True) == eight
    same = HintChoose(HintBinary(symbol, width, width), *sides)
    assert simplify(same, whole=True) == width


SUMMED = """
block branches(x: f32[n, c, h, w], out: int, stride: int = 1) {
    y = (x -> conv(out, 3, stride=stride, padding=1) as wide)
        + (x -> conv(out, 1, stride=stride) as narrow)
    if stride == 1 and c == out { y = y + (x -> batch_norm as same) }
    return y -> relu
}
model M(depths: list = [2, 3], width: int = 4, classes: int = 3) {
    input x: f32[batch, 3, 8, 8]
    x = x -> branches(width) as stem
    for i, depth in enumerate(depths) {
        for j in 0..depth {
            x = x -> branches(width * 2 ** i, stride=if j == 0 then 2 else 1) as "stage{i}"[j]
        }
    }
    output y = x -> global_avg_pool -> dense(classes) as head
}
"""


@pytest.mark.parametrize(
    "values", [{}, {"depths": "[1, 2, 2]"}, {"width": "3"}, {"width": "6", "classes": "5"}]
)
def test_sums_of_one_form_are_one_class_where_one_is_optional(values: dict[str, str]) -> None:
    text = emit_module([build(SUMMED).graph], title="M")
    assert text.count("(nn.Module):") == 2
    assert "if stride == 1 and c == out:" in text
    assert_arguments_mean_the_same(SUMMED, "M", values, {"batch": 2})


def test_a_block_may_be_called_like_a_function() -> None:
    text = (
        "block NAME(x: f32[n, d], out: int) { return x -> dense(out) as fc -> relu }\n"
        "model M(width: int = 4) {\n    input x: f32[batch, 8]\n"
        "    output y = x -> NAME(width) -> dense(2)\n}\n"
    )
    for name in ("layer", "sorted", "len", "zip"):
        graph = build(text.replace("NAME", name)).graph
        assert "def __init__(self, width: int = 4)" in emit_module([graph], title="M")


def test_names_that_come_to_the_same_in_python_stay_apart_in_shapes() -> None:
    graph = build(
        "block layer(x: f32[`a_b`, d], `a-b`: int) { return x -> dense(`a-b`) as fc -> relu }\n"
        "model M(width: int = 4) {\n    input x: f32[batch, 8]\n"
        "    `%h.2` = x -> layer(width)\n"
        "    output y = `%h.2` + layer(`%h.2`, width)\n}\n"
    ).graph
    text = emit_module([graph], title="M")
    assert "def __init__(self, d: int, a_b2: int)" in text
    assert "# x: [a_b, d]" in text
    assert "# [a_b, a_b2]" in text
    assert "h_2 = self.layer(x)" in text
