"""What a spec's author made a parameter is an argument of the generated class, and followed."""

from __future__ import annotations

import ast

import pytest
import torch

from backends.pytorch.run.load import run_source
from tests.pytorch_compare import assert_arguments_mean_the_same, emit, offered, set_defaults

Values = dict[str, str]


# --- sizes behind loops -------------------------------------------------------------------------

CHAIN = """
block chain(x: f32[n, c, p], widths: list) {
    for i, width in enumerate(widths) { x = x -> conv(width, kernel=1) as "conv"[i] -> relu }
    return x
}
model M(widths: list = [8, 12, 16], classes: int = 3) {
    input x: f32[batch, 3, 4]
    output y = x -> chain(widths) as body -> max(axis=2) -> dense(classes) as head
}
"""
REVERSED = CHAIN.replace("enumerate(widths)", "enumerate(reversed(widths))")
COUNTED = """
block chain(x: f32[n, c], width: int, depth: int) {
    for i in 0..depth { x = x -> dense(width * 2 ** i) as layers[i] -> relu }
    return x
}
model M(width: int = 4, depth: int = 3) {
    input x: f32[batch, 6]
    output y = x -> chain(width, depth) as body -> dense(5) as head
}
"""
GROWING = """
block dense_block(x: f32[n, c, p], growth: int, depth: int) {
    for i in 0..depth { x = concat([x, x -> conv(growth, kernel=1) as layers[i] -> relu], axis=1) }
    return x
}
model M(growth: int = 4, depth: int = 3) {
    input x: f32[batch, 5, 4]
    y = x -> dense_block(growth, depth) as one -> dense_block(2 * growth, 2) as two
    output y = y -> max(axis=2) -> dense(3) as head
}
"""
STEADY = """
block stack(x: f32[n, c], width: int, depth: int) {
    x = x -> dense(width) as stem
    for i in 0..depth { x = x -> dense(width) as layers[i] -> relu }
    return x
}
model M(width: int = 4, depth: int = 3) {
    input x: f32[batch, 6]
    x = x -> stack(width, depth) as a -> stack(2 * width, 2) as b -> dense(7) as mid
    for i in 0..depth { x = x -> dense(7) as c[i] }
    for i in 0..depth { x = x -> dense(7) as d[i] }
    output y = x -> dense(5) as head
}
"""
ROWS = """
block rows(x: f32[n, c], table: list) {
    for i, row in enumerate(table) { x = x -> dense(row[0] * row[1]) as layers[i] -> relu }
    return x
}
block pairs(x: f32[n, c], table: list) {
    for a, b in table { x = x -> dense(a + b) as "at{a}" -> relu }
    return x
}
model M(table: list = [[2, 3], [4, 2], [5, 3]]) {
    input x: f32[batch, 6]
    x = x -> rows(table) as a -> dense(4) as mid -> pairs(table) as b
    output y = x -> dense(5) as head
}
"""


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (CHAIN, {"widths": "[5]"}),
        (CHAIN, {"widths": "[5, 6, 7, 8]", "classes": "2"}),
        (CHAIN, {"widths": "[]"}),
        (REVERSED, {"widths": "[5, 6, 7, 9]"}),
        (REVERSED, {"widths": "[5, 6]", "classes": "2"}),
        (COUNTED, {"depth": "1"}),
        (COUNTED, {"depth": "0"}),
        (COUNTED, {"width": "3", "depth": "5"}),
        (GROWING, {"depth": "0"}),
        (GROWING, {"growth": "3", "depth": "5"}),
        (STEADY, {"width": "7", "depth": "2"}),
        (STEADY, {"depth": "0"}),
        (ROWS, {"table": "[[1, 2], [3, 2]]"}),
        (ROWS, {"table": "[[3, 3]]"}),
    ],
)
def test_a_size_behind_a_loop_is_what_its_last_turn_makes(spec: str, values: Values) -> None:
    assert values.keys() <= offered(spec)
    assert_arguments_mean_the_same(spec, "M", values, {"batch": 2})


def test_a_size_behind_a_loop_is_written_as_a_person_would() -> None:
    assert "self.head = nn.Linear(widths[-1] if widths else 3, classes)" in emit(CHAIN)
    assert "widths[0] if widths else 3" in emit(REVERSED)
    assert "nn.Linear(width * 2 ** (depth - 1) if depth > 0 else 6, 5)" in emit(COUNTED)
    assert "self.two = DenseBlock(depth * growth + 5, 2 * growth, 2)" in emit(GROWING)
    text = emit(STEADY)
    assert "[nn.Linear(7, 7) for _ in range(depth)]" in text
    assert "width = 7" not in text


# --- sizes that options change ------------------------------------------------------------------

PATCHES = """
block mix(x: f32[n, t, d], hidden: int) {
    y = x -> transpose(1, 2) -> dense(hidden) as up -> gelu -> dense(t) as down
    return x + (y -> transpose(1, 2))
}
model M(patch: int = 8, d: int = 6, layers: int = 2, size: int = 32) {
    input image: f32[batch, 3, size, size]
    x = image -> conv(d, kernel=patch, stride=patch) as stem -> flatten(2) -> transpose(1, 2)
    output y = x -> layers * mix(5) as blocks -> mean(axis=1) -> dense(3) as head
}
"""
WINDOWS = """
model M(kernel: int = 3, stride: int = 2, pool: int = 2, padding: int = 1, dilation: int = 1) {
    input image: f32[batch, 1, 20, 17]
    x = image -> conv(2, kernel=kernel, stride=stride, padding=padding) as one -> relu
        -> max_pool(pool) -> conv(3, kernel=3, dilation=dilation, padding="same") as two
        -> avg_pool([pool, 1]) -> conv_transpose(2, kernel=kernel, stride=[1, stride]) as three
    output y = x -> flatten -> dense(4) as head
}
"""
SIDES = """
model M(kernels: list = [5, 3], side: int = 12) {
    input image: f32[batch, 1, side, 9]
    x = image -> conv(2, kernel=[kernels[0], kernels[1]], stride=2) as one
    output y = x -> SECOND as two -> LAST -> dense(4) as head
}
"""


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (PATCHES, {"patch": "4"}),
        (PATCHES, {"patch": "5", "d": "7"}),
        (PATCHES, {"size": "40", "layers": "3"}),
        *((WINDOWS, {name: "2"}) for name in ("kernel", "dilation", "padding")),
        (WINDOWS, {"stride": "1"}),
        (WINDOWS, {"stride": "3", "kernel": "5", "padding": "0"}),
        (WINDOWS, {"pool": "3", "dilation": "3"}),
    ],
)
def test_sizes_that_windows_make_follow_their_options(spec: str, values: Values) -> None:
    assert values.keys() <= offered(spec)
    assert_arguments_mean_the_same(spec, "M", values, {"batch": 2})


def test_flattened_axes_are_powers_of_what_they_are_made_of() -> None:
    assert "Mix((size // patch) ** 2, 5)" in emit(PATCHES)
    square = """
    model M(kernel: int = 3) {
        input image: f32[batch, 1, 8, 8]
        output y = image -> conv(2, kernel=kernel) as last -> flatten -> dense(5) as head
    }
    """
    assert "self.head = nn.Linear(2 * (9 - kernel) ** 2, 5)" in emit(square)
    assert_arguments_mean_the_same(square, "M", {"kernel": "5"}, {"batch": 2})


@pytest.mark.parametrize("last", ["flatten", "global_avg_pool"])
def test_padding_that_is_counted_from_a_size_hides_what_the_size_follows(last: str) -> None:
    spec = SIDES.replace("LAST", last)
    same = spec.replace("SECOND", 'conv(2, kernel=3, stride=2, padding="same")')
    assert not offered(same)
    plain = spec.replace("SECOND", "conv(2, kernel=3, stride=2, padding=1)")
    for values in ({"kernels": "[3, 4]"}, {"side": "17"}):
        if last == "flatten" or "side" not in values:
            assert values.keys() <= offered(plain)
            assert_arguments_mean_the_same(plain, "M", values, {"batch": 2})


# --- names of sizes -----------------------------------------------------------------------------

MEMORY = """
block cross(q: f32[n, t, d], kv: f32[n, s, d], heads: int) {
    split = reshape([n, -1, heads, d / heads]) -> transpose(1, 2)
    a = q -> dense(d) as q_proj -> split
    b = kv -> dense(d) as k_proj -> split
    c = kv -> dense(d) as v_proj -> split
    y = (a, b, c) -> scaled_dot_product_attention -> transpose(1, 2) -> flatten(2)
    return y -> dense(d) as out_proj
}
block score(q: f32[n, t, d], kv: f32[n, s, d]) {
    distance = arange(s)[none, :] - arange(t)[:, none]
    near = clip(abs(distance), 0, 3) + where(distance > 0, 4, 0)
    return (kv -> dense(d) as key) * (1.0 / (1 + sum(near)))
}
model M(d: int = 8, heads: int = 2) {
    input x: f32[batch, 5, d]
    input memory: f32[batch, 7, d]
    y = x + (cross(x, memory, heads) as attn)
    output y = y + mean(score(x, memory) as score, axis=1, keep=true)
}
"""


@pytest.mark.parametrize("values", [{"d": "12"}, {"heads": "4"}])
def test_a_second_tensor_of_the_same_size_needs_no_argument_of_its_own(values: Values) -> None:
    text = emit(MEMORY)
    assert "def __init__(self, d: int, heads: int) -> None:" in text
    assert "# q: [n, t, d]; kv: [n, s, d]" in text
    assert "in_features" not in text
    assert_arguments_mean_the_same(MEMORY, "M", values, {"batch": 2})


def test_no_variable_takes_the_name_of_what_only_lends_its_size_or_a_comparison() -> None:
    text = emit(MEMORY)
    assert "q = torch.arange" not in text
    assert "kv = torch.arange" not in text
    assert "distance = torch.where" not in text


def test_a_number_in_a_dictionary_of_modules_is_written_with_str() -> None:
    spec = """
    model M(depth: int = 3) {
        input x: f32[batch, 6]
        for i in 0..depth { x = x -> dense(6) as "layers.{2 * i}" -> relu }
        for i in 1..depth { x = x -> dense(6) as others[i] -> relu }
        output y = x
    }
    """
    text = emit(spec)
    assert "str(2 * i)" in text
    assert "str(i)" in text
    assert 'f"{' not in text
    assert_arguments_mean_the_same(spec, "M", {"depth": "4"}, {"batch": 2})


# --- nets inside models -------------------------------------------------------------------------

NETS = """
model M(width: int = 8, depth: int = 2, rate: float = 0.25) {
    input x: f32[batch, 6]
    NET
    a = x -> decode
    y = x -> depth * dense(width) as rest -> dropout(rate) -> dense(6) as last
    output y = (a -> relu -> decode) + y
}
"""


@pytest.mark.parametrize(
    ("net", "values"),
    [
        ("net decode = dense(width) as a -> relu -> dense(6) as b", {"width": "5"}),
        ("net decode = dense(2 * width) as a -> dropout(rate) -> dense(6)", {"width": "5"}),
        ("net decode = dense(6) as a -> depth * dense(6) as b", {"depth": "3"}),
        ("net decode = dense(4 * ceil(width / 4)) as a -> dense(6)", {"width": "6"}),
        ("net code = dense(width)\n    net decode = code -> relu -> dense(6)", {"width": "5"}),
    ],
)
def test_layers_of_a_net_follow_the_parameters_of_the_model(net: str, values: Values) -> None:
    spec = NETS.replace("NET", net)
    given = {name: value for name, value in values.items() if name in offered(spec)}
    assert given == values or "code" in net.split("=")[0].split()
    assert_arguments_mean_the_same(spec, "M", given, {"batch": 2})


# --- functions of numbers -----------------------------------------------------------------------

ROUNDED = """
model M(width: int = 10, ratio: float = 0.3, share: int = 4, deep: bool = true) {
    input x: f32[batch, 6]
    x = x -> dense(8 * ceil(width / 8)) as a -> dense(round(width * ratio)) as b
    x = x -> dense(floor(sqrt(width))) as c -> dense(if deep then width else round(width / 3)) as d
    x = x -> dense(max(8, width / 2)) as e -> dense(width / 4 * 2) as f
    output y = (x -> dense(3) as head) * (width / share) + log(width)
}
"""


@pytest.mark.parametrize(
    "values", [{"width": "14"}, {"width": "6", "ratio": "0.5"}, {"share": "8"}, {"deep": "false"}]
)
def test_numbers_that_functions_make_are_followed(values: Values) -> None:
    assert values.keys() <= offered(ROUNDED)
    assert_arguments_mean_the_same(ROUNDED, "M", values, {"batch": 2})


LONG = """
model M(width: int = 8) {
    input x: f32[batch, 6]
    many = LONG
    output y = x -> dense(width) as a -> dense(many) as b -> dense(3) as head
}
"""


@pytest.mark.parametrize(
    "many",
    [" + ".join(["width"] * 30), f"[{', '.join(['width'] * 30)}][29]", "0 + " * 25 + "width"],
)
def test_an_argument_in_more_than_a_person_would_write_is_not_offered_or_followed(
    many: str,
) -> None:
    spec = LONG.replace("LONG", many)
    given = {"width": "5"} if "width" in offered(spec) else {}
    assert_arguments_mean_the_same(spec, "M", given, {"batch": 2})


CHANCE = """
block widen(x: f32[n, d]) { return x -> dense(12) as a -> pad([2, 2]) -> dense(5) as b }
model M(width: int = 16) {
    input x: f32[batch, 6]
    output y = x -> dense(width) as a -> widen as b
}
"""


def test_a_width_that_equals_an_input_by_chance_does_not_follow_it() -> None:
    assert offered(CHANCE) == {"width"}
    assert_arguments_mean_the_same(CHANCE, "M", {"width": "7"}, {"batch": 2})


# --- initial values -----------------------------------------------------------------------------

DRAWN = """
block scaled(x: f32[n, d], out: int, gain: float) {
    param weight: f32[out, d] = normal(gain / sqrt(d))
    param bias: f32[out] = uniform(-1 / out, 1 / out)
    param slope: f32[out] = constant(gain)
    return (x @ transpose(weight, 0, 1) + bias) * slope
}
model M(width: int = 16, gain: float = 2.0, depth: int = 2) {
    input x: f32[batch, 6]
    param scale: f32[width] = normal(gain / sqrt(width))
    h = (x -> dense(width) as first) * scale
    for i in 0..depth { h = h -> scaled(width, gain) as blocks[i] }
    output y = h -> scaled(3, 2 * gain) as last
}
"""


@pytest.mark.parametrize("values", [{"width": "9"}, {"gain": "0.5"}, {"width": "4", "depth": "3"}])
def test_initial_values_follow_the_arguments(values: Values) -> None:
    assert values.keys() <= offered(DRAWN)
    assert_arguments_mean_the_same(DRAWN, "M", values, {"batch": 2})
    given = {name: ast.literal_eval(value) for name, value in values.items()}
    torch.manual_seed(0)
    made = run_source(emit(DRAWN)).M(**given).state_dict()
    torch.manual_seed(0)
    wanted = run_source(emit(set_defaults(DRAWN, "M", values))).M().state_dict()
    assert made.keys() == wanted.keys()
    assert all(torch.equal(made[path], wanted[path]) for path in made)


def test_initial_values_are_written_as_the_author_wrote_them() -> None:
    text = emit(DRAWN)
    assert "nn.init.normal_(self.scale, std=gain / math.sqrt(width))" in text
    assert "nn.init.uniform_(self.bias, -1 / out, 1 / out)" in text
    assert "self.slope = nn.Parameter(torch.full((out,), gain, dtype=torch.float32))" in text


# --- checks of sizes that arguments move ---------------------------------------------------------

U_NET = """
model M(widths: list = [4, 6, 8], blocks: int = 2) {
    input x: f32[batch, 3, h, w]
    skips = []
    for i, width in enumerate(widths) {
        for j in 0..blocks { x = x -> conv(width, kernel=3, padding=1) as "down.{i}"[j] -> relu }
        skips = skips + [x]
        x = x -> max_pool(2)
    }
    x = x -> conv(widths[-1], kernel=1) as middle
    for i in 0..len(widths) {
        x = concat([x -> resize(scale=2), skips[-1 - i]], axis=1)
        x = x -> conv(widths[-1 - i], kernel=1) as up[i] -> relu
    }
    output y = x -> conv(2, kernel=1) as head
}
"""
"""Its sizes must be multiples of 8, or of another power of 2 with other widths."""
ADDING = U_NET.replace(
    "concat([x -> resize(scale=2), skips[-1 - i]], axis=1)",
    "(x -> resize(scale=2) -> conv(4, kernel=1) as fit[i])"
    " + (skips[-1 - i] -> conv(4, kernel=1) as side[i])",
)
FIXED = U_NET.replace("(widths: list = [4, 6, 8], blocks: int = 2)", "(out: int = 2)")
FIXED = FIXED.replace("widths", "[4, 6, 8]").replace("blocks", "1").replace("conv(2", "conv(out")


@pytest.mark.parametrize(
    ("values", "sizes"),
    [
        ({"widths": "[5, 7]", "blocks": "1"}, {"h": 4, "w": 12}),
        ({"widths": "[2]"}, {"h": 6, "w": 2}),
        ({"widths": "[3, 2, 4, 3]", "blocks": "3"}, {"h": 16, "w": 32}),
        ({"blocks": "0"}, {"h": 8, "w": 16}),
    ],
)
def test_levels_of_a_u_net_are_arguments(values: Values, sizes: dict[str, int]) -> None:
    assert values.keys() <= offered(U_NET)
    assert_arguments_mean_the_same(U_NET, "M", values, {"batch": 2, **sizes})


def test_joined_tensors_of_other_sizes_are_refused_by_pytorch() -> None:
    source = emit(U_NET)
    assert "raise" not in source
    made = run_source(source, "M").M().eval()
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        made(torch.zeros(1, 3, 20, 16))


def test_sizes_are_checked_where_pytorch_would_not_refuse_them_or_no_argument_moves_them() -> None:
    assert "widths" not in offered(ADDING)  # a size of 1 would be repeated
    for spec in (ADDING, FIXED):
        assert "h must be a multiple of 8" in emit(spec)
    assert offered(FIXED) == {"out"}
