"""Pipes, waiting calls, labels, copies and nets: which weights a spec makes, and where."""

from __future__ import annotations

import pytest

from compiler.program.net import Net, Renaming
from tests.elaborating import build, elaborate


def model(body: str, before: str = "") -> Net:
    text = f"{before}\nmodel M {{\n    input x: f32[batch, 8]\n{body}\n}}\n"
    return build(text)


def weights(net: Net) -> list[str]:
    """Paths of the weights, without biases."""
    return [p.path for p in net.graph.parameters if not p.path.endswith("bias")]


def ops(net: Net) -> list[str]:
    return [n.op.name for n in net.graph.nodes]


@pytest.mark.parametrize(
    ("pipe", "paths"),
    [
        ("x -> dense(4)", ["dense"]),
        ("x -> dense(4) -> dense(4) -> dense(4)", ["dense", "dense_2", "dense_3"]),
        ("x -> dense(4) as fc -> dense(4)", ["fc", "dense"]),
        ("x -> dense(4) as conv[0]", ["conv.0"]),
        ('x -> dense(4) as "layer{1 + 1}"[3]', ["layer2.3"]),
        ('x -> dense(4) as "a.b"', ["a.b"]),
        ("x -> 2 * dense(8) as body", ["body.0", "body.1"]),
        ("x -> 2 * dense(8)", ["dense", "dense_2"]),
        ("x -> (dense(4) -> relu -> dense(4)) as head", ["head.dense", "head.dense_2"]),
        ("x -> (dense(4) -> relu -> dense(4))", ["dense", "dense_2"]),
        ("x -> (dense(4) as a -> dense(4) as b) as head", ["head.a", "head.b"]),
        ("(x -> dense(4) -> dense(4)) as head", ["head.dense", "head.dense_2"]),
        ("x -> dense(4) as dense_2 -> dense(4) -> dense(4)", ["dense_2", "dense", "dense_3"]),
    ],
)
def test_paths(pipe: str, paths: list[str]) -> None:
    assert weights(model(f"    output y = {pipe}")) == [f"{p}.weight" for p in paths]


def test_copies_of_a_sequence_are_scopes_when_named() -> None:
    net = model("    pair = dense(8) -> relu\n    output y = x -> 2 * pair as b")
    assert weights(net) == ["b.0.dense.weight", "b.1.dense.weight"]


def test_blocks_are_scopes() -> None:
    before = "block f(x) { return x -> dense(8) as a -> dense(8) }"
    net = model("    output y = x -> f -> f as g -> 2 * f as h", before)
    assert weights(net) == [
        f"{scope}.{slot}.weight" for scope in ("f", "g", "h.0", "h.1") for slot in ("a", "dense")
    ]


def test_blocks_of_numbers_take_no_path() -> None:
    before = "block twice(n: int) { return 2 * n }\nblock f(x, n: int) { return x -> dense(n) }"
    net = model("    a = twice(2)\n    output y = x -> f(twice(a)) -> f(twice(4))", before)
    assert weights(net) == ["f.dense.weight", "f_2.dense.weight"]
    assert [f.block for f in {n.scope for n in net.graph.nodes}] == ["f", "f"]


# --- nets -------------------------------------------------------------------------------------


def test_a_net_is_shared() -> None:
    net = model("    net e = dense(8)\n    y = x -> 3 * e\n    output z = e(y)")
    assert weights(net) == ["e.weight"]
    assert ops(net) == ["dense"] * 4
    assert {n.origin.name for n in net.graph.nodes} == {"e"}


def test_calls_of_a_net_share_a_path_and_differ_in_call() -> None:
    before = "block f(x, n: int) { return x -> dense(n) as a -> dense(8) }"
    net = model("    net e = f(4)\n    output y = e(e(x))", before)
    frames = list(dict.fromkeys(n.scope for n in net.graph.nodes))
    assert [f.path for f in frames] == ["e", "e"]
    assert frames[0].call != frames[1].call
    assert weights(net) == ["e.a.weight", "e.dense.weight"]


def test_a_sequence_is_a_net() -> None:
    net = model('    net d = dense(4) as "0" -> relu -> dense(8) as "2"\n    output y = d(d(x))')
    assert weights(net) == ["d.0.weight", "d.2.weight"]
    assert {n.scope.block for n in net.graph.nodes} == {"d"}


def test_a_net_used_in_another_block() -> None:
    before = "block twice(x, f: layer) { return x -> f -> f }"
    net = model("    net e = dense(8)\n    output y = x -> twice(e) -> twice(e)", before)
    assert weights(net) == ["e.weight"]
    assert len(net.graph.nodes) == 4


def test_lists_of_nets() -> None:
    net = model(
        "    net m = [dense(8) for i in 0..3]\n"
        "    y = x -> m[0] -> m[1]\n    output z = sum([f(y) for f in m])"
    )
    assert weights(net) == ["m.0.weight", "m.1.weight", "m.2.weight"]


def test_inside_of_a_net() -> None:
    before = (
        "block f(x, n: int, m: int = 3) { net e = dense(8)\n return e(x * m) -> dense(n) as a }"
    )
    net = model(
        "    net e = f(8)\n    y = e(x)\n"
        "    output z = y -> dense(e.n * e.m) -> dense(8, bias=false)\n"
        "    output w = y -> e.e -> dense(8, weight=e.e.weight)",
        before,
    )
    assert weights(net) == ["e.e.weight", "e.a.weight", "dense.weight", "dense_2.weight"]


def test_nets_inside_nets_are_made_once() -> None:
    before = "block f(x) { net e = dense(8)\n return e(e(x)) }"
    net = model("    net g = f\n    output y = g(g(x))", before)
    assert weights(net) == ["g.e.weight"]
    assert len(net.graph.nodes) == 4


def test_tied_weights() -> None:
    net = build(
        "model M {\n    input t: i64[batch, k]\n    net embed = embedding(100, 16)\n"
        "    x = embed(t)\n    output y = x -> dense(100, weight=embed.weight, bias=false)\n"
        "    output z = x -> dense(100, weight=embed.weight) as head\n}\n"
    )
    assert [p.path for p in net.graph.parameters] == ["embed.weight", "head.bias"]
    assert [n.origin.name for n in net.graph.nodes] == ["embed", "", "head"]


def test_models_as_nets_and_loads() -> None:
    nets, messages = elaborate(
        "model A(n: int = 4) {\n    input x: f32[batch, 8]\n    output y = x -> dense(n)\n"
        "    output z = y -> relu\n}\n"
        'net a = A(n=5) -> load("a.safetensors", except=["fc.*"], rename=["e.*" -> "b.*"])\n'
        'net b = a -> load("b.safetensors", only="dense.*")\n'
        "model B {\n    input x: f32[batch, 8]\n    net first = a\n"
        "    both = first(x)\n    output y = both.y + both.z + A(x, n=5).y\n}\n"
    )
    assert not messages
    assert nets["a"].graph.parameter["dense.weight"].value.type.known_shape == (5, 8)
    (load,) = nets["a"].loads
    assert (load.file, load.excluded, load.rename) == (
        "a.safetensors",
        ("fc.*",),
        (Renaming(("e.*",), ("b.*",)),),
    )
    assert [item.file for item in nets["b"].loads] == ["a.safetensors", "b.safetensors"]
    assert nets["b"].loads[1].only == ("dense.*",)
    assert weights(nets["B"]) == ["first.dense.weight", "A.dense.weight"]


# --- calls ------------------------------------------------------------------------------------

CROP = "block crop(x: tensor[..., h, w], y: tensor[..., p, q]) { return x[..., :p, :q] + 0 * y }"


@pytest.mark.parametrize(
    "call",
    ["x -> crop(y)", "crop(x, y)", "crop(y)(x)", "(x, y) -> crop", "x -> crop(y=y)", "x -> cut"],
)
def test_calls_wait_for_leading_tensors(call: str) -> None:
    net = build(
        f"{CROP}\nmodel M {{\n    input x: f32[batch, 8, 8]\n    input y: f32[batch, 6, 6]\n"
        f"    cut = crop(y)\n    whole = {call}\n    output z = whole -> cut\n}}\n"
    )
    assert str(net.graph.outputs[0].value.type) == "f32[batch, 6, 6]"


def test_a_first_argument_that_does_not_fit_is_left_out() -> None:
    before = (
        "block attend(q: f32[n, d], mask: bool[n] = none, heads: int = 2) {\n"
        "    return if mask == none then q * heads else where(mask[:, none], q, 0) * heads\n}"
    )
    net = model(
        "    m = x[:, 0] > 0\n    a = x -> attend(m)\n    b = x -> attend(m, 3)\n"
        "    output y = (a -> attend(heads=3)) + attend(b)",
        before,
    )
    assert ops(net).count("where") == 2


def test_numbers_beside_tensors() -> None:
    net = model("    output y = maximum(0, x) + where(x > 0, 1, 0) + 2 ** x")
    assert ops(net).count("constant") == 5


def test_a_tensor_hides_no_function() -> None:
    net = model(
        "    mean = mean(x, axis=1)\n    relu = x -> relu\n    output y = relu -> relu\n"
        "    output z = mean * mean(x)"
    )
    assert ops(net) == ["mean", "relu", "relu", "mean", "mul"]


def test_results_by_name_and_in_order() -> None:
    before = "block f(x) { return a=x -> dense(4) as a, b=x -> dense(4) as b }"
    net = model(
        "    r = x -> f as f\n    one, two = x -> f as g\n    output y = r.a + r.b\n"
        "    output z = one * two",
        before,
    )
    assert weights(net) == ["f.a.weight", "f.b.weight", "g.a.weight", "g.b.weight"]


def test_the_only_result_has_its_name() -> None:
    before = "block f(x) { h = x -> relu\n return h }"
    assert ops(model("    output y = f(x).h", before)) == ["relu"]


def test_layers_are_values() -> None:
    before = "block wrap(x, f: layer, act: layer = relu) { return x + (x -> f as inner -> act) }"
    net = model(
        "    f = dense(8) -> tanh\n    for a in [relu, gelu] { x = x -> a }\n"
        "    output y = x -> wrap(f) -> wrap(dense(8), act=silu) -> wrap(f, act=dropout(10%))",
        before,
    )
    assert weights(net) == [
        "wrap.inner.dense.weight",
        "wrap_2.inner.weight",
        "wrap_3.inner.dense.weight",
    ]
    assert ops(net)[-3:] == ["tanh", "dropout", "add"]


def test_values_are_called_what_they_are_bound_to() -> None:
    net = model(
        "    h = x -> dense(8) -> relu\n    h = h -> tanh\n    a, b = chunk(h, 2, axis=1)\n"
        "    output y = a + b"
    )
    assert [n.outputs[0].name for n in net.graph.nodes] == ["%1", "h", "h.2", "a", "y"]


def test_weights_keep_their_paths_beside_values_of_the_same_name() -> None:
    net = model("    scale = x -> relu\n    param scale: f32[8] = ones\n    output y = x * scale")
    assert [p.path for p in net.graph.parameters] == ["scale"]
    assert net.graph.nodes[0].output.name == "scale.2"


def test_full_repeats_a_tensor() -> None:
    net = model("    output y = full([batch, 8], max(x)) * full([batch], 2.0)[:, none]")
    assert ops(net) == ["max", "expand", "full", "index", "mul"]


def test_loads_of_inner_nets_keep_their_place() -> None:
    nets, messages = elaborate(
        "model Body {\n    input x: f32[batch, 8]\n    output y = x -> dense(8) as fc\n}\n"
        'net body = Body() -> load("body.safetensors", except=["fc.bias"])\n'
        "model M {\n    input x: f32[batch, 8]\n    net first = body\n"
        '    net second = dense(8) -> load("second.safetensors")\n'
        "    output z = x -> first -> second -> second\n}\n"
        'net m = M() -> load("m.safetensors")\n'
    )
    assert not messages
    assert [(item.file, item.prefix) for item in nets["m"].loads] == [
        ("body.safetensors", "first"),
        ("second.safetensors", "second"),
        ("m.safetensors", ""),
    ]
