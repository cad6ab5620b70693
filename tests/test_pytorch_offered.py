"""What a generated class is not offered: arguments that something in it would not follow."""

from __future__ import annotations

import pytest

from tests.pytorch_compare import assert_arguments_mean_the_same, emit, offered

Values = dict[str, str]


# --- what classes inside are made for -----------------------------------------------------------

STAGES = """
block unit(x: f32[n, c, h, w], out: int, kernel: int, stride: int = 1, expand: int = 1) {
    y = x -> conv(expand * out, kernel=kernel, stride=stride, padding=kernel // 2) as grow -> relu
    return y -> conv(out, 1) as shrink
}
model M(
    widths: list = [4, 6, 8],
    depths: list = [1, 2, 2],
    strides: list = [1, 2, 1],
    kernels: list = [3, 5, 3],
) {
    input image: f32[batch, 3, 8, 8]
    x = image
    for i, width in enumerate(widths) {
        for j in 0..depths[i] {
            x = x -> unit(width, kernels[i], stride=if j == 0 then strides[i] else 1,
                expand=if i == 0 then 1 else 2) as "blocks.{i}"[j]
        }
    }
    output y = x -> global_avg_pool -> dense(3) as head
}
"""


@pytest.mark.parametrize(
    "values",
    [
        {"widths": "[5, 7]", "depths": "[2, 1]"},
        {"strides": "[2, 1, 2]", "kernels": "[1, 3, 3]"},
        {"depths": "[1, 0, 3]"},
    ],
)
def test_stages_of_a_table_are_loops_in_a_loop(values: Values) -> None:
    text = emit(STAGES)
    assert offered(STAGES) == {"widths", "depths", "strides", "kernels"}
    assert "self.blocks = nn.Sequential()" in text
    assert "x = self.blocks(image)" in text
    assert "stride=strides[i] if j == 0 else 1" in text
    assert_arguments_mean_the_same(STAGES, "M", values, {"batch": 2})


UNREAD = """
block both(x: f32[n, d], hidden: int, out: int) {
    h = x -> dense(hidden) as fc -> relu
    back = h -> dense(d) as back
    ahead = h -> dense(out) as ahead
    return back, ahead
}
model M(hidden: int = 6, out: int = 3) {
    input x: f32[batch, 8]
    b1, a1 = x -> both(hidden, out) as one
    b2, a2 = (x - b1) -> both(hidden, out) as two
    output y = a1 + a2
}
"""
PINNED = """
block judge(x: f32[n, c, h, w], width: int) {
    return x -> conv(width, 3, stride=2, padding=1) as conv -> flatten -> dense(2) as head
}
model M(size: int = 8, width: int = 4) {
    input x: f32[batch, 1, size, size]
    param scale: f32[size] = ones
    output y = (x * scale) -> judge(width) as judge
}
"""


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (UNREAD, {"hidden": "5"}),
        (UNREAD, {"out": "4"}),
        (PINNED, {"size": "12"}),
        (PINNED, {"width": "5"}),
    ],
)
def test_what_a_class_inside_is_made_for_is_not_offered_outside(spec: str, values: Values) -> None:
    given = {name: value for name, value in values.items() if name in offered(spec)}
    assert_arguments_mean_the_same(spec, "M", given, {"batch": 2})


def test_new_axes_do_not_follow_the_old_ones() -> None:
    spec = """
    model M(mels: int = 20, d: int = 4) {
        input x: f32[batch, 15, mels]
        y = x[:, none] -> conv(d, 3, stride=2) as one -> conv(d, 3, stride=2) as two
        output y = y -> transpose(1, 2) -> flatten(2) -> dense(3) as head
    }
    """
    assert offered(spec) == {"mels", "d"}
    for mels in ("21", "22", "23", "9"):
        assert_arguments_mean_the_same(spec, "M", {"mels": mels}, {"batch": 2})


def test_a_number_that_a_class_keeps_has_another_name_than_its_modules() -> None:
    spec = """
    model M(stages: int = 2) {
        input x: f32[batch, 6]
        for s in 0..stages {
            x = x -> dense(6) as "stages.{s}"[0] -> relu -> dense(6) as "stages.{s}"[1]
        }
        output y = x
    }
    """
    assert "stages" in offered(spec)
    assert_arguments_mean_the_same(spec, "M", {"stages": "3"}, {"batch": 2})


def test_heads_of_keys_and_values_are_divided_as_the_author_divides_them() -> None:
    spec = """
    block attention(x: f32[n, t, d], heads: int, few: int) {
        e = d / heads
        q = x -> dense(d) as q -> reshape([n, t, heads, e]) -> transpose(1, 2)
        k = x -> dense(few * e) as k -> reshape([n, t, few, e]) -> transpose(1, 2)
        k = k -> repeat_interleave(heads / few, axis=1)
        y = (q, k, k) -> scaled_dot_product_attention -> transpose(1, 2) -> flatten(2)
        return y -> dense(d) as out
    }
    model M(d: int = 16, heads: int = 4, few: int = 2) {
        input x: f32[batch, 5, d]
        output y = x -> attention(heads, few) as attention
    }
    """
    assert offered(spec) == {"d", "heads", "few"}
    assert "self.out = nn.Linear(heads * (d // heads), d)" in emit(spec)
    for values in ({"d": "24"}, {"few": "1"}, {"heads": "8", "few": "4"}):
        assert_arguments_mean_the_same(spec, "M", values, {"batch": 2})


# --- what a class does not say ------------------------------------------------------------------

BRANCH_BY_SIZE = """
block residual(x: f32[n, c], width: int, stride: int = 1) {
    y = x -> dense(width) as fc
    if stride != 1 or c != width { x = x -> dense(width, bias=false) as proj }
    return (x + y) -> relu
}
model M(stem: int = 8, classes: int = 3) {
    input x: f32[batch, 6]
    output z = x -> dense(stem) as stem -> residual(8) as r -> dense(classes) as head
}
"""
BRANCH_BY_TENSOR = BRANCH_BY_SIZE.replace("c != width", "x.shape[1] != width")
LOOP_BY_SIZE = """
block deep(x: f32[n, c]) {
    for i in 0..c // 4 { x = x -> relu -> dense(5) as fc[i] }
    return x
}
model M(stem: int = 8, classes: int = 3) {
    input x: f32[batch, 6]
    output z = x -> dense(stem) as stem -> deep as d -> dense(classes) as head
}
"""
BRANCH_OF_TURNS = """
block gate(x: f32[n, c]) {
    if c > 16 { x = x * (x -> dense(c) as gate -> sigmoid) }
    return x -> relu
}
model M(stem: int = 8, width: int = 9, classes: int = 3) {
    input x: f32[batch, 6]
    y = x -> dense(stem) as stem
    for i in 0..2 { y = y -> gate as g[i] -> dense(width) as d[i] }
    output z = y -> dense(classes) as head
}
"""
BRANCH_OF_NOTHING = """
block last(x: f32[n, c], count: int) {
    if count > 2 or c > 9 { x = x -> relu }
    return x
}
model M(count: int = 2, width: int = 7, classes: int = 3) {
    input x: f32[batch, 6]
    output z = x -> dense(width) as a -> last(count) as b -> dense(count) -> dense(classes) as head
}
"""
BRANCH_OF_SEVERAL = """
block act(x: f32[n, c], k: int) {
    if k > 2 { x = x -> relu }
    return x -> dense(k) as fc
}
model M(first: int = 3, second: int = 4, classes: int = 3) {
    input x: f32[batch, 6]
    output z = x -> act(first) as a -> act(second) as b -> dense(classes) as head
}
"""


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (BRANCH_BY_SIZE, {"stem"}),
        (BRANCH_BY_TENSOR, {"stem"}),
        (BRANCH_OF_TURNS, {"stem", "width"}),
        (BRANCH_OF_NOTHING, {"count", "width"}),
        (BRANCH_OF_SEVERAL, {"first", "second"}),
    ],
)
def test_what_only_a_branch_of_the_default_serves_is_not_offered(
    spec: str, names: set[str]
) -> None:
    assert offered(spec) == {"classes"}
    assert not any(f", {name}]" in emit(spec) for name in names)  # in comments
    assert_arguments_mean_the_same(spec, "M", {"classes": "5"}, {"batch": 2})


def test_a_loop_over_a_size_follows_it() -> None:
    assert offered(LOOP_BY_SIZE) == {"stem", "classes"}
    for stem in ("8", "3", "13"):
        assert_arguments_mean_the_same(LOOP_BY_SIZE, "M", {"stem": stem}, {"batch": 2})


def test_a_branch_that_both_ways_of_are_printed_follows_the_sizes() -> None:
    spec = BRANCH_BY_SIZE.replace("-> dense(classes)", "-> residual(16) as s -> dense(classes)")
    assert offered(spec) == {"stem", "classes"}
    for stem in ("8", "5", "16"):
        assert_arguments_mean_the_same(spec, "M", {"stem": stem}, {"batch": 2})


RATE = """
block shift(x: f32[n, c], t: tensor) { return x + t }
model M(alpha: float = 0.5, rank: int = 4, classes: int = 3) {{
    input x: f32[batch, 6]
    y = x
    if rank > 0 {{ y = y -> dense(6) as a }}
    {line}
    output z = (y * alpha) -> dense(classes) as head
}}
""".replace("{ return x + t }", "{{ return x + t }}").replace("y * alpha ->", "(y * alpha) ->")


@pytest.mark.parametrize(
    "line",
    [
        "y = y * (alpha / rank)",
        "y = y -> leaky_relu(alpha / rank)",
        "y = y * (if rank > 2 then alpha else alpha / 2)",
        "y = y * sum([alpha * i for i in 0..rank])",
        "y = y + tensor([alpha, 1.0, 2.0, 3.0, 4.0, 5.0])",
        "y = y + tensor([alpha * i for i in 0..6])",
        "y = y -> shift(tensor(alpha))",
    ],
)
def test_an_argument_is_not_offered_where_a_number_of_it_is_a_literal(line: str) -> None:
    spec = RATE.format(line=line)
    assert "alpha" not in offered(spec)
    assert "rank" not in offered(spec)
    assert_arguments_mean_the_same(spec, "M", {"classes": "5"}, {"batch": 2})
