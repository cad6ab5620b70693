"""Classes of blocks that are given lists of tensors: what their length decides is followed by the
class around, or the class around does not offer what the length follows."""

from __future__ import annotations

import pytest

from tests.pytorch_compare import assert_arguments_mean_the_same, emit, offered

COLLECT = """
{block}
model M(width: int = 8, depth: int = 3) {{
    input x: f32[batch, 6]
    h = x -> dense(width) as stem
    taken = []
    for i in 0..depth {{
        h = h -> dense(width) as down[i] -> relu
        taken = taken + [h]
    }}
    {rest}
}}
"""
CALLED = "output y = climb(h, taken) as c"
OTHERS = ({"width": "16"}, {"depth": "5"}, {"depth": "1"}, {"width": "5", "depth": "4"})


def block(body: str) -> str:
    return COLLECT.format(block=f"block climb(x: f32[n, k], taken: list) {{ {body} }}", rest=CALLED)


@pytest.mark.parametrize(
    "body",
    [
        "return x -> dense(k * len(taken)) as last",
        "for i in 0..(len(taken) - 1) { x = x -> dense(k) as up[i] }\n return x",
        "for i in 0..(len(taken) - 3) { x = x -> dense(k) as up[i] }\n return x",
        "if len(taken) > 2 { x = x -> dense(k) as extra }\n return x",
        "return x * len(taken)",
        "count = len(taken)\n return (x -> dense(k + count)) / count",
        "param w: f32[len(taken)] = normal(std=1 / len(taken))\n return x * sum(w)",
        "return stack(taken, axis=1) -> flatten -> dense(k) as last",
        "y = stack(taken, axis=1) -> mean(axis=1) -> dense(len(taken))\n"
        "return concat([x, y], axis=1)",
        "back = reversed(taken)\n return x -> dense(len(back))",
        "for t in taken { x = x + (t -> dense(k)) }\n return x",
        "ys = [t -> dense(k) for t in taken]\n return concat(ys, axis=1)",
        "for i in 0..len(taken) { x = x + (taken[len(taken) - 1 - i] -> dense(k) as up[i]) }\n"
        "return x",
    ],
)
def test_what_the_length_decides_is_followed_or_not_offered(body: str) -> None:
    assert_honest(block(body))


def assert_honest(spec: str) -> None:
    """Each argument that the class offers means what it means in the spec."""
    there = offered(spec)
    for values in OTHERS:
        kept = {name: value for name, value in values.items() if name in there}
        if kept:
            assert_arguments_mean_the_same(spec, "M", kept, {"batch": 2})


@pytest.mark.parametrize(
    "body",
    [
        "return concat(taken, axis=1) -> dense(k) as last",
        "for i in 0..2 { x = concat(taken, axis=1) -> dense(k) as step[i] -> relu }\n return x",
        "return (x + taken[0]) -> dense(k) as last",
    ],
)
def test_joined_lists_are_followed(body: str) -> None:
    spec = block(body)
    assert offered(spec) == {"width", "depth"}
    assert_honest(spec)


def test_sizes_of_a_list_are_a_list_of_numbers() -> None:
    text = emit(block("return concat(taken, axis=1) -> dense(k) as last"))
    assert "def __init__(self, taken_widths: list[int], k: int) -> None:" in text
    assert "def forward(self, taken: list[Tensor]) -> Tensor:" in text
    assert "nn.Linear(sum(taken_widths), k)" in text


@pytest.mark.parametrize(
    "rest",
    [
        "output y = h -> dense(width * len(taken)) as last",
        "output y = h * len(taken)",
        "for i in 0..depth { taken = taken + [h -> dense(width) as more[i]] }\n"
        "output y = concat(taken, axis=1) -> dense(len(taken) * width) as last",
        "taken = taken + [x, h]\n output y = h -> dense(len(taken))",
    ],
)
def test_a_length_is_written_where_the_list_grows(rest: str) -> None:
    spec = COLLECT.format(block="", rest=rest)
    assert offered(spec) == {"width", "depth"}
    assert_honest(spec)


@pytest.mark.parametrize(
    "rest",
    [
        "for i in 0..depth { if i % 2 == 0 { taken = taken + [h -> dense(width) as more[i]] } }\n"
        "output y = h -> dense(len(taken) * width) as last",
        "for i in 0..depth { for j in 0..2 { taken = taken + [h] } }\n"
        "output y = h -> dense(len(taken)) as last",
        "for i in 0..depth { taken = taken + [h -> dense(width + len(taken)) as more[i]] }\n"
        "output y = concat(taken, axis=1)",
        "for i in 0..len(taken) { h = h + (taken[i] -> dense(width) as up[i]) }\n output y = h",
    ],
)
def test_lengths_that_nobody_writes_are_not_followed_in_part(rest: str) -> None:
    assert_honest(COLLECT.format(block="", rest=rest))


def test_lengths_of_lists_that_blocks_make() -> None:
    grow = """
    block grow(x: f32[n, k], times: int) {
        taken = [x]
        for i in 0..times { x = x -> dense(k) as g[i]
            taken = taken + [x] }
        return taken
    }
    """
    rest = "all = grow(h, depth) as g\n output y = h -> dense(len(all)) as last"
    assert_honest(COLLECT.format(block=grow, rest=rest))


def test_a_list_that_two_blocks_hand_on() -> None:
    blocks = """
    block deep(x: f32[n, k], taken: list) { return x -> dense(k * len(taken)) as last }
    block climb(x: f32[n, k], taken: list) { return deep(x, taken) as d }
    """
    assert_honest(COLLECT.format(block=blocks, rest=CALLED))


# --- sizes of what a block does not read ---------------------------------------------------------

UNREAD = """
block f(x: f32[n, k], y: f32[n, m], turns: int) {
    for i in 0..turns { y = y -> dense(k) as q[i] }
    return y -> dense(2 * k) as last
}
model M(width: int = 8, turns: int = 2) {
    input x: f32[batch, 6]
    h = x -> dense(width) as stem
    g = x -> dense(7) as other
    output y = f(h, g, turns) as c
}
"""


@pytest.mark.parametrize("values", [{"width": "16"}, {"turns": "3"}, {"width": "5", "turns": "1"}])
def test_a_size_of_a_tensor_that_a_block_does_not_read_is_an_argument(
    values: dict[str, str],
) -> None:
    assert "self.c = F_(7, turns, width)" in emit(UNREAD)
    assert_arguments_mean_the_same(UNREAD, "M", values, {"batch": 2})


# --- results that nobody reads -------------------------------------------------------------------

IDLE = """
block grow(x: f32[n, k]) { return [x -> dense(k) as a, x -> dense(k) as b] }
block solo(x: f32[n, k]) { return x -> dense(k) as a }
block plain(x: f32[n, k]) { return x -> relu }
block deep(x: f32[n, k]) {
    _ = solo(x) as s
    return (x -> dense(k) as b) -> solo as t
}
model M(width: int = 8) {
    input x: f32[batch, 6]
    h = x -> dense(width) as stem
    _, _ = grow(h) as g
    _ = plain(h)
    _ = deep(h) as d
    for i in 0..2 { _ = solo(h) as turns[i] }
    output y = solo(h) as good
}
"""


def test_a_call_whose_results_nobody_reads_keeps_its_weights() -> None:
    text = emit(IDLE)
    assert text.count("def forward") == 2  # of the one that is read, and of the model
    assert_arguments_mean_the_same(IDLE, "M", {"width": "5"}, {"batch": 2})


# --- sizes of what a block is given without a type -----------------------------------------------

JOINED = """
block use(x: f32[n, k], y: tensor, z: tensor) {{ {body} }}
model M(width: int = 8) {{
    input x: f32[batch, 6]
    h = x -> dense(width) as stem
    a = h -> dense(width) as first
    b = h -> dense(width + 2) as second
    output y = use(h, a, b) as c
}}
"""


@pytest.mark.parametrize("width", ["16", "5"])
@pytest.mark.parametrize(
    ("body", "followed"),
    [
        ("return concat([x, y, z], axis=1) -> dense(k) as last", True),
        ("return concat([relu(y), z], axis=1) -> dense(k) as last", False),
        ("return (y * z[:, :1])[:, :, none] -> flatten -> dense(k) as last", False),
        ("return x -> dense(y.shape[1] + z.shape[1]) as last", False),
    ],
)
def test_sizes_of_tensors_without_a_type_are_arguments_or_followed_by_nobody(
    body: str, followed: bool, width: str
) -> None:
    spec = JOINED.format(body=body)
    if followed:
        assert "self.c = Use(width, width, width + 2)" in emit(spec)
    if "width" in offered(spec):
        assert_arguments_mean_the_same(spec, "M", {"width": width}, {"batch": 2})
    assert not followed or offered(spec) == {"width"}


def test_a_tensor_of_a_list_does_not_take_the_name_of_one_that_the_block_does_not_read() -> None:
    spec = COLLECT.format(
        block="block middle(x: f32[n, k], l: list) { return l[len(l) // 2] -> dense(k) as last }",
        rest="taken = [h -> dense(width + i) as side[i] for i in 0..3]\n"
        "output y = middle(h, taken) as c",
    )
    text = emit(spec)
    assert "self.c = Middle(width + 1, width)" in text
    assert_honest(spec)


@pytest.mark.parametrize(
    "size",
    [
        "sum([t.shape[1] for t in taken])",
        "sum([i + 1 for i in 0..len(taken)])",
        "sum([i + 1 for i, t in enumerate(taken)])",
        "len([t.shape[1] for t in taken if t.shape[1] > 6])",
        "max([t.shape[1] for t in taken[1:]])",
    ],
)
def test_numbers_from_comprehensions_follow_the_lists_that_they_go_through(size: str) -> None:
    assert_honest(block(f"return x -> dense({size}) as last"))


def test_a_size_that_a_nest_of_loops_leaves_is_followed_into_calls() -> None:
    blocks = "block pick(x: f32[n, k], l: list) { return x -> dense(l[-1].shape[1]) as last }"
    rest = (
        "taken = []\n for i in 0..depth { for j in 0..2 { h = h -> dense(width) as more[i][j]\n"
        " taken = taken + [h] } }\n output y = pick(h, taken) as c"
    )
    assert_honest(COLLECT.format(block=blocks, rest=rest))


# --- arguments that a call leaves out ------------------------------------------------------------

LEFT_OUT = """
block g(x: f32[n, k], inner: int, out: int = 2 * inner, last: int = out + k) {
    return x -> dense(inner) as i -> dense(out) as a -> dense(last) as l
}
block around(x: f32[n, m], wide: int = 3 * m) {
    for i in 0..2 { x = g(x, wide) as gs[i] -> dense(m) as ms[i] }
    return g(x, 7) as last
}
model M(width: int = 8) {
    input x: f32[batch, 6]
    h = x -> dense(width) as stem
    h = g(h, width) as a -> g(5, out=7) as b
    h = around(h) as o
    output y = h -> around(4) as o2
}
"""


@pytest.mark.parametrize("width", ["16", "5"])
def test_defaults_of_blocks_follow_what_they_are_made_from(width: str) -> None:
    text = emit(LEFT_OUT)
    assert "self.a = G(width, width, 2 * width, 2 * width + width)" in text
    assert "self.last = G(m, 7, 14, 14 + m)" in text
    assert_arguments_mean_the_same(LEFT_OUT, "M", {"width": width}, {"batch": 2})


@pytest.mark.parametrize("width", ["16", "5"])
@pytest.mark.parametrize(
    "block",
    [
        "block g(x: f32[n, k], sizes: list = [k, 2 * k]) {\n"
        "for i, s in enumerate(sizes) { x = x -> dense(s) as e[i] }\n return x -> dense(3) as l }",
        "block g(x: f32[n, k], times: int = k // 4) {\n"
        "for i in 0..times { x = x -> dense(k) as e[i] }\n return x -> dense(3) as l }",
    ],
)
def test_defaults_that_loops_go_through_are_followed_or_not_offered(block: str, width: str) -> None:
    spec = f"""
{block}
model M(width: int = 8) {{
    input x: f32[batch, 6]
    h = x -> dense(width) as stem
    output y = g(h) as c -> g as d
}}
"""
    values = {"width": width} if "width" in offered(spec) else {}
    assert_arguments_mean_the_same(spec, "M", values, {"batch": 2})


PERCEPTRONS = """
block mlp(x: f32[n, k], widths: list) {
    for i, width in enumerate(widths) { x = x -> dense(width) as layers[i] -> relu }
    return x
}
model M(ARGUMENTS) {
    input x: f32[batch, 6]
    output y = x -> CALLS -> dense(2) as out
}
"""
"""Each of them may be given no widths: behind it, the size is what it was."""


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_sizes_behind_loops_in_a_row_are_followed_or_not_offered(count: int) -> None:
    names = "abcd"[:count]
    calls = " -> ".join(f"mlp({name}) as p_{name}" for name in names)
    arguments = ", ".join(f"{name}: list = [16, 8]" for name in names)
    spec = PERCEPTRONS.replace("CALLS", calls).replace("ARGUMENTS", arguments)
    there = offered(spec)
    assert there == set(names) or count > 2
    for name in there:
        for value in ("[7]", "[7, 9, 11]", "[]"):
            assert_arguments_mean_the_same(spec, "M", {name: value}, {"batch": 2})
