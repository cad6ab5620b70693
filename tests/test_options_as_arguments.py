"""Options of operations that are arguments of a class, and what else changes with them."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from backends.pytorch.modules import emit_module
from tests.elaborating import build
from tests.test_arguments_other_values import Values, assert_same, make_class, model

BODIES = {
    # a word and a fraction decide sizes
    "padding": (
        'pad: str = "same"',
        "h = x -> conv(4, kernel=3, padding=pad) as c\n    output y = h -> flatten -> dense(3)",
        {"pad": "valid"},
    ),
    "scale": (
        "scale: float = 2.0",
        "output y = x -> resize(scale=scale) -> flatten -> dense(3)",
        {"scale": 0.5},
    ),
    "fraction of a width": (
        "alpha: float = 1.0",
        "h = x -> conv(4 * floor(2 * alpha), kernel=3) as c\n"
        "    output y = h -> permute([0, 2, 1]) -> reshape([batch, 7, -1]) -> dense(3)",
        {"alpha": 0.5},
    ),
    "ceil": (
        "ceil: bool = false",
        "output y = x -> max_pool(3, ceil_mode=ceil) -> flatten -> dense(3)",
        {"ceil": True},
    ),
    # the stride of a pooling is its kernel only where the spec says so
    "stride": (
        "k: int = 2",
        "output y = x -> max_pool(k, stride=2) -> global_avg_pool -> dense(3)",
        {"k": 3},
    ),
    # the code of one value is no code of another
    "same, with a stride": (
        "s: int = 1",
        'h = x -> conv(4, kernel=3, stride=s, padding="same") as c\n'
        "    output y = h -> global_avg_pool -> dense(3)",
        {"s": 2},
    ),
    "same, with a kernel": (
        "k: int = 3",
        'h = x -> conv(4, kernel=k, stride=2, padding="same") as c\n'
        "    output y = h -> global_avg_pool -> dense(3)",
        {"k": 5},
    ),
    "parts": (
        "parts: int = 2",
        "p = x -> conv(12, kernel=1) -> chunk(parts, axis=1)\n"
        "    output y = p[0] -> global_avg_pool -> dense(3)",
        {"parts": 3},
    ),
    "number of entries": (
        "n: int = 2",
        "p = x -> conv(4 * n, kernel=1) as c -> reshape([batch, n, 4, 16]) -> unbind(1)\n"
        "    output y = p[0] -> global_avg_pool -> dense(3)",
        {"n": 3},
    ),
    "rank": (
        "start: int = 1",
        "output y = x -> flatten(start) -> mean(axis=-1, keep=true) -> flatten -> dense(3)",
        {"start": 2},
    ),
    # as long as before by chance
    "once": (
        "times: int = 1, d: int = 16",
        "h = x -> dense(d) as s -> repeat_interleave(times, axis=2)\n    output y = h -> dense(3)",
        {"times": 2},
    ),
    "a square": (
        "d: int = 3",
        "h = x -> dense(d) as s -> permute([0, 2, 1])\n    output y = h -> dense(3)",
        {"d": 5},
    ),
    "a new axis": (
        "m: int = 1",
        "h = x -> global_avg_pool -> dense(m) as b -> unsqueeze(1)\n"
        "    output y = h -> dense(4) as e -> flatten -> dense(3)",
        {"m": 2},
    ),
    "a size that a call takes on": (
        "d: int = 3",
        "h = x -> transpose(1, 2) -> dense(d) as s -> pick(3)\n"
        "    output y = h -> flatten -> dense(3)",
        {"d": 5},
    ),
    "a stack": (
        "d: int = 2",
        "h = x -> global_avg_pool\n"
        "    z = stack([h -> dense(d) as a, h -> dense(d) as b], axis=1)\n"
        "    output y = (z @ (z -> transpose(1, 2))) -> flatten -> dense(3)",
        {"d": 5},
    ),
    "a call that turns axes": (
        "alpha: int = 2",
        "h = x -> conv(4 * alpha, kernel=3) as c\n    output y = h -> sq -> dense(3)",
        {"alpha": 1},
    ),
    # defaults and first values
    "a list by default": (
        "width: int = 2, inner: int = 4, dims: list = [width, inner]",
        "h = x -> global_avg_pool\n"
        "    if width > 1 { h = h -> dense(inner) as first }\n"
        "    for i, k in enumerate(dims) { h = h -> dense(k) as d[i] }\n"
        "    output y = h -> dense(3)",
        {"inner": 5},
    ),
    "a whole number to begin with": (
        "value: int = 2",
        "param p: f32[16] = constant(value)\n    output y = (x * p) -> dense(3)",
        {"value": 3},
    ),
    # equal by chance, one after the other
    "an item of each list": (
        "outs: list = [4, 4, 4], kernels: list = [5, 3, 3]",
        "for i in 0..len(outs) {\n"
        '        x = x -> stage(outs[i], kernels[i], if i == 0 then "first" else "rest") as s[i]\n'
        "    }\n    output y = x -> global_avg_pool -> dense(3)",
        {"kernels": [5, 3, 5]},
    ),
    "the last item": (
        "ks: list = [3, 3, 3, 3], others: list = [3, 3]",
        "for i, k in enumerate(reversed(ks[1:])) { x = x -> stage(4, k) as a[i] }\n"
        "    x = x -> stage(4, ks[-1]) as b[0] -> stage(4, others[-1]) as b[1]\n"
        "    output y = x -> global_avg_pool -> dense(3)",
        {"others": [3, 5]},
    ),
    "two numbers": (
        "a: int = 3, b: int = 3",
        "h = x -> stage(4, a) as s[0] -> stage(4, a) as s[1] -> stage(4, b) as s[2]\n"
        "    output y = h -> global_avg_pool -> dense(3)",
        {"b": 5},
    ),
    "a size of a tensor outside": (
        "depth: int = 3",
        "h = x -> global_avg_pool\n    seen = []\n"
        "    for i in 0..depth {\n"
        "        h = h -> dense(4 * (i + 1)) as down[i]\n        seen = seen + [h]\n    }\n"
        "    output y = h -> dense(5) as back -> widen(seen) as last",
        {"depth": 2},
    ),
    "a branch": (
        "first: bool = true, second: bool = false",
        "output y = (x -> halve(first) as a) + (x -> halve(second) as b)",
        {"first": False},
    ),
    "a layer in a branch": (
        "deep: bool = true",
        "h = x -> global_avg_pool\n"
        "    output y = h -> act_twice(deep) as a -> act_twice(not deep, leaky_relu(0.5)) as b",
        {"deep": False},
    ),
    "a layer in a branch alone": (
        "deep: bool = true",
        "h = x -> global_avg_pool\n"
        "    output y = h -> act_once(deep) as a -> act_once(not deep, leaky_relu(0.5)) as b",
        {"deep": False},
    ),
}
BLOCKS = """
block pick(x: f32[n, t, d], k: int) {
    place = arange(k) -> unsqueeze(0) -> unsqueeze(2) -> expand([n, k, d])
    return gather(x, place, axis=1)
}
block sq(x) { return x -> permute([0, 2, 1]) -> reshape([x.shape[0], 7, -1]) }
block stage(x: f32[n, c, t], out: int, kernel: int, place: str = "rest") {
    x = x -> conv(out, kernel=kernel, padding=kernel // 2) as conv
    if place == "first" { x = x -> group_norm(1) as norm }
    return x -> relu
}
block widen(x: f32[n, d], seen: list) { return x -> dense(seen[-1].shape[1] + d) as out }
block halve(x: f32[n, c, t], down: bool) {
    x = x -> conv(4, kernel=1) as c
    if down { x = x -> resize(scale=0.5) }
    return x -> flatten -> dense(4) as d
}
block act_twice(x: f32[n, d], deep: bool, act: layer = relu) {
    x = x -> dense(5) as a
    if deep { x = x -> act -> dense(5) as b }
    return x -> act
}
block act_once(x: f32[n, d], deep: bool, act: layer = relu) {
    x = x -> dense(5) as a
    if deep { x = x -> act }
    return x
}
"""


@pytest.mark.parametrize("name", BODIES)
def test_a_class_does_not_offer_what_it_does_not_follow(name: str) -> None:
    parameters, body, values = BODIES[name]
    spec = f"{BLOCKS}model M({parameters}) {{\n    input x: f32[batch, 3, 16]\n    {body}\n}}\n"
    made = make_class(spec)
    assert_same(spec, made, {})
    if values.keys() <= _find_offered(made):
        assert_same(spec, made, values)


def _find_offered(made: Any) -> set[str]:
    return set(made.__init__.__annotations__) - {"return"}


def test_what_a_pooling_strides_is_written_where_its_kernel_is_an_argument() -> None:
    parameters, body, _ = BODIES["stride"]
    spec = f"model M({parameters}) {{\n    input x: f32[batch, 3, 16]\n    {body}\n}}\n"
    assert _find_offered(make_class(spec)) == {"k"}
    assert "F.max_pool1d(x, self.k, stride=2)" in emit_module([build(spec).graph], title="M")


OFFERED: list[tuple[str, Values]] = [
    ("a list by default", {"inner": 5}),
    ("a square", {"d": 5}),
    ("a new axis", {"m": 2}),
    ("a layer in a branch", {"deep": False}),
    ("an item of each list", {"kernels": [5, 3, 5]}),
    ("the last item", {"others": [3, 5]}),
    ("two numbers", {"b": 5}),
]


@pytest.mark.parametrize(("name", "values"), OFFERED)
def test_what_a_class_follows_it_offers(name: str, values: Values) -> None:
    parameters, body, _ = BODIES[name]
    spec = f"{BLOCKS}model M({parameters}) {{\n    input x: f32[batch, 3, 16]\n    {body}\n}}\n"
    assert values.keys() <= _find_offered(make_class(spec))


LENGTHS = {
    "h = x -> reshape([batch, t // p, 3 * p]) -> dense(4) as e": False,
    "param e: f32[p, 3] = normal(0.1)\n    h = x + e": False,
    "h = x -> dense(p) as e": True,
}


@pytest.mark.parametrize("body", LENGTHS)
def test_what_a_check_of_a_run_is_made_for_is_no_argument(body: str) -> None:
    spec = (
        f"model M(p: int = 4) {{\n    input x: f32[batch, t, 3]\n    {body}\n"
        "    output y = h -> mean(axis=1)\n}\n"
    )
    assert ("p" in _find_offered(make_class(spec))) == LENGTHS[body]


def test_a_fraction_that_is_given_as_a_whole_number_is_a_fraction() -> None:
    spec = (
        "model M(gain: float = 0.5) {\n    input x: f32[batch, 4]\n"
        "    param w: f32[4] = constant(gain)\n    buffer b: f32[] = constant(2 * gain)\n"
        "    output y = x * w + b\n    output z = full([3], gain)\n}\n"
    )
    module = make_class(spec)(gain=2)
    assert (module.w.dtype, module.b.dtype) == (torch.float32, torch.float32)
    assert module(torch.ones(1, 4))[1].dtype == torch.float32


CHOICE = """
block unit(x: f32[n, d], act: str = none) {
    y = x -> dense(d) as a
    if act == "relu" { y = relu(y) }
    return y
}
model M() {
    input x: f32[batch, 6]
    output y = x -> unit as a -> unit("relu") as b
}
"""


def test_a_word_that_may_be_none_is_compared_as_the_author_does() -> None:
    text = emit_module([build(CHOICE).graph], title="M")
    assert 'if self.act == "relu":' in text


def test_a_function_that_is_given_nothing_but_a_tensor_is_written() -> None:
    spec = (
        "block cut(x: f32[n, c, t]) { return x[:, : c // 2] }\n"
        "model M(width: int = 4) {\n    input x: f32[batch, 3, 16]\n"
        "    h = x -> conv(width, kernel=3) -> cut\n"
        "    output y = h -> global_avg_pool -> dense(3)\n}\n"
    )
    assert_same(spec, make_class(spec), {})


DOWN = """
block down(x: f32[n, c, t], out: int, times: int) {
    for k in 0..times - 1 { x = x -> conv(c, kernel=3, stride=2, padding=1) as steps[k] }
    return x -> conv(out, kernel=3, stride=2, padding=1) as last
}
model M(width: int = 4) {
    input x: f32[batch, 3, 16]
    h = x -> down(width, 1) as a
    output y = h -> down(width, 2) as b -> flatten -> dense(3) as o
}
"""


def test_a_loop_that_one_call_does_not_enter_is_written() -> None:
    assert_same(DOWN, make_class(DOWN), {})


WHOLE = {
    "a product": "output y = ids * gain",
    "products": "output y = ids * gain * half + gain",
    "a power": "output y = ids ** gain",
    "a quotient": "output y = ids // gain",
    "a bound": "output y = maximum(ids, gain)",
    "a choice": "output y = where(ids > 1, gain, half)",
    "a choice of a tensor": "output y = where(ids > 1, ids, gain)",
    "a default": "output y = where(ids > 1, twice, gain)",
    "in a function": "output y = scaled(ids, gain, [gain, half]) + scaled(ids, half, [gain])",
    "in a loop": "output y = held(ids, gain, 3) + held(ids, half, 2)",
}
FRACTIONS = """
block scaled(x: i64[n, d], gain: float, gains: list) {
    y = x * gain
    for i, g in enumerate(gains) { y = y + x * g + x * gains[i] }
    return y
}
block held(x: i64[n, d], gain: float, times: int) {
    y = x * gain
    for i in 0..times { y = (y + where(x > i, gain, 0.5)) -> dense(d) as layers[i] }
    return y
}
model M(gain: float = 2.5, half: float = 0.5, twice: float = 2 * gain) {
    input ids: i64[batch, 4]
    BODY
}
"""


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_for_fractions_make_tensors_of_fractions(name: str) -> None:
    made = make_class(FRACTIONS.replace("BODY", WHOLE[name]))
    offered = set(inspect.signature(made).parameters)
    wholes = {"gain": 3, "half": 2}
    given = {label: value for label, value in wholes.items() if label in offered}
    assert "gain" in given
    whole, fraction = made(**given), made(**{k: float(v) for k, v in given.items()})
    fraction.load_state_dict(whole.state_dict())
    ids = torch.arange(-4, 4).view(2, 4)
    torch.testing.assert_close(whole(ids), fraction(ids))
    assert whole(ids).dtype == torch.float32


SCALED = """
block scaled(x: f32[n, d], WORD: float = 0.5, start: initializer = zeros) {
    param shift: f32[d] = start
    return x * WORD + shift
}
"""


@pytest.mark.parametrize("word", ["init", "rate_init", "call_super_init", "rate"])
def test_a_number_of_a_block_may_be_called_like_the_start_of_a_weight(word: str) -> None:
    """`init=` says how a weight starts only where the layer declares it."""
    body = f"output y = x -> dense(4) -> scaled({word}=rate) -> scaled(0.5) -> dense(3)"
    spec = SCALED.replace("WORD", word) + model("rate: float = 0.25", body)
    made = make_class(spec)
    assert list(inspect.signature(made).parameters) == ["rate"]
    for value in (0.75, 2.0):
        assert_same(spec, made, {"rate": value})


def test_a_number_that_starts_a_weight_under_any_name_is_no_argument() -> None:
    spec = SCALED.replace("WORD", "rate") + model(
        "first: float = 0.25",
        "output y = x -> dense(4) -> scaled(start=first) -> dense(3) -> relu",
    )
    assert not inspect.signature(make_class(spec)).parameters
