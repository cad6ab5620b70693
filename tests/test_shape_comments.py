"""A shape in a comment of generated code is true for every value of the arguments, or absent."""

from __future__ import annotations

import ast
from typing import Any

import pytest
import torch

from tests.elaborating import build
from tests.pytorch_compare import assert_arguments_mean_the_same, draw_inputs, emit, set_defaults
from tests.shape_comments import run_followed

Values = dict[str, str]

HALVES = """
block rope(x: f32[n, h, t, k], base: float = 10000.0) {
    half = k // 2
    a = x[..., :half]
    b = x[..., half:]
    p = cast(arange(t), f32)[:, none] * (base ** (cast(arange(half), f32) / -half))[none]
    return concat([a * cos(p) - b * sin(p), b * cos(p) + a * sin(p)], axis=-1)
}
block attention(x: f32[n, t, d], heads: int, k: int) {
    q = x -> dense(heads * k) as q -> reshape([n, t, heads, k]) -> transpose(1, 2) -> rope
    v = x -> dense(heads * k) as v -> reshape([n, t, heads, k]) -> transpose(1, 2)
    y = (q, q, v) -> scaled_dot_product_attention -> transpose(1, 2) -> flatten(2)
    return y -> dense(d) as o
}
model M(d: int = 32, heads: int = 4, k: int = 16) {
    input x: f32[batch, 7, 6]
    output y = x -> dense(d) as stem -> attention(heads, k) as at
}
"""
"""A piece of a size that nothing but the tensor says."""
SHRINKING = """
model M(width: int = 8, layers: int = 3) {
    input image: f32[batch, 3, 32, 32]
    x = image -> conv(width, kernel=4, stride=2, padding=1) as first
    for i in 1..layers {
        x = x -> conv(width, kernel=4, stride=2, padding=1) as convs[i] -> relu
    }
    output y = x -> conv(1, kernel=4) as last -> flatten
}
"""
"""One of the axes that are flattened is 1 because the others are."""
STEPS = """
block down(x: f32[n, c, h, w], out: int, stride: int = 1) {
    y = x -> conv(out, kernel=3, padding=1, stride=stride) as one -> relu
    return y + (x -> conv(out, kernel=1, stride=stride) as two)
}
model M(width: int = 4, stride: int = 2) {
    input x: f32[batch, 3, 9, 9]
    y = x -> down(width) as a -> down(2 * width, stride) as b
    output z = y -> mean(axis=[2, 3]) -> dense(3) as head
}
"""
JOINED = """
block half(x: f32[n, d], k: int) {
    y = x -> dense(k) as up
    return concat([x[..., ::2], y], axis=-1)
}
model M(k: int = 8) {
    input x: f32[batch, 16]
    y = x -> half(k) as first
    output z = y * sigmoid(y)
}
"""


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (HALVES, [{"k": "8"}, {"k": "24", "heads": "2"}, {"d": "5"}]),
        (SHRINKING, [{"layers": "2"}, {"layers": "1"}, {"width": "5"}]),
        (STEPS, [{"stride": "1"}, {"stride": "3", "width": "5"}]),
        (JOINED, [{"k": "5"}]),
    ],
)
def test_shapes_in_comments_are_true_for_other_arguments(spec: str, values: list[Values]) -> None:
    names, holder = run_followed(emit(spec))
    made: Any = names["M"]
    for one in ({}, *values):
        graph = build(set_defaults(spec, "M", one)).graph
        given = {name: ast.literal_eval(value) for name, value in one.items()}
        inputs = draw_inputs(graph, {"batch": 2})
        with torch.no_grad():
            made(**given).eval()(*map(torch.from_numpy, inputs.values()))
    assert holder.held


CHANCE = """
block half(x: f32[n, d], k: int) {
    y = x -> dense(k) as up
    return concat([x[..., ::2], y], axis=-1)
}
model M(d: int = 16, k: int = 8, classes: int = 3) {
    input x: f32[batch, 16]
    output y = x -> dense(d) as stem -> half(k) as tail -> dense(classes) as head
}
"""


def test_what_a_block_returns_has_not_the_size_that_it_was_given_by_chance() -> None:
    assert "def __init__(self, classes: int = 3) -> None:" in emit(CHANCE)
    assert_arguments_mean_the_same(CHANCE, "M", {"classes": "5"}, {"batch": 2})


@pytest.mark.parametrize("cut", ["a[:, :keep]", "a -> pad([keep - 8, 0])"])
def test_what_a_slice_leaves_is_not_the_whole_by_chance(cut: str) -> None:
    spec = f"""
model M(width: int = 8, keep: int = 8, classes: int = 3) {{
    input x: f32[batch, 6]
    a = x -> dense(width) as stem
    output y = ({cut}) -> dense(classes) as head
}}
"""
    assert "def __init__(self, classes: int = 3) -> None:" in emit(spec)
    assert_arguments_mean_the_same(spec, "M", {"classes": "5"}, {"batch": 2})


def test_a_comment_that_is_false_for_other_arguments_is_found() -> None:
    source = emit(STEPS)
    false = source.replace("# [batch, 3]", "# [batch, 4]")
    assert false != source
    names, _ = run_followed(false)
    made: Any = names["M"]
    with pytest.raises(AssertionError, match="4 is 4"):
        made()(torch.zeros(2, 3, 9, 9))
