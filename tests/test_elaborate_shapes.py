"""Signatures: sizes bound from types, checks against declared types, and what frames record."""

from __future__ import annotations

import pytest

from backends.pytorch.modules import emit_module
from compiler.ir.frame import Frame
from compiler.ir.hint import find_readable, hint_names, hint_text, outer_names
from compiler.program.net import Net
from compiler.types.dims import Dim
from compiler.vocabulary.no_default import NO_DEFAULT
from tests.elaborating import build, codes


def frame(net: Net, block: str) -> Frame:
    return next(n.scope for n in net.graph.nodes if n.scope.block == block)


def test_sizes_are_bound_from_the_first_argument_present() -> None:
    net = build(
        "block f(x: f32[n, d], m: f32[s, d] = none, y: f32[s, d] = none, k: int = 2 * d) {\n"
        "    return if y == none then x -> dense(k) else (x -> dense(k * s)) + 0 * mean(y)\n"
        "        + 0 * (if m == none then 0 else mean(m))\n}\n"
        "model M {\n    input x: f32[batch, 8]\n    input y: f32[5, 8]\n"
        "    output a = f(x)\n    output b = f(x, y=y)\n    output c = f(x, y, y, k=3)\n}\n"
    )
    widths = [str(o.value.type) for o in net.graph.outputs]
    assert widths == ["f32[batch, 16]", "f32[batch, 80]", "f32[batch, 15]"]


@pytest.mark.parametrize(
    ("pattern", "accepted"),
    [
        ("f32[n, c, h, w]", True),
        ("f32[..., w]", True),
        ("f32[n, ..., w]", True),
        ("f32[n, c, ...]", True),
        ("f32[_, _, _, _]", True),
        ("tensor[..., h, h]", True),
        ("f32", True),
        ("tensor", True),
        ("f32[n, 3, h, w]", True),
        ("f32[n, c, 2 * c + 2, w]", True),
        ("f32[n, c]", False),
        ("i64[n, c, h, w]", False),
        ("f32[n, 4, h, w]", False),
        ("f32[n, c, c, w]", False),
        ("f32[n, 1, 2, 3, ...]", False),
    ],
)
def test_patterns(pattern: str, accepted: bool) -> None:
    found = codes(
        f"block f(x: {pattern}) {{ return x -> relu }}\n"
        "model M {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> f\n}\n"
    )
    assert (not found) is accepted
    assert all(code in ("W0301", "W0302", "W0303") for code in found)


def test_undecided_equalities_become_conditions() -> None:
    net = build(
        "block f(x: f32[n, t], y: f32[n, t]) { return x + y }\n"
        "model M {\n    input x: f32[batch, a]\n    input y: f32[batch, b]\n"
        '    assert a <= 100 and b % 2 == 0, "limits"\n    output z = f(x, y)\n}\n'
    )
    found = {f"{c.left} {c.relation} {c.right}" for c in net.graph.conditions}
    assert found == {"a <= 100", "b - 2 * (b // 2) == 0", "b == a"}
    assert all(c.origin is not None for c in net.graph.conditions)


def test_numbers_of_the_file_are_sizes_in_types() -> None:
    text = (
        "let d = 8\nblock f(x: f32[n, d]) {{ return x * d }}\n"
        "model M {{\n    input x: f32[batch, {}]\n    output y = x -> f\n}}\n"
    )
    assert str(build(text.format("d")).graph.inputs[0].value.type) == "f32[batch, 8]"
    assert codes(text.format(9)) == ["W0302"]


def test_inputs_share_sizes() -> None:
    net = build(
        "model M(d: int = 4) {\n    input x: f32[batch, t, d]\n    input y: i64[batch, _, 2 * d]\n"
        "    output z = x * mean(cast(y, f32))\n}\n"
    )
    assert [str(i.value.type) for i in net.graph.inputs] == [
        "f32[batch, t, 4]",
        "i64[batch, y_1, 8]",
    ]
    assert [(k, hint_text(h)) for k, h in net.graph.inputs[1].hints] == [("2", "2 * d")]


# --- frames and hints -------------------------------------------------------------------------

BLOCK = """
## A block.
block f(x: f32[n, d], width: int, act: layer = relu, rate: float = 0.1, layers: int = 2) {
    hidden = 2 * width
    y = x -> dense(hidden, bias=rate == 0.1) as a -> act
    if width != d { y = y -> dense(d + 2 * width) as b }
    for i in 0..layers { y = y -> dropout(rate) }
    return y
}
model M(w: int = 16) {
    input x: f32[batch, 8]
    output y = x -> f(w // 2 * 2, rate=0.2) as stage
}
"""


def test_a_frame_records_its_call() -> None:
    net = build(BLOCK)
    found = frame(net, "f")
    assert found.path == "stage"
    assert found.doc == "A block."
    assert found.parent is net.graph.frame
    assert found.tensors == (("x", "x"),)
    rows = {a.name: a for a in found.arguments}
    assert (rows["width"].value, rows["width"].default) == (16, NO_DEFAULT)
    assert rows["width"].hint is not None
    assert hint_text(rows["width"].hint) == "w // 2 * 2"
    assert (rows["act"].value, rows["act"].default) == ("relu", "relu")
    assert (rows["rate"].value, rows["rate"].default) == (0.2, 0.1)
    assert rows["layers"].value == 2
    (loop,) = rows["layers"].untraced
    assert loop.text == "for i in 0..layers { y = y -> dropout(rate) }"
    (condition,) = rows["width"].untraced
    assert condition.text == "if width != d { y = y -> dense(d + 2 * width) as b }"
    assert not rows["rate"].untraced
    assert (rows["n"].value, rows["n"].dims) == (Dim.of("batch"), (("x", 0),))
    assert (rows["d"].value, rows["d"].dims) == (8, (("x", 1),))


def test_nodes_record_how_their_fields_were_written() -> None:
    net = build(BLOCK)
    first, act, second, drop = net.graph.nodes[:4]
    assert {k: hint_text(h) for k, h in first.origin.hints} == {
        "out": "2 * width",
        "bias": "rate == 0.1",
    }
    assert {k: hint_text(h) for k, h in act.origin.hints} == {"op": "act"}
    assert hint_text(second.origin.hint["out"]) == "d + 2 * width"
    assert second.origin.guard is not None
    assert hint_text(second.origin.guard) == "width != d"
    assert hint_text(drop.origin.hint["p"]) == "rate"
    assert drop.origin.guard is None


def test_an_early_return_guards_what_follows() -> None:
    net = build(
        "block f(x, deep: bool = true, n: int = 1) {\n    if not deep { return x -> relu }\n"
        "    if n > 4 { x = x -> tanh } else { x = x -> gelu }\n    return x -> silu\n}\n"
        "model M {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )
    guards = [n.origin.guard for n in net.graph.nodes]
    assert [hint_text(g) for g in guards if g is not None] == ["deep and n <= 4", "deep"]


def test_of_hints_of_another_block_only_the_names_are_kept() -> None:
    net = build(
        "block wrap(x, f: layer) { return x -> f }\n"
        "block double(n: int) { return 2 * n }\n"
        "model M(width: int = 4) {\n    input x: f32[batch, 8]\n"
        "    output y = x -> wrap(dense(width)) -> dense(double(width))\n}\n"
    )
    inner, outer = net.graph.nodes
    assert outer_names(inner.origin.hint["out"]) == {"width"}
    assert hint_text(outer.origin.hint["out"]) == "2 * width"


def test_quotients_are_kept_as_they_were_written() -> None:
    net = build(
        "model M(d: int = 8, heads: int = 2) {\n    input x: f32[batch, d]\n"
        "    output y = x -> dense(d / heads)\n}\n"
    )
    hint = net.graph.nodes[0].origin.hint["out"]
    assert hint_text(hint) == "d / heads"
    assert "d // heads" in emit_module([net.graph], title="M")


def test_long_hints_say_only_which_names_they_follow() -> None:
    net = build(
        "model M(d: int = 1) {\n    input x: f32[batch, d]\n    n = d\n"
        "    for i in 0..100 { n = n + d }\n    output y = x -> dense(n)\n}\n"
    )
    hint = net.graph.nodes[0].origin.hint["out"]
    assert find_readable(hint) is None
    assert set(hint_names(hint)) == {"d"}
